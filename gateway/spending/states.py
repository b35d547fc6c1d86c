"""How a budget stands, read from the store: for operators and reports, not for the calls' way."""

from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.canonical.store import Document, Store
from gateway.spending.budgets import EACH, Budget
from gateway.spending.lapsed import all_documents
from gateway.spending.matching import Match
from gateway.spending.periods import FOREVER, Period

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Amounts in the budget's unit, nano-dollars for dollars. `limit` and `remaining` are None for an unlimited budget.

    `held` is what open calls have set aside, as instances listed it last, a second or two ago. What instances borrowed and do
    not use is part of `remaining`.
    """

    budget_id: str
    subject: str | None
    unit: str
    period: str
    limit: int | None
    spent: int
    held: int
    resets_at: datetime | None

    @property
    def remaining(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - self.spent - self.held)


def read_state(store: Store, budget: Budget, subject: str | None, now: float) -> BudgetState:
    """The current period. Where each member has a budget of their own, `subject` names the member (a user in lower case);
    without one the members are added up, and the limit is each one's. StoreUnavailable."""
    period = budget.period_at(now)
    spent = held = 0
    for path in _paths(store, budget, subject, period):
        document = store.get(path, timeout_s=TIMEOUT_S)
        spent += document.data.get("spent", 0) if document else 0
        for allowance in all_documents(store, f"{path}/allowances", group=False):
            settled, open_held = _of_allowance(allowance)
            spent += settled
            held += open_held
    resets_at = None if period.end == FOREVER else datetime.fromtimestamp(period.end, UTC)
    return BudgetState(budget.id, subject, budget.unit, period.id, budget.limit(now), spent, held, resets_at)


def _paths(store: Store, budget: Budget, subject: str | None, period: Period) -> list[str]:
    """The period's document; of every member, if each has one and none was named."""
    collection = f"budgets/{budget.id}/periods"
    if subject is not None or not _is_each_members(budget):
        return [f"{collection}/{Match(budget, subject).account_id(period.id)}"]
    return [d.path for d in all_documents(store, collection, group=False) if d.id.partition("~")[0] == period.id]


def _is_each_members(budget: Budget) -> bool:
    return not budget.pooled and (budget.scope_type == "group" or budget.scope_id == EACH)


def _of_allowance(allowance: Document) -> tuple[int, int]:
    """Settled and not yet in the counters; held by open calls."""
    return allowance.data["settled"], allowance.data["held"]
