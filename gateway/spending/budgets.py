"""Budgets as an operator wrote them: `budgets/{id}` documents, read into integers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

from gateway.canonical.money import NANO_PER_DOLLAR, format_dollars
from gateway.canonical.store import Json
from gateway.spending.amounts import Amounts
from gateway.spending.periods import PERIOD_KINDS, Period, PeriodKind, period_at

ScopeType = Literal["organization", "project", "user", "group", "key", "provider", "model", "metadata", "session"]
Unit = Literal["usd", "tokens", "input_tokens", "output_tokens", "requests", "parallel"]
Mode = Literal["strict", "balanced", "shadow"]
EACH = "*"
"""Scope id of a budget that each project, user, key … has for itself."""
UNIT_IN_WORDS = {
    "tokens": "tokens", "input_tokens": "input tokens", "output_tokens": "output tokens", "requests": "requests",
    "parallel": "open calls",
}  # fmt: skip
DEGRADED_SHARE = 100
DEGRADED_NANODOLLARS_MAX = 5 * NANO_PER_DOLLAR


@dataclass(frozen=True, slots=True)
class Budget:
    """Amounts in the budget's unit: nano-dollars for `usd`, else counts. `amount` None is unlimited, 0 blocks."""

    id: str
    scope_type: ScopeType
    scope_id: str | None
    unit: Unit
    amount: int | None
    period: PeriodKind
    mode: Mode = "balanced"
    open_on_store_error: bool = True
    alerts: tuple[float, ...] = ()
    pooled: bool = False
    raised_by: int = 0
    raised_until: float = 0.0  # unix seconds

    def limit(self, now: float) -> int | None:
        """What may be used up in a period, a temporary raise included."""
        if self.amount is None:
            return None
        return self.amount + (self.raised_by if now < self.raised_until else 0)

    def period_at(self, now: float) -> Period:
        """Open calls are counted now, whatever the calendar says."""
        return period_at("total" if self.unit == "parallel" else self.period, now)

    @property
    def is_rate(self) -> bool:
        """A limit that a client meets by waiting a moment, rather than by asking for money."""
        return self.unit == "parallel" or self.period == "minute"

    def degraded_limit(self, now: float) -> int:
        """What one instance may admit while the store is away: 1 % of the limit, at least one call or token, at most $5."""
        limit = self.limit(now)
        if limit is None:
            return 2**60
        share = limit // DEGRADED_SHARE
        return min(share, DEGRADED_NANODOLLARS_MAX) if self.unit == "usd" else min(limit, max(1, share))

    def render_amount(self, amount: int) -> str:
        """For people: `$12.50`, `1000 tokens`."""
        return f"${format_dollars(amount)}" if self.unit == "usd" else f"{amount} {UNIT_IN_WORDS[self.unit]}"


def count(amounts: Amounts, *, over: bool = False) -> Mapping[Unit, int]:
    """What a call with these amounts uses of a budget, by the budget's unit. One that is `over` is no open call any more."""
    input_tokens, output_tokens = amounts.input_tokens, amounts.output_tokens
    return {
        "usd": amounts.cost_nanodollars,
        "tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "requests": 1,
        "parallel": 0 if over else 1,
    }


def parse_budget(budget_id: str, data: Json) -> Budget:
    """A `budgets/{id}` document. ValueError names the field that cannot be read."""
    scope = data.get("scope") or {}
    unit = _one_of(data.get("unit", "usd"), get_args(Unit), "unit")
    raised = data.get("raise") or {}
    return Budget(
        id=budget_id,
        scope_type=_one_of(scope.get("type"), get_args(ScopeType), "scope.type"),
        scope_id=_scope_id(scope),
        unit=unit,
        amount=_amount(data.get("amount"), unit, "amount"),
        period=_one_of(data.get("period", "month"), PERIOD_KINDS, "period"),
        mode=_one_of(data.get("mode", "balanced"), get_args(Mode), "mode"),
        open_on_store_error=_one_of(data.get("on_store_error", "open"), ("open", "closed"), "on_store_error") == "open",
        alerts=tuple(sorted(float(share) for share in data.get("alerts") or ())),
        pooled=bool(data.get("pooled", False)),
        raised_by=_amount(raised.get("amount"), unit, "raise.amount") or 0,
        raised_until=_moment(raised.get("until")),
    )


def _scope_id(scope: Json) -> str | None:
    """Users are case-folded: Ana@example.com and ana@example.com are one person."""
    scope_id = scope.get("id")
    if scope.get("type") == "organization":
        return None
    if not isinstance(scope_id, str) or not scope_id:
        raise ValueError("scope.id should be text")
    return scope_id.casefold() if scope["type"] == "user" else scope_id


def _one_of(value: Any, words: tuple[Any, ...], name: str) -> Any:
    if value not in words:
        raise ValueError(f"{name} should be one of {', '.join(words)}")
    return value


def _amount(value: Any, unit: str, name: str) -> int | None:
    """Decimal text in the unit, exactly; nano-dollars for dollars."""
    if value is None:
        return None
    try:
        exact = Decimal(value) * (NANO_PER_DOLLAR if unit == "usd" else 1)
    except (InvalidOperation, TypeError, ValueError):
        raise ValueError(f"{name} should be decimal text or null") from None
    if not exact.is_finite() or exact < 0 or exact != exact.to_integral_value():
        raise ValueError(f"{name} should be a {'number of dollars with at most 9 decimals' if unit == 'usd' else 'whole number'}")
    return int(exact)


def _moment(value: Any) -> float:
    return value.timestamp() if isinstance(value, datetime) else 0.0
