"""The embedded store: one SQLite file, for laptops and single machines; several threads and processes may share it.

Queries filter and sort in Python, by the same rules as Firestore's: about a second per hundred thousand documents.
Writes survive the death of the process; after a power cut the last moments may be missing (`synchronous=NORMAL`).
"""

import heapq
import itertools
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway.canonical.store import (
    AlreadyExists,
    Delete,
    Document,
    Increment,
    Json,
    Missing,
    Operator,
    Page,
    Update,
    Vector,
    Write,
)
from gateway.store import sqlite_rows as rows
from gateway.store.documents import check_data, check_document_path, check_write, is_expired
from gateway.store.queries import Query, matches, parse_query, render_page, sort_key
from gateway.store.sqlite_connections import Connections
from gateway.store.sqlite_schema import prepare
from gateway.store.vectors import Search, parse_search, similarity
from gateway.store.vectors import matches as belongs

T = TypeVar("T")

CLEAN_EVERY_WRITES = 200
COMPARED_MAX = 10_000  # vectors that a search looks at: 1,000 take some 50 ms (768 dimensions, 2026-11-21)


class SqliteStore:
    """A gateway.canonical.store.Store. `path` is created at first use, its folder too, for this user alone."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._connections = Connections(path.absolute(), prepare)
        self._now = now
        self._writes = 0

    @classmethod
    def from_url(cls, rest: str, *, now: Callable[[], float]) -> "SqliteStore":
        """`/PATH` of `sqlite:///PATH`: `sqlite:///a/b.db` is relative, `sqlite:////a/b.db` absolute."""
        path = rest.removeprefix("/")
        if not rest.startswith("/") or path in ("", ":memory:") or path.endswith("/"):
            raise ValueError(f"sqlite://{rest} should be sqlite:///PATH of a file, such as sqlite:///.gateway/gateway.db")
        return cls(Path(path), now=now)

    def get(self, path: str, *, timeout_s: float = 2.0) -> Document | None:
        check_document_path(path)
        document = self._connections.read(lambda connection: rows.read(connection, path), timeout_s=timeout_s)
        return document if document and not is_expired(document.data, self._now()) else None

    def create(self, path: str, data: Json, *, timeout_s: float = 2.0) -> str:
        check_document_path(path)
        check_data(data)

        def operation(connection: sqlite3.Connection) -> str:
            there = rows.read(connection, path)
            if there and not is_expired(there.data, self._now()):
                raise AlreadyExists(f"{path} exists already; update it, or choose another id")
            return rows.write(connection, path, data)

        return self._write(operation, timeout_s)

    def update(self, path: str, fields: Json, *, if_version: str | None = None, timeout_s: float = 2.0) -> str:
        write = Update(path, fields, if_version)
        check_write(write)

        def operation(connection: sqlite3.Connection) -> str:
            there = rows.read(connection, path)
            if there is None or is_expired(there.data, self._now()):
                raise Missing(f"{path} does not exist; create it first")
            return rows.update(connection, write, there)

        return self._write(operation, timeout_s)

    def delete(self, path: str, *, timeout_s: float = 2.0) -> None:
        self.commit([Delete(path)], timeout_s=timeout_s)

    def increment(self, path: str, amounts: Mapping[str, int], fields: Json | None = None, *,
                  timeout_s: float = 2.0) -> dict[str, int]:  # fmt: skip
        return self.commit([Increment(path, amounts, fields or {})], timeout_s=timeout_s)[0]

    def commit(self, writes: Sequence[Write], *, timeout_s: float = 2.0) -> list[dict[str, int]]:
        for write in writes:
            check_write(write)
        return self._write(lambda connection: rows.apply_all(connection, writes), timeout_s)

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
        found = self._connections.read(lambda connection: self._first(connection, query), timeout_s=timeout_s)
        return render_page(query, found)

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
        return self._connections.read(lambda connection: self._search(connection, search), timeout_s=timeout_s)

    def ping(self, *, timeout_s: float = 1.0) -> None:
        self._connections.read(rows.ping, timeout_s=timeout_s)

    def close(self) -> None:
        self._connections.close()

    def _write(self, operation: Callable[[sqlite3.Connection], T], timeout_s: float) -> T:
        def write_and_clean(connection: sqlite3.Connection) -> T:
            rows.clean(connection, gone_before=self._now() - rows.LINGER_S)
            return operation(connection)

        self._writes += 1
        cleaning = self._writes % CLEAN_EVERY_WRITES == 0
        return self._connections.write(write_and_clean if cleaning else operation, timeout_s=timeout_s)

    def _first(self, connection: sqlite3.Connection, query: Query) -> list[Document]:
        """The page and one document more."""
        if query.order_by is None:
            return list(itertools.islice(self._scan(connection, query), query.limit + 1))
        pick = heapq.nlargest if query.descending else heapq.nsmallest
        return pick(query.limit + 1, self._scan(connection, query), key=lambda document: _place(query, document))

    def _scan(self, connection: sqlite3.Connection, query: Query) -> Iterator[Document]:
        """Every matching document beyond the cursor; by path if the query is."""
        sql = "SELECT key, data, version FROM documents WHERE collection_group = ? AND (expires_at IS NULL OR expires_at > ?)"
        values: list[Any] = [rows.group_of(query.collection), self._now()]
        beyond = rows.key_of(query.after[1]) if query.after and query.order_by is None else None
        if not query.group:
            first, last = rows.keys_in(query.collection)
            sql += " AND collection = ? AND key < ?"
            values += [query.collection, last]
            beyond = beyond or first
        if beyond:
            sql += " AND key > ?"
            values.append(beyond)
        for key, data, version in connection.execute(f"{sql} ORDER BY key", values):
            document = Document(rows.path_of(key), rows.decode(data), version)
            if matches(query, document.data) and _is_beyond_cursor(query, document):
                yield document

    def _search(self, connection: sqlite3.Connection, search: Search) -> list[tuple[Document, float]]:
        near = []
        for document in self._comparable(connection, search):
            found = similarity(search, document.data) if belongs(search, document.data) else None
            if found is not None and found >= search.similarity_min:
                near.append((document, found))
        return heapq.nlargest(search.limit, near, key=lambda pair: pair[1])

    def _comparable(self, connection: sqlite3.Connection, search: Search) -> Iterator[Document]:
        """Those whose bytes hold each text that is asked for, somewhere: to unpack the others would take most of the time."""
        texts = [value.encode() for value in search.where.values() if isinstance(value, str)]
        sql = (
            "SELECT key, data, version FROM documents WHERE collection = ? AND (expires_at IS NULL OR expires_at > ?) "
            f"{'AND instr(data, ?) ' * len(texts)}LIMIT ?"
        )
        for key, data, version in connection.execute(sql, (search.collection, self._now(), *texts, COMPARED_MAX)):
            yield Document(rows.path_of(key), rows.decode(data), version)


def _place(query: Query, document: Document) -> tuple[Any, ...]:
    """Where a document stands in the order of a query by field."""
    return (sort_key(document.data[query.order_by or ""]), rows.key_of(document.path))


def _is_beyond_cursor(query: Query, document: Document) -> bool:
    if query.after is None or query.order_by is None:
        return True
    value, path = query.after
    place, after = _place(query, document), (sort_key(value), rows.key_of(path))
    return place < after if query.descending else place > after
