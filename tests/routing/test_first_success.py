"""From leg to leg until the first word: retries, fallback, ladders, limits, and what is told where all fail."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routes import BODY, Clock, Upstream, call, go, refused, route

from gateway.canonical.call import AttemptRecord, Call, Plan
from gateway.canonical.errors import CredentialRefused, GatewayError, InvalidRequest, UpstreamFailed, UpstreamTimeout
from gateway.canonical.steps import Until
from gateway.providers.send import CANNOT_CARRY
from gateway.routing.attempts import Attempts
from gateway.routing.health import Health

THREE = {"targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}, {"provider": "@bedrock-prod"}]}


class Trip:
    """One call on its way."""

    def __init__(self, config: dict[str, Any], *script: Any, asked: Call | None = None, plan: Plan | None = None) -> None:
        self.clock = Clock(0.0)
        self.upstream = Upstream(self.clock, list(script))
        self.health = Health(None, self.clock)
        self.attempts = Attempts(self.upstream.send, self.upstream.hear, self.health, self.clock)
        self.tries: list[AttemptRecord] = []
        self.slept: list[float] = []
        self.asked = asked or call()
        self.plan = plan or route(config, self.asked)

    def go(self) -> Any:
        return go(self.attempts.first_success(self.asked, self.plan, self.tries), self.clock, self.slept)

    def fails(self) -> GatewayError:
        with pytest.raises(GatewayError) as refusal:
            self.go()
        return refusal.value

    @property
    def went(self) -> list[str]:
        return [target.provider.id.partition("-")[0] for target in self.upstream.asked]

    @property
    def statuses(self) -> list[int]:
        return [each.status for each in self.tries]


@pytest.mark.parametrize(
    ("script", "went", "statuses"),
    [
        ([200], ["vertex"], [200]),
        ([503, 200], ["vertex", "anthropic"], [503, 200]),
        ([429, 529, 200], ["vertex", "anthropic", "bedrock"], [429, 529, 200]),
        ([404, 200], ["vertex", "anthropic"], [404, 200]),
        (["mute", 200], ["vertex", "anthropic"], [529, 200]),
        ([UpstreamFailed("reset"), UpstreamTimeout("late"), 200], ["vertex", "anthropic", "bedrock"], [502, 504, 200]),
        ([CredentialRefused("no"), 200], ["vertex", "anthropic"], [502, 200]),
        ([InvalidRequest("too much", reason=CANNOT_CARRY), 200], ["vertex", "anthropic"], [400, 200]),
    ],
)
def test_what_fails_before_its_first_word_falls_back(script: list[Any], went: list[str], statuses: list[int]) -> None:
    """Statuses, a model that is not served there, broken connections, time that is up, a refused credential, a stream that
    breaks before it said anything."""
    trip = Trip(THREE, *script)
    assert trip.go().target.provider.id.startswith(went[-1])
    assert (trip.went, trip.statuses) == (went, statuses)
    assert trip.upstream.bodies == [BODY] * len(went)
    assert trip.upstream.open == 1, "answers that were given up are closed"


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_fault_of_the_callers_does_not_fall_back(status: int) -> None:
    """Everybody would refuse it."""
    trip = Trip(THREE, status, 200)
    assert trip.fails().status == status and trip.went == ["vertex"]
    later = Trip(THREE, 503, status, 200)
    assert later.fails().status == status and later.went == ["vertex", "anthropic"]


def test_a_list_of_statuses_decides() -> None:
    """Those of the config, whatever they are."""
    only = {**THREE, "strategy": {"mode": "fallback", "on_status_codes": [418]}}
    assert Trip(only, 503, 200).fails().status == 503
    assert Trip(only, 418, 200).go().target.provider.id == "anthropic-prod"


@pytest.mark.parametrize(
    ("script", "status", "told"),
    [
        ([429, 503, 500], 429, "refused with 429"),
        ([503, 529, 500], 529, "refused with 529"),
        ([500, 502, 500], 502, "all targets failed (3 attempted)"),
        ([UpstreamTimeout("late"), 500, UpstreamFailed("reset")], 502, "all targets failed"),
    ],
)
def test_the_most_useful_of_the_failures_is_told(script: list[Any], status: int, told: str) -> None:
    """The last 429, else the last 503 or 529, else 404, else how many failed."""
    error = Trip(THREE, *script).fails()
    assert error.status == status and told in error.message


def test_the_only_target_is_heard_in_its_own_words() -> None:
    """However often it was asked."""
    trip = Trip({"provider": "@vertex-prod", "retry": {"attempts": 2}}, 429, 503, 500)
    assert trip.fails().message == "refused with 500" and trip.went == ["vertex"] * 3


def test_a_target_is_asked_again_with_growing_waits_and_jitter() -> None:
    """Then the next one is."""
    config = {**THREE, "retry": {"attempts": 2, "on_status_codes": [500]}}
    trip = Trip(config, 500, 500, 500, 200)
    trip.go()
    assert trip.went == ["vertex"] * 3 + ["anthropic"]
    first, second = [wait for wait in trip.slept if wait > 0]
    assert 0.25 <= first <= 0.5 and 0.5 <= second <= 1.0


@pytest.mark.parametrize(
    ("headers", "rule", "waits"),
    [
        ({"retry_after": "7"}, {}, [7.0]),
        ({"retry_after_ms": "1500", "retry_after": "7"}, {}, [1.5]),
        ({"retry_after": "61"}, {}, []),
        ({"retry_after": "7"}, {"max_wait_ms": 5000}, []),
        ({"x_should_retry": "false"}, {}, []),
    ],
)
def test_retry_after_is_obeyed_within_a_limit(headers: dict[str, str], rule: dict[str, Any], waits: list[float]) -> None:
    """Who wants longer is not waited for; the next is asked."""
    trip = Trip({**THREE, "retry": {"attempts": 1, **rule}}, refused(429, **headers), 200)
    trip.go()
    assert [wait for wait in trip.slept if wait > 0] == pytest.approx(waits)
    assert trip.went == (["vertex", "vertex"] if waits else ["vertex", "anthropic"])


def test_retry_after_may_be_left_out_of_account() -> None:
    """As the config has it."""
    rule = {"retry": {"attempts": 1, "use_retry_after_header": False}}
    trip = Trip({**THREE, **rule}, refused(429, retry_after="50"), 200)
    trip.go()
    assert max(trip.slept) <= 0.5


def test_a_long_wait_is_passed_in_slices() -> None:
    """So that a client that waits can be pinged meanwhile."""
    trip = Trip({**THREE, "retry": {"attempts": 1}}, refused(429, retry_after="25"), 200)
    trip.go()
    assert [wait for wait in trip.slept if wait > 0] == pytest.approx([10, 10, 5])


@pytest.mark.parametrize("status", [429, 503, 404, 529])
def test_a_ladder_is_moved_down_at_once(status: int) -> None:
    """A location that is full, away, or does not serve the model; retries wait for its last step."""
    trip = Trip({"provider": "@ladder", "retry": {"attempts": 1}}, status, status, status, 200)
    if status == 404:
        assert trip.fails().status == 404 and len(trip.went) == 3
        return
    trip.go()
    assert [target.location for target in trip.upstream.asked] == ["us-east5", "us", "global", "global"]


def test_another_fault_does_not_move_down() -> None:
    """A bad request is bad everywhere."""
    assert Trip({"provider": "@ladder"}, 400, 200).fails().status == 400


def test_a_silent_target_is_given_up_after_its_time() -> None:
    """And counted as one that was too late."""
    config = {**THREE, "request_timeout": 2_000}
    trip = Trip(config, "silent", 200)
    trip.go()
    assert trip.went == ["vertex", "anthropic"] and trip.statuses == [504, 200]
    assert trip.tries[0].ms == 2_000
    assert trip.clock() == pytest.approx(2.2)


def test_a_call_ends_at_its_deadline_and_at_its_last_attempt() -> None:
    """Whatever the retries would allow."""
    slow = Trip({**THREE, "retry": {"attempts": 5}, "deadline_ms": 4_000}, *["silent"] * 9)
    assert slow.fails().status == 504 and slow.clock() == pytest.approx(4.0)
    many = Trip({**THREE, "retry": {"attempts": 5}, "max_attempts": 4}, *[500] * 9)
    many.fails()
    assert len(many.tries) == 4


def test_an_interrupted_call_asks_nobody_else() -> None:
    """Not even while it waits."""
    trip = Trip({**THREE, "retry": {"attempts": 3}}, refused(429, retry_after="30"), 200)
    steps = trip.attempts.first_success(trip.asked, trip.plan, trip.tries)
    pause = next(steps)
    assert isinstance(pause, Until)
    trip.attempts.interrupt(trip.asked.id)
    assert pause.signal.told
    with pytest.raises(GatewayError, match="shutting down"):
        steps.send(True)
    assert trip.went == ["vertex"]


def test_health_hears_how_it_went() -> None:
    """Failures, and the time until the first word; a caller's fault is no target's."""
    trip = Trip(THREE, 429, 200)
    answer = trip.go()
    assert trip.health.resting(trip.upstream.asked[0])
    seen = trip.health.seen(answer.target)
    assert seen.first_word_s == pytest.approx(0.2) and seen.open_calls == 1
    answer.exchange.close()
    assert trip.health.seen(answer.target).open_calls == 0
    bad = Trip(THREE, 400)
    bad.fails()
    assert bad.health.seen(bad.upstream.asked[0]).failures == 0


THOUGHT = (
    b'{"model": "claude-sonnet-4-6",  "max_tokens": 5, "thinking": {"type": "enabled", "budget_tokens": 1024}, "messages": ['
    b'{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm",'
    b' "signature": "c2ln"}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1.0}}]},'
    b' {"role": "user",  "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}]}]}'
)
HANDED = (
    b'{"model": "claude-sonnet-4-6",  "max_tokens": 5, "messages": ['
    b'{"role": "user", "content": "Hi"},{"role": "assistant", "content": ['
    b'{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1.0}}]},'
    b'{"role": "user",  "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "1"}]}]}'
)


def test_a_history_is_made_fit_for_another_account_visibly() -> None:
    """Its signed thinking would be refused there; every other byte stays."""
    trip = Trip(THREE, 503, 200, asked=call(body=THOUGHT))
    answer = trip.go()
    assert trip.upstream.bodies == [THOUGHT, HANDED]
    assert answer.dropped == ("messages.thinking", "thinking")


def test_a_history_that_its_own_target_refuses_is_made_fit_for_it() -> None:
    """It was written elsewhere, when this target was away."""
    said = refused(400)
    said.message = "messages.1.content.0: Invalid `signature` in `thinking` block"
    trip = Trip(THREE, said, 200, asked=call(body=THOUGHT))
    assert trip.go().dropped == ("messages.thinking", "thinking")
    assert trip.went == ["vertex", "vertex"] and trip.upstream.bodies[1] == HANDED
    twice = Trip(THREE, said, said, asked=call(body=THOUGHT))
    assert twice.fails().status == 400


def test_parameters_of_a_config_replace_the_callers() -> None:
    """For each attempt anew, from the caller's own bytes."""
    config = {**THREE, "override_params": {"max_tokens": 9, "temperature": 0.5}}
    trip = Trip(config, 503, 200)
    trip.go()
    wanted = BODY.replace(b'"max_tokens": 5', b'"max_tokens": 9').replace(b"{", b'{"temperature":0.5,', 1)
    assert trip.upstream.bodies == [wanted] * 2


