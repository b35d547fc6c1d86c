"""Far from a budget's limit calls are admitted on a guess; where it matters each is looked at."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from ledger_doubles import FailingStore, HandClock, StatedEstimates, call, dollars, make_ledger, plan, put_budget, rounds, run

from gateway.canonical.call import Leg, Plan
from gateway.canonical.usage import Usage
from gateway.spending.bookkeeper import Bookkeeper
from gateway.spending.call_hold import CallHold
from gateway.spending.ledger import Ledger


@pytest.fixture
def estimates() -> StatedEstimates:
    return StatedEstimates()


@pytest.fixture
def ledger(store: FailingStore, clock: HandClock, estimates: StatedEstimates) -> Ledger:
    return make_ledger(store, clock, estimates=estimates)


def warm(ledger: Ledger, clock: HandClock, *, cost: float = 0.01) -> None:
    """Two calls a second for twenty seconds: the ledger has borrowed ahead for half a minute."""
    for number in range(40):
        run(ledger.reserve(call(number, dollars(cost)), plan())).settle(Usage(), dollars(cost))
        rounds(ledger, clock, 0.5)


def reserve_guessed(ledger: Ledger, number: int, likely: float, guess: float, by_plan: Plan | None = None) -> CallHold:
    one = call(number, dollars(likely), guess=dollars(guess))
    hold: CallHold = run(ledger.reserve(one, by_plan or plan()))
    return hold


def test_nobody_looks_closely_where_there_is_plenty(
    store: FailingStore, ledger: Ledger, clock: HandClock, estimates: StatedEstimates
) -> None:
    """Far from the limit a guess by a call's length will do. What stays open is looked at in the ledger's own time."""
    put_budget(store)
    warm(ledger, clock)
    hold = reserve_guessed(ledger, 100, 0.02, guess=0.01)
    assert [part.held for part in hold.parts] == [dollars(0.01)] and "call-100" not in estimates.looked_at
    rounds(ledger, clock, 3.0)
    assert [(part.held, part.most) for part in hold.parts] == [(dollars(0.02), dollars(0.02))]
    (allowance,) = store.query("allowances", group=True).documents
    (listed,) = json.loads(allowance.data["open_calls"])
    assert (allowance.data["held"], listed["facts"]["cost_nanodollars"]) == (dollars(0.02), dollars(0.02))


@pytest.mark.parametrize(
    ("guess", "fields", "by_plan"),
    [
        (0.05, {}, plan()),
        (0, {}, plan()),
        (0.01, {"mode": "strict"}, plan()),
        (0.01, {}, replace(plan(), hedge_s=1.0)),
        (0.01, {}, replace(plan(), legs=(Leg(plan().targets[0], params={"max_tokens": b"1"}),))),
    ],
    ids=["a large guess", "no guess", "strict", "hedged", "other parameters"],
)
def test_a_call_is_looked_at_closely_where_a_guess_would_not_do(
    store: FailingStore,
    ledger: Ledger,
    clock: HandClock,
    estimates: StatedEstimates,
    guess: float,
    fields: dict[str, Any],
    by_plan: Plan,
) -> None:
    """Little is at hand, seeing what it may need, or a guess says nothing of it."""
    put_budget(store, **fields)
    warm(ledger, clock)
    hold = reserve_guessed(ledger, 100, 0.02, guess, by_plan)
    assert [part.held for part in hold.parts] == [dollars(0.02)] and "call-100" in estimates.looked_at


def test_near_the_end_every_call_is_looked_at(
    store: FailingStore, ledger: Ledger, clock: HandClock, estimates: StatedEstimates
) -> None:
    """When the money gets short it matters what each of them needs."""
    put_budget(store, amount="0.50")
    warm(ledger, clock)
    estimates.looked_at.clear()
    hold = reserve_guessed(ledger, 100, 0.02, guess=0.001)
    assert [part.held for part in hold.parts] == [dollars(0.02)] and estimates.looked_at == ["call-100"]


def test_a_limit_of_requests_needs_no_guess(
    store: FailingStore, ledger: Ledger, clock: HandClock, estimates: StatedEstimates
) -> None:
    """A request is one request: the last that is at hand may be taken at a glance."""
    put_budget(store, unit="requests", amount="1000", period="day")
    warm(ledger, clock)
    estimates.looked_at.clear()
    for number in range(10):
        assert [part.held for part in reserve_guessed(ledger, 100 + number, 0.02, guess=0.001).parts] == [1]
    assert estimates.looked_at == []


def test_a_bookkeeper_that_could_not_start_is_started_by_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment without threads must not leave the ledger unattended for good."""
    keeper = Bookkeeper(lambda: None)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_more_threads)
        with pytest.raises(RuntimeError):
            keeper.start()
    before = threading.active_count()
    keeper.start()
    assert threading.active_count() == before + 1
    keeper.stop(5.0)


def no_more_threads(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
