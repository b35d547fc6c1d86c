"""Which targets a config makes of a call, in which order, and what leads from one to the next."""

from typing import Any

import pytest
from routes import ALL, call, provider, route, where

from gateway.canonical.call import Plan
from gateway.canonical.errors import GatewayError, NotFound
from gateway.routing.config import parse_config
from gateway.routing.itinerary import Memory, likeness
from gateway.routing.limits import Limits, narrowing

FALLBACK = {"strategy": {"mode": "fallback"}, "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}]}


def exits(plan: Plan) -> list[list[tuple[list[int], int]]]:
    return [[(sorted(way.statuses), way.leg) for way in leg.exits] for leg in plan.legs]


def test_a_fallback_goes_from_one_to_the_next() -> None:
    """In the order that it is written, on the statuses that are listed by default, and where a model is not served."""
    plan = route(FALLBACK)
    assert where(plan) == [("vertex-prod", "global"), ("anthropic-prod", "global")]
    assert exits(plan) == [[([404, 429, 500, 502, 503, 504, 529], 1)], []]


def test_what_an_inner_group_does_not_take_is_the_outer_ones_affair() -> None:
    """Each with a status list of its own."""
    plan = route({
        "strategy": {"mode": "fallback", "on_status_codes": [500, 503]},
        "targets": [
            {"strategy": {"mode": "fallback", "on_status_codes": [429]},
             "targets": [{"provider": "@vertex-us-central"}, {"provider": "@vertex-us-east"}]},
            {"provider": "@anthropic-prod"},
        ],
    })  # fmt: skip
    assert [slug for slug, _ in where(plan)] == ["vertex-us-central", "vertex-us-east", "anthropic-prod"]
    assert exits(plan) == [[([429], 1), ([500, 503], 2)], [([500, 503], 2)], []]


def test_a_target_moves_down_its_locations() -> None:
    """Those of the config, or else those of the provider."""
    plan = route({"provider": "@ladder"})
    assert where(plan) == [("ladder", "us-east5"), ("ladder", "us"), ("ladder", "global")]
    assert [leg.ladder for leg in plan.legs] == [1, 2, None]
    assert where(route({"provider": "@ladder", "locations": ["us"]})) == [("ladder", "us")]


def test_the_clients_own_location_counts_only_where_a_config_says_so() -> None:
    """It is a guess."""
    asked = call(dialect="vertex", location="europe-west4")
    assert where(route({"provider": "@ladder"}, asked))[0] == ("ladder", "us-east5")
    honoured = route({"provider": "@ladder", "honour_client_location": True}, asked)
    assert where(honoured)[:2] == [("ladder", "europe-west4"), ("ladder", "us-east5")]
    for wish in ("../x", "global.evil.com", "a" * 100):
        odd = call(dialect="vertex", location=wish)
        assert where(route({"provider": "@ladder", "honour_client_location": True}, odd))[0] == ("ladder", "us-east5")


@pytest.mark.parametrize(
    ("residency", "config", "places"),
    [
        (["us"], {"provider": "@ladder"}, [("ladder", "us-east5"), ("ladder", "us")]),
        (["eu"], {"provider": "@vertex-eu"}, [("vertex-eu", "eu"), ("vertex-eu", "europe-west1")]),
        (["europe-west1"], {"provider": "@vertex-eu"}, [("vertex-eu", "europe-west1")]),
        (["eu"], {"targets": [{"provider": "@vertex-prod"}, {"provider": "@vertex-eu", "locations": ["europe-west4"]}]},
         [("vertex-eu", "europe-west4")]),
        (["us"], {"targets": [{"provider": "@anthropic-prod"}, {"provider": "@bedrock-prod"}]}, [("bedrock-prod", "us-east-1")]),
    ],
)  # fmt: skip
def test_a_residency_is_never_left(residency: list[str], config: dict[str, Any], places: list[tuple[str, str]]) -> None:
    """By no target, at no location."""
    assert where(route({**config, "residency": residency})) == places


def test_where_no_location_is_allowed_the_call_is_refused() -> None:
    """With what is asked for, and by whom it can be mended."""
    with pytest.raises(NotFound, match="no location in eu, which is where data of this key must stay; ask the operator"):
        route({"provider": "@ladder", "residency": ["eu"]})
    with pytest.raises(NotFound):
        honoured = {"provider": "@ladder", "residency": ["eu"], "honour_client_location": True}
        route(honoured, call(dialect="vertex", location="us-east5"))


def test_a_provider_that_is_not_the_projects_is_passed_over() -> None:
    """And so is one that does not serve the model, or that the key may not use."""
    only = call(caller={"providers": ("anthropic-prod",)})
    assert where(route(FALLBACK, only)) == [("anthropic-prod", "global")]
    models = {"targets": [{"override_params": {"model": "claude-opus-4-6"}}, {"provider": "@anthropic-prod"}]}
    assert [t.model for t in route(models, call(caller={"key_models": ("claude-sonnet-*",)})).targets] == ["claude-sonnet-4-6"]
    with pytest.raises(GatewayError, match="none of this project's"):
        route({"provider": "@nowhere"})


def test_a_model_may_name_its_provider() -> None:
    """`@slug/model`, as the caller's own model may."""
    plan = route({"targets": [{"override_params": {"model": "@anthropic-prod/claude-haiku-4-5", "max_tokens": 9}}]})
    assert [(t.provider.id, t.model) for t in plan.targets] == [("anthropic-prod", "claude-haiku-4-5")]
    assert plan.legs[0].params == {"max_tokens": b"9"}


def test_targets_have_what_is_said_around_them_unless_they_say_otherwise() -> None:
    """Retry, time limit, parameters and headers."""
    plan = route({
        "retry": {"attempts": 2, "on_status_codes": [500]}, "request_timeout": 5000, "forward_headers": ["X-Team"],
        "override_params": {"temperature": 0, "max_tokens": 5},
        "targets": [
            {"provider": "@vertex-prod"},
            {"provider": "@anthropic-prod", "retry": {"attempts": 0}, "request_timeout": 1000, "forward_headers": [],
             "override_params": {"max_tokens": 7}},
        ],
    })  # fmt: skip
    first, second = plan.legs
    assert (first.retry.attempts, first.retry.statuses, first.timeout_s) == (2, frozenset([500]), 5.0)
    assert (second.retry.attempts, second.timeout_s) == (0, 1.0)
    assert (first.target.forward_headers, second.target.forward_headers) == (("x-team",), ())
    assert (first.params, second.params) == (
        {"temperature": b"0", "max_tokens": b"5"},
        {"temperature": b"0", "max_tokens": b"7"},
    )


def test_the_first_condition_that_holds_wins() -> None:
    """Else the default, else nothing."""
    conditions = [
        {"query": {"metadata.team": {"$eq": "core"}}, "then": "us"},
        {"query": {"stream": True}, "then": "eu"},
    ]
    config: dict[str, Any] = {
        "strategy": {"mode": "conditional", "conditions": conditions, "default": "direct"},
        "targets": [
            {"name": "us", "provider": "@vertex-us-east"},
            {"name": "eu", "provider": "@vertex-eu"},
            {"name": "direct", "provider": "@anthropic-prod"},
        ],
    }
    assert where(route(config, call(metadata={"team": "core"}, stream=True)))[0][0] == "vertex-us-east"
    assert where(route(config, call(stream=True)))[0][0] == "vertex-eu"
    assert where(route(config, call())) == [("anthropic-prod", "global")]
    del config["strategy"]["default"]
    with pytest.raises(NotFound, match="no condition of the routing config describes this call"):
        route(config, call())


def test_a_caller_may_do_without_fallback() -> None:
    """The first target alone, at all its locations."""
    config = {"targets": [{"provider": "@ladder"}, {"provider": "@anthropic-prod"}]}
    plan = route(config, call(fallback=False))
    assert {slug for slug, _ in where(plan)} == {"ladder"} and not any(leg.exits for leg in plan.legs)
    assert len(plan.legs) == 3


def test_the_reasons_are_told() -> None:
    """For those who ask why."""
    plan = route({"targets": [{"name": "here", "provider": "@vertex-prod"}, {"provider": "@nowhere"}]})
    assert plan.reasons[0] == "here: claude-sonnet-4-6 at @vertex-prod: global"
    assert plan.reasons[1].startswith("targets[1]: left out: provider: @nowhere is none")


def test_an_inline_config_may_only_narrow() -> None:
    """To the attached config's providers, and to locations that an operator gave them."""
    attached = parse_config({"targets": [{"provider": "@ladder", "locations": ["us"]}, {"provider": "@vertex-prod"}]})
    limits = narrowing(attached, ALL, ())
    wide = {"targets": [{"provider": "@anthropic-prod"}, {"provider": "@ladder", "locations": ["us-east5", "us"]}]}
    assert where(route(wide, limits=limits)) == [("ladder", "us")]
    kind = narrowing(parse_config({"provider": "bedrock"}), ALL, ())
    assert kind.slugs == frozenset(["bedrock-prod"])
    free = narrowing(None, ALL, ())
    assert where(route({"provider": "@ladder", "locations": ["us", "asia-east1"]}, limits=free)) == [("ladder", "us")]
    assert narrowing(parse_config({"retry": {"attempts": 1}}), ALL, ()).slugs is None


def test_residencies_add_up() -> None:
    """What one config forbids no other allows."""
    providers = {"vx": provider("vx", "eu", "us", "global")}
    assert where(route({"provider": "@vx"}, limits=Limits([("eu", "us"), ("us",)]), providers=providers)) == [("vx", "us")]


def test_a_text_that_is_no_location_makes_no_difference() -> None:
    """Whatever a path has in a location's place, nothing of it is remembered."""
    long, other = (call(dialect="vertex", location=text) for text in ("x" * 100_000 + "-y1", "../y"))
    assert likeness(long) == likeness(other) == likeness(call(dialect="vertex"))
    assert likeness(call(dialect="vertex", location="us-east5")) != likeness(other)


def test_what_is_worked_out_with_old_providers_is_not_kept_among_the_new_ones() -> None:
    """Though both are asked for at the same time, by threads of a server that has them."""
    memory: Memory[str] = Memory()
    old, new = dict(ALL), dict(ALL)

    def overtaken() -> str:
        memory.find(new, "another", None, lambda: "by the new")
        return "by the old"

    assert memory.find(old, "one", None, overtaken) == "by the old"
    assert memory.find(new, "one", None, lambda: "by the new") == "by the new"
