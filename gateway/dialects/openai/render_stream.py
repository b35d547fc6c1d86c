"""Canonical stream events as a Chat Completions stream.

Source: OpenAI chat streaming reference as in openai-python 3.52.0, and Anthropic streaming reference, 2026-11-20.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.canonical.translation import Json
from gateway.dialects.crossing import parse_arguments
from gateway.dialects.openai.answer import FINISH_OF_STOP, annotations_of, completion_id, custom_tools, render_call, render_usage
from gateway.dialects.openai.errors import error_object
from gateway.dialects.sse import DONE, render_comment, render_event


@dataclass(slots=True)
class _Block:
    """A block as it is told: a tool call's place among calls, thinking to be sent whole with its signature."""

    kind: str
    call: Json | None = None
    place: int = 0
    text: str = ""
    signature: str = ""
    citations: list[Json] = field(default_factory=list)


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
        self._said = 0  # characters of content in the blocks that are over
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
            block.text = opened.get("text") or ""
            return self._chunk({"content": block.text}) if block.text else b""
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
        if block is None:
            return b""
        if kind == "text_delta":
            block.text += delta["text"]
            return self._chunk({"content": delta["text"]}) if delta["text"] else b""
        if kind == "thinking_delta":
            block.text += delta["thinking"]
            return self._chunk({"reasoning_content": delta["thinking"]}) if delta["thinking"] else b""
        if kind == "signature_delta":
            block.signature += delta["signature"]
        elif kind == "citations_delta":
            block.citations.append(delta["citation"])
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
        if block.kind == "text":
            return self._close_text(block)
        if block.kind == "thinking" and block.signature:
            whole = {"type": "thinking", "thinking": block.text, "signature": block.signature}
            return self._chunk({"thinking_blocks": [whole]})
        if block.call and block.call["name"] in self._customs:
            call = render_call({**block.call, "input": parse_arguments(block.text)}, self._customs)
            return self._chunk({"tool_calls": [{"index": block.place, **call}]})
        return self._arguments(block, "{}") if block.call and not block.text else b""

    def _close_text(self, block: _Block) -> bytes:
        """With the pages that it rests on, which are known behind it."""
        annotations = annotations_of({"text": block.text, "citations": block.citations}, self._said)
        self._said += len(block.text)
        return self._chunk({"annotations": annotations}) if annotations else b""

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
