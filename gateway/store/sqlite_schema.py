"""The table that holds the documents in SQLite, and how a file of an earlier version comes to have it.

A record costs what its index pages cost, for a commit writes every page that changed: ids are random, so that each index by
key changes another page with each record. Hence one such index serves for paths, collections and groups of collections.
"""

import sqlite3

from gateway.canonical.store import StoreUnavailable

VERSION = 2
TABLE = (
    # `key` is the path with NUL for each slash: byte order is then the order of the paths' segments.
    """CREATE TABLE documents (
           key BLOB NOT NULL, collection TEXT NOT NULL, collection_group TEXT NOT NULL,
           data BLOB NOT NULL, version TEXT NOT NULL, expires_at REAL, UNIQUE (collection_group, key))""",
    "CREATE INDEX documents_by_age ON documents (collection)",  # and by rowid, as every index is
    "CREATE INDEX documents_by_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL",
    f"PRAGMA user_version = {VERSION}",
)
FROM_VERSION_1 = (  # a key of its own beside indexes by collection and by group
    "ALTER TABLE documents RENAME TO documents_1",
    "DROP INDEX documents_by_expiry",
    *TABLE,
    """INSERT INTO documents (key, collection, collection_group, data, version, expires_at)
           SELECT key, collection, collection_group, data, version, expires_at FROM documents_1 ORDER BY rowid""",
    "DROP TABLE documents_1",
)
STEPS = {0: TABLE, 1: FROM_VERSION_1}


def prepare(connection: sqlite3.Connection) -> None:
    """Makes a new connection fit for use, and the file if it is new or old. StoreUnavailable for one of a later version."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    version = _version(connection)
    if version in STEPS:
        _bring_up(connection)
    elif version != VERSION:
        raise StoreUnavailable(f"the SQLite file has schema {version}, not {VERSION}; name another file")


def _bring_up(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in STEPS.get(_version(connection), ()):  # none if another process was first
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
