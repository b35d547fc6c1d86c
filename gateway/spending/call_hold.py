"""The hold of one call: its parts of every account that counts it, settled together and once."""

import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.canonical.call import Call, Caller, Target
from gateway.canonical.store import Json, Write
from gateway.canonical.usage import Usage
from gateway.spending import refusals
from gateway.spending.account import Account
from gateway.spending.amounts import Amounts, Estimates, amounts_of
from gateway.spending.budgets import Unit, count
from gateway.spending.matching import BudgetBook, Match
from gateway.spending.parts import Part


class Desk(Protocol):
    """What a hold needs of the ledger. `lock` is held around whatever touches an account."""

    @property
    def lock(self) -> threading.Lock: ...

    @property
    def now(self) -> Callable[[], float]: ...

    @property
    def estimates(self) -> Estimates: ...

    def account(self, match: Match, at: float) -> Account: ...


class OpenCall:
    """What allowances say of a call while it is open: enough for its usage document, if this process dies. Apart from the hold,
    whose parts lead here: a circle would keep every request until the garbage collector comes."""

    __slots__ = ("_call", "_estimates", "_likely", "_rendered", "_target", "_worst")

    def __init__(self, call: Call, target: Target, likely: Amounts, estimates: Estimates) -> None:
        self._call = call
        self._target = target
        self._likely = likely
        self._estimates = estimates
        self._rendered: Json | None = None
        self._worst: Amounts | None = None

    def __call__(self) -> Json:
        if self._rendered is None:
            self._rendered = _render_open(self._call, self._target, self._likely)
        return self._rendered

    def look(self, unit: Unit) -> tuple[int, int]:
        """What it will likely use and at most, for a call that was only guessed at, once it turns out to stay open."""
        if self._worst is None:
            estimate = self._estimates.estimate(self._call, self._target)
            self._likely, self._worst, self._rendered = estimate.likely, estimate.worst, None
        return count(self._likely)[unit], count(self._worst)[unit]


class CallHold:
    """A `Hold`. `book` are the budgets by which the call was admitted; `targets` says where it may go, the first one first."""

    __slots__ = ("_admitted_at", "_book", "_call", "_desk", "_ended", "_targets", "open_call", "parts")

    def __init__(
        self, desk: Desk, book: BudgetBook, call: Call, targets: tuple[Target, ...], likely: Amounts, now: float
    ) -> None:
        self.parts: list[Part] = []
        self.open_call = OpenCall(call, targets[0], likely, desk.estimates)
        self._desk = desk
        self._book = book
        self._call = call
        self._targets = targets
        self._admitted_at = now
        self._ended = False

    @property
    def caller(self) -> Caller:
        return self._call.caller

    def settle(self, usage: Usage, cost_nanodollars: int, target: Target | None = None) -> list[Write]:
        used, answered = count(amounts_of(usage, cost_nanodollars), over=True), target or self._targets[0]
        writes: list[Write] = []
        with self._desk.lock:
            if self._ended:
                return []
            self._ended = True
            now = self._desk.now()
            if self._book.by_target and len(self._targets) > 1:
                self._turn_to(answered, used, now)
            for part in self.parts:
                account = part.account
                writes += account.settle(part, used[account.budget.unit], now)
        if usage.completeness == "final":
            self._desk.estimates.learn(self._call, answered, usage, cost_nanodollars)
        return writes

    def release(self) -> None:
        with self._desk.lock:
            if self._ended:
                return
            self._ended = True
            now = self._desk.now()
            for part in self.parts:
                part.account.release(part, now)

    def render(self) -> list[Json]:
        return [hold for part in self.parts for hold in _render_part(part)]

    def headers(self) -> dict[str, str]:
        return refusals.headers([part.account for part in self.parts])

    def _turn_to(self, answered: Target, used: Mapping[Unit, int], now: float) -> None:
        """Budgets of providers and models count what they answered: what others hold goes back, and those that were not
        expected to be drawn on pay without a hold, for the period in which the call was admitted."""
        due = {match.name: match for match in self._book.matching(self._call, answered)}
        kept = []
        for part in self.parts:
            if due.pop(part.account.name, None) is None:
                part.account.release(part, now)
            else:
                kept.append(part)
        for match in due.values():
            account = self._desk.account(match, self._admitted_at)
            kept.append(account.join(used[account.budget.unit], self.open_call, now))
        self.parts = kept


def _render_part(part: Part) -> list[Json]:
    """One entry; a second one, worth nothing, while two allowances might be the one that stands in the store."""
    account, ids = part.account, part.allowance_ids
    entry = {
        "budget": account.budget.id,
        "period": account.period_id,
        "allowance": ids[0] if ids else None,
        "held": part.held,
        "settled": part.settled,
    }
    return [entry] if len(ids) < 2 else [entry, *({**entry, "allowance": other, "held": 0, "settled": 0} for other in ids[1:])]


def _render_open(call: Call, target: Target, likely: Amounts) -> Json:
    return {
        "request_id": call.id,
        "project": call.caller.project,
        "at": call.at,
        "facts": {
            **call.facts(),
            "model": target.model,
            "provider": target.provider.id,
            "location": target.location,
            "cost_nanodollars": likely.cost_nanodollars,
            "tokens": {"input": likely.input_tokens, "output": likely.output_tokens, "cache_read": 0, "cache_write_5m": 0,
                       "cache_write_1h": 0, "thinking": 0},
        },
    }  # fmt: skip
