"""Entries that this process keeps at hand, so that an answer that is asked for again and again costs no read of the store."""

import threading
from collections import OrderedDict

from gateway.cache.entry import Entry

BYTES_MAX = 16 * 1024 * 1024
KEPT_S = 60.0  # then the store is asked anew: it may have been refreshed, or erased
OVERHEAD_BYTES = 2_048  # of an entry beside its body


class Memory:
    """The entries used last, up to `bytes_max`. Safe to use from many threads; times are monotonic seconds."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._entries: OrderedDict[str, tuple[Entry, float]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str, clock_s: float) -> Entry | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            entry, put_at = found
            if clock_s - put_at > KEPT_S:
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry

    def put(self, entry: Entry, clock_s: float) -> None:
        with self._lock:
            if entry.key in self._entries:
                self._drop(entry.key)
            self._entries[entry.key] = (entry, clock_s)
            self._bytes += _size(entry)
            while self._bytes > self._bytes_max and self._entries:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _drop(self, key: str) -> None:
        entry, _ = self._entries.pop(key)
        self._bytes -= _size(entry)


def _size(entry: Entry) -> int:
    return len(entry.body) + OVERHEAD_BYTES
