"""A Chat Completions stream, both ways: chunks as canonical events, and canonical events as chunks.

Source: OpenAI chat streaming reference as in openai-python 3.52.0, what compatible servers send instead, and Anthropic
streaming reference, 2026-11-20.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.canonical.errors import StreamBroken
from gateway.canonical.translation import Json
from gateway.dialects.blocks import BlockWriter
from gateway.dialects.crossing import decode_event, object_of, objects_of, parse_arguments, suffix_of, text_of
from gateway.dialects.openai_answer import (
    FINISH_OF_STOP,
    completion_id,
    custom_tools,
    refusal_details,
    render_call,
    render_usage,
    stop_reason_of,
)
from gateway.dialects.openai_errors import canonical_message, error_object, kind_of
from gateway.dialects.openai_usage import parse_openai_usage
from gateway.dialects.sse import SseEvent, SseReader, render_comment, render_event

DONE = b"[DONE]"


@dataclass(slots=True)
class _Call:
    """A tool call as its pieces arrive. `held` waits until the call before it is whole."""

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    opened: bool = False
    whole: bool = False
    held: list[str] = field(default_factory=list)


class StreamParser:
    """Chunks in any cutting → canonical events. The end is told once usage may have come: at `[DONE]`, or in `end()` where a
    server leaves that out. A stream without a finish reason is broken, whatever it says at its end."""

    def __init__(self) -> None:
        self._reader = SseReader()
        self._blocks = BlockWriter()
        self._calls: dict[int, _Call] = {}
        self._telling: _Call | None = None
        self._finish: str | None = None
        self._refusal = ""
        self._usage: Json = {"output_tokens": 0}
        self._over = False

    def feed(self, chunk: bytes) -> list[Json]:
        return self._read_all(self._reader.feed(chunk))

    def end(self) -> list[Json]:
        events = self._read_all(self._reader.end())
        if self._over:
            return events
        if self._finish is None:
            raise StreamBroken("the provider's stream ended before it gave a finish_reason")
        return [*events, *self._close()]

    def _read_all(self, records: list[SseEvent]) -> list[Json]:
        events: list[Json] = []
        for record in records:
            if self._over:
                break
            if record.data.strip() == DONE:
                if self._finish is not None:
                    events += self._close()
            else:
                events += self._read(decode_event(record.data))
        return events

    def _read(self, chunk: Any) -> list[Json]:
        if not isinstance(chunk, dict):
            return []
        if chunk.get("error"):
            return self._fail(chunk["error"])
        if isinstance(chunk.get("usage"), dict):
            self._usage = parse_openai_usage(chunk["usage"])
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index", 0) != 0:
            return []
        events = [] if self._blocks.started else self._start(chunk)
        events += self._read_delta(object_of(choice.get("delta")))
        self._finish = text_of(choice.get("finish_reason")) or self._finish
        return events

    def _fail(self, error: Any) -> list[Json]:
        self._over = True
        error = error if isinstance(error, dict) else {"message": str(error)}
        return [{"type": "error", "error": {"type": kind_of(error), "message": canonical_message(error)}}]

    def _start(self, chunk: Json) -> list[Json]:
        return self._blocks.start(f"msg_{suffix_of(chunk.get('id'))}", text_of(chunk.get("model")))

    def _read_delta(self, delta: Json) -> list[Json]:
        events: list[Json] = []
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            events += self._blocks.thinking(thought)
        for block in objects_of(delta.get("thinking_blocks")):
            events += self._read_thinking(block)
        if delta.get("content"):
            events += self._close_calls() + self._blocks.text(_text(delta["content"]))
        self._refusal += text_of(delta.get("refusal"))
        for piece in objects_of(delta.get("tool_calls")):
            events += self._read_call(piece)
        return events

    def _read_thinking(self, block: Json) -> list[Json]:
        """A whole block, its text told before as `reasoning_content` by those who tell both."""
        if block.get("type") == "redacted_thinking":
            return self._blocks.whole(block)
        signature = text_of(block.get("signature"))
        if not signature:
            return []
        events = [] if self._blocks.kind == "thinking" else self._blocks.thinking(text_of(block.get("thinking")))
        return events + self._blocks.sign(signature)

    def _read_call(self, piece: Json) -> list[Json]:
        index = self._index_of(piece)
        custom = piece.get("custom")
        said = object_of(custom or piece.get("function"))
        call = self._calls.get(index)
        if call is None:
            call_id = text_of(piece.get("id")) or f"call_{suffix_of(self._blocks.message_id)}_{index}"
            call = self._calls[index] = _Call(call_id, text_of(said.get("name")), custom=bool(custom))
        text = said.get("input" if call.custom else "arguments")
        text = msgspec.json.encode(text).decode() if isinstance(text, dict) else text_of(text)
        call.arguments += text
        if text:
            call.held.append(text)
        return self._tell_calls()

    def _index_of(self, piece: Json) -> int:
        """Some servers leave `index` out, or give each call the same one: then a new id is a new call."""
        index = piece.get("index")
        if not isinstance(index, int):
            index = max(self._calls, default=0)
        known = self._calls.get(index)
        call_id = text_of(piece.get("id"))
        if known and call_id not in ("", known.id):
            known_ids = {call.id: place for place, call in self._calls.items()}
            return known_ids.get(call_id, max(self._calls) + 1)
        return index

    def _tell_calls(self) -> list[Json]:
        """The calls in their order, one open at a time: the next begins when the one before it is whole."""
        events: list[Json] = []
        for index in sorted(self._calls):
            call = self._calls[index]
            if not call.custom:
                events += self._tell_call(call)
            call.whole = call.whole or (index != max(self._calls) and _is_whole(call))
            if not call.whole:
                break
        return events

    def _close_calls(self) -> list[Json]:
        """All of what was held back."""
        events: list[Json] = []
        for index in sorted(self._calls):
            call = self._calls[index]
            if call.custom and call.held:
                call.held = [msgspec.json.encode({"input": call.arguments}).decode()]
            events += self._tell_call(call)
        return events

    def _tell_call(self, call: _Call) -> list[Json]:
        events: list[Json] = []
        if not call.opened:
            call.opened = True
            self._telling = call
            events += self._blocks.tool(call.id, call.name)
        if call.held and (self._telling is not call or self._blocks.kind != "tool_use"):
            raise StreamBroken("the provider's stream goes back to a tool call that it had left")
        for text in call.held:
            events += self._blocks.arguments(text)
        call.held.clear()
        return events

    def _close(self) -> list[Json]:
        self._over = True
        events = self._close_calls()
        stop = stop_reason_of(self._finish, called=bool(self._calls), refused=bool(self._refusal))
        details = refusal_details(self._refusal or None) if stop == "refusal" else None
        return [*events, *self._blocks.stop(stop, self._usage, details)]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(text_of(part.get("text")) for part in objects_of(content))
    return text_of(content)


def _is_whole(call: _Call) -> bool:
    if call.custom or not call.arguments.strip():
        return False
    return "_raw" not in parse_arguments(call.arguments)


@dataclass(slots=True)
class _Block:
    """A block as it is told: a tool call's place among calls, thinking to be sent whole with its signature."""

    kind: str
    call: Json | None = None
    place: int = 0
    text: str = ""
    signature: str = ""


