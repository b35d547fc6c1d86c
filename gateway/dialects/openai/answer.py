"""A plain Chat Completions answer, both ways, and what its stream shares with it.

`reasoning_content` and `thinking_blocks` are no part of OpenAI's own format, but what most servers and clients beside it
agree on: the thinking as text, and whole with its signatures for those that send it back.
Source: OpenAI chat reference as in openai-python 3.52.0, and Anthropic Messages reference, 2026-11-20.
"""

import time
from collections.abc import Callable, Mapping
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
from gateway.dialects.openai.options import custom_input, url_citations
from gateway.dialects.openai.usage import parse_openai_usage, render_openai_usage

FINISH_OF_STOP = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "compaction": "stop", "max_tokens": "length",
    "model_context_window_exceeded": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}  # fmt: skip
STOP_OF_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use",
                  "content_filter": "refusal"}  # fmt: skip


def stop_reason_of(finish: Any, *, called: bool, refused: bool) -> str:
    """Some servers say "stop" after tool calls: what was called counts."""
    if refused:
        return "refusal"
    stop = STOP_OF_FINISH.get(str(finish), "end_turn")
    return "tool_use" if called and stop == "end_turn" else stop


def refusal_details(explanation: str | None) -> Json:
    return {"type": "refusal", "category": None, "explanation": explanation}


def parse_answer(body: Json) -> Json:
    """UpstreamFailed if it is no chat completion."""
    choices = body.get("choices") if isinstance(body, dict) else None
    message = choices[0].get("message") if isinstance(choices, list) and choices and isinstance(choices[0], dict) else None
    if not isinstance(message, dict):
        raise UpstreamFailed("the provider's answer holds no choice with a message; try again")
    content = [*thinking_of(message), *_texts_of(message), *_calls_of(message)]
    refusal = text_of(message.get("refusal")) or None
    called = any(block["type"] == "tool_use" for block in content)
    answer = {
        "id": f"msg_{suffix_of(body.get('id'))}",
        "type": "message",
        "role": "assistant",
        "model": text_of(body.get("model")),
        "content": content,
        "stop_reason": stop_reason_of(choices[0].get("finish_reason"), called=called, refused=bool(refusal)),  # type: ignore[index]
        "stop_sequence": None,
        "usage": parse_openai_usage(body.get("usage")),
    }
    if answer["stop_reason"] == "refusal":
        answer["stop_details"] = refusal_details(refusal)
    return answer


def thinking_of(message: Json) -> list[Json]:
    """Whole with its signature where it was kept so, or as text alone."""
    kept = [block for block in objects_of(message.get("thinking_blocks")) if _is_thinking(block)]
    if kept:
        return kept
    text = message.get("reasoning_content") or message.get("reasoning")
    return [{"type": "thinking", "thinking": text, "signature": ""}] if isinstance(text, str) and text else []


def _is_thinking(block: Json) -> bool:
    if block.get("type") == "redacted_thinking":
        return isinstance(block.get("data"), str)
    whole = isinstance(block.get("thinking"), str) and isinstance(block.get("signature", ""), str)
    return block.get("type") == "thinking" and whole


def _texts_of(message: Json) -> list[Json]:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(text_of(part.get("text")) for part in objects_of(content))
    return [text_block(content)] if isinstance(content, str) and content else []


def _calls_of(message: Json) -> list[Json]:
    blocks = []
    for place, call in enumerate(objects_of(message.get("tool_calls"))):
        custom = call.get("custom")
        said = object_of(custom or call.get("function"))
        arguments = {"input": text_of(said.get("input"))} if custom else parse_arguments(said.get("arguments"))
        call_id = text_of(call.get("id")) or f"call_{place}"
        blocks.append({"type": "tool_use", "id": call_id, "name": text_of(said.get("name")), "input": arguments})
    return blocks


def render_answer(
    message: Json, *, asked_model: str, request: Mapping[str, Any], now: Callable[[], float] = time.time
) -> Json:
    content = message.get("content") or []
    texts = [block for block in content if block["type"] == "text"]
    customs = custom_tools(request)
    said: Json = {"role": "assistant", "content": None, "refusal": None}
    calls = [render_call(block, customs) for block in content if block["type"] == "tool_use"]
    if texts or not calls:
        said["content"] = "".join(block["text"] for block in texts)
    if calls:
        said["tool_calls"] = calls
    if annotations := _annotations(texts):
        said["annotations"] = annotations
    said |= _render_thinking(content)
    stop = message.get("stop_reason") or "end_turn"
    if stop == "refusal":
        said["refusal"] = (message.get("stop_details") or {}).get("explanation")
    return {
        "id": completion_id(message),
        "object": "chat.completion",
        "created": int(now()),
        "model": message.get("model") or asked_model,
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": FINISH_OF_STOP.get(stop, "stop")}],
        "usage": render_usage(message.get("usage")),
    }


def completion_id(message: Json) -> str:
    return f"chatcmpl-{suffix_of(message.get('id'))}"


def render_usage(usage: Any) -> Json:
    return render_openai_usage(usage, prompt="prompt_tokens", completion="completion_tokens")


def custom_tools(request: Mapping[str, Any]) -> frozenset[str]:
    """Names of the caller's tools that take free text."""
    named = (object_of(tool.get("custom")) for tool in objects_of(request.get("tools")) if tool.get("type") == "custom")
    return frozenset(text_of(tool.get("name")) for tool in named)


def render_call(block: Json, customs: frozenset[str]) -> Json:
    if block["name"] in customs:
        custom = {"name": block["name"], "input": custom_input(block["input"])}
        return {"id": block["id"], "type": "custom", "custom": custom}
    function = {"name": block["name"], "arguments": render_arguments(block["input"])}
    return {"id": block["id"], "type": "function", "function": function}


def _render_thinking(content: list[Json]) -> Json:
    blocks = [block for block in content if block["type"] in ("thinking", "redacted_thinking")]
    text = "".join(block.get("thinking", "") for block in blocks)
    signed = any(block.get("signature") or block.get("data") for block in blocks)
    return {**({"reasoning_content": text} if text else {}), **({"thinking_blocks": blocks} if signed else {})}


def _annotations(texts: list[Json]) -> list[Json]:
    """Where a text names pages that it rests on."""
    found: list[Json] = []
    start = 0
    for block in texts:
        found += annotations_of(block, start)
        start += len(block["text"])
    return found


def annotations_of(block: Json, start: int) -> list[Json]:
    """Of one text, which begins `start` characters into what was said."""
    return [{"type": "url_citation", "url_citation": place} for place in url_citations(block, start)]
