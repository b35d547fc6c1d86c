"""Connections to one SQLite file, shared by the threads of a process: opened when needed, none of them across a fork.

A connection belongs to a thread for one operation and then returns to the pool, so that threads may die. SQLite keeps
its locks per process and copies its notes about them into a forked child, where they are wrong: a child that opens the
file while the parent has it open can lose writes (https://www.sqlite.org/howtocorrupt.html, section 2.6). Hence every
connection is closed before a fork.
"""

import contextlib
import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from gateway.canonical.store import StoreUnavailable

T = TypeVar("T")

CONNECTIONS_MAX = 8
FORK_WAIT_S = 2.0
PROGRESS_STEPS = 2_000  # virtual machine steps between two looks at the deadline: well below a millisecond

_pools: "weakref.WeakSet[Connections]" = weakref.WeakSet()


class Connections:
    """`prepare` is run once on each new connection, before anyone else sees it."""

    def __init__(self, path: Path, prepare: Callable[[sqlite3.Connection], None]) -> None:
        self._path = path
        self._prepare = prepare
        self._closed = False
        self._start_afresh()
        _pools.add(self)

    def read(self, operation: Callable[[sqlite3.Connection], T], *, timeout_s: float) -> T:
        """What `operation` returns; it may be run again, so it must not write. StoreUnavailable."""
        deadline = time.monotonic() + timeout_s
        with self._explained(timeout_s), self._connection(deadline) as connection:
            return _when_free(lambda: operation(connection), deadline)

    def write(self, operation: Callable[[sqlite3.Connection], T], *, timeout_s: float) -> T:
        """The same within one transaction: all that `operation` writes, or nothing if it raises. StoreUnavailable."""
        deadline = time.monotonic() + timeout_s
        with self._explained(timeout_s), self._turn(deadline), self._connection(deadline) as connection:
            # The write lock is taken first: a transaction that begins by reading cannot always go on to write.
            _when_free(lambda: connection.execute("BEGIN IMMEDIATE"), deadline)
            try:
                result = operation(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result

    def close(self) -> None:
        """Closes what is idle; what is in use is closed when its operation ends."""
        with self._changed:
            self._closed = True
            self._close_idle()

    @contextlib.contextmanager
    def _connection(self, deadline: float) -> Iterator[sqlite3.Connection]:
        connection = self._take(deadline)
        broken = False
        try:
            connection = connection or self._open(deadline)
            connection.set_progress_handler(lambda: time.monotonic() > deadline, PROGRESS_STEPS)
            yield connection
        except sqlite3.Error:
            broken = True
            raise
        finally:
            self._give_back(connection, broken)

    def _take(self, deadline: float) -> sqlite3.Connection | None:
        """An idle connection, or None: open one."""
        with self._changed:
            if not self._changed.wait_for(self._may_take, max(0.0, deadline - time.monotonic())):
                raise StoreUnavailable(f"all connections to {self._path} stayed busy; ask for less or wait longer")
            if self._closed:
                raise StoreUnavailable(f"the store {self._path} is closed; open it again")
            self._in_use += 1
            return self._idle.pop() if self._idle else None

    def _may_take(self) -> bool:
        return self._closed or (not self._forking and self._in_use < CONNECTIONS_MAX)

    def _give_back(self, connection: sqlite3.Connection | None, broken: bool) -> None:
        with self._changed:
            self._in_use -= 1
            if connection is not None:
                if broken or self._closed:
                    connection.close()
                else:
                    self._idle.append(connection)
            self._changed.notify_all()

    @contextlib.contextmanager
    def _turn(self, deadline: float) -> Iterator[None]:
        """One writer of this process at a time: queueing here is fairer and quicker than polling SQLite's lock."""
        if not self._writing.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise StoreUnavailable(f"other threads kept writing to {self._path}; write less or wait longer")
        try:
            yield
        finally:
            self._writing.release()

    def _open(self, deadline: float) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            _when_free(lambda: self._prepare(connection), deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextlib.contextmanager
    def _explained(self, timeout_s: float) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            what = f"SQLite at {self._path}, allowed {timeout_s:.3g} s: {error}"
            raise StoreUnavailable(f"{what}; {_advice(error)}") from error
        except OSError as error:
            raise StoreUnavailable(
                f"SQLite at {self._path}: {error.strerror}; name a writable file in GATEWAY_STORE=sqlite:///PATH"
            ) from error

    def _start_afresh(self) -> None:
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._in_use = 0
        self._forking = False

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def before_fork(self) -> None:
        """Holds new operations back, waits for those under way, and closes every connection."""
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._forking = True
            self._changed.wait_for(lambda: self._in_use == 0, FORK_WAIT_S)
            self._close_idle()

    def after_fork_in_parent(self) -> None:
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        """The other threads are not here any more, nor are their operations."""
        self._start_afresh()


def _when_free(attempt: Callable[[], T], deadline: float) -> T:
    """Repeats what SQLite refuses because another process holds a lock, until the deadline."""
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            pause_s = random.uniform(0.001, 0.01)
            if time.monotonic() + pause_s > deadline:
                raise
            time.sleep(pause_s)


_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process holds the file; wait for it, or give each its own file",
    sqlite3.SQLITE_LOCKED: "another thread holds a table; try again",
    sqlite3.SQLITE_INTERRUPT: "it took longer than allowed; ask for less, or use Firestore",
    sqlite3.SQLITE_READONLY: "make the file and its folder writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make the file and its folder writable for this user",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database; move it away or name another one",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a copy or start with a new one",
}


def _advice(error: sqlite3.Error) -> str:
    return _ADVICE.get(_code(error), "try again; if it persists, start with a new file")


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for errors that Python raised itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


_forking: list[Connections] = []


def _before_fork() -> None:
    pools = list(_pools)
    for pool in pools:
        pool.before_fork()
    _forking.extend(pools)


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop().after_fork_in_parent()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop().after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
