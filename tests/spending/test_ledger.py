"""The ledger as a call meets it: admitted, settled, refused, and what the store sees of it."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from ledger_doubles import (
    START,
    FailingStore,
    HandClock,
    StatedEstimates,
    call,
    caller,
    dollars,
    make_ledger,
    plan,
    put_budget,
    rounds,
    run,
    settle,
)
from wire import eventually

from gateway.canonical.errors import BudgetExceeded, RateExceeded, Unavailable
from gateway.canonical.steps import Work
from gateway.canonical.store import Create, Delete
from gateway.canonical.usage import Usage
from gateway.spending.holds import UNLIMITED
from gateway.spending.ledger import Ledger

MONTH_ENDS = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


@pytest.fixture
def ledger(store: FailingStore, clock: HandClock) -> Ledger:
    return make_ledger(store, clock, instance="i1")


def reserve(ledger: Ledger, number: int, likely: float, worst: float | None = None, **more: Any) -> Any:
    one = call(number, dollars(likely), dollars(worst) if worst else None, **more)
    return run(ledger.reserve(one, plan()))


def make_calls(ledger: Ledger, store: FailingStore, clock: HandClock, count: int, *, cost: float = 0.01, begin: int = 0) -> None:
    """One after the other, one a second."""
    for number in range(begin, begin + count):
        one = call(number, dollars(cost))
        hold = run(ledger.reserve(one, plan()))
        rounds(ledger, clock, 1.0)
        settle(store, hold, one, dollars(cost))


def test_without_budgets_a_call_costs_one_look_into_memory(store: FailingStore, ledger: Ledger) -> None:
    """The budgets are read once a minute; nothing else is read, written or made."""
    assert reserve(ledger, 1, 1.0) is UNLIMITED
    assert reserve(ledger, 2, 1.0) is UNLIMITED
    assert store.operations == ["query"]


def test_nothing_blocks_where_calls_are_driven(store: FailingStore, ledger: Ledger) -> None:
    """Whatever asks the store is handed out as work: the event loop itself never waits for it."""
    put_budget(store)
    steps = ledger.reserve(call(1, dollars(1)), plan())
    pause = steps.send(None)
    works = 0
    with pytest.raises(StopIteration):
        while True:
            before = len(store.operations)
            assert isinstance(pause, Work)
            result = pause.run()
            assert len(store.operations) > before
            works, before = works + 1, len(store.operations)
            pause = steps.send(result)
            assert len(store.operations) == before
    assert works == 2  # the budgets, and the first allowance


def test_a_call_given_up_while_it_borrows_holds_nobody_back(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Its client went away before the borrowing began, or just after: the next call borrows for itself."""
    put_budget(store)
    for runs in (False, True):
        steps = ledger.reserve(call(1, dollars(1)), plan())
        pause = steps.send(None)
        while pause.run.__name__ != "serve":
            pause = steps.send(pause.run())
        if runs:
            pause.run()
        steps.close()
        pause.run()
        reserve(ledger, 2, 1.0).release()
        rounds(ledger, clock, 10)
    assert store.query("allowances", group=True).documents == []


def test_the_ledger_looks_after_itself(store: FailingStore) -> None:
    """Its own thread lists an open call within two seconds or so, and ends when the ledger is closed."""
    before = set(threading.enumerate())
    put_budget(store)
    ledger = Ledger(store, StatedEstimates())  # type: ignore[arg-type]
    hold = reserve(ledger, 1, 1.0)
    eventually(lambda: ledger.state("bud_1").held == dollars(1))
    hold.settle(Usage(), dollars(0.5))
    ledger.close(5.0)
    assert ledger.state("bud_1").spent == dollars(0.5)
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "ledger"]


def test_a_call_that_no_budget_counts_is_free(store: FailingStore, ledger: Ledger) -> None:
    """Another project's budget is none of ours."""
    put_budget(store, scope={"type": "project", "id": "other"})
    assert reserve(ledger, 1, 1.0) is UNLIMITED


