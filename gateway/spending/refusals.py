"""What a caller is told when a budget refuses, and how full budgets are for clients that show it."""

import math
from collections.abc import Iterable
from functools import lru_cache

from gateway.canonical.call import Caller
from gateway.canonical.errors import BudgetExceeded, GatewayError, RateExceeded, Unavailable
from gateway.spending.account import ENDLESS, Account
from gateway.spending.periods import FOREVER, HELD_IN_WORDS, render_reset

WARN_AT = (0.95, 0.75)
SHOWN_PERIODS = {"day": "daily", "week": "weekly", "month": "monthly"}
PREFIX = "anthropic-ratelimit-unified-"
PARALLEL_RETRY_S = 2
AWAY_RETRY_S = 5


def refusal(account: Account, need: int, caller: Caller, now: float) -> GatewayError:
    """The budget has not enough for this call."""
    if account.budget.is_rate:
        return _over_rate(account, need, now)
    until = _reset_in_s(account, now)
    told = " ".join([_what_is_over(account, need), _what_to_do(account), caller.budget_message or ""]).rstrip()
    return BudgetExceeded(
        told, reason=f"budget {account.budget.id}", retry_after_s=until, shown=_rejected(account)
    )


def away(account: Account) -> GatewayError:
    """The store is away, and the budget says that calls stop then, or its share for such times is used up."""
    return Unavailable(
        f"budget {account.budget.id} cannot be checked right now, for the gateway's store is away; try again in a moment",
        reason=f"store away, budget {account.budget.id}",
        retry_after_s=AWAY_RETRY_S,
    )


def headers(accounts: Iterable[Account]) -> dict[str, str]:
    """The fullest of a caller's dollar budgets per day, week or month, as the Claude apps gateway protocol has it (read
    2026-11-20); a warning from 75 % and again from 95 %."""
    fullest, share = None, -1.0
    for account in accounts:
        if account.budget.unit != "usd" or account.period.kind not in SHOWN_PERIODS or not 0 < account.limit < ENDLESS:
            continue
        used = max(0, account.spent + account.settled) / account.limit
        if used > share:
            fullest, share = account, used
    if fullest is None:
        return {}
    passed = None if share < WARN_AT[-1] else next(threshold for threshold in WARN_AT if share >= threshold)
    return dict(_allowed(f"{min(share, 0.99):.2f}", passed, int(fullest.period.end)))


@lru_cache(maxsize=1_024)
def _allowed(utilization: str, passed: float | None, period_end: int) -> dict[str, str]:
    status = "allowed" if passed is None else "allowed_warning"
    reset = str(period_end)
    shown = {
        "status": status,
        "representative-claim": "overage",
        "overage-status": status,
        "overage-utilization": utilization,
        "reset": reset,
        "overage-reset": reset,
    }
    if passed is not None:
        shown["overage-surpassed-threshold"] = f"{passed}"
    return {PREFIX + name: value for name, value in shown.items()}


def _over_rate(account: Account, need: int, now: float) -> GatewayError:
    budget = account.budget
    reason = f"budget {budget.id}"
    if need > account.limit:
        return RateExceeded(
            f"this call may need {budget.render_amount(need)}, and {_name(account)} allows {budget.render_amount(account.limit)} "
            f"{_how_often(account)}; send less at once, or ask for a higher limit",
            reason=reason,
            retry_after_s=_reset_in_s(account, now) or PARALLEL_RETRY_S,
        )
    wait_s = PARALLEL_RETRY_S if budget.unit == "parallel" else _reset_in_s(account, now)
    return RateExceeded(
        f"rate limit reached: {_name(account)} allows {budget.render_amount(account.limit)} {_how_often(account)}; "
        f"try again in {wait_s} s",
        reason=reason,
        retry_after_s=wait_s,
    )


def _what_is_over(account: Account, need: int) -> str:
    budget = account.budget
    resets = "" if account.period.end == FOREVER else f"; resets {render_reset(account.period.end)}"
    often = HELD_IN_WORDS[account.period.kind]
    if account.limit == 0:
        return f"spend limit reached ({often}{resets}): {_name(account)} allows nothing."
    left = max(0, account.limit - account.used)
    what = "is used up" if left == 0 else f"has {budget.render_amount(left)} left or held by open calls, this call may need " \
        f"{budget.render_amount(need)}"  # fmt: skip
    return f"spend limit reached ({often}{resets}): {_name(account)} of {budget.render_amount(account.limit)} {what}."


def _what_to_do(account: Account) -> str:
    if account.period.end == FOREVER:
        return "Ask the operator of this gateway to raise it."
    return "Wait for the reset, or ask the operator of this gateway to raise it."


def _name(account: Account) -> str:
    budget = account.budget
    whose = "this gateway" if budget.scope_type == "organization" else f"{budget.scope_type} {budget.scope_id}"
    return f"budget {budget.id} ({whose}{', for each member' if account.subject and budget.scope_type == 'group' else ''})"


def _how_often(account: Account) -> str:
    return "at once" if account.budget.unit == "parallel" else HELD_IN_WORDS[account.period.kind]


def _reset_in_s(account: Account, now: float) -> int | None:
    return None if account.period.end == FOREVER else max(1, math.ceil(account.period.end - now))


def _rejected(account: Account) -> dict[str, str]:
    shown = {"status": "rejected", "overage-utilization": "1", "overage-surpassed-threshold": "1"}
    shown["overage-disabled-reason"] = "org_spend_cap_reached"
    if account.period.end != FOREVER:
        shown["reset"] = shown["overage-reset"] = str(int(account.period.end))
    if account.period.kind in SHOWN_PERIODS:
        shown["overage-period"] = SHOWN_PERIODS[account.period.kind]
    return {PREFIX + name: value for name, value in shown.items()}
