"""Which config steers a call, and what a caller may say about it."""

from pathlib import Path

import pytest
from routes import call, planned, planner, where

from gateway.canonical.call import CacheRule
from gateway.canonical.errors import InternalError, InvalidRequest, NotFound

EU = {"provider": "@vertex-eu", "residency": ["eu"]}
DIRECT = {"provider": "@anthropic-prod", "retry": {"attempts": 1}, "max_attempts": 3}


def test_without_a_config_the_first_provider_that_serves_the_model_is_taken(tmp_path: Path) -> None:
    """At its location, and nowhere else."""
    plan = planned(planner(tmp_path), call())
    assert where(plan) == [("vertex-prod", "global")] and plan.legs == ()


def test_several_locations_are_a_ladder_without_any_config(tmp_path: Path) -> None:
    """They are there for that."""
    plan = planned(planner(tmp_path), call(provider_asked="@ladder"))
    assert [leg.ladder for leg in plan.legs] == [1, 2, None]


def test_a_keys_config_steers_its_calls_and_one_may_be_named(tmp_path: Path) -> None:
    """By id, in a header."""
    by = planner(tmp_path, direct=DIRECT, eu=EU)
    plan = planned(by, call(caller={"config": "direct"}))
    assert where(plan) == [("anthropic-prod", "global")] and (plan.config, plan.attempts_max) == ("direct@3", 3)
    assert where(planned(by, call(config_asked="eu")))[0] == ("vertex-eu", "eu")
    with pytest.raises(InvalidRequest, match="there is no config 'gone'"):
        planned(by, call(config_asked="gone"))


def test_a_config_that_is_gone_stops_the_calls_of_its_key(tmp_path: Path) -> None:
    """What it forbade is not known any more."""
    with pytest.raises(InternalError, match="does not exist any more"):
        planned(planner(tmp_path), call(caller={"config": "gone"}))


def test_no_header_leads_out_of_the_keys_residency(tmp_path: Path) -> None:
    """Neither another config, nor an inline one, nor a count of tokens."""
    by = planner(tmp_path, eu=EU, direct=DIRECT)
    for asked in ("direct", '{"provider": "@anthropic-prod"}', '{"provider": "@vertex-eu", "locations": ["us-east5"]}'):
        with pytest.raises(NotFound):
            planned(by, call(caller={"config": "eu"}, config_asked=asked))
    by.counting_locations = ("us-east5", "europe-west1", "europe-west2")
    counted = planned(by, call(caller={"config": "eu"}, operation="count_tokens"))
    assert where(counted) == [("vertex-eu", "eu"), ("vertex-eu", "europe-west1")]


@pytest.mark.parametrize(
    ("inline", "told"),
    [
        ('{"cache": {"mode": "simple"}}', "cache is taken from stored configs only"),
        ('{"residency": ["eu"]}', "residency is taken from stored"),
        ('{"honour_client_location": true}', "honour_client_location is taken from stored"),
        ('{"retry": {"attempts": 50}}', "x-gateway-config: retry.attempts: expected"),
        ('{"retry"', "the config is no JSON"),
        ('{"a": "' + "x" * 20_000 + '"}', "is larger than"),
    ],
)
def test_what_an_inline_config_may_not_say_is_refused(tmp_path: Path, inline: str, told: str) -> None:
    """With the header's name, and where it can be said."""
    with pytest.raises(InvalidRequest, match=told):
        planned(planner(tmp_path), call(config_asked=inline))


def test_an_inline_config_lowers_limits_and_keeps_the_rest(tmp_path: Path) -> None:
    """Attempts, seconds and cache are the stored config's, where the inline one does not ask for less."""
    stored = {"targets": [{}], "max_attempts": 3, "deadline_ms": 5_000, "cache": {"mode": "simple", "max_age": 60}}
    by = planner(tmp_path, stored=stored)
    more = planned(by, call(caller={"config": "stored"}, config_asked='{"max_attempts": 9, "deadline_ms": 9000}'))
    assert (more.attempts_max, more.deadline_s, more.cache) == (3, 5.0, CacheRule("simple", 60))
    less = planned(by, call(caller={"config": "stored"}, config_asked='{"max_attempts": 1}'))
    assert less.attempts_max == 1


def test_a_config_in_shadow_is_planned_and_not_followed(tmp_path: Path) -> None:
    """What it would have done is logged."""
    by = planner(tmp_path, paper={**DIRECT, "shadow": True})
    lines: list[dict[str, object]] = []
    by.log_line = lines.append
    plan = planned(by, call(caller={"config": "paper"}))
    assert where(plan) == [("vertex-prod", "global")] and plan.config is None
    assert lines[0]["targets"] == ["@anthropic-prod/claude-sonnet-4-6/global"] and lines[0]["config"] == "paper@3"
    planned(by, call(caller={"config": "paper", "providers": ("vertex-prod",)}))
    assert lines[1]["status"] == 404


def test_what_was_worked_out_under_one_attached_config_is_not_anothers(tmp_path: Path) -> None:
    """Two keys send the same inline config; what may be lost on the way, and whose guess of a location counts, is their own's."""
    lax, strict = {"provider": "@ladder"}, {"provider": "@ladder", "strict": True, "honour_client_location": True}
    by, inline = planner(tmp_path, lax=lax, strict=strict), '{"targets": [{"provider": "@ladder"}]}'
    for config, first in (("lax", "us-east5"), ("strict", "europe-west4"), ("lax", "us-east5")):
        asked = call(caller={"config": config}, config_asked=inline, dialect="vertex", location="europe-west4")
        target = planned(by, asked).targets[0]
        assert (target.strict, target.location) == (config == "strict", first)
