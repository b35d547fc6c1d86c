"""The operator's budgets in memory: changes made on other instances are seen within a minute."""

import logging
from collections.abc import Callable

from gateway.canonical.errors import Unavailable
from gateway.canonical.steps import Steps
from gateway.canonical.store import Store, StoreUnavailable
from gateway.spending.budgets import Budget, parse_budget
from gateway.spending.matching import BudgetBook
from gateway.store.snapshot import Snapshot

FRESH_S = 60.0
PAGE_DOCUMENTS = 1_000
READ_TIMEOUT_S = 5.0
log = logging.getLogger(__name__)


class BudgetDirectory:
    """Budgets once read outlive any outage of the store: how much may be spent then, each budget says itself."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._snapshot = Snapshot(self._read, max_age_s=FRESH_S, outage_s=float("inf"), now=clock)

    def recall(self) -> Steps[BudgetBook]:
        """Unavailable if they were never read."""
        try:
            return (yield from self._snapshot.recall())
        except StoreUnavailable as error:
            raise Unavailable(
                "the gateway cannot read its budgets right now; try again in a moment", reason=str(error), retry_after_s=2
            ) from error

    def warm(self) -> None:
        """Reads them ahead of the first call. StoreUnavailable."""
        self._snapshot.get()

    def forget(self) -> None:
        self._snapshot.forget()

    def _read(self) -> BudgetBook:
        return BudgetBook(read_budgets(self._store))


def read_budgets(store: Store) -> list[Budget]:
    """All of them; one that cannot be read is told in the log and counts nothing. StoreUnavailable."""
    budgets: list[Budget] = []
    cursor = None
    while True:
        page = store.query("budgets", limit=PAGE_DOCUMENTS, cursor=cursor, timeout_s=READ_TIMEOUT_S)
        for document in page.documents:
            try:
                budgets.append(parse_budget(document.id, document.data))
            except ValueError as error:
                log.error("budget %s counts nothing, for it cannot be read: %s; set it again", document.id, error)
        cursor = page.next_cursor
        if cursor is None:
            return budgets
