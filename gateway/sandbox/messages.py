"""A message as it is answered: the whole document, and the same as a stream of events (shapes of 2026-11-20)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.sandbox.answers import Answer
from gateway.sandbox.faults import Fault
from gateway.sandbox.identifiers import message_id
from gateway.sandbox.models import Model
from gateway.sandbox.prompt_cache import CacheUse
from gateway.sandbox.sse import dump
from gateway.sandbox.web_search import SEARCHED_TOKENS

Event = dict[str, Any]
WORDS = re.compile(r"(?:\S{1,40}\s*){1,3}|\s+")
JSON_PIECE_CHARACTERS = 24
STAMP = "@@monotonic-ns@@"


def document(answer: Answer, model: Model, cache: CacheUse, body: Mapping[str, Any]) -> dict[str, Any]:
    """The unstreamed answer."""
    message: dict[str, Any] = {
        "id": message_id(),
        "type": "message",
        "role": "assistant",
        "model": model.answered_name,
        "content": [_answered(block) for block in answer.content],
        "stop_reason": answer.stop_reason,
        "stop_sequence": answer.stop_sequence,
        "stop_details": answer.stop_details,
        "usage": _usage(answer, cache, body),
    }
    if body.get("context_management"):
        message["context_management"] = {"applied_edits": []}
    return message


def _answered(block: Mapping[str, Any]) -> dict[str, Any]:
    return {**block, "caller": {"type": "direct"}} if block["type"] == "tool_use" else dict(block)


def _usage(answer: Answer, cache: CacheUse, body: Mapping[str, Any]) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": cache.uncached + answer.searches * SEARCHED_TOKENS,
        "cache_creation_input_tokens": cache.write_5m + cache.write_1h,
        "cache_read_input_tokens": cache.read,
        "cache_creation": {"ephemeral_5m_input_tokens": cache.write_5m, "ephemeral_1h_input_tokens": cache.write_1h},
        "output_tokens": answer.output_tokens,
        "service_tier": "standard",
    }
    if answer.thinking_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": answer.thinking_tokens}
    if answer.searches:
        usage["server_tool_use"] = {"web_search_requests": answer.searches, "web_fetch_requests": 0}
    if body.get("speed"):
        usage["speed"] = body["speed"]
    return usage


def events(message: Mapping[str, Any], cache: CacheUse, fault: Fault) -> Iterator[Event]:
    """The streamed answer. Where there was thought, usage comes in two `message_delta`s, each cumulative."""
    yield {"type": "message_start", "message": _beginning(message, cache)}
    for index, block in enumerate(message["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _opened(block)}
        if index == 0:
            yield {"type": "ping"}
        for delta in _deltas(block, fault):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    usage = {name: message["usage"][name] for name in message["usage"] if name not in ("cache_creation", "service_tier", "speed")}
    if thought := usage.get("output_tokens_details"):
        partial = {"output_tokens": thought["thinking_tokens"], "output_tokens_details": thought}
        yield {"type": "message_delta", "delta": {"stop_reason": None, "stop_sequence": None}, "usage": partial}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    if message["stop_details"]:
        end["stop_details"] = message["stop_details"]
    edits = {name: message[name] for name in ("context_management",) if name in message}
    yield {"type": "message_delta", "delta": end, "usage": usage, **edits}
    yield {"type": "message_stop"}


def _beginning(message: Mapping[str, Any], cache: CacheUse) -> dict[str, Any]:
    usage = {
        "input_tokens": cache.uncached,
        **{name: message["usage"][name] for name in message["usage"] if name.startswith("cache_")},
        "output_tokens": 1,
        "service_tier": "standard",
    }
    beginning = {name: value for name, value in message.items() if name != "context_management"}
    return {**beginning, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None, "usage": usage}


def _opened(block: Mapping[str, Any]) -> dict[str, Any]:
    match block["type"]:
        case "text":
            return {"type": "text", "text": "", **({"citations": []} if block.get("citations") else {})}
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_use" | "server_tool_use":
            return {**block, "input": {}}
    return dict(block)


def _deltas(block: Mapping[str, Any], fault: Fault) -> Iterator[dict[str, Any]]:
    match block["type"]:
        case "text":
            for citation in block.get("citations") or []:
                yield {"type": "citations_delta", "citation": citation}
            for piece in pieces(block["text"], fault):
                yield {"type": "text_delta", "text": piece}
        case "thinking":
            for piece in WORDS.findall(block["thinking"]):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "tool_use" | "server_tool_use":
            yield {"type": "input_json_delta", "partial_json": ""}
            text = dump(block["input"])
            for i in range(0, len(text), JSON_PIECE_CHARACTERS):
                yield {"type": "input_json_delta", "partial_json": text[i : i + JSON_PIECE_CHARACTERS]}


def pieces(text: str, fault: Fault) -> list[str]:
    """A text as it is streamed."""
    if fault.stamps:
        return [f"{STAMP} "] * (fault.events or 1)
    if fault.huge_mib:
        return [text]
    if fault.events:
        return re.findall(r"\S+\s*", text)[: fault.events]
    return WORDS.findall(text)
