"""A canonical chat fitted to one Claude model: what the model would refuse is taken out and named, as its catalog row says.

Only what came from another wire format passes here: requests in Anthropic's own go out as they are, and are refused by
the provider in its own words. Source: Anthropic model pages and Messages reference, 2026-11-20.
"""

import re
from typing import Any

from gateway.canonical.capabilities import Capabilities, ModelTraits
from gateway.canonical.translation import Json
from gateway.dialects.anthropic.schema import close_schema, fit_input_schema, is_closed
from gateway.dialects.crossing import FOREIGN_SIGNATURE, blocks_of, fit_tool_id, text_block

MAX_TOKENS_DEFAULT = 32_000  # Anthropic demands a limit, other formats do not; more is refused on some platforms
THINKING_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 24_576}
BUDGET_MIN = 1_024
EFFORTS = ("low", "medium", "high", "xhigh", "max")
TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
FORCED = ("any", "tool")


def fit_chat(body: Json, model: ModelTraits) -> tuple[Json, list[str]]:
    """A body of its own for this model, and what it cannot carry. `body` stays as it is."""
    fitted, lost = dict(body), list[str]()
    fitted["messages"] = _fit_messages(body.get("messages", []), lost)
    _fit_stops(fitted, lost)
    fitted.setdefault("max_tokens", min(model.max_output_tokens or MAX_TOKENS_DEFAULT, MAX_TOKENS_DEFAULT))
    able = model.capabilities
    if able is not None:
        _fit_tool_choice(fitted, able, lost)
        _fit_thinking(fitted, able, lost)
        _fit_effort(fitted, able, lost)
        _fit_sampling(fitted, able, lost)
        _fit_system(fitted, able)
        _fit_format(fitted, lost)
        _fit_tools(fitted, lost)
    return fitted, lost


def _fit_messages(messages: list[Json], lost: list[str]) -> list[Json]:
    """Without other vendors' thinking, whose signatures Anthropic refuses, without texts of nothing but space, which it
    refuses too, and with ids in Anthropic's alphabet."""
    fitted = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            own = [block for block in content if not _is_foreign_thinking(block)]
            if len(own) < len(content) and "messages.thinking" not in lost:
                lost.append("messages.thinking")
            blocks = [_fit_block(block) for block in own if block["type"] != "text" or block["text"].strip()]
            if not blocks and content:
                continue
            message = {**message, "content": blocks}
        fitted.append(message)
    return fitted


def _is_foreign_thinking(block: Json) -> bool:
    if block["type"] == "redacted_thinking":
        return bool(FOREIGN_SIGNATURE.match(str(block.get("data"))))
    if block["type"] != "thinking":
        return False
    signature = block.get("signature")
    return not signature or bool(FOREIGN_SIGNATURE.match(signature))


def _fit_block(block: Json) -> Json:
    name = {"tool_use": "id", "tool_result": "tool_use_id"}.get(block["type"])
    if name is None or TOOL_ID.fullmatch(block[name]):
        return block
    return {**block, name: fit_tool_id(block[name], allowed=TOOL_ID, prefix="toolu_")}


def _fit_stops(body: Json, lost: list[str]) -> None:
    stops = body.get("stop_sequences")
    if not isinstance(stops, list) or all(isinstance(stop, str) and stop.strip() for stop in stops):
        return
    body["stop_sequences"] = [stop for stop in stops if isinstance(stop, str) and stop.strip()]
    lost += [f"stop_sequences.{n}" for n, stop in enumerate(stops) if not (isinstance(stop, str) and stop.strip())]


def _fit_tool_choice(body: Json, able: Capabilities, lost: list[str]) -> None:
    """Where a model cannot be forced to call a tool, it is asked to."""
    choice = body.get("tool_choice")
    if not choice or choice["type"] not in FORCED or able.forced_tool_choice:
        return
    wish = f"the tool `{choice['name']}`" if choice["type"] == "tool" else "one of the tools"
    body["tool_choice"] = {**{k: v for k, v in choice.items() if k != "name"}, "type": "auto"}
    _add_system(body, f"Answer with a call of {wish}, not with text.")
    lost.append("tool_choice")


def _fit_thinking(body: Json, able: Capabilities, lost: list[str]) -> None:
    kind = (body.get("thinking") or {}).get("type")
    if kind == "disabled" and not able.thinking_can_be_disabled:
        _drop_thinking(body, lost)
        if able.effort_levels:
            body["output_config"] = {**(body.get("output_config") or {}), "effort": able.effort_levels[0]}
    elif kind == "enabled" and not able.thinking_budget:
        _drop_thinking(body, lost)
        if able.adaptive_thinking:
            body["thinking"] = {"type": "adaptive"}
    elif kind == "adaptive" and not able.adaptive_thinking:
        _put_budget(body, able, lost)
    if (body.get("thinking") or {}).get("type") == "enabled" and _forbids_thinking(body):
        _drop_thinking(body, lost)