class StreamRenderer:
    """Canonical events → chunks. `id`, `created` and `model` are the same on every one, as OpenAI's are."""

    def __init__(self, *, asked_model: str, request: Mapping[str, Any], now: Callable[[], float] = time.time) -> None:
        self._now = now
        options = request.get("stream_options")
        self._shows_usage = isinstance(options, dict) and options.get("include_usage") is True
        self._customs = custom_tools(request)
        self._frame: Json = {"id": "chatcmpl-", "object": "chat.completion.chunk", "created": 0, "model": asked_model}
        self._blocks: dict[int, _Block] = {}
        self._calls = 0
        self._usage: Json = {}
        self._stop = "end_turn"
        self._refusal: str | None = None

    def render(self, event: Json) -> bytes:
        handler = self._HANDLERS.get(event["type"])
        return handler(self, event) if handler else b""

    def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._record({"choices": [choice], **({"usage": None} if self._shows_usage else {})})

    def _record(self, members: Json) -> bytes:
        return render_event(msgspec.json.encode({**self._frame, **members}))

    def _start(self, event: Json) -> bytes:
        message = event["message"]
        self._frame |= {"id": completion_id(message), "created": int(self._now())}
        self._frame["model"] = message.get("model") or self._frame["model"]
        self._usage = dict(message.get("usage") or {})
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _open(self, event: Json) -> bytes:
        opened = event["content_block"]
        block = self._blocks[event["index"]] = _Block(opened["type"])
        if opened["type"] == "text":
            return self._chunk({"content": opened["text"]}) if opened.get("text") else b""
        if opened["type"] == "thinking" and opened.get("thinking"):
            block.text = opened["thinking"]
            return self._chunk({"reasoning_content": block.text})
        if opened["type"] == "redacted_thinking":
            return self._chunk({"thinking_blocks": [opened]})
        return self._open_call(block, opened) if opened["type"] == "tool_use" else b""

    def _open_call(self, block: _Block, opened: Json) -> bytes:
        block.call, block.place = opened, self._calls
        self._calls += 1
        given = msgspec.json.encode(opened["input"]).decode() if opened.get("input") else ""
        block.text = given
        if opened["name"] in self._customs:
            return b""
        function = {"name": opened["name"], "arguments": given}
        return self._chunk({"tool_calls": [{"index": block.place, "id": opened["id"], "type": "function", "function": function}]})

    def _delta(self, event: Json) -> bytes:
        delta, block = event["delta"], self._blocks.get(event["index"])
        kind = delta["type"]
        if kind == "text_delta":
            return self._chunk({"content": delta["text"]}) if delta["text"] else b""
        if block is None:
            return b""
        if kind == "thinking_delta":
            block.text += delta["thinking"]
            return self._chunk({"reasoning_content": delta["thinking"]}) if delta["thinking"] else b""
        if kind == "signature_delta":
            block.signature += delta["signature"]
        elif kind == "input_json_delta" and block.call and delta["partial_json"]:
            block.text += delta["partial_json"]
            if block.call["name"] not in self._customs:
                return self._arguments(block, delta["partial_json"])
        return b""

    def _arguments(self, block: _Block, text: str) -> bytes:
        return self._chunk({"tool_calls": [{"index": block.place, "function": {"arguments": text}}]})

    def _close(self, event: Json) -> bytes:
        block = self._blocks.pop(event["index"], None)
        if block is None:
            return b""
        if block.kind == "thinking" and block.signature:
            whole = {"type": "thinking", "thinking": block.text, "signature": block.signature}
            return self._chunk({"thinking_blocks": [whole]})
        if block.call and block.call["name"] in self._customs:
            call = render_call({**block.call, "input": parse_arguments(block.text)}, self._customs)
            return self._chunk({"tool_calls": [{"index": block.place, **call}]})
        return self._arguments(block, "{}") if block.call and not block.text else b""

    def _take_end(self, event: Json) -> bytes:
        delta = event.get("delta") or {}
        self._stop = delta.get("stop_reason") or self._stop
        self._refusal = (delta.get("stop_details") or {}).get("explanation") or self._refusal
        self._usage |= {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
        return b""

    def _finish(self, event: Json) -> bytes:
        said = self._chunk({"refusal": self._refusal}) if self._refusal and self._stop == "refusal" else b""
        said += self._chunk({}, FINISH_OF_STOP.get(self._stop, "stop"))
        if self._shows_usage:
            said += self._record({"choices": [], "usage": render_usage(self._usage)})
        return said + render_event(DONE)

    def _ping(self, event: Json) -> bytes:
        return render_comment("ping")

    def _fail(self, event: Json) -> bytes:
        error = event.get("error") or {}
        said = error_object(error.get("type") or "api_error", error.get("message") or "the provider gave no reason; try again")
        return render_event(msgspec.json.encode({"error": said}))

    _HANDLERS: Mapping[str, Callable[["StreamRenderer", Json], bytes]] = {
        "message_start": _start,
        "content_block_start": _open,
        "content_block_delta": _delta,
        "content_block_stop": _close,
        "message_delta": _take_end,
        "message_stop": _finish,
        "ping": _ping,
        "error": _fail,
    }
