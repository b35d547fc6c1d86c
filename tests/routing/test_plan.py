"""Which target a call goes to, and that nobody reaches a model or a provider that is not theirs."""

from typing import Any

import pytest

from gateway.canonical.call import Call, Caller, Operation, Plan, Request
from gateway.canonical.errors import GatewayError, InvalidRequest, NotFound
from gateway.canonical.json_object import JsonObject
from gateway.catalog.models import all_models
from gateway.providers.provider import Provider
from gateway.routing.plan import models_for, plan, same_jurisdiction


def provider(name: str, **more: Any) -> Provider:
    return Provider(name, "vertex", "adc", "project-1", **more)


ONE = {"vertex": provider("vertex")}
TWO = {
    "vertex": provider("vertex"),
    "eu": provider("eu", locations=("eu",)),
    "alias": provider("alias", models={"fast": "claude-haiku-4-5@20251001"}),
}


def call(model: str, *, operation: Operation = "generate", asked: str | None = None, **caller: Any) -> Call:
    request = Request(operation, model, False, JsonObject(b"{}"))
    return Call("r", Caller("k", "p", **caller), "anthropic", request, {}, at=0.0, started=0.0, provider_asked=asked)


def ids(found: Plan) -> list[tuple[str, str, str]]:
    return [(t.provider.id, t.upstream_model, t.location) for t in found.targets]


