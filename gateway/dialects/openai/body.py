"""A canonical chat as a Chat Completions request, for OpenAI and the many servers that speak as it does.

Source: OpenAI chat reference as in openai-python 3.52.0, and Anthropic Messages reference, 2026-11-20.
"""

from typing import Any

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.translation import Chat, Json
from gateway.dialects.crossing import blocks_of, fit_tool_id, foreign_extras, render_arguments, text_block
from gateway.dialects.openai.media import render_document, render_image_url, render_words
from gateway.dialects.openai.options import (
    TOOL_ID,
    drop_attribution,
    note,
    render_common,
    render_effort,
    render_function,
    render_json_schema,
)

EXTRAS = "openai"
COUNTED = ("messages", "model", "response_format", "tool_choice", "tools")
SAID = frozenset({
    "max_tokens", "messages", "metadata", "output_config", "service_tier", "stop_sequences", "system", "temperature",
    "thinking", "tool_choice", "tools", "top_p",
})  # fmt: skip
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
IMAGE_BELOW = "The result is the image in the next message."


def render_chat(chat: Chat, model: ModelTraits, *, stream: bool) -> tuple[Json, list[str]]:
    """With `model` as the catalog has it: whoever sends the body puts the provider's own name for it. Usage is asked for in
    every stream, so that its cost is known; a client that did not ask is not shown it."""
    body, lost = chat.body, [name for name in chat.body if name not in SAID]
    out: Json = {"model": model.id, "messages": _render_messages(body, lost)}
    if body.get("max_tokens") is not None:
        out["max_completion_tokens" if model.vendor == "openai" else "max_tokens"] = body["max_tokens"]
    if body.get("stop_sequences"):
        out["stop"] = body["stop_sequences"]
    _put_tools(body, out, lost)
    if effort := render_effort(body, model.capabilities, lost):
        out["reasoning_effort"] = effort
    if schema := render_json_schema(body):
        out["response_format"] = {"type": "json_schema", "json_schema": schema}
    render_common(body, out, model.capabilities, lost)
    extras = chat.extras.get(EXTRAS, {})
    if "reasoning_effort" in extras:
        out["reasoning_effort"] = extras["reasoning_effort"]
    out = {**extras, **out}
    if stream:
        out |= {"stream": True, "stream_options": {"include_usage": True}}
    return out, [*chat.dropped, *foreign_extras(chat, EXTRAS), *lost]


def render_count(chat: Chat, model: ModelTraits) -> tuple[Json, list[str]]:
    """What a prompt is made of; the format has no path of its own for counting."""
    body, lost = render_chat(chat, model, stream=False)
    return {name: body[name] for name in COUNTED if name in body}, lost


def _put_tools(body: Json, out: Json, lost: list[str]) -> None:
    functions = [render_function(tool, f"tools.{place}", lost) for place, tool in enumerate(body.get("tools") or ())]
    tools = [{"type": "function", "function": function} for function in functions if function]
    choice = body.get("tool_choice")
    if not tools:
        return
    out["tools"] = tools
    if choice:
        named = {"type": "function", "function": {"name": choice.get("name")}}
        out["tool_choice"] = named if choice["type"] == "tool" else CHOICES.get(choice["type"], "auto")


def _render_messages(body: Json, lost: list[str]) -> list[Json]:
    messages: list[Json] = []
    system = drop_attribution(blocks_of(body.get("system")))
    if system:
        messages.append({"role": "system", "content": _render_texts(system, "system", lost)})
    for place, message in enumerate(body.get("messages", ())):
        at = f"messages.{place}.content"
        blocks = blocks_of(message["content"])
        if message["role"] == "user":
            messages += _render_user(blocks, at, lost)
        elif message["role"] == "assistant":
            messages += _render_assistant(blocks, at, lost)
        else:
            messages.append({"role": "system", "content": _render_texts(blocks, at, lost)})
    return messages


def _render_texts(blocks: list[Json], at: str, lost: list[str]) -> Any:
    parts = []
    for place, block in enumerate(blocks):
        if block["type"] == "text":
            _note_caching(block, lost)
            parts.append(text_block(block["text"]))
        else:
            lost.append(f"{at}.{place}")
    return _join(parts)


def _join(parts: list[Json]) -> Any:
    """One text goes as a plain string, which every server takes."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts or ""


def _note_caching(block: Json, lost: list[str]) -> None:
    if block.get("cache_control"):
        note(lost, "cache_control")


def _render_user(blocks: list[Json], at: str, lost: list[str]) -> list[Json]:
    """Results of tools first, each a message of its own, then the rest. Pictures in results, which a tool's message
    cannot hold, open the rest."""
    results: list[Json] = []
    parts: list[Json] = []
    for place, block in enumerate(blocks):
        _note_caching(block, lost)
        if block["type"] == "tool_result":
            results.append(_render_result(block, f"{at}.{place}", parts, lost))
        elif part := _render_part(block):
            parts.append(part)
        else:
            lost.append(f"{at}.{place}")
    return [*results, *([{"role": "user", "content": _join(parts)}] if parts else [])]


def _render_part(block: Json) -> Json | None:
    kind = block["type"]
    if kind == "text":
        return text_block(block["text"])
    if kind == "image":
        url = render_image_url(block)
        return {"type": "image_url", "image_url": {"url": url}} if url else None
    if kind == "document":
        how, said = render_document(block)
        if how == "file":
            return {"type": "file", "file": {"filename": block.get("title") or "document.pdf", "file_data": said}}
        return text_block(said) if how == "text" else None
    words = render_words(block)
    return None if words is None else text_block(words)


def _render_result(block: Json, at: str, pictures: list[Json], lost: list[str]) -> Json:
    texts: list[str] = []
    shown = len(pictures)
    for place, inner in enumerate(blocks_of(block.get("content"))):
        part = _render_part(inner)
        if part is None:
            lost.append(f"{at}.content.{place}")
        elif part["type"] == "text":
            texts.append(part["text"])
        else:
            pictures.append(part)
    if not texts and len(pictures) > shown:
        texts = [IMAGE_BELOW]
    text = "\n".join(texts)
    return {
        "role": "tool",
        "tool_call_id": _tool_id(block["tool_use_id"]),
        "content": f"Error: {text}" if block.get("is_error") else text,
    }


def _tool_id(tool_use_id: Any) -> str:
    return fit_tool_id(tool_use_id, allowed=TOOL_ID, prefix="call_")


def _render_assistant(blocks: list[Json], at: str, lost: list[str]) -> list[Json]:
    """Thinking stays behind: these servers keep their own, and refuse members that they do not know."""
    parts: list[Json] = []
    calls: list[Json] = []
    for place, block in enumerate(blocks):
        kind = block["type"]
        _note_caching(block, lost)
        if kind == "text":
            parts.append(text_block(block["text"]))
        elif kind == "tool_use":
            function = {"name": block["name"], "arguments": render_arguments(block["input"])}
            calls.append({"id": _tool_id(block["id"]), "type": "function", "function": function})
        elif kind in ("thinking", "redacted_thinking"):
            note(lost, "messages.thinking")
        else:
            lost.append(f"{at}.{place}")
    if not parts and not calls:
        return []
    return [{"role": "assistant", "content": _join(parts) if parts else None, **({"tool_calls": calls} if calls else {})}]