HEDGED = {**THREE, "hedge_ms": 1_000}


def test_who_is_silent_for_long_is_asked_beside_the_next() -> None:
    """The quicker one wins; the other is cut off, and known as the one that was."""
    trip = Trip(HEDGED, "silent", 200)
    answer = trip.go()
    assert answer.target.provider.id == "anthropic-prod" and [t.provider.id for t in answer.beside] == ["vertex-prod"]
    assert trip.statuses == [499, 200] and trip.clock() == pytest.approx(1.2, abs=0.1)
    assert trip.health.seen(trip.upstream.asked[0]).open_calls == 0


def test_who_answers_in_time_is_asked_alone() -> None:
    """And one that fails in time is followed as ever."""
    quick = Trip(HEDGED, 200)
    assert quick.go().beside == () and quick.statuses == [200]
    failed = Trip(HEDGED, 503, 200)
    assert failed.go().beside == () and failed.statuses == [503, 200]


def test_a_hedge_that_fails_leaves_the_race_to_the_other() -> None:
    """And where both fail the next is asked; a hedge counts as an attempt."""
    both = Trip({**HEDGED, "request_timeout": 3_000}, "silent", 503, 200)
    assert both.go().target.provider.id == "bedrock-prod" and both.statuses == [504, 503, 200]
    once = Trip({**HEDGED, "max_attempts": 1, "deadline_ms": 5_000}, "silent", 200)
    assert once.fails().status == 504 and once.went == ["vertex"]


