"""How calls are shared out: by weight, by session, by load, latency and price; and who rests."""

import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from routes import ALL, Clock, call, refused, route
from wire import eventually

from gateway.canonical.errors import CredentialRefused, NotFound, UpstreamFailed
from gateway.routing.balance import Balancer
from gateway.routing.config import parse_config
from gateway.routing.health import Health
from gateway.routing.itinerary import Itinerary
from gateway.routing.limits import Limits
from gateway.store.sqlite import SqliteStore

REGIONS = ("vertex-us-central", "vertex-us-east")


def two(first: float = 0.5, second: float = 0.5, **strategy: Any) -> dict[str, Any]:
    return {
        "strategy": {"mode": "loadbalance", **strategy},
        "targets": [{"provider": "@vertex-us-central", "weight": first}, {"provider": "@vertex-us-east", "weight": second}],
    }


def share(config: dict[str, Any], calls: list[Any], balancer: Balancer) -> float:
    """The part of the calls that goes to the first region."""
    parsed = parse_config(config)
    health = Health(None)
    chosen = Counter(Itinerary(each, parsed, ALL, Limits(), health, balancer).plan("c").targets[0].provider.id for each in calls)
    return chosen[REGIONS[0]] / len(calls)


@pytest.mark.parametrize(("first", "second"), [(0.5, 0.5), (1, 3), (0.9, 0.1), (7, 0)])
def test_calls_are_shared_by_weight(first: float, second: float) -> None:
    """Within 3 % over 2,000 calls, with sessions and without; weights need not add up to 1."""
    wanted = first / (first + second)
    config, balancer = two(first, second), Balancer(Health(None))
    assert share(config, [call(n) for n in range(2_000)], balancer) == pytest.approx(wanted, abs=0.005)
    assert share(config, [call(n, session_id=f"s{n}") for n in range(2_000)], balancer) == pytest.approx(wanted, abs=0.03)


def test_a_session_stays_where_its_prompt_is_cached() -> None:
    """On every instance, and when weights change; only a weight of 0 moves it."""
    sessions = [call(n, session_id=f"s{n}") for n in range(200)]
    here, there = Balancer(Health(None)), Balancer(Health(None))
    before = [route(two(), each, balancer=here).targets[0].provider.id for each in sessions]
    assert [route(two(), each, balancer=there).targets[0].provider.id for each in sessions] == before
    assert [route(two(9, 1), each, balancer=here).targets[0].provider.id for each in sessions] == before
    elsewhere = [route(two(9, 1), each, balancer=Balancer(Health(None))).targets[0].provider.id for each in sessions]
    moved = [was for was, now in zip(before, elsewhere, strict=True) if was != now]
    assert set(moved) == {REGIONS[1]} and len(moved) < 120
    assert {route(two(0, 1), each, balancer=here).targets[0].provider.id for each in sessions} == {REGIONS[1]}


def test_a_user_may_be_kept_together_or_nobody() -> None:
    """As the config has it."""
    balancer = Balancer(Health(None))
    mine = [call(n, caller={"user": "ana"}, session_id=f"s{n}") for n in range(50)]
    assert len({route(two(sticky="user"), each, balancer=balancer).targets[0].provider.id for each in mine}) == 1
    assert len({route(two(sticky="none"), each, balancer=balancer).targets[0].provider.id for each in mine}) == 2


def test_the_least_busy_and_the_quickest_are_chosen() -> None:
    """By open calls for their weight, and by the time until the first word."""
    health = Health(None)
    balancer = Balancer(health)
    central, east = (route(two(), balancer=balancer, limits=Limits(slugs=frozenset([name]))).targets[0] for name in REGIONS)
    for _ in range(3):
        health.begin(central)
    health.begin(east)
    busy = two(balance="least-busy")
    assert route(busy, health=health, balancer=balancer).targets[0].provider.id == REGIONS[1]
    assert route(two(9, 1, balance="least-busy"), health=health, balancer=balancer).targets[0].provider.id == REGIONS[0]
    health.succeeded(central, 0.2)
    health.succeeded(east, 0.9)
    quick = Counter(
        route(two(balance="lowest-latency"), health=health, balancer=balancer).targets[0].provider.id for _ in range(100)
    )
    assert quick[REGIONS[0]] >= 90 and quick[REGIONS[1]] <= 10


