"""A store in a dictionary, as the contract has it (gateway/canonical/store.py), that counts what Firestore would bill.

Left out is what the ledger does without: expiry, as nothing it writes expires within a simulation, and most methods.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gateway.canonical.store import (
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    Document,
    Increment,
    Json,
    Missing,
    Operator,
    Page,
    Put,
    Update,
    Write,
)


class ModelStore:
    def __init__(self) -> None:
        self.documents: dict[str, tuple[Json, int]] = {}
        self.billed: Counter[str] = Counter()
        self.written: Counter[str] = Counter()  # by path, for hot documents
        self._versions = itertools.count(1)
        self._by_allowance: dict[str, list[str]] = {}
        self._of_budgets: dict[str, None] = {}

    def get(self, path: str, *, timeout_s: float = 2.0) -> Document | None:
        self.billed["reads"] += 1
        return self._document(path)

    def update(self, path: str, fields: Json, *, if_version: str | None = None, timeout_s: float = 2.0) -> str:
        self.commit([Update(path, fields, if_version)])
        return str(self.documents[path][1])

    def commit(self, writes: Sequence[Write], *, timeout_s: float = 2.0) -> list[dict[str, int]]:
        before = {write.path: self.documents.get(write.path) for write in writes}
        try:
            results = [self._apply(write) for write in writes]
        except Exception:
            for path, was in before.items():
                self._restore(path, was)
            raise
        for write in writes:
            self.billed["deletes" if isinstance(write, Delete) else "writes"] += 1
            self.written[write.path] += 1
            if write.path.startswith("budgets/"):
                self._of_budgets[write.path] = None
                if write.path not in self.documents:
                    del self._of_budgets[write.path]
            if isinstance(write, Create) and "/usage/" in write.path:
                for allowance in write.data.get("allowance_ids", ()):
                    self._by_allowance.setdefault(allowance, []).append(write.path)
            if isinstance(write, Update) and "allowance_ids" in write.fields:
                self._by_allowance.setdefault(write.fields["allowance_ids"][-1], []).append(write.path)
        return results

    def query(
        self,
        collection: str,
        *,
        where: Sequence[tuple[str, Operator, Any]] = (),
        limit: int = 100,
        cursor: str | None = None,
        group: bool = False,
        timeout_s: float = 10.0,
    ) -> Page:
        """By path, as without `order_by`."""
        if where:
            ((name, operator, value),) = where
            assert (collection, name, operator, group) == ("usage", "allowance_ids", "array_contains", True)
            paths = sorted(self._by_allowance.get(value, ()))
        else:
            paths = sorted(path for path in self._of_budgets if self._is_in(path, collection, group))
        paths = [path for path in paths if cursor is None or path > cursor]
        page = [document for path in paths[:limit] if (document := self._document(path))]
        self.billed["reads"] += max(1, len(page))
        return Page(page, paths[limit - 1] if len(paths) > limit else None)

    def budget_documents(self) -> Iterator[tuple[str, Json]]:
        for path in self._of_budgets:
            yield path, self.documents[path][0]

    def usage_documents(self) -> list[Json]:
        return [data for path, (data, _) in self.documents.items() if "/usage/" in path]

    @staticmethod
    def _is_in(path: str, collection: str, group: bool) -> bool:
        parent = path.rpartition("/")[0]
        return parent.rpartition("/")[2] == collection if group else parent == collection

    def _document(self, path: str) -> Document | None:
        found = self.documents.get(path)
        return Document(path, dict(found[0]), str(found[1])) if found else None

    def _restore(self, path: str, was: tuple[Json, int] | None) -> None:
        if was is None:
            self.documents.pop(path, None)
        else:
            self.documents[path] = was

    def _apply(self, write: Write) -> dict[str, int]:
        there = self.documents.get(write.path)
        match write:
            case Create():
                if there:
                    raise AlreadyExists(write.path)
                self.documents[write.path] = dict(write.data), next(self._versions)
            case Put():
                self.documents[write.path] = dict(write.data), next(self._versions)
            case Update():
                self._update(write, there)
            case Increment():
                return self._increment(write, there)
            case Delete():
                self.documents.pop(write.path, None)
        return {}

    def _update(self, write: Update, there: tuple[Json, int] | None) -> None:
        if there is None:
            raise Conflict(write.path) if write.if_version else Missing(write.path)
        if write.if_version not in (None, str(there[1])):
            raise Conflict(write.path)
        self.documents[write.path] = {**there[0], **write.fields}, next(self._versions)

    def _increment(self, write: Increment, there: tuple[Json, int] | None) -> dict[str, int]:
        old = there[0] if there else {}
        values = {name: old.get(name, 0) + amount for name, amount in write.amounts.items()}
        self.documents[write.path] = {**old, **write.fields, **values}, next(self._versions)
        return values


Hook = Callable[[str], None]


class Line:
    """One instance's line to the store: `before` and `after` each operation something may happen to it."""

    def __init__(self, store: Any, before: Hook, after: Hook) -> None:
        self._store = store
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._store, name)

        def carried(*arguments: Any, **more: Any) -> Any:
            self._before(name)
            result = operation(*arguments, **more)
            self._after(name)
            return result

        return carried
