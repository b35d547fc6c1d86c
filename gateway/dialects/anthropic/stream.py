"""Reading Anthropic answers as they pass: usage, the answered model, the end, an error. Nothing is changed or held back.

A stream is watched by chunk, not by event: most chunks hold only `content_block_delta` records, which one search rules
out. Records that matter (`message_start`, `message_delta`, `message_stop`, `error`) are the only ones parsed.
Usage is message_start's, overlaid by the last message_delta's: the figures there are cumulative, never summed
(Anthropic streaming reference, 2026-11-20).
"""

from dataclasses import replace
from typing import Any

import msgspec

from gateway.canonical.usage import Tokens, Usage
from gateway.dialects.sse import WholeRecords, data_of

DELTA = b"event: content_block_delta"
FIRST_WORD = b"content_block_start"
DELTA_FRAME_BYTES = 112  # what a content_block_delta record holds beside its text
CHARACTERS_PER_TOKEN = 4


class _Message(msgspec.Struct):
    usage: dict[str, Any]
    model: str | None = None


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Error(msgspec.Struct):
    type: str = "api_error"


class _Record(msgspec.Struct):
    """The few members of a stream record that the watch looks at."""

    type: str = ""
    message: _Message | None = None
    delta: _Delta | None = None
    usage: dict[str, Any] | None = None
    error: _Error | None = None


_record_decoder = msgspec.json.Decoder(_Record)
_message_decoder = msgspec.json.Decoder(_Message)


class AnthropicStreamWatch:
    """Fed every chunk in order, in any cutting; LF and CRLF alike."""

    def __init__(self) -> None:
        self.ended = False
        self.spoke = False
        self.answered_model: str | None = None
        self.error_kind: str | None = None
        self._records = WholeRecords()
        self._usage: dict[str, Any] | None = None
        self._closed = False  # a message_delta with a stop reason has passed
        self._bytes = 0
        self._deltas = 0

    @property
    def may_end(self) -> bool:
        return self.ended

    @property
    def at_boundary(self) -> bool:
        return self._records.at_boundary

    def feed(self, chunk: bytes) -> None:
        data = self._records.take(chunk)
        self.spoke = self.spoke or FIRST_WORD in data
        if b"message_" in data or b"error" in data:
            for record in data[:-2].split(b"\n\n"):
                self._count(record)
                if b"message_" in record or b"error" in record:
                    self._read(record)
        elif data:
            self._count(data, data.count(b"\n\n"))

    def _count(self, data: bytes, separators: int = 0) -> None:
        """The same for any cutting: only whole records are counted here."""
        self._bytes += len(data) - 2 * separators
        self._deltas += data.count(DELTA)

    def _read(self, record: bytes) -> None:
        try:
            parsed = _record_decoder.decode(data_of(record))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if parsed.type == "message_start" and parsed.message:
            self._usage = dict(parsed.message.usage)
            self.answered_model = parsed.message.model
            self._bytes = self._deltas = self._records.forgotten = 0
        elif parsed.type == "message_delta":
            self._overlay(parsed.usage or {})
            self._closed = self._closed or bool(parsed.delta and parsed.delta.stop_reason)
        elif parsed.type == "message_stop":
            self.ended = True
        elif parsed.type == "error":
            self.error_kind = parsed.error.type if parsed.error else "api_error"

    def _overlay(self, later: dict[str, Any]) -> None:
        self._usage = {**(self._usage or {}), **{name: value for name, value in later.items() if value is not None}}

    def usage(self) -> Usage | None:
        if self._usage is None:
            return None
        usage = parse_usage_object(self._usage)
        if self._closed:
            return usage
        output_tokens = max(usage.tokens.output, self._output_tokens_relayed())
        return replace(usage, tokens=replace(usage.tokens, output=output_tokens), completeness="partial")

    def _output_tokens_relayed(self) -> int:
        """An estimate from the bytes of text that passed: for answers cut before their own figures came."""
        relayed = self._bytes + self._records.forgotten + len(self._records.tail)
        deltas = self._deltas + self._records.tail.count(DELTA)
        return max(0, relayed - deltas * DELTA_FRAME_BYTES) // CHARACTERS_PER_TOKEN


def parse_message_usage(body: bytes) -> tuple[Usage, str | None] | None:
    """Usage and model of a plain answer; None if it is not a message."""
    try:
        message = _message_decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return parse_usage_object(message.usage), message.model


def parse_usage_object(usage: dict[str, Any]) -> Usage:
    """Anthropic's `usage`. Without a breakdown all cache writes count as 5-minute ones; compaction passes in
    `iterations` are billed beside the top-level figures (Anthropic pricing page, 2026-11-20)."""
    tools = usage.get("server_tool_use")
    iterations = usage.get("iterations")
    return Usage(
        tokens=_tokens(usage),
        searches=_count(tools, "web_search_requests"),
        fast=usage.get("speed") == "fast",
        us_only=usage.get("inference_geo") == "us",
        iterations=tuple(
            _tokens(each)
            for each in (iterations if isinstance(iterations, list) else ())
            if isinstance(each, dict) and each.get("type") == "compaction"
        ),
    )


def _tokens(usage: dict[str, Any]) -> Tokens:
    writes = _count(usage, "cache_creation_input_tokens")
    one_hour = _count(usage.get("cache_creation"), "ephemeral_1h_input_tokens")
    five_minutes = _count(usage.get("cache_creation"), "ephemeral_5m_input_tokens")
    return Tokens(
        input=_count(usage, "input_tokens"),
        output=_count(usage, "output_tokens"),
        cache_read=_count(usage, "cache_read_input_tokens"),
        cache_write_5m=max(five_minutes, writes - one_hour),
        cache_write_1h=one_hour,
        thinking=_count(usage.get("output_tokens_details"), "thinking_tokens"),
    )


def _count(source: Any, name: str) -> int:
    value = source.get(name) if isinstance(source, dict) else None
    return value if type(value) is int and value > 0 else 0
