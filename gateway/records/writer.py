"""Usage documents on their way to the store: written in batches, waited for briefly, kept through an outage.

Calls that finish together share one commit. Every document is created, never overwritten, so a commit that is repeated
because its answer got lost counts once. The buffer is bounded; what it cannot hold is still in the log line.

Sums that grow with every call (rollups) go along when they are due, so that they need no thread and no commit of their own.
What is merely offered (answers for the cache) goes along too, and is dropped rather than that a record should wait for it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from gateway.canonical.steps import Signal
from gateway.canonical.store import AlreadyExists, Put, Store, StoreUnavailable, Vector, Write

BATCH_WRITES_MAX = 200
OFFERED_BYTES_MAX = 4 * 1024 * 1024  # in one commit; Firestore takes 10 MiB (Firestore quotas, 2026-11-20)
OFFERED_WAITING_BYTES_MAX = 16 * 1024 * 1024
OVERHEAD_BYTES = 1_000  # of a document beside its bodies and vectors
NUMBER_BYTES = 32  # of a vector: an object and the reference to it
LINGER_S = 0.003  # under load: more calls share a commit, and threads change places less often
CROWDED = 1.5
RETRY_S = (0.5, 1.0, 2.0, 5.0)
log = logging.getLogger(__name__)


class Entry(Signal):
    """The writes of one call. Told when they are written, or when they are not to be waited for. `offered_bytes` is how large
    writes are that may be dropped, 0 for those that may not."""

    __slots__ = ("offered_bytes", "writes", "written")

    def __init__(self, writes: Sequence[Write], offered_bytes: int = 0) -> None:
        super().__init__()
        self.writes = writes
        self.written = False
        self.offered_bytes = offered_bytes


class RecordWriter:
    """One thread writes; it starts with the first record, so that a process may fork before.

    `beside(last)` says what else is due whenever records are written, and with `last` all there is, at shutdown. Its writes
    are repeated until they are committed, and must not count twice.
    """

    def __init__(
        self,
        store: Store,
        *,
        buffer_max: int = 10_000,
        commit_timeout_s: float = 5.0,
        beside: Callable[[bool], Sequence[Write]] = lambda last: (),
    ) -> None:
        self._store = store
        self._take_beside = beside
        self._beside: Entry | None = None  # not committed yet
        self._last_wanted = False
        self._buffer_max = buffer_max
        self._commit_timeout_s = commit_timeout_s
        self._pending: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._away = False
        self._hurry = False
        self._offered_bytes = 0  # of what waits
        self.lost = 0
        self.records_written = 0
        self.commits = 0

    def write(self, writes: Sequence[Write], *, wait_s: float = 2.0) -> bool:
        """Hands over the writes of one call; True once they are committed, False if they still wait after `wait_s`."""
        entry = self.hand_over(writes)
        entry.wait(wait_s)
        return entry.written

    def hand_over(self, writes: Sequence[Write], *, offered: Put | None = None) -> Entry:
        """The writes of one call go into the next commit. While the store is known to be away nobody waits for it. `offered`
        goes along if it can."""
        entry = Entry(writes)
        with self._changed:
            if offered is not None:
                self._offer(offered)
            if len(self._pending) >= self._buffer_max:
                self._drop_offers()
            if len(self._pending) >= self._buffer_max:
                self._give_up(self._pending.popleft())
            self._pending.append(entry)
            self._start()
            self._changed.notify_all()
        if self._away:
            entry.tell()
        return entry

    def _give_up(self, oldest: Entry) -> None:
        self.lost += 1
        log.error("the usage buffer is full: one record is now only in the log")

    def offer(self, put: Put) -> None:
        """A document that is well to have and no loss to miss: not kept while the store is away, or much waits already."""
        with self._changed:
            self._offer(put)
            self._start()
            self._changed.notify_all()

    def _offer(self, put: Put) -> None:
        size_bytes = _size_of(put)
        full = len(self._pending) >= self._buffer_max or self._offered_bytes + size_bytes > OFFERED_WAITING_BYTES_MAX
        if not self._away and not full:
            self._pending.append(Entry([put], size_bytes))
            self._offered_bytes += size_bytes

    @property
    def waiting(self) -> int:
        return len(self._pending)

    def flush(self, timeout_s: float) -> bool:
        """Waits until everything is written; at shutdown. False if something still waits."""
        until = time.monotonic() + timeout_s
        with self._changed:
            self._hurry = True
            self._last_wanted = self._thread is not None  # without a record there is nothing beside it
            self._changed.notify_all()
            while (self._pending or self._last_wanted) and time.monotonic() < until:
                self._changed.wait(min(0.05, max(0.0, until - time.monotonic())))
            self._hurry = False
            return not (self._pending or self._last_wanted)

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="records", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        failures = 0
        crowd = 1.0  # how many calls of late ended within one commit
        while True:
            if crowd > CROWDED:
                time.sleep(LINGER_S)
            with self._changed:
                while not (self._pending or self._last_wanted):
                    self._changed.wait()
                batch, last = self._next_batch(), self._last_wanted and self._beside is None
            crowd = max(float(len(batch)), crowd * 0.8)
            self._beside = self._beside or self._due_beside(last)
            try:
                self._commit([self._beside, *batch] if self._beside.writes else batch)
            except StoreUnavailable as error:
                self._away = True
                self._drop_offers()
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
            self._settle(batch, last and not self._beside.writes)
            self._beside = None
            failures = 0

    def _due_beside(self, last: bool) -> Entry:
        try:
            return Entry(self._take_beside(last))
        except Exception:  # a fault in sums must not keep records from being written
            log.exception("what is due beside the usage records could not be rendered")
            return Entry(())

    def _next_batch(self) -> list[Entry]:
        """The oldest entries, as many as one commit takes; at least one."""
        batch: list[Entry] = []
        size = offered_bytes = 0
        for entry in self._pending:
            size += len(entry.writes)
            offered_bytes += entry.offered_bytes
            if batch and (size > BATCH_WRITES_MAX or offered_bytes > OFFERED_BYTES_MAX):
                break
            batch.append(entry)
        return batch

    def _drop_offers(self) -> None:
        with self._changed:
            if self._offered_bytes:
                self._pending = deque(entry for entry in self._pending if not entry.offered_bytes)
                self._offered_bytes = 0

    def _commit(self, batch: list[Entry]) -> None:
        """One commit for all; singly if one of them cannot be written, so that it harms no other."""
        if not batch:
            return
        try:
            self._store.commit([write for entry in batch for write in entry.writes], timeout_s=self._commit_timeout_s)
        except StoreUnavailable:
            raise
        except Exception as error:  # whatever it is, the records behind must not wait for it for ever
            if len(batch) > 1:
                for entry in batch:
                    self._commit([entry])
            elif batch[0].offered_bytes:
                log.warning("an answer could not be kept in the cache: %r", error)
            elif not isinstance(error, AlreadyExists):
                log.error("a usage record cannot be written and is now only in the log: %r", error)
        else:
            self.commits += 1
            self.records_written += sum(1 for entry in batch if entry is not self._beside and not entry.offered_bytes)

    def _settle(self, batch: list[Entry], nothing_beside: bool) -> None:
        self._away = False
        with self._changed:
            self._last_wanted = self._last_wanted and not nothing_beside
            for entry in batch:
                if self._pending and self._pending[0] is entry:
                    self._pending.popleft()
                    self._offered_bytes -= entry.offered_bytes
            self._changed.notify_all()
        for entry in batch:
            entry.written = True
            entry.tell()


def _size_of(put: Put) -> int:
    """In memory, roughly; never 0."""
    bodies = sum(len(value) for value in put.data.values() if isinstance(value, bytes))
    numbers = sum(len(value.values) for value in put.data.values() if isinstance(value, Vector))
    return OVERHEAD_BYTES + bodies + numbers * NUMBER_BYTES
