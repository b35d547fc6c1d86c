"""A value read from the store and kept in memory: fresh for a while, refreshed behind the callers' backs, outliving outages."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.canonical.steps import Steps, Work
from gateway.canonical.store import StoreUnavailable

AWAY_S = 1.0  # a store that failed is not asked again sooner
log = logging.getLogger(__name__)
T = TypeVar("T")


class Snapshot(Generic[T]):
    """`get` waits for the store only when there is no value young enough.

    Below `max_age_s / 2` the value is served as it is; up to `max_age_s` it is served while one thread reads it anew;
    beyond, `get` reads first. While the store is unavailable the last value serves until `outage_s`, then
    StoreUnavailable is raised; one caller a second finds out whether it is back, the others do not wait for that.
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
        self._failed_at = float("-inf")
        self._failure: StoreUnavailable | None = None  # of the last try; None if it went well
        self._generation = 0
        self._refreshing = threading.Lock()

    def get(self) -> T:
        if self._too_old():
            self._wait_for_refresh()
        return self._value  # type: ignore[return-value]

    def recall(self) -> Steps[T]:
        """`get`, where nobody may block."""
        if self._too_old():
            yield Work(self._wait_for_refresh)
        return self._value  # type: ignore[return-value]

    def _too_old(self) -> bool:
        """Whether the value must be read before it is used. One that will soon be is read anew meanwhile."""
        age = self._now() - self._read_at if self._read_at is not None else float("inf")
        if age <= self._max_age_s and age > self._max_age_s / 2 and self._refreshing.acquire(blocking=False):
            threading.Thread(target=self._refresh_and_let_go, name="snapshot", daemon=True).start()
        return age > self._max_age_s

    def forget(self) -> None:
        """The next `get` reads the store; what is being read right now is not kept."""
        self._generation += 1
        self._read_at = None
        self._failure = None

    def _wait_for_refresh(self) -> None:
        if self._failure is not None and self._usable() and self._refreshing.locked():
            return
        with self._refreshing:
            if self._read_at is not None and self._now() - self._read_at <= self._max_age_s:
                return
            try:
                self._refresh_unless_away()
            except StoreUnavailable:
                if not self._usable():
                    raise

    def _refresh_unless_away(self) -> None:
        if self._failure is not None and self._now() - self._failed_at < AWAY_S:
            raise StoreUnavailable(str(self._failure))
        self._refresh()

    def _usable(self) -> bool:
        return self._read_at is not None and self._now() - self._read_at <= self._outage_s

    def _refresh_and_let_go(self) -> None:
        try:
            self._refresh()
        except StoreUnavailable:
            return
        except Exception:
            log.exception("a value could not be read anew; the old one serves until it is too old")
        finally:
            self._refreshing.release()

    def _refresh(self) -> None:
        began, generation = self._now(), self._generation
        try:
            value = self._load()
        except StoreUnavailable as error:
            self._failed_at, self._failure = self._now(), error
            raise
        self._value, self._failure = value, None
        if generation == self._generation:
            self._read_at = began
