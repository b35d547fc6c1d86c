"""Documents as rows of SQLite: what one read or write does within a transaction.

The value is MessagePack, which keeps 64-bit integers, datetimes and bytes exactly; a vector is an extension of it.
"""

import os
import sqlite3
import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
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
    Update,
    Vector,
    Write,
)
from gateway.store.documents import INT64_MAX, INT64_MIN, expiry

COLUMNS = "(key, collection, collection_group, data, version, expires_at)"
PLACES = "(?, ?, ?, ?, ?, ?)"
ROWS_AT_ONCE = 32
CLEAN_DOCUMENTS_MAX = 500
LINGER_S = 86_400.0  # as with Firestore's TTL policies, what has expired is deleted later

VECTOR = 1  # the number of MessagePack's extension that holds one: doubles, little-endian

_encoder = msgspec.msgpack.Encoder(order="deterministic")  # equal documents are equal bytes


def _unpack(code: int, data: memoryview) -> Vector:
    if code != VECTOR:
        raise ValueError(f"the SQLite file holds a value of kind {code}, which this version does not know; name another file")
    return Vector(struct.unpack(f"<{len(data) // 8}d", data))


decode = msgspec.msgpack.Decoder(ext_hook=_unpack).decode


def _encode(data: Json) -> bytes:
    if Vector in map(type, data.values()):
        data = {name: _pack(value) if isinstance(value, Vector) else value for name, value in data.items()}
    return _encoder.encode(data)


def _pack(vector: Vector) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(VECTOR, struct.pack(f"<{len(vector.values)}d", *vector.values))


def ping(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT 1 FROM documents LIMIT 1").fetchone()


def apply_all(connection: sqlite3.Connection, wanted: Sequence[Write]) -> list[dict[str, int]]:
    """All writes of a batch, which looks at no expiry: neither can Firestore without reading."""
    applied: list[dict[str, int]] = []
    for creating, some in groupby(wanted, lambda write: isinstance(write, Create)):
        alike = list(some)
        applied += _create_all(connection, alike) if creating else [_apply(connection, write) for write in alike]
    return applied


def _create_all(connection: sqlite3.Connection, wanted: Sequence[Write]) -> list[dict[str, int]]:
    """Many by one statement: each lets other threads run meanwhile, and then has to wait for its turn."""
    for start in range(0, len(wanted), ROWS_AT_ONCE):
        creates = [write for write in wanted[start : start + ROWS_AT_ONCE] if isinstance(write, Create)]
        values = [value for create in creates for value in _row(create.path, _encode(create.data), create.data)]
        try:
            connection.execute(_insert(len(creates)), values)
        except sqlite3.IntegrityError:
            taken = next((create.path for create in creates if read(connection, create.path)), creates[0].path)
            raise AlreadyExists(f"{taken} exists already; nothing of the batch was written") from None
    return [{} for _ in wanted]


@lru_cache(maxsize=ROWS_AT_ONCE)
def _insert(rows: int) -> str:
    """OR ROLLBACK: the batch is over anyway, and undoing the statement alone would have to be prepared for."""
    return f"INSERT OR ROLLBACK INTO documents {COLUMNS} VALUES {', '.join([PLACES] * rows)}"


def _apply(connection: sqlite3.Connection, wanted: Write) -> dict[str, int]:
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
            connection.execute("DELETE FROM documents WHERE collection_group = ? AND key = ?", _place(wanted.path))
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
    sql = "SELECT data, version FROM documents WHERE collection_group = ? AND key = ?"
    row = connection.execute(sql, _place(path)).fetchone()
    return Document(path, decode(row[0]), row[1]) if row else None


def write(connection: sqlite3.Connection, path: str, data: Json, there: Document | None = None) -> str:
    """Returns the version; like Firestore's it stays when the document does."""
    encoded = _encode(data)
    if there is not None and encoded == _encode(there.data):
        return there.version
    row = _row(path, encoded, data)
    connection.execute(f"INSERT OR REPLACE INTO documents {COLUMNS} VALUES {PLACES}", row)
    return row[4]


def _row(path: str, encoded: bytes, data: Json) -> tuple[bytes, str, str, bytes, str, float | None]:
    """By COLUMNS, with a version that no other has."""
    collection = path.rpartition("/")[0]
    return key_of(path), collection, group_of(collection), encoded, os.urandom(8).hex(), expiry(data)


def _place(path: str) -> tuple[str, bytes]:
    return group_of(path.rpartition("/")[0]), key_of(path)


def clean(connection: sqlite3.Connection, *, gone_before: float) -> None:
    connection.execute(
        "DELETE FROM documents WHERE rowid IN (SELECT rowid FROM documents WHERE expires_at < ? LIMIT ?)",
        (gone_before, CLEAN_DOCUMENTS_MAX),
    )


def group_of(collection: str) -> str:
    return collection.rpartition("/")[2]


def keys_in(collection: str) -> tuple[bytes, bytes]:
    """Between these two lie the keys of a collection and of the collections below it."""
    start = key_of(f"{collection}/")
    return start, start[:-1] + b"\1"


def key_of(path: str) -> bytes:
    return path.replace("/", "\0").encode()


def path_of(key: bytes) -> str:
    return key.decode().replace("\0", "/")
