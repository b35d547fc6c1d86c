"""The ledger in worlds drawn from a seed: what must hold after every event, and how well it does."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from invariants import (
    Measures,
    check_settled,
    limit_of,
    measure,
    measure_span,
    never_beyond_the_limit,
    nothing_appears_or_vanishes,
)
from traffic_mix import MEAN_COST
from world import Setup, World

from gateway.canonical.money import format_dollars
from gateway.store.sqlite import SqliteStore

MODES = {"balanced": (("mode", "balanced"),), "strict": (("mode", "strict"), ("on_store_error", "closed"))}
FAULTS: dict[str, dict[str, Any]] = {
    "store errors": {"error": 0.05},
    "clocks apart": {"skew_s": 30.0},
    "crashes": {"crash_every_s": 30.0},
    "crashes at any operation": {"crash": 0.002},
    "pauses": {"pause_every_s": 60.0, "pause_s": 200.0},
    "outages": {"outages": ((40.0, 60.0), (100.0, 460.0))},
    "bursts": {"burst": 40},
    "everything": {
        "error": 0.03, "crash_every_s": 60.0, "crash": 0.001, "pause_every_s": 60.0, "pause_s": 200.0, "skew_s": 30.0,
        "outages": ((50.0, 90.0), (200.0, 300.0)), "burst": 5,
    },
}  # fmt: skip


def calls_worth(calls: int) -> str:
    return format_dollars(int(calls * MEAN_COST))


def invariants_of(mode: str) -> list[Callable[[World], None]]:
    return [nothing_appears_or_vanishes, *([never_beyond_the_limit] if mode == "strict" else [])]


def live_through(fault: str, mode: str, seed: int) -> World:
    """A world with faults, to its end and beyond: everything lapsed and swept."""
    limit = calls_worth(3000 if mode == "strict" else 1000)
    world = World(Setup(seed=seed, instances=6, calls_per_s=6, run_s=400, limit=limit, fields=MODES[mode], **FAULTS[fault]))
    world.run(*invariants_of(mode))
    world.settle_down()
    check_settled(world)
    return world


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_or_charged_twice(fault: str, mode: str) -> None:
    """Checked after every event; in strict, what was used and what open calls may use never exceeds the limit."""
    live_through(fault, mode, seed=1)


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_or_charged_twice_whatever_the_seed(fault: str, mode: str) -> None:
    """The same for thirty worlds each."""
    for seed in range(2, 32):
        live_through(fault, mode, seed)


def hundred_at_once(seed: int, instances: int) -> Measures:
    """100 open calls on average against 1,000 calls' worth, and three times as many callers as that is enough for."""
    world = World(Setup(seed=seed, instances=instances, calls_per_s=10, open_s=10, limit=calls_worth(1000)))
    world.run(nothing_appears_or_vanishes)
    return measure(world)


@pytest.mark.parametrize("instances", [1, 4, 20])
def test_a_balanced_budget_is_used_up_and_hardly_exceeded(instances: int) -> None:
    """At 100 calls at once and a cap of 1,000 mean calls, on average over worlds: 1 % beyond it at most, nobody refused in vain,
    98 % usable."""
    found = [hundred_at_once(seed, instances) for seed in range(1, 6)]
    assert statistics.mean(one.overshoot for one in found) <= 0.01
    assert max(one.overshoot for one in found) <= 0.03
    assert max(one.false_refusals for one in found) <= 0.01
    assert min(one.utilisation for one in found) >= 0.98


@pytest.mark.parametrize(("limit", "calls_per_s"), [(600, 15.0), (60, 5.0)])
def test_a_limit_per_minute_over_twenty_instances_is_kept_and_used(limit: int, calls_per_s: float) -> None:
    """Never one call too many, and four in five of those allowed are made."""
    fields = (("unit", "requests"), ("period", "minute"))
    world = World(Setup(instances=20, calls_per_s=calls_per_s, open_s=3.0, run_s=120, limit=str(limit), fields=fields))
    world.run(nothing_appears_or_vanishes)
    spent = [data["spent"] for path, data in world.store.budget_documents() if path.count("/") == 3]
    assert max(spent) <= limit
    assert all(one >= 0.8 * limit for one in sorted(spent)[-2:])


def test_a_steady_flow_writes_no_document_often() -> None:
    """50 calls a second over 20 instances under a large budget, once the paces are known: the period's document is written about
    once a second, no other more often, and a call costs a fraction of an operation."""
    world = World(Setup(instances=20, calls_per_s=50, open_s=5, run_s=180, limit=calls_worth(1_000_000)))
    steady = measure_span(world, 60, 180)
    assert max(steady.writes_per_s.values()) <= 1.6
    assert steady.operations_per_call <= 0.75
    assert steady.longest_wait_s < 0.5 and not world.refused


def test_the_same_seed_is_the_same_world() -> None:
    """A failure can be looked at again."""
    one, other = (live_through("everything", "balanced", 3) for _ in "ab")
    assert (len(one.admitted), len(one.refused), one.time) == (len(other.admitted), len(other.refused), other.time)
    assert one.store.documents == other.store.documents


def test_the_embedded_store_behaves_as_the_model_does(tmp_path: Path) -> None:
    """A small world on SQLite: the ledger keeps the limit there too."""
    store = SqliteStore(tmp_path / "gateway.db", now=lambda: 0.0)
    world = World(Setup(instances=3, calls_per_s=4, open_s=5, run_s=30, limit="12.00", fields=MODES["strict"]), store)
    world.run(never_beyond_the_limit)
    period = store.query("budgets/bud_1/periods").documents[0].data
    assert period["taken"] == period["spent"] == sum(one.draft.cost for one in world.admitted)
    assert period["spent"] <= limit_of(world)
    store.close()
