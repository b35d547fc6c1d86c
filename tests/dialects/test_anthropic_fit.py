"""What comes from other formats is fitted to every Claude of the catalog: nothing goes out that its row says it refuses."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.capabilities import Capabilities, ModelTraits
from gateway.canonical.translation import Chat
from gateway.catalog.models import all_models
from gateway.dialects import TRANSLATIONS
from gateway.dialects.openai.options import EFFORTS

CLAUDES = [model for model in all_models() if model.vendor == "anthropic" and model.capabilities is not None]
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ROUND = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "functions.f:0", "content": "ok"},
]
ASIDE = [{"role": "developer", "content": "In French."}]
TALKS = [ROUND[:1], ROUND, [*ROUND[:1], *ASIDE], [*ROUND[:2], *ASIDE, *ROUND[2:]], [*ROUND, {"role": "user", "content": "And?"}]]

requests = st.fixed_dictionaries(
    {"messages": st.sampled_from(TALKS), "tools": st.just([FUNCTION])},
    optional={
        "temperature": st.sampled_from([0, 1, 1.5]),
        "top_p": st.sampled_from([0.5, 1]),
        "top_k": st.just(5),
        "reasoning_effort": st.sampled_from(EFFORTS),
        "max_completion_tokens": st.sampled_from([10, 1024, 3000, 60_000]),
        "tool_choice": st.sampled_from(["auto", "none", "required", {"type": "function", "function": {"name": "f"}}]),
        "parallel_tool_calls": st.booleans(),
        "stop": st.sampled_from(["END", ["\n", "END"]]),
    },
)


@pytest.mark.parametrize("model", CLAUDES, ids=lambda model: model.id)
@given(body=requests)
@settings(max_examples=40, deadline=None)
def test_no_claude_is_sent_what_its_row_says_it_refuses(model: Any, body: dict[str, Any]) -> None:
    """Sampling, thinking, effort, forced tools, system messages, ids; and a limit is always there."""
    traits = ModelTraits(model.id, model.vendor, model.max_output_tokens, model.capabilities)
    out, _ = TRANSLATIONS["anthropic"].render_chat(TRANSLATIONS["openai"].parse_chat(body), traits, stream=False)
    check_sampling(out, model.capabilities)
    check_thinking(out, model.capabilities)
    check_messages(out, model.capabilities)
    forced = out.get("tool_choice", {}).get("type") in ("any", "tool")
    assert not forced or model.capabilities.forced_tool_choice
    assert 0 < out["max_tokens"] <= max(model.max_output_tokens or 32_000, body.get("max_completion_tokens", 0))
    assert all(stop.strip() for stop in out.get("stop_sequences", []))


def check_sampling(out: dict[str, Any], able: Capabilities) -> None:
    named = {"temperature", "top_p", "top_k"} & out.keys()
    assert able.sampling_params or not named
    assert able.temperature_with_top_p or not {"temperature", "top_p"} <= named
    assert out.get("temperature", 0) <= 1


def check_thinking(out: dict[str, Any], able: Capabilities) -> None:
    kind = out.get("thinking", {}).get("type")
    if kind == "enabled":
        assert able.thinking_budget and 1024 <= out["thinking"]["budget_tokens"] < out["max_tokens"]
        assert out.get("tool_choice", {}).get("type") not in ("any", "tool") and not {"temperature", "top_k"} & out.keys()
        assert out["messages"][-1]["content"][0]["type"] != "tool_result"  # calls came without thinking
    assert kind != "adaptive" or able.adaptive_thinking
    assert kind != "disabled" or able.thinking_can_be_disabled
    assert out.get("output_config", {}).get("effort") in (None, *able.effort_levels)


def check_messages(out: dict[str, Any], able: Capabilities) -> None:
    roles = [message["role"] for message in out["messages"]]
    for place, role in enumerate(roles):
        assert role != "system" or (able.system_messages and roles[place - 1] == "user")
    ids = [block.get("id") or block.get("tool_use_id") for message in out["messages"] for block in message["content"]]
    assert all(each.replace("_", "").isalnum() for each in ids if each)
    assert len({each for each in ids if each}) <= 1, "a call and its result lost each other"


def test_a_model_that_nobody_knows_is_sent_what_was_said() -> None:
    """Without a row there is no rule."""
    body = {"temperature": 1.5, "thinking": {"type": "enabled", "budget_tokens": 9}, "output_config": {"effort": "huge"},
            "messages": [{"role": "user", "content": "Hello"}], "future": {"member": 1}}  # fmt: skip
    out, dropped = TRANSLATIONS["anthropic"].render_chat(Chat(dict(body)), ModelTraits("new", "anthropic"), stream=False)
    assert out == {"model": "new", "max_tokens": 32_000, **body} and dropped == []


def test_openais_models_are_fitted_too_where_their_row_says_what_they_take() -> None:
    """The nearest effort below, no sampling, no forced tools: each named."""
    able = Capabilities(False, False, False, False, False, True, False, False, True, effort_levels=("low", "medium"))
    chat = Chat({
        "messages": [{"role": "user", "content": "Hello"}], "temperature": 0.3, "output_config": {"effort": "max"},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"},
    })  # fmt: skip
    for wire in ("openai", "openai-responses"):
        out, dropped = TRANSLATIONS[wire].render_chat(chat, ModelTraits("m", "openai", None, able), stream=False)
        assert sorted(dropped) == ["output_config.effort", "temperature", "tool_choice"]
        assert out["tool_choice"] == "auto" and "temperature" not in out
        assert out.get("reasoning_effort", out.get("reasoning", {}).get("effort")) == "medium"
