"""A canonical message as the events of its stream, and the events of a stream as its message.

Source: Anthropic streaming reference, API version 2023-06-01, 2026-11-20.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from gateway.canonical.translation import Json

GROWING: dict[str, Json] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
    "mcp_tool_use": {"input": {}},
}
"""What of a block is told in deltas, as it stands when the block begins; other blocks come whole."""
ENDING = ("stop_reason", "stop_sequence", "stop_details", "container")


class NotWhole(ValueError):
    """The events make no message: it has no beginning, no end, or tells of an error."""


def events_of(message: Json) -> Iterator[Json]:
    """The events by which a message would have been streamed, each block's text in one delta."""
    ending = {name: message[name] for name in ENDING if name in message}
    opened = {name: value for name, value in message.items() if name not in ENDING}
    yield {"type": "message_start", "message": {**opened, "content": [], "stop_reason": None, "stop_sequence": None}}
    for index, block in enumerate(message.get("content") or ()):
        start = {**block, **GROWING.get(block["type"], {})}
        start.pop("citations", None)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in _deltas_of(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": ending, "usage": message.get("usage") or {}}
    yield {"type": "message_stop"}


def _deltas_of(block: Json) -> Iterator[Json]:
    kind = block["type"]
    if kind == "text":
        for citation in block.get("citations") or ():
            yield {"type": "citations_delta", "citation": citation}
        yield {"type": "text_delta", "text": block["text"]}
    elif kind == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        if block.get("signature"):
            yield {"type": "signature_delta", "signature": block["signature"]}
    elif kind in GROWING:
        yield {"type": "input_json_delta", "partial_json": msgspec.json.encode(block.get("input") or {}).decode()}


def gather(events: Iterable[Json]) -> Json:
    """The message that a stream told. NotWhole if it did not tell one to its end."""
    message: Json | None = None
    blocks: dict[int, Json] = {}
    pieces: dict[int, list[str]] = {}
    ended = False
    for event in events:
        kind = event["type"]
        if kind == "error":
            raise NotWhole("the stream tells of an error")
        if kind == "message_start":
            message = dict(event["message"])
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta" and event["index"] in blocks:
            _take(blocks[event["index"]], event["delta"], pieces.setdefault(event["index"], []))
        elif kind == "message_delta" and message is not None:
            message |= event["delta"]
            told = {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
            message["usage"] = {**(message.get("usage") or {}), **told}
        elif kind == "message_stop":
            ended = True
    if message is None or not ended:
        raise NotWhole("the stream tells no whole message")
    for index, texts in pieces.items():
        if texts:
            blocks[index]["input"] = _parse_input("".join(texts))
    return {**message, "content": [blocks[index] for index in sorted(blocks)]}


def _take(block: Json, delta: Json, pieces: list[str]) -> None:
    kind = delta["type"]
    if kind == "input_json_delta":
        pieces.append(delta["partial_json"])
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    else:
        for name in ("text", "thinking", "signature"):
            if isinstance(delta.get(name), str):
                block[name] = block.get(name, "") + delta[name]


def _parse_input(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise NotWhole("a tool call's arguments are no JSON") from error