@pytest.mark.parametrize(
    ("model", "upstream"),
    [
        ("claude-sonnet-4-6", "claude-sonnet-4-6"),
        ("claude-sonnet-4-6[1m]", "claude-sonnet-4-6"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5@20250929"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929"),
        ("claude-sonnet-4-6@default", "claude-sonnet-4-6"),
        ("vertex/claude-sonnet-4-6", "claude-sonnet-4-6"),
        ("vertex-ai/claude-sonnet-4-6", "claude-sonnet-4-6"),
        ("@vertex/claude-sonnet-4-6", "claude-sonnet-4-6"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5@20250929"),
    ],
)
def test_any_spelling_finds_its_model(model: str, upstream: str) -> None:
    """One model, many names."""
    assert ids(plan(call(model), ONE)) == [("vertex", upstream, "global")]


def test_the_first_provider_that_serves_the_model_is_taken() -> None:
    """In the project's own order."""
    assert ids(plan(call("claude-sonnet-4-6"), TWO))[0][0] == "vertex"
    assert ids(plan(call("claude-sonnet-4-6", providers=("eu", "vertex")), TWO)) == [("eu", "claude-sonnet-4-6", "eu")]
    assert ids(plan(call("claude-sonnet-4-6", providers=("@gone", "@eu")), TWO))[0][0] == "eu"


@pytest.mark.parametrize("asked", ["@eu", "eu"])
def test_a_header_may_choose_among_the_projects_providers(asked: str) -> None:
    """With or without its `@`."""
    assert ids(plan(call("claude-sonnet-4-6", asked=asked), TWO))[0][0] == "eu"


@pytest.mark.parametrize("asked", ["vertex-ai", "vertex-anthropic"])
def test_a_header_may_name_a_kind(asked: str) -> None:
    """As settings written for another gateway do."""
    assert ids(plan(call("claude-sonnet-4-6", asked=asked), {"eu": TWO["eu"]}))[0][0] == "eu"


@pytest.mark.parametrize("more", [{"asked": "@eu"}, {"model": "@eu/claude-sonnet-4-6"}, {"asked": "@nowhere"}, {"model": "@/x"}])
def test_a_provider_outside_the_project_is_not_reached(more: dict[str, str]) -> None:
    """Neither by header nor by name, and it is not told apart from one that does not exist."""
    model = more.pop("model", "claude-sonnet-4-6")
    with pytest.raises(GatewayError) as refused:
        plan(call(model, providers=("vertex",), **more), TWO)  # type: ignore[arg-type]
    assert isinstance(refused.value, InvalidRequest | NotFound)


def test_an_operators_alias_goes_where_it_says() -> None:
    """And may be named in what a key is allowed."""
    assert ids(plan(call("@alias/fast"), TWO)) == [("alias", "claude-haiku-4-5@20251001", "global")]
    assert ids(plan(call("fast", key_models=("fast",)), TWO))[0][0] == "alias"
    with pytest.raises(NotFound):
        plan(call("fast", key_models=("claude-opus-*",)), TWO)


@pytest.mark.parametrize(
    "model", ["claude-opus-4-6", "nothing-of-the-kind", "gpt-5", "x" * 600, "claude-../../secret", "claude-a b", "claude-x?y"]
)
def test_unknown_and_forbidden_are_one_answer(model: str) -> None:
    """404, naming what may be used, and no part of a name that is unfit for a path."""
    with pytest.raises(NotFound) as refused:
        plan(call(model, key_models=("claude-haiku-*",)), ONE)
    assert (refused.value.status, refused.value.kind) == (404, "not_found_error")
    assert "claude-haiku-4-5" in refused.value.message and "claude-opus-4-5" not in refused.value.message
    assert len(refused.value.message) < 600


def test_a_key_that_may_use_nothing_is_told_so() -> None:
    """With whom to ask."""
    with pytest.raises(NotFound, match="no model at all; ask the operator"):
        plan(call("claude-opus-4-6", key_models=()), ONE)


@pytest.mark.parametrize(
    "spelling",
    [
        "haiku.anthropic.claude-opus-4-6",
        "haiku.anthropic.claude-opus-4-6-v1:0",
        "arn:aws:bedrock:haiku:inference-profile/claude-opus-4-6",
        "haiku.anthropic.claude-opus-77",
        "vertex/haiku.anthropic.claude-opus-4-6",
        "@vertex/haiku.anthropic.claude-opus-4-6[1m]",
    ],
)
@pytest.mark.parametrize("globs", [("*haiku*",), ("haiku*",), ("*haiku*", "claude-haiku-*")])
def test_a_spelling_cannot_be_made_to_match_what_a_key_allows(spelling: str, globs: tuple[str, ...]) -> None:
    """A glob speaks of the model, not of how a caller writes it."""
    with pytest.raises(NotFound):
        plan(call(spelling, key_models=globs), ONE)


@pytest.mark.parametrize(
    "glob", ["claude-haiku-*", "CLAUDE-haiku-4-5", "claude-haiku-4-5@20251001", "claude-haiku-4-5-20251001", "*@20251001"]
)
@pytest.mark.parametrize(
    "model",
    ["claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-haiku-4-5@20251001", "anthropic.claude-haiku-4-5-20251001-v1:0"],
)
def test_any_spelling_of_a_glob_meets_any_spelling_of_its_model(glob: str, model: str) -> None:
    """Catalog name, dated name, provider's name."""
    assert ids(plan(call(model, key_models=(glob,)), ONE))[0][1] == "claude-haiku-4-5@20251001"


def test_a_provider_may_be_kept_to_some_models() -> None:
    """The operator's list is not the caller's to widen."""
    kept = {"vertex": provider("vertex", allowed_models=("claude-haiku-*",))}
    with pytest.raises(NotFound):
        plan(call("claude-opus-4-6"), kept)
    assert {model.id.split("-")[1] for model in models_for(Caller("k", "p"), kept)} <= {"haiku"}


def test_the_model_list_holds_what_may_be_used_and_no_more() -> None:
    """Every row can be planned."""
    rows = models_for(Caller("k", "p", project_models=("claude-*-4-6",)), ONE)
    assert {row.id for row in rows} == {"claude-opus-4-6", "claude-sonnet-4-6"}
    everything = models_for(Caller("k", "p"), ONE)
    assert 10 < len(everything) < len(all_models()) + 1
    for row in everything:
        assert plan(call(row.id), ONE).targets


def test_counting_goes_on_where_the_models_own_location_does_not_offer_it() -> None:
    """But never out of its jurisdiction."""
    places = ("us-east5", "europe-west1")
    counted = plan(call("claude-sonnet-4-6", operation="count_tokens"), TWO, places)
    assert [t.location for t in counted.targets] == ["global", "us-east5", "europe-west1"]
    european = plan(call("claude-sonnet-4-6", operation="count_tokens", providers=("eu",)), TWO, places)
    assert [t.location for t in european.targets] == ["eu", "europe-west1"]
    assert len(plan(call("claude-sonnet-4-6"), TWO, places).targets) == 1


@pytest.mark.parametrize(
    ("location", "other", "same"),
    [
        ("global", "asia-southeast1", True),
        ("eu", "europe-west1", True),
        ("eu", "us-east5", False),
        ("us", "us-east5", True),
        ("us", "europe-west1", False),
        ("europe-west4", "europe-west1", False),
        ("europe-west4", "europe-west4", True),
    ],
)
def test_data_stays_where_it_may_be(location: str, other: str, same: bool) -> None:
    """A region is its own jurisdiction."""
    assert same_jurisdiction(location, other) is same
