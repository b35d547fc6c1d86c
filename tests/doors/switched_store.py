"""A store with a switch: the real one behind it, until it is away."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.canonical.store import Document, Json, Operator, Page, Store, StoreUnavailable, Write


class SwitchedStore:
    """Passes everything on while `away` is False; `refused` counts what it did not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.away = False
        self.refused = 0

    def _check(self) -> None:
        if self.away:
            with self._lock:
                self.refused += 1
            raise StoreUnavailable("the store was switched off by a test; switch it on again")

    def get(self, path: str, *, timeout_s: float = 2.0) -> Document | None:
        self._check()
        return self._store.get(path, timeout_s=timeout_s)

    def create(self, path: str, data: Json, *, timeout_s: float = 2.0) -> str:
        self._check()
        return self._store.create(path, data, timeout_s=timeout_s)

    def update(self, path: str, fields: Json, *, if_version: str | None = None, timeout_s: float = 2.0) -> str:
        self._check()
        return self._store.update(path, fields, if_version=if_version, timeout_s=timeout_s)

    def delete(self, path: str, *, timeout_s: float = 2.0) -> None:
        self._check()
        self._store.delete(path, timeout_s=timeout_s)

    def increment(self, path: str, amounts: Mapping[str, int], fields: Json | None = None, *,
                  timeout_s: float = 2.0) -> dict[str, int]:  # fmt: skip
        self._check()
        return self._store.increment(path, amounts, fields, timeout_s=timeout_s)

    def commit(self, writes: Sequence[Write], *, timeout_s: float = 2.0) -> list[dict[str, int]]:
        self._check()
        return self._store.commit(writes, timeout_s=timeout_s)

    def query(
        self,
        collection: str,
        *,
        where: Sequence[tuple[str, Operator, Any]] = (),
        order_by: str | None = None,
        descending: bool = False,
        limit: int = 100,
        cursor: str | None = None,
        group: bool = False,
        timeout_s: float = 10.0,
    ) -> Page:
        self._check()
        return self._store.query(
            collection, where=where, order_by=order_by, descending=descending, limit=limit, cursor=cursor, group=group,
            timeout_s=timeout_s,
        )  # fmt: skip

    def ping(self, *, timeout_s: float = 1.0) -> None:
        self._check()
        self._store.ping(timeout_s=timeout_s)

    def close(self) -> None:
        self._store.close()
