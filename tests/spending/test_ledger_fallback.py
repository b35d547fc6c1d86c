"""Budgets of providers and models, where a call may go to several: who answers is who pays."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from ledger_doubles import (
    FailingStore,
    HandClock,
    StatedEstimates,
    call,
    dollars,
    make_ledger,
    put_budget,
    rounds,
    run,
    usage_document,
)

from gateway.canonical.call import Call, Leg, Plan, Target
from gateway.canonical.errors import BudgetExceeded
from gateway.canonical.store import Increment
from gateway.canonical.usage import Usage
from gateway.spending.amounts import Amounts, Estimate
from gateway.spending.holds import UNLIMITED
from gateway.spending.ledger import Ledger

MONTH_ENDS = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


def target(provider: str, model: str = "claude-sonnet-4-6") -> Target:
    return Target(SimpleNamespace(id=provider), model, model, "global", "anthropic")


A, B = target("a"), target("b", "gemini-3.5-flash")
PLAN = Plan((A, B))


class DearerElsewhere(StatedEstimates):
    """At provider `b` everything costs three times as much; `params` may name another worst case."""

    def estimate(self, call: Call, target: Target, params: Any = None) -> Estimate:
        one, factor = super().estimate(call, target), 3 if target.provider.id == "b" else 1
        worst = int(params["worst"]) if params else one.worst.cost_nanodollars * factor
        return Estimate(Amounts(one.likely.cost_nanodollars * factor, 1, 1), Amounts(worst, 1, 1))


@pytest.fixture
def estimates() -> StatedEstimates:
    return DearerElsewhere()


@pytest.fixture
def ledger(store: FailingStore, clock: HandClock, estimates: StatedEstimates) -> Ledger:
    return make_ledger(store, clock, estimates=estimates, instance="i1")


def put_budgets(store: FailingStore, mode: str, **fields: Any) -> None:
    """One for each provider, and one for all."""
    put_budget(store, "bud_all", mode=mode, amount="100", **fields)
    for provider in "ab":
        put_budget(store, f"bud_{provider}", mode=mode, amount="100", scope={"type": "provider", "id": provider}, **fields)


def end(store: FailingStore, one: Call, hold: Any, cost: float, answered: Target) -> None:
    """As a call ends: one batch with its usage document."""
    writes = hold.settle(Usage(), dollars(cost), answered)
    store.commit([usage_document(one, hold, dollars(cost)), *writes])


def spent(ledger: Ledger) -> tuple[int, ...]:
    return tuple(ledger.state(f"bud_{name}").spent for name in ("all", "a", "b"))


@pytest.mark.parametrize("mode", ["balanced", "strict", "shadow"])
@pytest.mark.parametrize(("answered", "paid"), [(A, (2, 2, 0)), (B, (2, 0, 2))])
def test_the_budget_of_the_provider_that_answered_pays(
    store: FailingStore, ledger: Ledger, clock: HandClock, mode: str, answered: Target, paid: tuple[int, ...]
) -> None:
    """And nobody else's, whichever target came first in the plan; the record names who paid."""
    put_budgets(store, mode)
    one = call(1, dollars(1), dollars(4))
    hold = run(ledger.reserve(one, PLAN))
    end(store, one, hold, 2, answered)
    assert {part["budget"] for part in hold.render()} == {"bud_all", f"bud_{answered.provider.id}"}
    rounds(ledger, clock, 40)
    assert spent(ledger) == tuple(dollars(amount) for amount in paid)
    assert store.query("allowances", group=True).documents == []


def test_a_strict_budget_is_held_for_every_target_that_it_would_count(
    store: FailingStore, ledger: Ledger, clock: HandClock
) -> None:
    """The dearest of them: a fallback cannot overdraw it. What was held elsewhere goes back when the call has ended."""
    put_budgets(store, "strict")
    one = call(1, dollars(1), dollars(4))
    hold = run(ledger.reserve(one, PLAN))
    rounds(ledger, clock, 3)
    assert [ledger.state(f"bud_{name}").held for name in ("all", "a", "b")] == [dollars(12), dollars(4), dollars(12)]
    end(store, one, hold, 4, A)
    rounds(ledger, clock, 10)
    assert spent(ledger) == (dollars(4), dollars(4), 0)


def test_a_strict_budget_of_a_fallback_that_is_used_up_refuses(store: FailingStore, ledger: Ledger) -> None:
    """As the call could come to draw on it. In balanced only the first target's budgets have a say."""
    put_budget(store, "bud_b", mode="strict", amount="11", scope={"type": "provider", "id": "b"})
    with pytest.raises(BudgetExceeded, match="bud_b"):
        run(ledger.reserve(call(1, dollars(1), dollars(4)), PLAN))
    put_budget(store, "bud_b", mode="balanced", amount="0", scope={"type": "provider", "id": "b"})
    ledger.directory.forget()
    assert run(ledger.reserve(call(2, dollars(1), dollars(4)), PLAN)) is not UNLIMITED


