"""What a config may say, and how its faults are told."""

from typing import Any

import pytest

from gateway.routing.config import ConfigFault, parse_config, parse_config_text, render_schema

GUIDES: dict[str, dict[str, Any]] = {
    "forward headers": {"provider": "@vertex-prod", "forward_headers": ["anthropic-beta"]},
    "virtual key, model, cache and retry": {
        "virtual_key": "your-virtual-key",
        "override_params": {"model": "claude-3-7-sonnet@20250219"},
        "cache": {"mode": "simple"},
        "retry": {"attempts": 3, "on_status_codes": [429, 500, 502, 503]},
    },
    "fallback": {
        "strategy": {"mode": "fallback"},
        "targets": [
            {"virtual_key": "vertex-virtual-key"},
            {"virtual_key": "anthropic-virtual-key"},
            {"virtual_key": "bedrock-virtual-key"},
        ],
    },
    "weights": {
        "strategy": {"mode": "loadbalance"},
        "targets": [{"provider": "@vertex-us-central", "weight": 0.5}, {"provider": "@vertex-us-east", "weight": 0.5}],
        "forward_headers": ["anthropic-beta"],
    },
    "load-balance by model": {
        "strategy": {"mode": "load-balance"},
        "targets": [
            {"override_params": {"model": "@openai-prod/gpt-5"}},
            {"override_params": {"model": "@anthropic-prod/claude-sonnet-4-6"}},
        ],
    },
    "everything": {
        "strategy": {"mode": "fallback"},
        "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}],
        "cache": {"mode": "simple"},
        "retry": {"attempts": 3, "on_status_codes": [429, 500, 502, 503]},
        "forward_headers": ["anthropic-beta"],
    },
}


@pytest.mark.parametrize("name", GUIDES)
def test_configs_written_for_another_gateway_are_taken_as_they_are(name: str) -> None:
    """Nothing in them has to be changed."""
    assert parse_config(GUIDES[name])


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"retry": {"attempts": 9}}, "retry.attempts: expected `int` <= 5"),
        ({"retry": {"attempts": "3"}}, "retry.attempts: expected `int`, got `str`"),
        ({"targets": [{"retry": {"atempts": 1}}]}, "targets[0].retry: object contains unknown field `atempts`; there are"),
        ({"strategy": {"mode": "rand"}}, "strategy.mode: invalid enum value 'rand'; there are single, fallback, loadbalance"),
        ({"providr": "x"}, "the config: object contains unknown field `providr`; there are name, provider"),
        ([], "the config: expected `object`, got `array`"),
        ({"provider": "Not A Slug"}, "provider: expected `str` matching regex"),
        ({"strategy": {"mode": "fallback"}}, "targets: fallback needs at least one"),
        ({"targets": [{}, {}], "strategy": {"mode": "single"}}, "single takes one; use fallback or loadbalance"),
        ({"targets": [{"weight": 0}], "strategy": {"mode": "loadbalance"}}, "every weight is 0"),
        ({"provider": "@aa", "targets": [{}]}, "a group has none, put them into its targets"),
        ({"targets": [{"name": "a"}, {"name": "a"}]}, "two have the same name"),
        ({"override_params": {"messages": []}}, "override_params.messages: a config sets parameters, not what is asked"),
        ({"override_params": {"model": 5}}, "override_params.model: should be a model's name"),
        ({"forward_headers": ["Authorization"]}, "forward_headers[0]: Authorization is never forwarded"),
        ({"forward_headers": ["x-goog-user-project"]}, "is never forwarded"),
        ({"residency": ["global"]}, "residency: `global` is everywhere"),
        ({"input_guardrails": ["x"]}, "this version has no guardrails"),
        ({"strategy": {"mode": "conditional"}, "targets": [{}]}, "conditional needs conditions, or a default"),
        (
            {"strategy": {"mode": "conditional", "conditions": [{"query": {"team": 1}, "then": "b"}], "default": "c"},
             "targets": [{"name": "a"}]},
            "strategy.conditions[0].query.team: is no field of a call; there are metadata.NAME, model",
        ),
        ({"targets": [{"targets": [{"targets": [{"targets": [{}]}]}]}]}, "should be nested at most 4 deep"),
        ({"targets": [{"targets": [{}] * 20}, {"targets": [{}] * 20}]}, "should be at most 32 in all"),
    ],
)  # fmt: skip
def test_a_fault_names_its_path_and_what_would_be_right(config: Any, told: str) -> None:
    """So that it can be mended without a manual."""
    with pytest.raises(ConfigFault) as fault:
        parse_config(config)
    assert told in str(fault.value)


def test_all_faults_of_meaning_are_told_at_once() -> None:
    """Mended in one go."""
    with pytest.raises(ConfigFault) as fault:
        parse_config({"residency": ["global"], "forward_headers": ["cookie"], "targets": [{"override_params": {"stream": True}}]})
    assert len(fault.value.faults) == 3


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\xff", "null", "{}x"])
def test_text_that_is_no_config_is_a_fault_of_its_own(text: str) -> None:
    """Never an exception of another kind."""
    with pytest.raises(ConfigFault):
        parse_config_text(text)


def test_the_schema_describes_every_field() -> None:
    """As JSON Schema, from the same source as the check."""
    schema = render_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    properties = schema["$defs"]["Config"]["properties"]
    assert {"strategy", "targets", "retry", "cache", "residency", "max_attempts", "shadow", "virtual_key"} <= set(properties)
    assert schema["$defs"]["Config"]["additionalProperties"] is False
    assert properties["max_attempts"]["maximum"] == 20
