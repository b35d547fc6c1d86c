"""Where the gateway embeds a question for a call of its own accord: the caller's providers, and never beyond a residency."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from routes import ALL, call, planned, planner, provider, where

from gateway.canonical.call import Call, Plan, Target
from gateway.canonical.errors import NotFound
from gateway.canonical.steps import run_blocking
from gateway.providers.provider import Provider
from gateway.routing.embedding import DEADLINE_S, embedding_plan
from gateway.routing.planner import Planner

MODEL = "gemini-embedding-001"
EU = {"provider": "@vertex-eu", "residency": ["eu"]}


def embedding(**more: Any) -> Call:
    return call(dialect="openai-embeddings", operation="embed", model=MODEL, **more)


def plan_of(provider_id: str, *locations: str) -> Plan:
    """A plan for Claude, as the call has one."""
    return Plan(tuple(
        Target(ALL[provider_id], "claude-sonnet-4-6", "claude-sonnet-4-6", place, "anthropic") for place in locations
    ))  # fmt: skip


def embedded_at(asked: Call, plan: Plan, *, providers: Mapping[str, Provider] = ALL, others: Sequence[str] = (),
                residency: Any = (), resting: Any = lambda target: False) -> Plan:  # fmt: skip
    return embedding_plan(asked, plan, MODEL, providers, others, residency, resting)


def by_planner(by: Planner, asked: Call, others: Sequence[str] = ()) -> Plan:
    by.embedding_locations = others
    return run_blocking(by.plan_embedding(embedding(caller={"config": asked.caller.config}, config_asked=asked.config_asked),
                                          planned(by, asked), MODEL))  # fmt: skip


def test_a_question_is_embedded_where_its_call_goes() -> None:
    """At the same provider and location, although another provider comes first in the project."""
    plan = embedded_at(embedding(), plan_of("vertex-eu", "eu"))
    assert where(plan) == [("vertex-eu", "eu")]
    assert plan.deadline_s == DEADLINE_S and plan.attempts_max == 1


def test_another_provider_of_the_project_embeds_where_the_calls_own_cannot() -> None:
    """Claude may be at Anthropic or AWS, which embed nothing."""
    assert where(embedded_at(embedding(), plan_of("anthropic-prod", "global"))) == [("vertex-prod", "global")]
    asked = embedding(caller={"providers": ("anthropic-prod", "vertex-eu")})
    assert where(embedded_at(asked, plan_of("anthropic-prod", "global"))) == [("vertex-eu", "eu"), ("vertex-eu", "europe-west1")]


def test_a_provider_that_is_not_the_projects_embeds_nothing() -> None:
    """Nor does one whose models the operator has limited to others."""
    with pytest.raises(NotFound, match="no provider of this project has gemini-embedding-001"):
        embedded_at(embedding(caller={"providers": ("anthropic-prod", "openai-prod")}), plan_of("anthropic-prod", "global"))
    limited = {"v": provider("v", allowed_models=("claude-*",))}
    with pytest.raises(NotFound):
        embedded_at(embedding(), plan_of("anthropic-prod", "global"), providers=limited)


def test_what_models_a_key_may_use_does_not_matter() -> None:
    """The gateway asks, not the caller."""
    asked = embedding(caller={"key_models": ("claude-*",), "project_models": ("claude-*",)})
    assert where(embedded_at(asked, plan_of("vertex-prod", "global"))) == [("vertex-prod", "global")]


def test_locations_that_embed_are_tried_after_the_calls_own() -> None:
    """Within its jurisdiction, at most three, each led to from the one before; those that rest come last."""
    others = ("us-central1", "europe-west1", "europe-west2", "us-east4")
    plan = embedded_at(embedding(), plan_of("vertex-eu", "eu"), others=others)
    assert where(plan) == [("vertex-eu", "eu"), ("vertex-eu", "europe-west1")]
    assert [leg.ladder for leg in plan.legs] == [1, None]
    plan = embedded_at(embedding(), plan_of("vertex-prod", "global"), others=others)
    assert [place for _, place in where(plan)] == ["global", "us-central1", "europe-west1"]
    rested = embedded_at(embedding(), plan_of("vertex-eu", "eu"), others=others, resting=lambda target: target.location == "eu")
    assert where(rested) == [("vertex-eu", "europe-west1"), ("vertex-eu", "eu")]
    plan = embedded_at(embedding(), plan_of("vertex-us-east", "us-east5"), others=others)
    assert where(plan) == [("vertex-us-east", "us-east5")]


def test_a_residency_is_never_left(tmp_path: Path) -> None:
    """Of the key's config, of one asked for, and where an inline config steers the call."""
    others = ("us-central1", "europe-west1", "europe-west2")
    by = planner(tmp_path, eu=EU, anywhere={"provider": "@vertex-eu"})
    expected = [("vertex-eu", "eu"), ("vertex-eu", "europe-west1")]
    for asked in (
        call(caller={"config": "eu"}),
        call(config_asked="eu"),
        call(caller={"config": "eu"}, config_asked="anywhere"),
        call(caller={"config": "eu"}, config_asked='{"provider": "@vertex-eu"}'),
    ):
        assert where(by_planner(by, asked, others)) == expected
    with pytest.raises(NotFound):
        everywhere = {"vertex-prod": ALL["vertex-prod"]}
        embedded_at(embedding(), plan_of("vertex-prod", "global"), providers=everywhere, residency=[["eu"]])


def test_an_openai_compatible_provider_embeds_by_a_model_of_its_own() -> None:
    """Where GATEWAY_EMBEDDING_MODEL names one."""
    model = "text-embedding-3-small"
    asked = call(dialect="openai-embeddings", operation="embed", model=model)
    plan = embedding_plan(asked, plan_of("vertex-prod", "global"), model, ALL, (), (), lambda target: False)
    assert where(plan) == [("openai-prod", "global")]
