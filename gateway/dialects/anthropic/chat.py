"""Anthropic Messages as one half of every crossing: the canonical form itself, checked, fitted to its model, and framed.

Source: Anthropic Messages and streaming reference, API version 2023-06-01, 2026-11-20.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import InvalidRequest, StreamBroken, UpstreamFailed
from gateway.canonical.translation import Chat, Json, StreamParser, StreamRenderer
from gateway.dialects.anthropic.door import WIRE
from gateway.dialects.anthropic.fit import fit_chat
from gateway.dialects.crossing import decode_event, foreign_extras, parse_items, parse_list, parse_object, parse_text
from gateway.dialects.foreign_seals import render_without_seals, sees_thinking, without_seals
from gateway.dialects.sse import SseEvent, SseReader, render_event

__all__ = ["WIRE", "parse_answer", "parse_chat", "parse_stream", "render_answer", "render_chat", "render_count", "render_stream"]

HOLDS = {"message_start": "message", "content_block_start": "content_block", "content_block_delta": "delta",
         "message_delta": "delta", "error": "error"}  # fmt: skip
OBJECTS = ("tool_choice", "thinking", "output_config", "metadata")
ROLES = ("user", "assistant", "system")
# All that counting takes; the rest of a request is refused there (token counting reference, 2026-11-20).
COUNTED = (
    "cache_control", "context_management", "mcp_servers", "messages", "model", "output_config", "system", "thinking",
    "tool_choice", "tools",
)  # fmt: skip


def parse_chat(body: Json) -> Chat:
    """The body without `model` and `stream`; what its messages must be made of to be carried anywhere is checked."""
    messages = parse_list(body.get("messages"), "messages", 'add "messages": [{"role": "user", "content": "…"}]')
    for place, message in enumerate(messages):
        _check_message(message, f"messages.{place}")
    if "system" in body:
        _check_content(body["system"], "system")
    for place, tool in enumerate(parse_items(body.get("tools"), "tools")):
        parse_text(tool.get("name"), f"tools.{place}.name", "name the tool")
    for name in OBJECTS:
        if body.get(name) is not None:
            parse_object(body[name], name, "see the Messages reference, or leave it out")
    _check_choice(body.get("tool_choice"))
    return Chat({name: value for name, value in body.items() if name not in ("model", "stream")})


def _check_choice(choice: Any) -> None:
    if not choice:
        return
    if choice.get("type") not in ("auto", "any", "tool", "none"):
        raise InvalidRequest('tool_choice.type: must be "auto", "any", "tool" or "none"')
    if choice["type"] == "tool":
        parse_text(choice.get("name"), "tool_choice.name", "the name of a tool in tools")


def _check_message(message: Any, at: str) -> None:
    role = parse_object(message, at, "a message has a role and a content").get("role")
    if role not in ROLES:
        raise InvalidRequest(f'{at}.role: must be "user" or "assistant", or "system" where the model takes it')
    _check_content(message.get("content"), f"{at}.content")


def _check_content(content: Any, at: str) -> None:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise InvalidRequest(f"{at}: must be a string or a list of content blocks")
    for place, block in enumerate(content):
        _check_block(parse_object(block, f"{at}.{place}", "a content block has a type"), f"{at}.{place}")


def _check_block(block: Json, at: str) -> None:
    kind = parse_text(block.get("type"), f"{at}.type", 'such as "text"')
    if kind == "text":
        parse_text(block.get("text"), f"{at}.text", "what the block says")
    elif kind == "tool_use":
        parse_text(block.get("id"), f"{at}.id", "the id that its tool_result will name")
        parse_text(block.get("name"), f"{at}.name", "the tool's name")
        parse_object(block.get("input"), f"{at}.input", "{} where the tool takes nothing")
    elif kind == "tool_result":
        parse_text(block.get("tool_use_id"), f"{at}.tool_use_id", "the id of the tool_use that it answers")
        if block.get("content") is not None:
            _check_content(block["content"], f"{at}.content")
    elif kind == "thinking":
        parse_text(block.get("thinking"), f"{at}.thinking", "as the model gave it")
        parse_text(block.get("signature", ""), f"{at}.signature", "as the model gave it")
    elif kind in ("image", "document"):
        source = parse_object(block.get("source"), f"{at}.source", 'such as {"type": "base64", …}')
        parse_text(source.get("type"), f"{at}.source.type", '"base64", "url", "file" or "text"')


def render_chat(chat: Chat, model: ModelTraits, *, stream: bool) -> tuple[Json, list[str]]:
    """With `model` as the catalog has it: whoever sends the body puts the provider's own name for it, or takes it out."""
    body, lost = fit_chat(chat.body, model)
    body = {"model": model.id, **body, **chat.extras.get(WIRE, {})}
    if stream:
        body["stream"] = True
    return body, [*chat.dropped, *foreign_extras(chat, WIRE), *lost]


