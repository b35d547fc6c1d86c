"""What tests of crossings between Messages and Gemini share: asking, reading streams, and folding them as a client does."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.translation import Chat
from gateway.catalog.models import find
from gateway.dialects.gemini import door as gemini

Json = dict[str, Any]
SIGNATURE = "Q2lBQmdlbWluaSsvc2lnbmF0dXJlPT0="
UNKNOWN = ModelTraits("gemini-9-neon", "google")


def traits(name: str) -> ModelTraits:
    model = find(name)
    assert model is not None
    return ModelTraits(model.id, model.vendor, model.max_output_tokens, model.capabilities)


def ask(*messages: Json, model: str = "gemini-3.8-flash", **more: Any) -> Json:
    return gemini.render_chat(Chat({"messages": list(messages), "max_tokens": 100, **more}), traits(model), stream=False)[0]


def events_of(data: bytes, cuts: Sequence[int] = ()) -> list[Json]:
    parser, edges = gemini.parse_stream(), sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    events = [event for start, end in itertools.pairwise(edges) for event in parser.feed(data[start:end])]
    return [*events, *parser.end()]


def stream_of(message: Json) -> list[Json]:
    """A message as Claude streams it."""
    events: list[Json] = [{"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}]
    for place, block in enumerate(message["content"]):
        deltas: list[Json]
        if block["type"] == "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        elif block["type"] == "text":
            start, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": each} for each in block["text"]]
        else:
            start, encoded = {**block, "input": {}}, json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": each} for each in ("", encoded[:3], encoded[3:])]
        events.append({"type": "content_block_start", "index": place, "content_block": start})
        events += [{"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": place})
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    return [*events, {"type": "message_delta", "delta": ending, "usage": message["usage"]}, {"type": "message_stop"}]


def fold(events: list[Json]) -> Json:
    """What a Messages client makes of the events, checked as strictly as its SDK does."""
    message: Json = {}
    open_block: int | None = None
    for event in events:
        match event["type"]:
            case "message_start":
                message = json.loads(json.dumps(event["message"]))
            case "content_block_start":
                assert open_block is None and event["index"] == len(message["content"])
                open_block = event["index"]
                message["content"].append(
                    {**event["content_block"], **({"input": ""} if event["content_block"]["type"] == "tool_use" else {})}
                )
            case "content_block_delta":
                assert open_block == event["index"]
                block, delta = message["content"][open_block], event["delta"]
                name = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}.get(
                    delta["type"], "input"
                )
                block[name] += delta["partial_json"] if name == "input" else delta[name]
            case "content_block_stop":
                assert open_block == event["index"]
                block, open_block = message["content"][open_block], None
                if block["type"] == "tool_use":
                    block["input"] = json.loads(block["input"])
            case "message_delta":
                message |= {**event["delta"], "usage": event["usage"]}
    assert open_block is None and events[-1]["type"] == "message_stop"
    return message
