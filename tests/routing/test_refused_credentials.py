"""A target that refuses the gateway's credential: it rests for minutes, and the operator hears of it once a rest."""

from typing import Any

import pytest
from routes import Clock, Upstream, call, go, refused, route

from gateway.canonical.errors import CredentialRefused, GatewayError
from gateway.routing.attempts import Attempts
from gateway.routing.health import CREDENTIAL_REST_S, FAILURES_UNTIL_REST, Health

REFUSAL = CredentialRefused("tell the operator", reason="upstream_403 at vertex-prod/global")
Told = list[tuple[str, str, str | None]]
ONCE: Told = [("vertex-prod", "global", REFUSAL.reason)]


def health_and_what_it_told(clock: Clock) -> tuple[Health, Told]:
    told: Told = []
    return Health(None, clock, lambda *words: told.append(words)), told


@pytest.fixture
def target() -> Any:
    return route({"provider": "@vertex-prod"}).targets[0]


def test_an_operator_is_told_once_a_rest_and_when_it_is_over(target: Any) -> None:
    """However many calls fail meanwhile, since nobody else was left to ask."""
    clock = Clock()
    health, told = health_and_what_it_told(clock)
    for _ in range(5):
        health.failed(target, REFUSAL)
        clock.at += 1
    assert told == ONCE and health.resting(target)
    clock.at += CREDENTIAL_REST_S
    health.failed(target, REFUSAL)
    assert told == ONCE * 2, "the next rest; who tells people knows that it is the same trouble"
    health.succeeded(target, 0.1)
    health.succeeded(target, 0.1)
    assert told[2:] == [("vertex-prod", "global", None)] and not health.resting(target)


@pytest.mark.parametrize("error", [refused(429), refused(503), CredentialRefused("no token just now", should_retry=True)])
def test_other_failures_are_no_news_for_the_operator(target: Any, error: GatewayError) -> None:
    """A token endpoint that was away is one: the credential may be well, so the target rests as after other failures."""
    clock = Clock()
    health, told = health_and_what_it_told(clock)
    for _ in range(FAILURES_UNTIL_REST):
        health.failed(target, error)
    assert told == [] and health.resting(target)
    clock.at += 10.1
    assert not health.resting(target)
    health.succeeded(target, 0.1)
    assert told == []


def test_the_only_target_s_refusal_is_told_too() -> None:
    """Where no config leads elsewhere."""
    clock = Clock()
    health, told = health_and_what_it_told(clock)
    upstream = Upstream(clock, [REFUSAL, REFUSAL, 200, 200])
    attempts = Attempts(upstream.send, None, health, clock)
    plan = route({"provider": "@vertex-prod"})
    alone = type(plan)(plan.targets)
    for _ in range(2):
        with pytest.raises(CredentialRefused):
            go(attempts.first_success(call(), alone, []), clock)
    assert told == ONCE
    for _ in range(2):
        go(attempts.first_success(call(), alone, []), clock).exchange.close()
    assert told == [*ONCE, ("vertex-prod", "global", None)]


def test_a_token_that_could_not_be_had_leaves_the_only_target_as_it_was() -> None:
    """There is nobody to turn to, and nothing would say when it is well again."""
    clock = Clock()
    health, _ = health_and_what_it_told(clock)
    upstream = Upstream(clock, [CredentialRefused("no token just now", should_retry=True)] * FAILURES_UNTIL_REST)
    plan = route({"provider": "@vertex-prod"})
    for _ in range(FAILURES_UNTIL_REST):
        with pytest.raises(CredentialRefused):
            go(Attempts(upstream.send, None, health, clock).first_success(call(), type(plan)(plan.targets), []), clock)
    assert not health.resting(plan.targets[0])