def test_a_hedged_call_may_be_billed_twice(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Two targets read its prompt: strict holds twice what the dearer one may cost, but still one request."""
    put_budget(store, "bud_all", mode="strict", amount="100")
    put_budget(store, "bud_rate", mode="strict", amount="10", unit="requests", period="minute")
    run(ledger.reserve(call(1, dollars(1), dollars(4)), replace(PLAN, hedge_s=1.0)))
    rounds(ledger, clock, 3)
    assert (ledger.state("bud_all").held, ledger.state("bud_rate").held) == (dollars(24), 1)


def test_what_a_config_asks_of_a_target_is_what_is_held(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Its parameters take the place of the caller's own, `max_tokens` for one."""
    put_budget(store, "bud_all", mode="strict", amount="100")
    legs = (Leg(A), Leg(B, params={"worst": str(dollars(20)).encode()}))
    run(ledger.reserve(call(1, dollars(1), dollars(4)), replace(PLAN, legs=legs)))
    rounds(ledger, clock, 3)
    assert ledger.state("bud_all").held == dollars(20)


@pytest.mark.parametrize("scope", [{"type": "provider", "id": "b"}, {"type": "model", "id": "gemini-*"}])
def test_a_budget_that_counts_the_fallback_alone_counts_it(
    store: FailingStore, ledger: Ledger, clock: HandClock, scope: dict[str, str]
) -> None:
    """Nothing was held of it; the charge is one write more beside the usage document, and counts once with it."""
    put_budget(store, "bud_b", scope=scope)
    one, other = call(1, dollars(1)), call(2, dollars(1))
    hold, elsewhere = run(ledger.reserve(one, PLAN)), run(ledger.reserve(other, PLAN))
    writes = hold.settle(Usage(), dollars(2), B)
    assert [type(write) for write in writes] == [Increment]
    assert hold.settle(Usage(), dollars(2), B) == []
    store.commit([usage_document(one, hold, dollars(2)), *writes])
    end(store, other, elsewhere, 1, A)
    assert elsewhere.render() == []
    assert ledger.state("bud_b").spent == dollars(2)


def test_a_fallback_is_paid_by_what_is_borrowed_already(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Where calls to that provider are frequent, its budget's document is not written for each one that falls back."""
    put_budgets(store, "balanced")
    for number in range(30):
        one = call(number, dollars(0.01))
        hold = run(ledger.reserve(one, Plan((B,))))
        rounds(ledger, clock, 1.0)
        end(store, one, hold, 0.01, B)
    hold = run(ledger.reserve(call(100, dollars(0.01)), PLAN))
    assert hold.settle(Usage(), dollars(0.01), B) == []
    paid = {part["budget"]: part for part in hold.render()}
    assert paid["bud_b"]["allowance"].startswith("i1-") and paid["bud_b"]["settled"] == dollars(0.01)


def test_a_budget_of_several_targets_is_charged_once(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """A glob that fits both models."""
    put_budget(store, "bud_all", scope={"type": "model", "id": "*-*"})
    one = call(1, dollars(1))
    end(store, one, run(ledger.reserve(one, PLAN)), 2, B)
    rounds(ledger, clock, 10)
    assert ledger.state("bud_all").spent == dollars(2)


def test_a_fallback_is_charged_to_the_period_that_admitted_it(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """As every call is, though its budget did not know of it then."""
    put_budgets(store, "balanced")
    clock.time = MONTH_ENDS - 10
    one = call(1, dollars(1))
    hold = run(ledger.reserve(one, PLAN))
    clock.time = MONTH_ENDS + 100
    end(store, one, hold, 2, B)
    rounds(ledger, clock, 10)
    assert store.get("budgets/bud_b/periods/2026-11").data["spent"] == dollars(2)
    assert spent(ledger) == (0, 0, 0)


def test_a_call_that_never_went_out_costs_nobody_anything(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Released, whatever it held where."""
    put_budgets(store, "strict")
    run(ledger.reserve(call(1, dollars(1)), PLAN)).release()
    rounds(ledger, clock, 10)
    assert spent(ledger) == (0, 0, 0)
    assert store.query("allowances", group=True).documents == []


def test_open_calls_are_counted_where_they_were_expected(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """`parallel` is about calls that are open: one that has ended elsewhere holds no place, here or there."""
    put_budget(store, "bud_a", unit="parallel", amount="1", scope={"type": "provider", "id": "a"})
    put_budget(store, "bud_b", unit="parallel", amount="1", scope={"type": "provider", "id": "b"})
    for number in range(3):
        one = call(number, dollars(1))
        end(store, one, run(ledger.reserve(one, PLAN)), 1, B)
    rounds(ledger, clock, 10)
    assert ledger.state("bud_a").held == ledger.state("bud_b").held == 0
    assert ledger.state("bud_b").spent == 0


def test_a_call_that_older_budgets_admitted_ends_by_todays(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Its end makes no limit of its beginning hold again: what was borrowed under a raised one stays at hand."""
    put_budget(store, "bud_b", amount="1", scope={"type": "provider", "id": "b"})
    hold = run(ledger.reserve(call(100, dollars(0.01)), PLAN))
    put_budget(store, "bud_b", amount="100", scope={"type": "provider", "id": "b"})
    ledger.directory.forget()
    for number in range(30):
        one = call(number, dollars(0.01))
        next_hold = run(ledger.reserve(one, Plan((B,))))
        rounds(ledger, clock, 1.0)
        end(store, one, next_hold, 0.01, B)
    store.operations.clear()
    hold.settle(Usage(), dollars(0.01), B)
    run(ledger.reserve(call(101, dollars(0.01)), Plan((B,))))
    assert store.operations == []
