"""What the house asks of a store: documents at slash-separated paths, changed without read-write transactions.

A path has an even number of segments, `collection/id[/collection/id…]`; a collection path has an odd number. Ids are
non-empty and hold no slash. Values are JSON plus timezone-aware `datetime` and `bytes`, and a top-level field may be a
`Vector`; integers fit in 64 bits.

Expiry: a document whose top-level `expires_at` (datetime) has passed is as good as gone: `get` and `query` do not
show it, `create` may replace it, `update` of it is `Missing`. The backend's own cleaning may lag by days.

No read-write transactions: two of them on one Firestore document wait two seconds for each other (measured
2026-11-20). Use `create` (once), `update(if_version)` (compare and set) and `increment` (returns the new value).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = dict[str, Any]
Operator = Literal["==", "<", "<=", ">", ">=", "in", "array_contains"]


class StoreError(Exception):
    """The root of what a store may raise."""


class StoreUnavailable(StoreError):
    """The store did not answer in time, or not at all. Whether a write happened is unknown."""


class AlreadyExists(StoreError):
    """`create` found a live document at that path."""


class Missing(StoreError):
    """`update` or a conditional `delete` found no live document."""


class Conflict(StoreError):
    """The document is not at the version that was asked for."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A place in a space of 1 to 2,048 dimensions, which `nearest` finds others close to."""

    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Document:
    path: str
    data: Json
    version: str  # opaque; changes with every write

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Create:
    """Fails the whole batch with AlreadyExists if the path is taken (an expired document counts as taken here)."""

    path: str
    data: Json


@dataclass(frozen=True, slots=True)
class Put:
    """Writes the whole document, whatever was there."""

    path: str
    data: Json


@dataclass(frozen=True, slots=True)
class Update:
    """Replaces the named top-level fields of an existing document; `if_version` makes it a compare-and-set."""

    path: str
    fields: Json
    if_version: str | None = None


@dataclass(frozen=True, slots=True)
class Increment:
    """Adds to top-level integer fields, creating document and fields as needed; `fields` are set beside them."""

    path: str
    amounts: Mapping[str, int]
    fields: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    path: str


Write = Create | Put | Update | Increment | Delete


@dataclass(frozen=True, slots=True)
class Page:
    documents: list[Document]
    next_cursor: str | None


class Store(Protocol):
    """Every method may raise StoreUnavailable, within its `timeout_s`, and never hangs. Safe to call from many threads."""

    def get(self, path: str, *, timeout_s: float = 2.0) -> Document | None: ...

    def create(self, path: str, data: Json, *, timeout_s: float = 2.0) -> str:
        """Writes once; returns the version. AlreadyExists if a live document is there; an expired one is replaced."""

    def update(self, path: str, fields: Json, *, if_version: str | None = None, timeout_s: float = 2.0) -> str:
        """Replaces top-level fields; returns the new version. Missing, Conflict."""

    def delete(self, path: str, *, timeout_s: float = 2.0) -> None:
        """Deleting what is not there is no error."""

    def increment(self, path: str, amounts: Mapping[str, int], fields: Json | None = None, *,
                  timeout_s: float = 2.0) -> dict[str, int]:  # fmt: skip
        """Adds atomically and returns the new values by field name. Never retried: an unpaired increment could count twice."""

    def commit(self, writes: Sequence[Write], *, timeout_s: float = 2.0) -> list[dict[str, int]]:
        """All writes or none. Returns one dict a write: the new values of an Increment, else empty."""

    def query(
        self,
        collection: str,
        *,
        where: Sequence[tuple[str, Operator, Any]] = (),
        order_by: str | None = None,
        descending: bool = False,
        limit: int = 100,
        cursor: str | None = None,
        group: bool = False,
        timeout_s: float = 10.0,
    ) -> Page:
        """Documents of one collection, or with `group` of every collection whose last segment is `collection`.

        `where` and `order_by` name top-level fields. Without `order_by` the order is by path. Pages join without gaps
        or repeats while nothing is written. A cursor is opaque and bound to its query.
        """

    def nearest(
        self,
        collection: str,
        field: str,
        vector: Vector,
        *,
        where: Mapping[str, Any],
        limit: int = 10,
        similarity_min: float = 0.0,
        timeout_s: float = 2.0,
    ) -> list[tuple[Document, float]]:
        """The documents of one collection whose `field` is most like `vector`, and how much: the cosine of their angle,
        from `similarity_min` to 1, the most alike first. `where` are fields and the values that they must equal. Vectors
        of another length are passed over. On Firestore it takes an index of exactly these fields: without it StoreError.
        """

    def ping(self, *, timeout_s: float = 1.0) -> None:
        """Returns when the store answers; StoreUnavailable otherwise."""

    def close(self) -> None: ...
