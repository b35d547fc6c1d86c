"""Chats, messages and streams of the canonical form for property tests, and what of them must survive a crossing."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

NAMES = ("read_file", "search", "mcp__git__log")
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12).map(lambda text: f"w{text}")
names = st.sampled_from(NAMES)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
arguments = st.dictionaries(words, values, max_size=3)
texts = words.map(lambda text: {"type": "text", "text": text})
image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
user_blocks = st.lists(texts | st.just(image), min_size=1, max_size=3)
counter = itertools.count()


def call_id() -> str:
    return f"toolu_{next(counter):04}"


calls = st.builds(lambda name, given: {"type": "tool_use", "id": call_id(), "name": name, "input": given}, names, arguments)


def _result(call: Json, text: str) -> Json:
    return {"type": "tool_result", "tool_use_id": call["id"], "content": [{"type": "text", "text": text}]}


@st.composite
def chats(draw: st.DrawFn) -> Json:
    """A conversation in which every call is answered, as Anthropic wants it."""
    messages: list[Json] = [{"role": "user", "content": draw(user_blocks)}]
    for said, made in draw(st.lists(st.tuples(st.lists(texts, max_size=1), st.lists(calls, max_size=2)), max_size=3)):
        if not said and not made:
            continue
        messages.append({"role": "assistant", "content": [*said, *made]})
        results = [_result(call, draw(words)) for call in made]
        rest = draw(user_blocks) if not made or draw(st.booleans()) else []
        messages.append({"role": "user", "content": [*results, *rest]})
    body: Json = {"max_tokens": draw(st.integers(1, 9999)), "messages": messages}
    if draw(st.booleans()):
        body["system"] = draw(st.lists(texts, min_size=1, max_size=2))
    if draw(st.booleans()):
        body["temperature"] = draw(st.sampled_from([0, 0.5, 1]))
    schema = {"type": "object", "properties": {"path": {"type": "string", "description": "where"}}, "required": ["path"]}
    body["tools"] = [{"name": name, "description": f"does {name}", "input_schema": schema} for name in NAMES]
    kinds = [{"type": "auto"}, {"type": "any"}, {"type": "none"}, {"type": "tool", "name": "search"}]
    choice = draw(st.sampled_from([None, *kinds]))
    if choice:
        body["tool_choice"] = choice
    return body


@st.composite
def messages(draw: st.DrawFn) -> Json:
    """An answer: a thought, words, calls."""
    thought = draw(words.map(lambda text: [{"type": "thinking", "thinking": text, "signature": "c2ln"}]) | st.just([]))
    said = draw(st.lists(texts, max_size=1))
    made = draw(st.lists(calls, max_size=3))
    stop = "tool_use" if made else draw(st.sampled_from(["end_turn", "max_tokens"]))
    count = st.integers(0, 10_000)
    thinking_tokens = draw(st.integers(0, 50))
    return {
        "id": "msg_01Ab",
        "type": "message",
        "role": "assistant",
        "model": "some-model",
        "content": [*thought, *said, *made],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": draw(count),
            "cache_read_input_tokens": draw(count),
            "cache_creation_input_tokens": 0,
            "output_tokens": draw(st.integers(50, 10_000)),
            "output_tokens_details": {"thinking_tokens": thinking_tokens},
        },
    }


def events_of(message: Json, piece: int) -> list[Json]:
    """The message as a stream, its texts in pieces of `piece` characters; a ping in between."""
    head = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": head}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        events += _events_of_block(block, index, piece)
    delta = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details") if name in message}
    return [*events, {"type": "message_delta", "delta": delta, "usage": message["usage"]}, {"type": "message_stop"}]


def _events_of_block(block: Json, index: int, piece: int) -> list[Json]:
    kind = block["type"]
    opened = {"text": {"type": "text", "text": ""}, "thinking": {"type": "thinking", "thinking": "", "signature": ""}}.get(
        kind, {**block, "input": {}}
    )
    name, member, text = {
        "text": ("text_delta", "text", block.get("text", "")),
        "thinking": ("thinking_delta", "thinking", block.get("thinking", "")),
        "tool_use": ("input_json_delta", "partial_json", json.dumps(block.get("input"))),
    }[kind]
    deltas = [{"type": name, member: text[at : at + piece]} for at in range(0, len(text), piece)]
    if kind == "thinking" and block["signature"]:
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    return [
        {"type": "content_block_start", "index": index, "content_block": opened},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def collect(events: Iterable[Json]) -> Json:
    """The message that a client makes of a stream, which must be a well-formed one: blocks one after another, by index."""
    message: Json = {}
    partial: dict[int, str] = {}
    open_index: int | None = None
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            assert not message, "a second message_start"
            message = json.loads(json.dumps(event["message"]))
        elif kind == "content_block_start":
            assert open_index is None and event["index"] == len(message["content"]), event
            open_index = event["index"]
            message["content"].append(dict(event["content_block"]))
            partial[open_index] = ""
        elif kind == "content_block_delta":
            assert event["index"] == open_index, event
            _apply(message["content"][event["index"]], event["delta"], partial, event["index"])
        elif kind == "content_block_stop":
            assert event["index"] == open_index, event
            block = message["content"][event["index"]]
            if block["type"] == "tool_use" and partial[event["index"]]:
                block["input"] = json.loads(partial[event["index"]])
            open_index = None
        elif kind == "message_delta":
            message |= event["delta"]
            message["usage"] |= {name: value for name, value in event["usage"].items() if value is not None}
        elif kind == "message_stop":
            assert open_index is None
            message["stopped"] = True
    return message


def _apply(block: Json, delta: Json, partial: dict[int, str], index: int) -> None:
    if delta["type"] == "input_json_delta":
        partial[index] += delta["partial_json"]
    else:
        member = delta["type"].removesuffix("_delta")
        block[member] = block.get(member, "") + delta[member]


def core_of_message(message: Json) -> Json:
    """What every format can say of an answer. Ids of calls may change; that they differ may not."""
    usage = message["usage"]
    return {
        "content": _core_of_blocks(message["content"], {}),
        "thinking": "".join(block["thinking"] for block in message["content"] if block["type"] == "thinking"),
        "stop_reason": message["stop_reason"],
        "input": usage.get("input_tokens", 0),
        "cache_read": usage.get("cache_read_input_tokens", 0),
        "output": usage["output_tokens"],
    }


def core_of_chat(body: Json) -> Json:
    """What every format can say of a request: neighbours of one role are one message, neighbouring texts one text."""
    merged: list[tuple[str, list[Json]]] = []
    for message in body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else [{"type": "text", "text": message["content"]}]
        if merged and merged[-1][0] == message["role"]:
            merged[-1] = (message["role"], [*merged[-1][1], *blocks])
        else:
            merged.append((message["role"], blocks))
    ids: dict[str, int] = {}
    system = body.get("system", "")
    return {
        "messages": [(role, _core_of_blocks(blocks, ids)) for role, blocks in merged],
        "system": system if isinstance(system, str) else "".join(block["text"] for block in system),
        "tools": [(tool["name"], tool.get("description"), tool["input_schema"]) for tool in body.get("tools", ())],
        "tool_choice": {k: v for k, v in (body.get("tool_choice") or {"type": "auto"}).items() if k in ("type", "name")},
        **{name: body.get(name) for name in ("max_tokens", "temperature")},
    }


def _core_of_blocks(blocks: list[Json], ids: dict[str, int]) -> list[tuple[Any, ...]]:
    core: list[tuple[Any, ...]] = []
    for block in blocks:
        kind = block["type"]
        if kind == "text":
            if core and core[-1][0] == "text":
                core[-1] = ("text", core[-1][1] + block["text"])
            elif block["text"]:
                core.append(("text", block["text"]))
        elif kind == "image":
            core.append(("image", block["source"]["media_type"], block["source"]["data"]))
        elif kind == "tool_use":
            core.append(("tool_use", ids.setdefault(block["id"], len(ids)), block["name"], block["input"]))
        elif kind == "tool_result":
            content = block.get("content") or ""
            text = content if isinstance(content, str) else "".join(inner["text"] for inner in content)
            core.append(("tool_result", ids.setdefault(block["tool_use_id"], len(ids)), text))
    return core
