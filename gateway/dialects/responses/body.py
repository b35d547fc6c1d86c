"""A canonical chat as an OpenAI Responses request that needs nothing kept: `store` is false, thinking travels sealed.

Source: OpenAI responses reference as in openai-python 3.52.0, 2026-11-20.
"""

import re
from typing import Any

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.translation import Chat, Json
from gateway.dialects.crossing import blocks_of, copy_known, fit_tool_id, foreign_extras, render_arguments
from gateway.dialects.openai.media import render_document, render_image_url, render_words
from gateway.dialects.openai.options import (
    drop_attribution,
    note,
    render_common,
    render_effort,
    render_function,
    render_json_schema,
)
from gateway.dialects.responses.request import EXTRAS, OPENAI, SHARED, SHARED_NAMES

SAID = frozenset({
    "max_tokens", "messages", "metadata", "output_config", "service_tier", "system", "temperature", "thinking",
    "tool_choice", "tools", "top_p",
})  # fmt: skip
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
# All that `/v1/responses/input_tokens` takes (openai-python 3.52.0).
COUNTED = ("input", "model", "parallel_tool_calls", "reasoning", "text", "tool_choice", "tools", "truncation")
CALL_ID = re.compile(r".{1,64}", re.DOTALL)


def render_chat(chat: Chat, model: ModelTraits, *, stream: bool) -> tuple[Json, list[str]]:
    body, lost = chat.body, [name for name in chat.body if name not in SAID]
    shared = chat.extras.get(SHARED, {})
    out: Json = {"model": model.id, "input": _render_input(body, lost), "store": False,
                 "include": ["reasoning.encrypted_content"]}  # fmt: skip
    if body.get("max_tokens") is not None:
        out["max_output_tokens"] = body["max_tokens"]
    _put_tools(body, out, lost)
    _put_reasoning(body, out, render_effort(body, model.capabilities, lost))
    text = {"format": {"type": "json_schema", **schema}} if (schema := render_json_schema(body)) else {}
    text |= {"verbosity": shared["verbosity"]} if "verbosity" in shared else {}
    if text:
        out["text"] = text
    render_common(body, out, model.capabilities, lost)
    copy_known(shared, out, (*SHARED_NAMES, "service_tier"))
    lost += [name for name in shared if name not in (*SHARED_NAMES, "service_tier", "verbosity", "reasoning_effort")]
    if stream:
        out["stream"] = True
    return {**chat.extras.get(EXTRAS, {}), **out}, [*chat.dropped, *foreign_extras(chat, EXTRAS, SHARED), *lost]


def render_count(chat: Chat, model: ModelTraits) -> tuple[Json, list[str]]:
    body, lost = render_chat(chat, model, stream=False)
    return {name: body[name] for name in COUNTED if name in body}, lost


def _put_tools(body: Json, out: Json, lost: list[str]) -> None:
    functions = [render_function(tool, f"tools.{place}", lost) for place, tool in enumerate(body.get("tools") or ())]
    tools = [{"type": "function", "strict": False, **function} for function in functions if function]
    choice = body.get("tool_choice")
    if not tools:
        return
    out["tools"] = tools
    if choice:
        named = {"type": "function", "name": choice.get("name")}
        out["tool_choice"] = named if choice["type"] == "tool" else CHOICES.get(choice["type"], "auto")


def _put_reasoning(body: Json, out: Json, effort: str | None) -> None:
    reasoning: Json = {"effort": effort} if effort else {}
    if (body.get("thinking") or {}).get("display") == "summarized":
        reasoning["summary"] = "auto"
    if reasoning:
        out["reasoning"] = reasoning


def _render_input(body: Json, lost: list[str]) -> list[Json]:
    items: list[Json] = []
    system = drop_attribution(blocks_of(body.get("system")))
    if system:
        items.append({"type": "message", "role": "developer", "content": _render_parts(system, "system", lost)})
    for place, message in enumerate(body.get("messages", ())):
        at = f"messages.{place}.content"
        blocks = blocks_of(message["content"])
        if message["role"] == "assistant":
            items += _render_assistant(blocks, at, lost)
            continue
        role = "user" if message["role"] == "user" else "developer"
        results = [block for block in blocks if block["type"] == "tool_result"]
        items += [_render_result(block, at, lost) for block in results]
        parts = _render_parts([block for block in blocks if block["type"] != "tool_result"], at, lost)
        if parts:
            items.append({"type": "message", "role": role, "content": parts})
    return items


def _render_parts(blocks: list[Json], at: str, lost: list[str]) -> list[Json]:
    parts = []
    for place, block in enumerate(blocks):
        if block.get("cache_control"):
            note(lost, "cache_control")
        part = _render_part(block)
        if part:
            parts.append(part)
        else:
            lost.append(f"{at}.{place}")
    return parts


def _render_part(block: Json) -> Json | None:
    kind = block["type"]
    if kind == "text":
        return _text(block["text"])
    if kind == "image":
        url = render_image_url(block)
        return {"type": "input_image", "image_url": url, "detail": "auto"} if url else None
    if kind == "document":
        how, said = render_document(block)
        if how == "file":
            return {"type": "input_file", "filename": block.get("title") or "document.pdf", "file_data": said}
        if how == "url":
            return {"type": "input_file", "file_url": said}
        return _text(said) if how == "text" else None
    words = render_words(block)
    return None if words is None else _text(words)


def _text(text: str) -> Json:
    return {"type": "input_text", "text": text}


def _call_id(tool_use_id: Any) -> str:
    return fit_tool_id(tool_use_id, allowed=CALL_ID, prefix="call_")


def _render_result(block: Json, at: str, lost: list[str]) -> Json:
    parts = _render_parts(blocks_of(block.get("content")), f"{at}.tool_result", lost)
    if block.get("is_error"):
        parts.insert(0, _text("Error:"))
    only = parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "input_text" else None
    return {"type": "function_call_output", "call_id": _call_id(block["tool_use_id"]), "output": only or parts or ""}


def _render_assistant(blocks: list[Json], at: str, lost: list[str]) -> list[Json]:
    items: list[Json] = []
    for place, block in enumerate(blocks):
        kind = block["type"]
        if block.get("cache_control"):
            note(lost, "cache_control")
        if kind == "text":
            part = {"type": "output_text", "text": block["text"], "annotations": []}
            items.append({"type": "message", "role": "assistant", "content": [part]})
        elif kind == "tool_use":
            items.append({"type": "function_call", "call_id": _call_id(block["id"]), "name": block["name"],
                          "arguments": render_arguments(block["input"])})  # fmt: skip
        elif kind == "thinking" and str(block.get("signature")).startswith(OPENAI):
            items.append(_render_reasoning(block))
        elif kind in ("thinking", "redacted_thinking"):
            note(lost, "messages.thinking")
        else:
            lost.append(f"{at}.{place}")
    return items


def _render_reasoning(block: Json) -> Json:
    """OpenAI's own thinking, as it came."""
    item_id, _, sealed = block["signature"].removeprefix(OPENAI).partition(":")
    summary = [{"type": "summary_text", "text": block["thinking"]}] if block.get("thinking") else []
    return {"type": "reasoning", "id": item_id, "summary": summary, "encrypted_content": sealed}
