"""Gemini's streams: canonical events out of them, them out of canonical events, and their form as one JSON array.

With `alt=sse` a stream is a record per chunk; without, the same chunks are the items of an array that is sent piecewise.
Between chunks both formats ignore line ends, and so do all of Google's SDKs: that is what a ping is made of.
Source: Google's streamGenerateContent reference; google-genai 3.4.0 and @google/genai read, 2026-11-20.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.canonical.errors import StreamBroken
from gateway.dialects.gemini.answer import AnswerReader
from gateway.dialects.gemini.errors import render_status
from gateway.dialects.gemini.render_answer import PartWriter, finish
from gateway.dialects.gemini.usage import render_usage_metadata
from gateway.dialects.sse import SseReader, render_event

Json = dict[str, Any]
PING = b"\n\n"


class GeminiStreamParser:
    """Bytes of an `alt=sse` stream in any cutting → canonical events."""

    def __init__(self) -> None:
        self._sse = SseReader()
        self._answer = AnswerReader()

    def feed(self, chunk: bytes) -> list[Json]:
        return [event for record in self._sse.feed(chunk) for event in self._read(record.data)]

    def end(self) -> list[Json]:
        """The closing events. StreamBroken if Gemini never said why it stopped."""
        events = [event for record in self._sse.end() for event in self._read(record.data)]
        if self._answer.failed:
            return events
        if not self._answer.finished:
            raise StreamBroken("the provider ended its stream before the end")
        return [*events, *self._answer.end()]

    def _read(self, data: bytes) -> list[Json]:
        try:
            chunk = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StreamBroken("the provider's stream holds a record that is not JSON") from error
        if not isinstance(chunk, dict):
            raise StreamBroken("the provider's stream holds a record that is no JSON object")
        return self._answer.read(chunk) if not self._answer.failed else []


class GeminiStreamRenderer:
    """Canonical events → bytes of an `alt=sse` stream. Function calls go out whole, as Gemini sends them."""

    def __init__(self, *, asked_model: str, request: Mapping[str, Any]) -> None:
        self._model = asked_model
        self._writer = PartWriter(request)
        self._id = ""
        self._usage: Json = {}
        self._ending: Json = {}
        self._block: Json = {}
        self._json: list[str] = []

    def render(self, event: Json) -> bytes:
        match event.get("type"):
            case "message_start":
                message = event["message"]
                self._id, self._usage = message.get("id") or "", dict(message.get("usage") or {})
                self._model = message.get("model") or self._model
            case "content_block_start":
                self._block, self._json = dict(event["content_block"]), []
                return self._started()
            case "content_block_delta":
                return self._delta(event["delta"])
            case "content_block_stop":
                return self._stopped()
            case "message_delta":
                self._usage |= {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
                self._ending |= event["delta"]
            case "message_stop":
                return self._end()
            case "error":
                return render_event(msgspec.json.encode(render_status(event["error"])))
        return b""

    def _started(self) -> bytes:
        """Blocks may start with something in them."""
        first = self._block.get("text") if self._block["type"] == "text" else None
        return self._chunk([self._writer.text(first)]) if first else b""

    def _delta(self, delta: Json) -> bytes:
        match delta.get("type"):
            case "text_delta" if delta["text"]:
                self._block["text"] = self._block.get("text", "") + delta["text"]
                return self._chunk([self._writer.text(delta["text"])])
            case "thinking_delta":
                self._block["thinking"] = self._block.get("thinking", "") + delta["thinking"]
                if self._writer.shows_thoughts and delta["thinking"]:
                    return self._chunk([{"text": delta["thinking"], "thought": True}])
            case "signature_delta":
                self._block["signature"] = delta["signature"]
            case "citations_delta":
                self._block["citations"] = [*(self._block.get("citations") or ()), delta["citation"]]
            case "input_json_delta":
                self._json.append(delta["partial_json"])
        return b""

    def _stopped(self) -> bytes:
        block, self._block = self._block, {}
        if block.get("type") in ("thinking", "redacted_thinking"):
            self._writer.hold(block)
        elif block.get("type") == "text":
            self._writer.grounding.cite(block.get("text", ""), block.get("citations"))
        elif block.get("type") == "server_tool_use":
            self._writer.grounding.search({**block, "input": self._arguments(block)})
        elif block.get("type") == "tool_use":
            arguments = self._arguments(block)
            return self._chunk([self._writer.call(block, arguments)]) if arguments is not None else b""
        return b""

    def _arguments(self, block: Json) -> Json | None:
        """None for a call that was cut off in its middle: half a call is none."""
        text = "".join(self._json)
        try:
            found = msgspec.json.decode(text) if text else block.get("input") or {}
        except (msgspec.DecodeError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _end(self) -> bytes:
        closing = {**finish(self._ending), **self._writer.grounding.metadata()}
        return self._chunk(self._writer.rest() or [{"text": ""}], closing, render_usage_metadata(self._usage))

    def _chunk(self, parts: list[Json], closing: Json | None = None, usage: Json | None = None) -> bytes:
        chunk: Json = {"candidates": [{"content": {"role": "model", "parts": parts}, **(closing or {}), "index": 0}]}
        if usage is not None:
            chunk["usageMetadata"] = usage
        return render_event(msgspec.json.encode({**chunk, "modelVersion": self._model, "responseId": self._id}))


class ArrayFraming:
    """An `alt=sse` stream as the JSON array that clients get who did not ask for `alt=sse`.

    `feed` takes the records in any cutting; line ends between them stay, so pings pass. `end` closes the array.
    """

    def __init__(self) -> None:
        self._sse = SseReader()
        self._items = 0

    def feed(self, chunk: bytes) -> bytes:
        items = b"".join(self._item(record.data) for record in self._sse.feed(chunk))
        return items or (PING if chunk and not chunk.strip() else b"")

    def end(self) -> bytes:
        items = b"".join(self._item(record.data) for record in self._sse.end())
        return items + (b"\n]" if self._items else b"[]")

    def _item(self, data: bytes) -> bytes:
        self._items += 1
        return (b"[" if self._items == 1 else b",\r\n") + data
