"""One row of the admin API: a method at a path, what it does, and the shapes of what goes in and comes out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from gateway.administration.changes import Who
from gateway.administration.office import Office
from gateway.administration.refusals import invalid
from gateway.canonical.store import Json

T = TypeVar("T")
LIMIT_DEFAULT = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was let in: who asks, the ids of its path, its query, its body."""

    who: Who
    ids: Mapping[str, str]
    query: Mapping[str, str]
    body: Json = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.ids["id"]

    @property
    def page(self) -> dict[str, Any]:
        """`limit` and `cursor`, as lists take them; AdminError `invalid`."""
        limit = self.query.get("limit") or str(LIMIT_DEFAULT)
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 7):
            raise invalid(["limit: should be a whole number"])
        return {"limit": int(limit), "cursor": self.query.get("cursor") or None}


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of a query. `shape` is a JSON Schema of its value."""

    name: str
    help: str
    shape: Json = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Route:
    """`body` and `answer` are msgspec structs; of a tuple of bodies any one fits. `more_query` is a prefix of further
    parameters, such as `meta.`."""

    method: str
    path: str
    summary: str
    run: Callable[[Office, Asked], Json]
    answer: Any
    body: Any = None
    body_needed: bool = True
    query: tuple[Query, ...] = ()
    more_query: str | None = None
    status: int = 200
    refusals: tuple[int, ...] = (400, 401, 404)

    @property
    def segments(self) -> list[str]:
        return self.path.split("/")


class Page(msgspec.Struct, Generic[T]):
    """A page of a list. `next_cursor` is given as `cursor` to read on; null on the last page."""

    data: list[T]
    next_cursor: str | None


class Deleted(msgspec.Struct):
    """What was deleted."""

    id: str
    deleted: bool


PAGE = (
    Query("limit", "How many at most", {"type": "integer", "minimum": 1, "maximum": 1000, "default": LIMIT_DEFAULT}),
    Query("cursor", "`next_cursor` of the page before", {"type": "string", "minLength": 1}),
)
READ = (400, 401, 404)
EXCLUSIVE = (400, 401, 404, 409)
"""Of a read whose parameters may exclude each other."""
WRITE = (400, 401, 404, 409, 413)


def only(body: Json, *names: str) -> Json:
    """The body, if it has no other fields than these; AdminError `invalid`."""
    if more := [name for name in body if name not in names]:
        raise invalid([f"{more[0][:64]!r} is no field here; there {'are ' + ', '.join(names) if names else 'is none'}"])
    return body


def deleted(target: str) -> Json:
    return {"id": target, "deleted": True}
