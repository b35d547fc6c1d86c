"""A store with a switch: the real one behind it, until it is away."""

import threading
from typing import Any

from gateway.canonical.store import Store, StoreUnavailable


class SwitchedStore:
    """Passes everything on while `away` is False; `refused` counts what it did not. It can be closed at any time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.away = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)
        if name == "close":
            return operation

        def switched(*arguments: Any, **more: Any) -> Any:
            if self.away:
                with self._lock:
                    self.refused += 1
                raise StoreUnavailable("the store was switched off by a test; switch it on again")
            return operation(*arguments, **more)

        return switched