OUTCOMES = st.sampled_from([200, 200, 400, 404, 429, 500, 503, 529, "mute", "silent"])
NODES = st.recursive(
    st.sampled_from(["@vertex-prod", "@anthropic-prod", "@ladder", "@vertex-eu"]).map(lambda slug: {"provider": slug}),
    lambda nodes: st.builds(
        lambda targets, mode, statuses: {"targets": targets, "strategy": {"mode": mode, "on_status_codes": statuses}},
        st.lists(nodes, min_size=1, max_size=3), st.sampled_from(["fallback", "loadbalance"]),
        st.sampled_from([None, [429], [500, 503, 504, 529]]),
    ),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    NODES,
    st.lists(OUTCOMES, max_size=30),
    st.integers(0, 5),
    st.integers(1, 8),
    st.integers(500, 20_000),
    st.sampled_from([None, None, 200, 2_000]),
)
def test_no_failures_lead_beyond_the_limits_or_past_the_first_word(
    node: dict[str, Any], script: list[Any], retries: int, attempts_max: int, deadline_ms: int, hedge_ms: int | None
) -> None:
    """No second request after the first word (the upstream sees to that), no more than allowed, no longer than allowed, nothing
    left open; and an answer if the last one asked gave one."""
    depth = {"retry": {"attempts": retries}, "max_attempts": attempts_max, "deadline_ms": deadline_ms, "request_timeout": 3_000,
             "hedge_ms": hedge_ms}  # fmt: skip
    try:
        trip = Trip({**node, **depth}, *script)
    except ValueError:
        return
    try:
        trip.go()
        assert trip.upstream.spoke and trip.upstream.open == 1
    except GatewayError:
        assert not trip.upstream.spoke and trip.upstream.open == 0
    assert 1 <= len(trip.tries) <= attempts_max
    assert trip.clock() <= deadline_ms / 1000 + 0.3, "an attempt under way ends within what its own steps take"
