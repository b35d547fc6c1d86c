"""The store in production: Firestore in native mode, without read-write transactions.

A version is the document's update time to the nanosecond, and its expiry: with both at hand a compare-and-set knows
without a read whether the document had expired.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gateway.canonical.store import (
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    Document,
    Increment,
    Json,
    Missing,
    Operator,
    Page,
    StoreError,
    Update,
    Vector,
    Write,
)
from gateway.store import firestore_writes
from gateway.store.documents import check_document_path, check_write, expiry, is_expired
from gateway.store.firestore_client import REPEATABLE_READ, REPEATABLE_WRITE, FirestoreClient, Google
from gateway.store.firestore_wire import (
    parse_document,
    parse_near,
    parse_version,
    render_condition,
    render_query,
    render_replacement,
    render_search,
    render_version,
)
from gateway.store.firestore_writes import Written
from gateway.store.queries import Query, parse_query, render_page
from gateway.store.vectors import LIMIT_MAX, Search, parse_search

READ_ERRORS = {"InvalidArgument": ValueError, "FailedPrecondition": StoreError}
REPLACE_ERRORS = {"FailedPrecondition": AlreadyExists, "NotFound": AlreadyExists, "InvalidArgument": ValueError}
PING_PATH = "health/ping"
MORE_AT_ONCE = 10  # where what was found had expired, so many times as much is asked for


class FirestoreStore:
    """A gateway.canonical.store.Store. `project` None: the one of the credentials or of GOOGLE_CLOUD_PROJECT."""

    def __init__(self, project: str | None, database: str, *, now: Callable[[], float] = time.time) -> None:
        self._client = FirestoreClient(project, database)
        self._now = now

    @classmethod
    def from_url(cls, rest: str, *, now: Callable[[], float]) -> "FirestoreStore":
        """`PROJECT/DATABASE`; `-` for the project of the credentials."""
        project, _, database = rest.partition("/")
        if not project or not database or "/" in database:
            raise ValueError(f"firestore://{rest} should be firestore://PROJECT/DATABASE, such as firestore://-/(default)")
        return cls(None if project == "-" else project, database, now=now)

    def get(self, path: str, *, timeout_s: float = 2.0) -> Document | None:
        document = self._read(path, timeout_s)
        return document if document and not is_expired(document.data, self._now()) else None

    def create(self, path: str, data: Json, *, timeout_s: float = 2.0) -> str:
        deadline = time.monotonic() + timeout_s
        try:
            return self._written([Create(path, data)], timeout_s)[0].version(expiry(data))
        except AlreadyExists:
            there = self._read(path, deadline - time.monotonic())
            if there is None or not is_expired(there.data, self._now()):
                raise
        return self._replace(there, data, deadline - time.monotonic())

    def update(self, path: str, fields: Json, *, if_version: str | None = None, timeout_s: float = 2.0) -> str:
        write = Update(path, fields, if_version)
        check_write(write)
        deadline = time.monotonic() + timeout_s
        _, expires_at = parse_version(if_version or self._live_version(path, timeout_s))
        if expires_at is not None and expires_at <= self._now():
            raise Missing(f"{path} has expired; create it again")
        try:
            written = self._written([write], deadline - time.monotonic())[0]
        except Conflict:
            self._live_version(path, deadline - time.monotonic())  # Missing, if that is the reason
            raise
        return written.version(expiry(fields) if "expires_at" in fields else expires_at)

    def delete(self, path: str, *, timeout_s: float = 2.0) -> None:
        self.commit([Delete(path)], timeout_s=timeout_s)

    def increment(self, path: str, amounts: Mapping[str, int], fields: Json | None = None, *,
                  timeout_s: float = 2.0) -> dict[str, int]:  # fmt: skip
        return self.commit([Increment(path, amounts, fields or {})], timeout_s=timeout_s)[0]

    def commit(self, writes: Sequence[Write], *, timeout_s: float = 2.0) -> list[dict[str, int]]:
        return [written.increments for written in self._written(writes, timeout_s)]

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
        query = parse_query(
            collection, where=where, order_by=order_by, descending=descending, limit=limit, cursor=cursor, group=group
        )
        return render_page(query, [] if query.matches_nothing else self._first(query, timeout_s))

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
        search = parse_search(collection, field, vector, where=where, limit=limit, similarity_min=similarity_min)
        deadline = time.monotonic() + timeout_s
        asked = limit
        while True:
            near = self._search(search, asked, deadline - time.monotonic())
            alive = [pair for pair in near if not is_expired(pair[0].data, self._now())]
            if len(alive) >= limit or len(near) < asked or asked == LIMIT_MAX:
                return [pair for pair in alive[:limit] if pair[1] >= similarity_min]
            asked = min(LIMIT_MAX, asked * MORE_AT_ONCE)

    def ping(self, *, timeout_s: float = 1.0) -> None:
        self._read(PING_PATH, timeout_s)

    def close(self) -> None:
        self._client.close()

    def _read(self, path: str, timeout_s: float) -> Document | None:
        """The document, expired or not."""
        check_document_path(path)
        snapshot = self._client.call(
            lambda google, remaining_s: google.client.document(path).get(retry=None, timeout=remaining_s),
            timeout_s=timeout_s,
            repeatable=REPEATABLE_READ,
            kinds=READ_ERRORS,
        )
        return parse_document(snapshot) if snapshot.exists else None

    def _live_version(self, path: str, timeout_s: float) -> str:
        document = self.get(path, timeout_s=timeout_s)
        if document is None:
            raise Missing(f"{path} does not exist; create it first")
        return document.version

    def _written(self, writes: Sequence[Write], timeout_s: float) -> list[Written]:
        for write in writes:
            check_write(write)

        return self._client.call(
            lambda google, remaining_s: firestore_writes.commit(google, writes, remaining_s),
            timeout_s=timeout_s,
            repeatable=REPEATABLE_WRITE,
            kinds=_commit_errors(writes),
        )

    def _replace(self, expired: Document, data: Json, timeout_s: float) -> str:
        """Puts a new document where an expired one lingers, unless somebody else was quicker: AlreadyExists."""

        def replace(google: Google, remaining_s: float) -> Any:
            return google.client.document(expired.path).update(
                render_replacement(google, expired.data, data),
                option=render_condition(google, expired.version),
                retry=None,
                timeout=remaining_s,
            )

        result = self._client.call(replace, timeout_s=timeout_s, repeatable=REPEATABLE_WRITE, kinds=REPLACE_ERRORS)
        return render_version(result.update_time, expiry(data))

    def _first(self, query: Query, timeout_s: float) -> list[Document]:
        """The page and one document more; what has expired is passed over."""
        deadline = time.monotonic() + timeout_s
        found: list[Document] = []
        after = query.after
        wanted = query.limit + 1
        while len(found) < wanted:
            asked = wanted - len(found)
            snapshots = self._run(query, after, asked, deadline - time.monotonic())
            documents = [parse_document(snapshot) for snapshot in snapshots]
            found += [document for document in documents if not is_expired(document.data, self._now())]
            if len(documents) < asked:
                break
            last = documents[-1]
            after = (last.data[query.order_by] if query.order_by else None, last.path)
        return found

    def _run(self, query: Query, after: tuple[Any, str] | None, limit: int, timeout_s: float) -> list[Any]:
        def run(google: Google, remaining_s: float) -> list[Any]:
            return list(render_query(google, query, after).limit(limit).get(retry=google.no_retry, timeout=remaining_s))

        return self._client.call(run, timeout_s=timeout_s, repeatable=REPEATABLE_READ, kinds=READ_ERRORS)

    def _search(self, search: Search, limit: int, timeout_s: float) -> list[tuple[Document, float]]:
        def run(google: Google, remaining_s: float) -> list[Any]:
            return list(render_search(google, search, limit).get(retry=google.no_retry, timeout=remaining_s))

        found = self._client.call(run, timeout_s=timeout_s, repeatable=REPEATABLE_READ, kinds=READ_ERRORS)
        return [parse_near(snapshot) for snapshot in found]


def _commit_errors(writes: Sequence[Write]) -> dict[str, type[Exception]]:
    """What an error of a batch means depends on what the batch asked for."""
    updates = [write for write in writes if isinstance(write, Update)]
    return {
        "AlreadyExists": AlreadyExists,
        "InvalidArgument": ValueError,
        "FailedPrecondition": Conflict if any(update.if_version for update in updates) else StoreError,
        **({"NotFound": Missing} if updates else {}),
    }
