"""Usage documents on their way to the store: written in batches, waited for briefly, kept through an outage.

Calls that finish together share one commit. Every document is created, never overwritten, so a commit that is repeated
because its answer got lost counts once. The buffer is bounded; what it cannot hold is still in the log line.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from gateway.canonical.store import AlreadyExists, Store, StoreUnavailable, Write

BATCH_WRITES_MAX = 200
RETRY_S = (0.5, 1.0, 2.0, 5.0)
log = logging.getLogger(__name__)


class _Entry:
    """The writes of one call, and its wait for them: a bare lock, for an Event costs several, twice a call."""

    __slots__ = ("_told", "writes", "written")

    def __init__(self, writes: Sequence[Write]) -> None:
        self.writes = writes
        self.written = False
        self._told = threading.Lock()
        self._told.acquire()

    def wait(self, wait_s: float) -> None:
        self._told.acquire(timeout=wait_s)

    def tell(self) -> None:
        """Written, or not to be waited for: its caller goes on. By the writing thread alone."""
        if self._told.locked():
            self._told.release()


class RecordWriter:
    """One thread writes; it starts with the first record, so that a process may fork before."""

    def __init__(self, store: Store, *, buffer_max: int = 10_000, commit_timeout_s: float = 5.0) -> None:
        self._store = store
        self._buffer_max = buffer_max
        self._commit_timeout_s = commit_timeout_s
        self._pending: deque[_Entry] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._away = False
        self._hurry = False
        self.lost = 0

    def write(self, writes: Sequence[Write], *, wait_s: float = 2.0) -> bool:
        """Hands over the writes of one call; True once they are committed, False if they still wait after `wait_s`.

        While the store is known to be away nobody waits.
        """
        entry = _Entry(writes)
        with self._changed:
            if len(self._pending) >= self._buffer_max:
                self._pending.popleft()
                self.lost += 1
                log.error("the usage buffer is full: one record is now only in the log")
            self._pending.append(entry)
            self._start()
            self._changed.notify_all()
        if not self._away:
            entry.wait(wait_s)
        return entry.written

    @property
    def waiting(self) -> int:
        return len(self._pending)

    def flush(self, timeout_s: float) -> bool:
        """Waits until everything is written; at shutdown. False if something still waits."""
        until = time.monotonic() + timeout_s
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            while self._pending and time.monotonic() < until:
                self._changed.wait(min(0.05, max(0.0, until - time.monotonic())))
            self._hurry = False
            return not self._pending

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="records", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        failures = 0
        while True:
            with self._changed:
                while not self._pending:
                    self._changed.wait()
                batch = self._next_batch()
            try:
                self._commit(batch)
            except StoreUnavailable as error:
                self._away = True
                for entry in batch:
                    entry.tell()
                if failures == 0:
                    log.error("the store is away, usage records wait in memory: %s", error)
                with self._changed:
                    self._changed.wait_for(lambda: self._hurry, RETRY_S[min(failures, len(RETRY_S) - 1)])
                    if self._hurry:
                        self._changed.wait(0.2)
                failures += 1
                continue
            self._settle(batch)
            failures = 0

    def _next_batch(self) -> list[_Entry]:
        """The oldest entries, as many as one commit takes; at least one."""
        batch: list[_Entry] = []
        size = 0
        for entry in self._pending:
            size += len(entry.writes)
            if batch and size > BATCH_WRITES_MAX:
                break
            batch.append(entry)
        return batch

    def _commit(self, batch: list[_Entry]) -> None:
        """One commit for all; singly if one of them cannot be written, so that it harms no other."""
        try:
            self._store.commit([write for entry in batch for write in entry.writes], timeout_s=self._commit_timeout_s)
        except StoreUnavailable:
            raise
        except Exception as error:  # whatever it is, the records behind must not wait for it for ever
            if len(batch) > 1:
                for entry in batch:
                    self._commit([entry])
            elif not isinstance(error, AlreadyExists):
                log.error("a usage record cannot be written and is now only in the log: %r", error)

    def _settle(self, batch: list[_Entry]) -> None:
        self._away = False
        with self._changed:
            for entry in batch:
                if self._pending and self._pending[0] is entry:
                    self._pending.popleft()
            self._changed.notify_all()
        for entry in batch:
            entry.written = True
            entry.tell()
