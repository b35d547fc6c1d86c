"""A plain OpenAI Responses answer, both ways, and the items that its stream shares with it.

Source: OpenAI responses reference as in openai-python 3.52.0, captures of Codex CLI 0.169.0, 2026-11-20.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.canonical.errors import UpstreamFailed
from gateway.canonical.translation import Json
from gateway.dialects.crossing import (
    object_of,
    objects_of,
    parse_arguments,
    render_arguments,
    suffix_of,
    text_block,
    text_of,
)
from gateway.dialects.openai.answer import refusal_details
from gateway.dialects.openai.errors import canonical_message, error_object
from gateway.dialects.openai.options import custom_input, url_citations
from gateway.dialects.openai.usage import parse_openai_usage, render_openai_usage
from gateway.dialects.responses.request import REDACTED, THINKING, flat_name, parse_reasoning

ECHOED: Json = {
    "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True, "reasoning": None,
    "service_tier": None, "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_p": None, "truncation": "disabled",
}  # fmt: skip
INCOMPLETE = {"max_tokens": "max_output_tokens", "model_context_window_exceeded": "max_output_tokens",
              "refusal": "content_filter"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ToolNames:
    """How the caller's tools were called before they were put under one roof: free-text ones, and those in namespaces."""

    customs: frozenset[str] = frozenset()
    namespaces: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def tool_names(request: Mapping[str, Any]) -> ToolNames:
    tools = objects_of(request.get("tools"))
    for item in objects_of(request.get("input")):
        if item.get("type") == "additional_tools":
            tools += objects_of(item.get("tools"))
    customs = {str(tool.get("name")) for tool in tools if tool.get("type") == "custom"}
    spaces: dict[str, tuple[str, str]] = {}
    for tool in tools:
        for inner in objects_of(tool.get("tools")) if tool.get("type") == "namespace" else ():
            flat = flat_name(str(tool.get("name")), str(inner.get("name")))
            spaces[flat] = (str(tool.get("name")), str(inner.get("name")))
            if inner.get("type") == "custom":
                customs.add(flat)
    return ToolNames(frozenset(customs), spaces)


def parse_answer(body: Json) -> Json:
    """UpstreamFailed if it is no response, or one that failed."""
    output = body.get("output") if isinstance(body, dict) else None
    if not isinstance(output, list):
        raise UpstreamFailed("the provider's answer holds no output; try again")
    if body.get("status") == "failed":
        raise UpstreamFailed(f"the provider failed: {canonical_message(object_of(body.get('error')))}")
    content = [block for item in objects_of(output) for block in parse_item(item)]
    return {
        "id": f"msg_{suffix_of(body.get('id'))}",
        "type": "message",
        "role": "assistant",
        "model": text_of(body.get("model")),
        "content": content,
        **ending_of(body, called=any(block["type"] == "tool_use" for block in content)),
        "stop_sequence": None,
        "usage": parse_openai_usage(body.get("usage")),
    }


def ending_of(response: Json, *, called: bool) -> Json:
    """Stop reason, and the words of a refusal."""
    refusal = "".join(_refusals(response.get("output")))
    reason = object_of(response.get("incomplete_details")).get("reason")
    if refusal or reason == "content_filter":
        return {"stop_reason": "refusal", "stop_details": refusal_details(refusal or None)}
    if response.get("status") == "incomplete":
        return {"stop_reason": "max_tokens"}
    return {"stop_reason": "tool_use" if called else "end_turn"}


def _refusals(output: Any) -> list[str]:
    items = [item for item in objects_of(output) if item.get("type") == "message"]
    parts = [part for item in items for part in objects_of(item.get("content"))]
    return [str(part.get("refusal")) for part in parts if part.get("type") == "refusal" and part.get("refusal")]


def parse_item(item: Json) -> list[Json]:
    """An item of the output as blocks. What OpenAI ran itself (searches, code) has no block of its own."""
    kind = item.get("type")
    if kind == "message":
        texts = [text_of(part.get("text")) for part in objects_of(item.get("content"))]
        return [text_block(text) for text in texts if text]
    if kind == "reasoning":
        return parse_reasoning(item)
    if kind == "function_call":
        return [_tool_use(item, parse_arguments(item.get("arguments")))]
    if kind == "custom_tool_call":
        return [_tool_use(item, {"input": text_of(item.get("input"))})]
    return []