def test_the_cheapest_is_chosen_with_what_regions_cost_more() -> None:
    """A regional endpoint costs a tenth more than the global one."""
    prices = {"us-east5": 110, "global": 100}
    balancer = Balancer(Health(None), lambda target: prices[target.location])
    config = {
        "strategy": {"mode": "loadbalance", "balance": "lowest-cost"},
        "targets": [{"provider": "@vertex-us-east"}, {"provider": "@vertex-prod"}],
    }
    assert route(config, balancer=balancer).targets[0].location == "global"


@pytest.fixture
def target() -> Any:
    return route({"provider": "@vertex-prod"}).targets[0]


def test_what_fails_three_times_rests_and_is_tried_by_one_call(target: Any) -> None:
    """Then by all, if that went well; else it rests twice as long."""
    clock = Clock()
    health = Health(None, clock)
    for _ in range(2):
        health.failed(target, UpstreamFailed("broken"))
    assert not health.resting(target)
    health.failed(target, UpstreamFailed("broken"))
    assert health.resting(target)
    clock.at += 10.1
    assert not health.resting(target), "to look is not to try"
    health.begin(target)
    assert health.resting(target)
    health.failed(target, UpstreamFailed("broken"))
    clock.at += 15
    assert health.resting(target)
    clock.at += 5.1
    assert not health.resting(target)
    health.begin(target)
    health.succeeded(target, 0.1)
    assert not health.resting(target) and not health.resting(target)


@pytest.mark.parametrize(
    ("error", "retry_after_s", "rests_s"),
    [
        (refused(429), None, 5),
        (refused(429), 20.0, 20),
        (refused(429), 4_000.0, 60),
        (refused(404), None, 600),
        (CredentialRefused("no", reason="upstream_403"), None, 300),
    ],
)
def test_some_failures_make_a_target_rest_at_once(target: Any, error: Any, retry_after_s: float | None, rests_s: float) -> None:
    """For as long as it is likely to last."""
    clock = Clock()
    health = Health(None, clock)
    health.failed(target, error, retry_after_s)
    clock.at += rests_s - 0.1
    assert health.resting(target)
    clock.at += 0.2
    assert not health.resting(target)


def test_resting_targets_are_asked_last() -> None:
    """In a fallback, a balance and a ladder; a rest is no refusal."""
    health = Health(None, Clock())
    balancer = Balancer(health)
    health.failed(route({"provider": "@vertex-us-central"}).targets[0], refused(429))
    for config in (two(), {"targets": [{"provider": "@vertex-us-central"}, {"provider": "@vertex-us-east"}]}):
        asked = [route(config, call(n), health=health, balancer=balancer).targets for n in range(5)]
        assert all([t.provider.id for t in targets] == [REGIONS[1], REGIONS[0]] for targets in asked)
    health.failed(route({"provider": "@ladder"}).targets[0], refused(429))
    assert [t.location for t in route({"provider": "@ladder"}, health=health).targets] == ["us", "global", "us-east5"]


def test_the_other_instances_soon_know(tmp_path: Path, target: Any) -> None:
    """Through the store, in which a rest ends by itself."""
    clock = Clock(1_795_000_000.0)
    store = SqliteStore.from_url(f"/{tmp_path}/health.db", now=clock)
    one, other = Health(store, clock), Health(store, clock)
    one._write(target, clock() + 300, "upstream_403")
    other._read()
    assert other.resting(target)
    clock.at += 301
    assert not other.resting(target)
    assert [d.data["reason"] for d in store.query("health").documents] == ["upstream_403"]


class Written:
    """A store that takes its time, and keeps what it is told of health."""

    def __init__(self) -> None:
        self.documents: list[Any] = []

    def query(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(documents=[])

    def commit(self, writes: list[Any], *, timeout_s: float) -> None:
        time.sleep(0.01)
        self.documents += [write.data for write in writes]


def test_a_target_that_fails_now_and_then_is_no_storm_of_writes(target: Any) -> None:
    """Near the end of a quota every other call is refused: the others hear the last of it, about once a second."""
    store: Any = Written()
    health = Health(store)
    for _ in range(200):
        health.failed(target, refused(429))
        health.succeeded(target, 0.1)
    assert eventually(lambda: store.documents and store.documents[-1]["reason"] == "recovered")
    assert len(store.documents) < 20


@pytest.mark.parametrize("strategy", [{}, {"balance": "least-busy"}, {"sticky": "user"}])
def test_where_only_targets_without_weight_are_left_the_call_is_refused(strategy: dict[str, str]) -> None:
    """The key may use none of the others: that is no fault of the gateway's."""
    only = call(caller={"providers": ("vertex-us-east",), "user": "ana"})
    with pytest.raises(NotFound):
        route(two(1, 0, **strategy), only)