def test_a_steady_stream_of_calls_waits_for_no_store(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Once the pace is known, the store is asked between calls, by the ledger's own rounds."""
    put_budget(store, amount="1000")
    make_calls(ledger, store, clock, 60)
    store.operations.clear()
    waited = []
    for number in range(100, 160):
        before = len(store.operations)
        one = call(number, dollars(0.01))
        hold = run(ledger.reserve(one, plan()))
        waited += store.operations[before:]
        hold.settle(Usage(), dollars(0.01))
        rounds(ledger, clock, 1.0)
    assert waited in ([], ["query"], ["query"] * 2)  # the budgets, once a minute


def test_a_call_over_budget_is_told_what_to_do(store: FailingStore, ledger: Ledger) -> None:
    """The budget, its period, when it is reset, and the project's own words; clients are told not to retry."""
    put_budget(store, "team-cap", amount="1.00", period="day", scope={"type": "project", "id": "acme"})
    with pytest.raises(BudgetExceeded) as refused:
        reserve(ledger, 1, 2.0, by=caller(budget_message="Ask #ai-spend."))
    told = str(refused.value)
    for part in ("daily", "resets 2026-11-21 00:00 UTC", "team-cap", "project acme", "$1.00", "Ask #ai-spend."):
        assert part in told
    headers = refused.value.headers()
    assert headers["retry-after"] == "43170" and headers["x-should-retry"] == "false"
    unified = {name.removeprefix("anthropic-ratelimit-unified-"): value for name, value in headers.items()}
    assert unified["status"] == "rejected" and unified["overage-period"] == "daily"
    assert unified["overage-disabled-reason"] == "org_spend_cap_reached"
    assert "representative-claim" not in unified and "overage-status" not in unified


def test_a_budget_of_nothing_blocks(store: FailingStore, ledger: Ledger) -> None:
    """At once and without asking the store, even what costs nothing."""
    put_budget(store, amount="0")
    with pytest.raises(BudgetExceeded, match="allows nothing"):
        reserve(ledger, 1, 0.0)
    assert store.operations == ["query"]


def test_an_unlimited_budget_counts_and_refuses_nothing(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """`amount: null`."""
    put_budget(store, amount=None)
    make_calls(ledger, store, clock, 3, cost=5000)
    ledger.close(1.0)
    assert (ledger.state("bud_1").spent, ledger.state("bud_1").remaining) == (dollars(15000), None)


def test_a_shadow_budget_only_counts(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """It goes beyond its limit and says so."""
    put_budget(store, amount="0.02", mode="shadow")
    make_calls(ledger, store, clock, 5)
    ledger.close(1.0)
    state = ledger.state("bud_1")
    assert (state.spent, state.limit, state.remaining) == (dollars(0.05), dollars(0.02), 0)


@pytest.mark.parametrize("fields", [{"unit": "requests", "period": "minute", "amount": "2"}, {"unit": "parallel", "amount": "2"}])
def test_a_rate_is_told_as_a_rate(store: FailingStore, ledger: Ledger, fields: dict[str, str]) -> None:
    """429 `rate_limit_error` with the seconds to wait; retries are welcome."""
    put_budget(store, **fields)
    reserve(ledger, 1, 0.01)
    reserve(ledger, 2, 0.01)
    with pytest.raises(RateExceeded) as refused:
        reserve(ledger, 3, 0.01)
    assert refused.value.kind == "rate_limit_error" and "x-should-retry" not in refused.value.headers()
    assert refused.value.headers()["retry-after"] == ("30" if "period" in fields else "2")


def test_an_open_call_that_ends_makes_room_for_another(store: FailingStore, ledger: Ledger) -> None:
    """`parallel` counts what is open, and nothing of what was."""
    put_budget(store, unit="parallel", amount="1")
    for number in range(5):
        reserve(ledger, number, 0.01).settle(Usage(), 0)
    ledger.close(1.0)
    assert ledger.state("bud_1").spent == 0


def test_a_call_must_fit_every_budget(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Refused by one, it leaves nothing held in the others."""
    put_budget(store, "bud_a", amount="10")
    put_budget(store, "bud_b", amount="1", scope={"type": "project", "id": "acme"})
    with pytest.raises(BudgetExceeded, match="bud_b"):
        reserve(ledger, 1, 2.0)
    rounds(ledger, clock, 10)
    assert ledger.state("bud_a").held == 0
    assert store.query("allowances", group=True).documents == []


def test_settling_twice_is_settling_once(store: FailingStore, ledger: Ledger) -> None:
    """And releasing afterwards changes nothing."""
    put_budget(store)
    hold = reserve(ledger, 1, 1.0)
    hold.settle(Usage(), dollars(0.5))
    assert hold.settle(Usage(), dollars(0.5)) == []
    hold.release()
    ledger.close(1.0)
    assert ledger.state("bud_1").spent == dollars(0.5)


def test_a_released_call_costs_nothing(store: FailingStore, ledger: Ledger) -> None:
    """It never went out: not even a request is counted."""
    put_budget(store, unit="requests", amount="5")
    reserve(ledger, 1, 1.0).release()
    ledger.close(1.0)
    assert ledger.state("bud_1").spent == 0


def test_the_record_names_what_paid_for_the_call(store: FailingStore, ledger: Ledger) -> None:
    """Budget, period, allowance, what was held and what was used."""
    put_budget(store)
    hold = reserve(ledger, 1, 1.0)
    hold.settle(Usage(), dollars(0.25))
    assert hold.render() == [
        {"budget": "bud_1", "period": "2026-11", "allowance": "i1-1", "held": dollars(1), "settled": dollars(0.25)}
    ]


def test_a_call_dearer_than_its_hold_is_a_debt(store: FailingStore, ledger: Ledger) -> None:
    """A bill is a fact: it is counted in full, and the next call is refused."""
    put_budget(store, amount="1.00")
    reserve(ledger, 1, 0.5).settle(Usage(), dollars(3))
    with pytest.raises(BudgetExceeded):
        reserve(ledger, 2, 0.1)
    ledger.close(1.0)
    assert ledger.state("bud_1").spent == dollars(3)


def test_strict_holds_the_worst_and_balanced_the_likely(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """The same call, held for 9 dollars or for 1."""
    put_budget(store, "bud_a", mode="strict")
    put_budget(store, "bud_b", mode="balanced")
    reserve(ledger, 1, 1.0, 9.0)
    rounds(ledger, clock, 3)
    assert ledger.state("bud_a").held == dollars(9)
    assert ledger.state("bud_b").held == dollars(1)


def test_a_call_is_charged_to_the_period_that_admitted_it(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """A stream over the end of the month belongs to the month it began in."""
    put_budget(store)
    clock.time = MONTH_ENDS - 10
    one = call(1, dollars(1))
    hold = run(ledger.reserve(one, plan()))
    clock.time = MONTH_ENDS + 100
    rounds(ledger, clock, 2)
    settle(store, hold, one, dollars(0.5))
    rounds(ledger, clock, 10)
    november = store.get("budgets/bud_1/periods/2026-11")
    assert november.data["spent"] == november.data["taken"] == dollars(0.5)
    assert ledger.state("bud_1").spent == 0


def test_a_stream_of_an_hour_keeps_its_hold(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Its allowance is renewed while it is open; a sweep elsewhere takes nothing away."""
    put_budget(store)
    hold = reserve(ledger, 1, 1.0)
    other = make_ledger(store, clock)
    for _ in range(60):
        rounds(ledger, clock, 60)
        assert other.sweep().reconciled == 0
    hold.settle(Usage(), dollars(0.75))
    rounds(ledger, clock, 10)
    assert ledger.state("bud_1").spent == dollars(0.75)


def test_what_is_not_used_goes_back_when_it_is_quiet(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Some seconds after the last call, nothing is lent any more."""
    put_budget(store, amount="1000")
    make_calls(ledger, store, clock, 30)
    assert store.query("allowances", group=True).documents != []
    rounds(ledger, clock, 15)
    assert store.query("allowances", group=True).documents == []


def test_sigterm_loses_nothing(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Everything is settled and given back at the end."""
    put_budget(store, amount="1000")
    make_calls(ledger, store, clock, 30)
    ledger.close(1.0)
    period = store.get("budgets/bud_1/periods/2026-11").data
    assert period["spent"] == period["taken"] == dollars(0.30)


def test_a_lost_answer_counts_nothing_twice(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """The commit happened, its answer did not arrive: it is repeated, and counted once."""
    put_budget(store, amount="1000")
    for number in range(0, 60, 10):
        make_calls(ledger, store, clock, 10, begin=number)
        store.lose_answers = 2
        rounds(ledger, clock, 40)
    store.lose_answers = 0
    rounds(ledger, clock, 60)
    ledger.close(1.0)
    period = store.get("budgets/bud_1/periods/2026-11").data
    assert period["spent"] == period["taken"] == dollars(0.60)


def test_a_borrowing_is_not_repeated_after_it_was_reconciled(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Its answer was lost, and an instance paused for minutes: what others have closed stays closed, and no money is locked."""
    put_budget(store, unit="requests", amount="12", mode="strict", on_store_error="closed")
    store.lose_answers = 1
    with pytest.raises(Unavailable):
        reserve(ledger, 1, 1.0)
    clock.time += 400
    other = make_ledger(store, clock)
    assert other.sweep().reconciled == 1
    store.lose_answers = 1
    ledger.close(1.0)
    clock.time += 400
    other.sweep()
    period = store.get("budgets/bud_1/periods/2026-11").data
    assert period["taken"] == period["spent"] == 1


def test_after_a_lost_borrowing_was_reconciled_calls_go_on(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """The next call borrows anew, under a name of its own."""
    put_budget(store, unit="requests", amount="12", mode="strict", on_store_error="closed")
    store.lose_answers = 1
    with pytest.raises(Unavailable):
        reserve(ledger, 1, 1.0)
    clock.time += 400
    assert make_ledger(store, clock).sweep().reconciled == 1
    one = call(2, dollars(1))
    settle(store, run(ledger.reserve(one, plan())), one, dollars(1))
    ledger.close(1.0)
    period = store.get("budgets/bud_1/periods/2026-11").data
    assert period["taken"] == period["spent"] == 2  # strict: what nobody can account for stays spent


def test_an_outage_admits_a_bounded_amount_that_is_counted_later(
    store: FailingStore, ledger: Ledger, clock: HandClock
) -> None:
    """`on_store_error: open`: one per cent of the limit, charged with the usage documents when the store is back."""
    put_budget(store, amount="100")
    make_calls(ledger, store, clock, 1)
    rounds(ledger, clock, 20)
    store.down = True
    calls = [call(number, dollars(0.4)) for number in range(100, 102)]
    holds = [run(ledger.reserve(one, plan())) for one in calls]
    with pytest.raises(Unavailable, match="store is away"):
        reserve(ledger, 200, 0.4)
    store.down = False
    for one, hold in zip(calls, holds, strict=True):
        settle(store, hold, one, dollars(0.3))
    ledger.close(1.0)
    assert ledger.state("bud_1").spent == dollars(0.61)


def test_an_outage_stops_a_budget_that_says_so(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """`on_store_error: closed`: refused, saying why, and to be tried again."""
    put_budget(store, on_store_error="closed")
    make_calls(ledger, store, clock, 1)
    rounds(ledger, clock, 20)
    store.down = True
    with pytest.raises(Unavailable) as refused:
        reserve(ledger, 2, 0.1)
    assert refused.value.retry_after_s == 5


def test_a_settled_call_of_a_dead_instance_is_charged_and_an_open_one_estimated(
    store: FailingStore, ledger: Ledger, clock: HandClock
) -> None:
    """SIGKILL: within some minutes whoever needs the money has it again, and one document for each listed call."""
    put_budget(store, amount="10")
    calls = [call(number, dollars(2), by=caller(key_id="key_9")) for number in (1, 2)]
    holds = [run(ledger.reserve(one, plan())) for one in calls]
    rounds(ledger, clock, 2)
    settle(store, holds[0], calls[0], dollars(0.5))
    other = make_ledger(store, clock)
    with pytest.raises(BudgetExceeded):
        run(other.reserve(call(3, dollars(7.5)), plan()))
    clock.time += 400
    run(other.reserve(call(4, dollars(7.5)), plan()))
    document = store.get("projects/acme/usage/call-2").data
    assert (document["completeness"], document["key_id"], document["cost_nanodollars"]) == ("estimated", "key_9", dollars(2))
    assert other.state("bud_1").spent == dollars(2.5)


def test_one_call_under_two_budgets_leaves_one_document(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Both budgets are charged for it once, in whatever order their allowances are reconciled."""
    put_budget(store, "bud_a")
    put_budget(store, "bud_b", scope={"type": "project", "id": "acme"})
    reserve(ledger, 1, 2.0)
    rounds(ledger, clock, 2)
    clock.time += 400
    other = make_ledger(store, clock)
    assert other.sweep().reconciled == 2
    assert other.sweep().reconciled == 0
    assert other.state("bud_a").spent == other.state("bud_b").spent == dollars(2)
    document = store.get("projects/acme/usage/call-1").data
    assert {hold["budget"] for hold in document["holds"]} == {"bud_a", "bud_b"} and len(document["allowance_ids"]) == 2


def test_settling_against_a_reconciled_allowance_is_a_charge_of_its_own(
    store: FailingStore, ledger: Ledger, clock: HandClock
) -> None:
    """An instance that was paused for minutes: what was charged as an estimate stays, what was not listed is charged now."""
    put_budget(store)
    one = call(1, dollars(1))
    hold = run(ledger.reserve(one, plan()))
    clock.time += 400  # paused before the call was listed
    other = make_ledger(store, clock)
    assert other.sweep().reconciled == 1
    settle(store, hold, one, dollars(0.5))
    assert hold.render()[0]["allowance"] is None
    assert other.state("bud_1").spent == dollars(0.5)


def test_a_record_that_arrives_late_is_counted_late(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Settled in time, written after the allowance was reconciled: the next sweep finds it."""
    put_budget(store)
    one = call(1, dollars(1))
    hold = run(ledger.reserve(one, plan()))
    clock.time += 100
    hold.settle(Usage(), dollars(0.5))
    other = make_ledger(store, clock)
    clock.time += 400
    assert other.sweep().reconciled == 1
    data = {"request_id": one.id, "holds": hold.render(), "allowance_ids": [hold.render()[0]["allowance"]]}
    store.commit([Create("projects/acme/usage/call-1", data)])
    assert other.sweep().late == 1
    assert other.sweep().late == 0
    assert other.state("bud_1").spent == dollars(0.5)


def reuse_a_released_hold(store: FailingStore, ledger: Ledger) -> tuple[Any, Any]:
    """The allowance lists the first call, which is given up; the second is recorded, and a third takes the free place."""
    put_budget(store, unit="requests", amount="2", mode="strict")
    given_up = reserve(ledger, 1, 1.0)
    second, third = call(2, dollars(1)), call(3, dollars(1))
    hold = run(ledger.reserve(second, plan()))
    given_up.release()
    settle(store, hold, second, 1)
    return third, run(ledger.reserve(third, plan()))


def test_a_strict_allowance_is_never_charged_beyond_its_amount(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Money that a listed call gave back was used by another: both together cost no more than what was borrowed."""
    one, hold = reuse_a_released_hold(store, ledger)
    settle(store, hold, one, 1)
    clock.time += 400
    other = make_ledger(store, clock)
    assert other.sweep().reconciled == 1
    assert other.sweep().late == 0
    assert other.state("bud_1").spent == 2


def test_in_strict_a_late_record_takes_the_place_of_an_estimate(
    store: FailingStore, ledger: Ledger, clock: HandClock
) -> None:
    """What was borrowed has been charged already; the estimate of a call that was given up is corrected."""
    one, hold = reuse_a_released_hold(store, ledger)
    clock.time += 400
    other = make_ledger(store, clock)
    assert other.sweep().reconciled == 1
    settle(store, hold, one, 1)
    assert (other.sweep().late, other.sweep().late) == (0, 0)
    assert other.state("bud_1").spent == 2
    documents = store.query("usage", group=True).documents
    assert sum(part["settled"] for document in documents for part in document.data["holds"]) <= 2


def test_a_lowered_budget_holds_within_a_minute(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """What was borrowed under the old limit is not used under the new one."""
    put_budget(store, amount="1000")
    make_calls(ledger, store, clock, 30)
    put_budget(store, amount="0.10")
    ledger.directory.forget()
    with pytest.raises(BudgetExceeded):
        reserve(ledger, 100, 0.01)


def test_a_raised_budget_admits_at_once(store: FailingStore, ledger: Ledger) -> None:
    """As soon as the change is read."""
    put_budget(store, amount="1")
    with pytest.raises(BudgetExceeded):
        reserve(ledger, 1, 2.0)
    put_budget(store, amount="5")
    ledger.directory.forget()
    reserve(ledger, 2, 2.0)


def test_a_raise_ends_on_time(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """From one call to the next, though nothing was read or written in between."""
    until = datetime.fromtimestamp(clock.time + 10, UTC)
    put_budget(store, amount="1", **{"raise": {"amount": "5", "until": until}})
    reserve(ledger, 1, 2.0).release()
    clock.time += 10
    with pytest.raises(BudgetExceeded):
        reserve(ledger, 2, 2.0)


def test_a_deleted_budget_lets_its_open_calls_end(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """New calls are not counted, the open one is settled without fault."""
    put_budget(store)
    hold = reserve(ledger, 1, 1.0)
    store.commit([Delete("budgets/bud_1")])
    ledger.directory.forget()
    assert reserve(ledger, 2, 1.0) is UNLIMITED
    hold.settle(Usage(), dollars(0.5))
    rounds(ledger, clock, 10)
    assert store.get("budgets/bud_1/periods/2026-11").data["taken"] == dollars(0.5)


def test_a_caller_sees_how_full_the_fullest_budget_is(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """The unified headers, with a warning from 75 % and from 95 %; budgets of other kinds have none."""
    put_budget(store, "bud_a", amount="1.00")
    put_budget(store, "bud_b", amount="100", period="day")
    put_budget(store, "bud_c", unit="requests", amount="100")
    seen = []
    for number, cost in enumerate((0.7, 0.1, 0.15, 0.01)):
        hold = reserve(ledger, number, cost)
        seen.append(hold.headers())
        hold.settle(Usage(), dollars(cost))
        rounds(ledger, clock, 10)
    prefix = "anthropic-ratelimit-unified-"
    assert [headers[f"{prefix}status"] for headers in seen] == ["allowed", "allowed", "allowed_warning", "allowed_warning"]
    assert [headers.get(f"{prefix}overage-surpassed-threshold") for headers in seen] == [None, None, "0.75", "0.95"]
    assert seen[3][f"{prefix}overage-utilization"] == "0.95"
    assert seen[3][f"{prefix}reset"] == str(int(MONTH_ENDS))


def test_whoever_watches_is_told_what_was_used(store: FailingStore, clock: HandClock) -> None:
    """After each write of the counters: budget, period, thresholds, used and limit."""
    told: list[tuple[Any, ...]] = []
    ledger = make_ledger(store, clock, watch=lambda *facts: told.append(facts))
    put_budget(store, alerts=[0.5, 1.0])
    reserve(ledger, 1, 1.0).settle(Usage(), dollars(6))
    ledger.close(1.0)
    assert told[-1][:5] == ("bud_1", "2026-11", (0.5, 1.0), dollars(6), dollars(10))


def test_estimates_learn_from_what_was_really_used(store: FailingStore, clock: HandClock) -> None:
    """From the provider's closing figures alone, not from our own guesses."""
    estimates = StatedEstimates()
    ledger = make_ledger(store, clock, estimates=estimates)
    put_budget(store)
    reserve(ledger, 1, 0.1).settle(Usage(), 7)
    reserve(ledger, 2, 0.1).settle(Usage(completeness="estimated"), 8)
    assert estimates.learned == [7]


def test_a_members_state_is_told_apart_from_its_groups(store: FailingStore, ledger: Ledger, clock: HandClock) -> None:
    """Without a member's name, all members are added up."""
    put_budget(store, scope={"type": "group", "id": "eng"})
    for number, user in enumerate(("ana@example.com", "ben@example.com")):
        by = caller(user=user, groups=("eng",))
        reserve(ledger, number, 1.0, by=by).settle(Usage(), dollars(number + 1))
    rounds(ledger, clock, 10)
    assert ledger.state("bud_1").spent == dollars(3)
    assert ledger.state("bud_1", "ben@example.com").spent == dollars(2)
    assert ledger.state("bud_1").resets_at == datetime.fromtimestamp(MONTH_ENDS, UTC)
    assert START < MONTH_ENDS
