"""Stored configs, read when a call first needs one and kept in memory: `configs/{id}`, which holds the version in force."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from gateway.canonical.steps import Steps
from gateway.canonical.store import Store
from gateway.routing.config import Config, parse_config_text
from gateway.store.snapshot import Snapshot

FRESH_S = 60.0
KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Shelved:
    """A config as it is in force. `label` says which and in which version: `prod@3`."""

    id: str
    version: int
    config: Config

    @property
    def label(self) -> str:
        return f"{self.id}@{self.version}"


class Shelf:
    """Changes made on other instances are seen within a minute; known configs outlive an outage of the store."""

    def __init__(self, store: Store, outage_s: float) -> None:
        self._store = store
        self._outage_s = outage_s
        self._known: OrderedDict[str, Snapshot[Shelved | None]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, config_id: str) -> Steps[Shelved | None]:
        """None if there is none of that name. StoreUnavailable, if it is not known and the store is away."""
        with self._lock:
            snapshot = self._known.get(config_id)
            if snapshot is None:
                snapshot = Snapshot(self._reader(config_id), max_age_s=FRESH_S, outage_s=self._outage_s)
                self._known[config_id] = snapshot
                if len(self._known) > KEPT_MAX:
                    self._known.popitem(last=False)
        return (yield from snapshot.recall())

    def forget(self, config_id: str) -> None:
        with self._lock:
            self._known.pop(config_id, None)

    def _reader(self, config_id: str) -> Callable[[], Shelved | None]:
        return lambda: self._read(config_id)

    def _read(self, config_id: str) -> Shelved | None:
        document = self._store.get(f"configs/{config_id}")
        if document is None:
            return None
        return Shelved(config_id, document.data["version"], parse_config_text(document.data["config"]))
