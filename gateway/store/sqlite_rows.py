"""Documents as rows of SQLite: what one read or write does within a transaction.

The value is MessagePack, which keeps 64-bit integers, datetimes and bytes exactly.
"""

import os
import sqlite3
from typing import Any

import msgspec

from gateway.canonical.store import (
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    Document,
    Increment,
    Json,
    Missing,
    Put,
    StoreUnavailable,
    Update,
    Write,
)
from gateway.store.documents import INT64_MAX, INT64_MIN, expiry

SCHEMA_VERSION = 1
SCHEMA = (
    # `key` is the path with NUL for each slash: byte order is then the order of the paths' segments.
    """CREATE TABLE documents (
           key BLOB PRIMARY KEY NOT NULL, collection TEXT NOT NULL, collection_group TEXT NOT NULL,
           data BLOB NOT NULL, version TEXT NOT NULL, expires_at REAL)""",
    "CREATE INDEX documents_by_collection ON documents (collection, key)",
    "CREATE INDEX documents_by_group ON documents (collection_group, key)",
    "CREATE INDEX documents_by_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
CLEAN_DOCUMENTS_MAX = 500
LINGER_S = 86_400.0  # as with Firestore's TTL policies, what has expired is deleted later

_encode = msgspec.msgpack.Encoder(order="deterministic").encode  # equal documents are equal bytes
decode = msgspec.msgpack.Decoder().decode


def prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        _make_schema(connection)
    elif version != SCHEMA_VERSION:
        raise StoreUnavailable(f"the SQLite file has schema {version}, not {SCHEMA_VERSION}; name another file")


def ping(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT 1 FROM documents LIMIT 1").fetchone()


def _make_schema(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # else another process was first
            for statement in SCHEMA:
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def apply(connection: sqlite3.Connection, wanted: Write) -> dict[str, int]:
    """One write of a batch, which looks at no expiry: neither can Firestore without reading."""
    if isinstance(wanted, Create):
        try:
            write(connection, wanted.path, wanted.data, verb="INSERT")
        except sqlite3.IntegrityError:
            raise AlreadyExists(f"{wanted.path} exists already; nothing of the batch was written") from None
        return {}
    there = read(connection, wanted.path)
    match wanted:
        case Put():
            write(connection, wanted.path, wanted.data, there)
        case Update():
            if there is None and wanted.if_version is None:
                raise Missing(f"{wanted.path} does not exist; nothing of the batch was written")
            update(connection, wanted, there)
        case Increment():
            return _increment(connection, wanted, there)
        case Delete():
            connection.execute("DELETE FROM documents WHERE key = ?", (key_of(wanted.path),))
    return {}


def update(connection: sqlite3.Connection, wanted: Update, there: Document | None) -> str:
    if there is None or wanted.if_version not in (None, there.version):
        raise Conflict(f"{wanted.path} is not at the version that was read; read it again and repeat")
    return write(connection, wanted.path, {**there.data, **wanted.fields}, there)


def _increment(connection: sqlite3.Connection, wanted: Increment, there: Document | None) -> dict[str, int]:
    old = there.data if there else {}
    values = {name: _sum(old.get(name), amount) for name, amount in wanted.amounts.items()}
    write(connection, wanted.path, {**old, **wanted.fields, **values}, there)
    return values


def _sum(old: Any, amount: int) -> int:
    """As Firestore adds: from 0 where there was no number, and stopping at 64 bits."""
    start = int(old) if isinstance(old, int | float) and not isinstance(old, bool) else 0
    return max(INT64_MIN, min(INT64_MAX, start + amount))


def read(connection: sqlite3.Connection, path: str) -> Document | None:
    row = connection.execute("SELECT data, version FROM documents WHERE key = ?", (key_of(path),)).fetchone()
    return Document(path, decode(row[0]), row[1]) if row else None


def write(
    connection: sqlite3.Connection, path: str, data: Json, there: Document | None = None, verb: str = "INSERT OR REPLACE"
) -> str:
    """Returns the version; like Firestore's it stays when the document does."""
    encoded = _encode(data)
    if there is not None and encoded == _encode(there.data):
        return there.version
    collection, _, _ = path.rpartition("/")
    version = os.urandom(8).hex()
    connection.execute(
        f"{verb} INTO documents (key, collection, collection_group, data, version, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (key_of(path), collection, collection.rpartition("/")[2], encoded, version, expiry(data)),
    )
    return version


def clean(connection: sqlite3.Connection, *, gone_before: float) -> None:
    connection.execute(
        "DELETE FROM documents WHERE key IN (SELECT key FROM documents WHERE expires_at < ? LIMIT ?)",
        (gone_before, CLEAN_DOCUMENTS_MAX),
    )


def key_of(path: str) -> bytes:
    return path.replace("/", "\0").encode()


def path_of(key: bytes) -> str:
    return key.decode().replace("\0", "/")