def _tool_use(item: Json, arguments: Json) -> Json:
    call_id = text_of(item.get("call_id")) or text_of(item.get("id"))
    return {"type": "tool_use", "id": call_id, "name": text_of(item.get("name")), "input": arguments}


def render_answer(
    message: Json, *, asked_model: str, request: Mapping[str, Any], now: Callable[[], float] = time.time
) -> Json:
    suffix, names = suffix_of(message.get("id")), tool_names(request)
    items = [render_item(block, f"{suffix}_{place}", names) for place, block in enumerate(message.get("content") or ())]
    output = [item for item in items if item]
    if refusal := refusal_of(message):
        output.append(message_item(f"{suffix}_{len(items)}", refusal_part(refusal)))
    model = message.get("model") or asked_model
    return close_response(new_response(suffix, model, request, now), output, message.get("stop_reason"), message.get("usage"))


def new_response(suffix: str, model: str, request: Mapping[str, Any], now: Callable[[], float]) -> Json:
    """A response as it begins. It repeats what was asked, as OpenAI's own does."""
    echoed = {name: request.get(name) if request.get(name) is not None else default for name, default in ECHOED.items()}
    return {
        "id": f"resp_{suffix}",
        "object": "response",
        "created_at": int(now()),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
        **echoed,
    }


def close_response(response: Json, output: list[Json], stop_reason: Any, usage: Any) -> Json:
    reason = INCOMPLETE.get(str(stop_reason))
    return {
        **response,
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": render_openai_usage(usage, prompt="input_tokens", completion="output_tokens"),
    }


def fail_response(response: Json, kind: str, message: str) -> Json:
    """Codes as Codex reads them: what it may try again, and what it must not."""
    code = {"overloaded_error": "server_is_overloaded", "billing_error": "insufficient_quota"}.get(kind)
    code = code or error_object(kind, message)["code"]
    if code is None:
        code = "invalid_prompt" if kind == "invalid_request_error" else "server_error"
    return {**response, "status": "failed", "error": {"code": code, "message": message}}


def refusal_of(message: Json) -> str | None:
    if message.get("stop_reason") != "refusal":
        return None
    explanation = (message.get("stop_details") or {}).get("explanation")
    return explanation if isinstance(explanation, str) and explanation else None


def render_item(block: Json, suffix: str, names: ToolNames, *, status: str = "completed") -> Json | None:
    """A block as an item of the output; None for what only Anthropic's servers ran."""
    kind = block["type"]
    if kind == "text":
        return message_item(suffix, text_part(block["text"], annotations_of(block)))
    if kind in ("thinking", "redacted_thinking"):
        return _reasoning_item(block, suffix)
    if kind == "tool_use":
        return _call_item(block, suffix, names, status)
    return None


def message_item(suffix: str, *parts: Json, status: str = "completed") -> Json:
    return {"id": f"msg_{suffix}", "type": "message", "role": "assistant", "status": status, "content": list(parts)}


def text_part(text: str, annotations: Sequence[Json] = ()) -> Json:
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}


def annotations_of(block: Json) -> list[Json]:
    """The pages that a text rests on."""
    return [{"type": "url_citation", **place} for place in url_citations(block)]


def refusal_part(text: str) -> Json:
    return {"type": "refusal", "refusal": text}


def _reasoning_item(block: Json, suffix: str) -> Json:
    """Thinking to be read, and sealed for its way back: clients return `encrypted_content` as they got it."""
    item: Json = {"id": f"rs_{suffix}", "type": "reasoning", "summary": []}
    if block["type"] == "redacted_thinking":
        return {**item, "encrypted_content": REDACTED + str(block.get("data") or "")}
    if block.get("thinking"):
        item["summary"] = [{"type": "summary_text", "text": block["thinking"]}]
    if block.get("signature"):
        item["encrypted_content"] = THINKING + block["signature"]
    return item


def _call_item(block: Json, suffix: str, names: ToolNames, status: str) -> Json:
    space, name = names.namespaces.get(block["name"], (None, block["name"]))
    common = {"call_id": block["id"], "name": name, "status": status, **({"namespace": space} if space else {})}
    if block["name"] in names.customs:
        return {"id": f"ctc_{suffix}", "type": "custom_tool_call", **common, "input": custom_input(block["input"])}
    arguments = render_arguments(block["input"]) if status == "completed" else ""
    return {"id": f"fc_{suffix}", "type": "function_call", **common, "arguments": arguments}
