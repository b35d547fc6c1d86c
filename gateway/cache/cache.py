"""Where kept answers are found: in this process's memory for a minute, else in the store. Never fails a call, nor holds it long.

What was looked for and not found is not remembered: the next instance may have it a moment later.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from gateway.cache.entry import BODY_BYTES_MAX, COLLECTION, Entry, entry_path, parse_entry, render_entry
from gateway.cache.memory import Memory
from gateway.canonical.call import CacheRule
from gateway.canonical.steps import Steps, Work
from gateway.canonical.store import Delete, Put, Store

LOOK_UP_S = 1.0
AWAY_S = 5.0  # a store that failed is not asked again sooner
COMPLAIN_S = 60.0
PAGE_DOCUMENTS = 100
TIMEOUT_S = 10.0
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Cache:
    """`now` is unix seconds, by which answers age; `clock` monotonic ones."""

    store: Store
    memory: Memory
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    large: WeakSet[Any] = field(default_factory=WeakSet)  # calls whose long answers are being gathered
    _away_until: float = float("-inf")
    _complained_at: float = float("-inf")

    def find(self, key: str, rule: CacheRule) -> Steps[Entry | None]:
        """The entry at `key`, if it is young enough for `rule` and for the rule that it was kept by."""
        entry = self.memory.get(key, self.clock())
        if entry is None:
            entry = yield from self._look_up(key)
        if entry is None or entry.age_s(self.now()) > min(rule.max_age_s, entry.max_age_s):
            return None
        return entry

    def keep(self, entry: Entry) -> Put | None:
        """The write by which the entry is kept for all instances; for this one it is from now on. None if it is too large."""
        if len(entry.body) > BODY_BYTES_MAX:
            return None
        self.memory.put(entry, self.clock())
        return Put(entry_path(entry.key), render_entry(entry))

    def complain(self, told: str, error: BaseException) -> None:
        """A log line, at most once a minute: a cache that is away is no harm, but somebody should know."""
        if self.clock() - self._complained_at >= COMPLAIN_S:
            self._complained_at = self.clock()
            log.warning("%s: %s; calls go on without kept answers, and this is told once a minute", told, error)

    def _look_up(self, key: str) -> Steps[Entry | None]:
        if self.clock() < self._away_until:
            return None
        try:
            document = yield Work(lambda: self.store.get(entry_path(key), timeout_s=LOOK_UP_S))
        except Exception as error:  # whatever it is: the provider can still answer
            self._away_until = self.clock() + AWAY_S
            self.complain("the cache cannot be read", error)
            return None
        entry = parse_entry(key, document.data) if document is not None else None
        if entry is not None:
            self.memory.put(entry, self.clock())
        return entry


def erase_answers(store: Store, user: str) -> int:
    """Deletes the answers that one person was given; how many. Instances may still have them in memory for a minute."""
    return erase_of(store, COLLECTION, user)


def erase_of(store: Store, collection: str, user: str, *, group: bool = False) -> int:
    """Deletes what a collection, or with `group` every one of that name, has of one person; how many documents."""
    erased = 0
    while True:
        page = store.query(collection, where=[("user", "==", user)], group=group, limit=PAGE_DOCUMENTS, timeout_s=TIMEOUT_S)
        if page.documents:
            store.commit([Delete(document.path) for document in page.documents], timeout_s=TIMEOUT_S)
        erased += len(page.documents)
        if page.next_cursor is None:
            return erased
