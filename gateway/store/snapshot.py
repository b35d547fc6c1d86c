"""A value read from the store and kept in memory: fresh for a while, refreshed behind the callers' backs, outliving outages."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.canonical.store import StoreUnavailable

T = TypeVar("T")


class Snapshot(Generic[T]):
    """`get` waits for the store only when there is no value young enough.

    Below `max_age_s / 2` the value is served as it is; up to `max_age_s` it is served while one thread reads it anew;
    beyond, `get` reads first. While the store is unavailable the last value serves until `outage_s`, then
    StoreUnavailable is raised.
    """

    def __init__(
        self, load: Callable[[], T], *, max_age_s: float, outage_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._load = load
        self._max_age_s = max_age_s
        self._outage_s = outage_s
        self._now = now
        self._value: T | None = None
        self._read_at: float | None = None
        self._tried_at = float("-inf")
        self._refreshing = threading.Lock()

    def get(self) -> T:
        age = self._now() - self._read_at if self._read_at is not None else float("inf")
        if age > self._max_age_s:
            self._wait_for_refresh()
        elif age > self._max_age_s / 2 and self._refreshing.acquire(blocking=False):
            threading.Thread(target=self._refresh_and_let_go, name="snapshot", daemon=True).start()
        return self._value  # type: ignore[return-value]

    def forget(self) -> None:
        """The next `get` reads the store."""
        self._read_at = None
        self._tried_at = float("-inf")

    def _wait_for_refresh(self) -> None:
        with self._refreshing:
            if self._read_at is not None and self._now() - self._read_at <= self._max_age_s:
                return
            if self._now() - self._tried_at < 1.0 and self._usable():
                return  # the store was away a moment ago: do not make every caller find out again
            try:
                self._refresh()
            except StoreUnavailable:
                if not self._usable():
                    raise

    def _usable(self) -> bool:
        return self._read_at is not None and self._now() - self._read_at <= self._outage_s

    def _refresh_and_let_go(self) -> None:
        try:
            self._refresh()
        except StoreUnavailable:
            return
        finally:
            self._refreshing.release()

    def _refresh(self) -> None:
        self._tried_at = self._now()
        self._value = self._load()
        self._read_at = self._tried_at