def _drop_thinking(body: Json, lost: list[str]) -> None:
    del body["thinking"]
    lost.append("thinking")


def _put_budget(body: Json, able: Capabilities, lost: list[str]) -> None:
    """Adaptive thinking as a budget, for models that know nothing else. It is a part of max_tokens."""
    effort = (body.get("output_config") or {}).get("effort", "medium")
    budget = min(THINKING_BUDGETS.get(effort, BUDGET_MIN), body["max_tokens"] // 2)
    if not able.thinking_budget or budget < BUDGET_MIN:
        _drop_thinking(body, lost)
        return
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    if not able.effort_levels:
        _drop_effort(body)


def _forbids_thinking(body: Json) -> bool:
    """Thinking by budget goes neither with forced tools, nor with a tool's result whose call came without thinking: the
    provider would refuse it, and clients of other formats never send thinking back."""
    if (body.get("tool_choice") or {}).get("type") in FORCED:
        return True
    messages = body["messages"]
    if not messages or all(block["type"] != "tool_result" for block in blocks_of(messages[-1]["content"])):
        return False
    calls = next((blocks_of(m["content"]) for m in reversed(messages) if m["role"] == "assistant"), [])
    return not calls or calls[0]["type"] not in ("thinking", "redacted_thinking")


def _fit_effort(body: Json, able: Capabilities, lost: list[str]) -> None:
    """The nearest level below the one asked for, where a model does not have it."""
    effort = (body.get("output_config") or {}).get("effort")
    levels = able.effort_levels
    if (body.get("thinking") or {}).get("type") == "disabled" and able.effort_levels_without_thinking is not None:
        levels = able.effort_levels_without_thinking
    if effort is None or effort in levels:
        return
    lost.append("output_config.effort")
    below = [level for level in EFFORTS[: EFFORTS.index(effort)] if level in levels] if effort in EFFORTS else []
    if below:
        body["output_config"] = {**body["output_config"], "effort": below[-1]}
    else:
        _drop_effort(body)


def _drop_effort(body: Json) -> None:
    rest = {name: value for name, value in (body.get("output_config") or {}).items() if name != "effort"}
    body.pop("output_config", None)
    if rest:
        body["output_config"] = rest


def _fit_sampling(body: Json, able: Capabilities, lost: list[str]) -> None:
    """Anthropic's temperature ends at 1, where others' ends at 2; with a thinking budget it must be left alone."""
    temperature = body.get("temperature")
    refused = set()
    if not able.sampling_params:
        refused = {"temperature", "top_p", "top_k"}
    elif (body.get("thinking") or {}).get("type") == "enabled":
        refused = {"temperature", "top_k"}
    elif isinstance(temperature, int | float) and temperature > 1:
        refused = {"temperature"}
    if "temperature" in body and "temperature" not in refused and not able.temperature_with_top_p:
        refused.add("top_p")
    for name in sorted(refused & body.keys()):
        if body.pop(name) != 1 or name == "top_k":
            lost.append(name)


def _fit_system(body: Json, able: Capabilities) -> None:
    """A system message keeps its place where the model takes one, which is right after a user's; else it joins `system`."""
    kept: list[Json] = []
    for message in body["messages"]:
        if message["role"] != "system" or (able.system_messages and kept and kept[-1]["role"] == "user"):
            kept.append(message)
        else:
            body["system"] = [*blocks_of(body.get("system")), *blocks_of(message["content"])]
    body["messages"] = kept


def _add_system(body: Json, text: str) -> None:
    body["system"] = [*blocks_of(body.get("system")), text_block(text)]


def _fit_format(body: Json, lost: list[str]) -> None:
    wanted = (body.get("output_config") or {}).get("format")
    if isinstance(wanted, dict) and isinstance(wanted.get("schema"), dict):
        schema, unsaid = close_schema(wanted["schema"])
        body["output_config"] = {**body["output_config"], "format": {**wanted, "schema": schema}}
        lost += [f"output_config.format.schema.{name}" for name in unsaid]


def _fit_tools(body: Json, lost: list[str]) -> None:
    if not body.get("tools"):
        return
    tools: list[Any] = []
    for place, tool in enumerate(body["tools"]):
        if isinstance(tool.get("input_schema"), dict):
            schema, unsaid = fit_input_schema(tool["input_schema"])
            lost += [f"tools.{place}.input_schema.{name}" for name in unsaid]
            tool = {**tool, "input_schema": schema}
            if tool.get("strict") and not is_closed(schema):
                tool.pop("strict")
                lost.append(f"tools.{place}.strict")
        tools.append(tool)
    body["tools"] = tools
