"""A history that one model or account wrote, made fit for another: its signed thinking is refused there.

Thinking blocks are bound to model, conversation and account (Anthropic model pages for the 5.5 generation, 2026-11-20), so
they are taken out, and named. Every other byte stays as it was sent.
"""

import re

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.canonical.json_object import JsonObject

THINKING = "messages.thinking"
TOOL_ID = "messages.tool_id"
_items = msgspec.json.Decoder(list[msgspec.Raw])
_NOT_ITS_OWN = re.compile(r"signature|final block", re.IGNORECASE)
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_OF_ID = re.compile(r"[^a-zA-Z0-9_-]")


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"")


class _Block(msgspec.Struct):
    type: str = ""
    id: str | None = None
    tool_use_id: str | None = None


def refuses_history(error: GatewayError) -> bool:
    """A target says that thinking in the history is none of its own (Messages API, 400 "Invalid `signature` in `thinking`
    block", and "The final block in an assistant message cannot be `thinking`", 2026-11-20)."""
    return error.status == 400 and "thinking" in error.message and _NOT_ITS_OWN.search(error.message) is not None


def hand_off(document: JsonObject) -> tuple[JsonObject, tuple[str, ...]]:
    """The request for another model or account, and what was lost. The same object if nothing had to go."""
    raw = document.raw("messages") if "messages" in document else b""
    if b"thinking" not in raw and b"tool_" not in raw:
        return document, ()
    try:
        messages = _items.decode(raw)
        fitted = [_fit_message(bytes(message)) for message in messages]
    except (msgspec.MsgspecError, RecursionError):
        return document, ()  # the target will say what is wrong with it
    lost = tuple(dict.fromkeys(name for _, names in fitted for name in names))
    if not lost:
        return document, ()
    put = {"messages": b"[" + b",".join(message for message, _ in fitted if message) + b"]"}
    drop = ("thinking",) if THINKING in lost and _forbids_thinking(document, messages) else ()
    return JsonObject(document.edited(drop=drop, put=put)), (*lost, *drop)


def _fit_message(raw: bytes) -> tuple[bytes, list[str]]:
    """The message without thinking; nothing, if it was nothing else."""
    message = msgspec.json.decode(raw, type=_Message)
    content = bytes(message.content)
    if not content.startswith(b"["):
        return raw, []
    lost: list[str] = []
    kept = [fitted for block in _items.decode(content) if (fitted := _fit_block(bytes(block), lost))]
    if not lost:
        return raw, []
    return (JsonObject(raw).edited(drop=(), put={"content": b"[" + b",".join(kept) + b"]"}) if kept else b""), lost


def _fit_block(raw: bytes, lost: list[str]) -> bytes:
    block = msgspec.json.decode(raw, type=_Block)
    if block.type in ("thinking", "redacted_thinking"):
        lost.append(THINKING)
        return b""
    name, value = ("id", block.id) if block.type == "tool_use" else ("tool_use_id", block.tool_use_id)
    if value is None or _ID.fullmatch(value):
        return raw
    lost.append(TOOL_ID)
    return JsonObject(raw).edited(drop=(), put={name: msgspec.json.encode(_NOT_OF_ID.sub("_", value))})


def _forbids_thinking(document: JsonObject, messages: list[msgspec.Raw]) -> bool:
    """With a budget for thinking, a tool's result must follow a call that came with thinking: there is none any more."""
    thinking = document.value("thinking")
    by_budget = isinstance(thinking, dict) and thinking.get("type") == "enabled"
    return by_budget and bool(messages) and b"tool_result" in bytes(messages[-1])