def render_count(chat: Chat, model: ModelTraits) -> tuple[Json, list[str]]:
    body, lost = render_chat(chat, model, stream=False)
    return {name: body[name] for name in COUNTED if name in body}, lost


def parse_answer(body: Json) -> Json:
    if not isinstance(body, dict) or body.get("type") != "message" or not isinstance(body.get("content"), list):
        raise UpstreamFailed("the provider's answer is not a message of Anthropic's format; try again")
    try:
        _check_content(body["content"], "content")
        parse_object(body.get("usage") or {}, "usage", "figures")
        parse_object(body.get("stop_details") or {}, "stop_details", "words")
    except InvalidRequest as wrong:
        raise UpstreamFailed(f"the provider's answer is no message of Anthropic's ({wrong.message}); try again") from wrong
    return body


def render_answer(message: Json, *, asked_model: str, request: Mapping[str, Any]) -> Json:
    answer = {"id": "", "type": "message", "role": "assistant", "model": asked_model, "content": [], "stop_reason": None,
              "stop_sequence": None, **message}  # fmt: skip
    content = answer["content"] if sees_thinking(request) else without_seals(answer["content"])
    answer["content"] = [{"signature": "", **block} if block["type"] == "thinking" else block for block in content]
    answer["usage"] = {"input_tokens": 0, "output_tokens": 0, **(message.get("usage") or {})}
    return answer


class _Parser:
    """SSE framing taken off; the events are canonical already."""

    def __init__(self) -> None:
        self._reader = SseReader()
        self._over = False

    def feed(self, chunk: bytes) -> list[Json]:
        return self._events(self._reader.feed(chunk))

    def end(self) -> list[Json]:
        events = self._events(self._reader.end())
        if not self._over:
            raise StreamBroken("the provider's stream ended before its message_stop")
        return events

    def _events(self, records: list[SseEvent]) -> list[Json]:
        events = [decode_event(record.data) for record in records if not self._over]
        self._over = self._over or any(isinstance(e, dict) and e.get("type") in ("message_stop", "error") for e in events)
        return [event for event in events if isinstance(event, dict) and _is_event(event)]


def _is_event(event: Json) -> bool:
    """Events without what makes them one are passed over, as unknown ones are by every reader."""
    kind = event.get("type")
    if not isinstance(kind, str):
        return False
    needed = HOLDS.get(kind)
    return needed is None or isinstance(event.get(needed), dict)


class _Renderer:
    """Every event under its own name: Anthropic's SDKs skip records without an `event:` line."""

    def __init__(self, asked_model: str) -> None:
        self._asked_model = asked_model

    def render(self, event: Json) -> bytes:
        if event["type"] == "message_start":
            message = render_answer(event["message"], asked_model=self._asked_model, request={})
            event = {**event, "message": message}
        return render_event(msgspec.json.encode(event), event["type"])


def parse_stream() -> StreamParser:
    return _Parser()


def render_stream(*, asked_model: str, request: Mapping[str, Any]) -> StreamRenderer:
    return render_without_seals(_Renderer(asked_model), request)
