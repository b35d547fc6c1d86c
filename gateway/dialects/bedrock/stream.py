"""Claude's streams as Bedrock frames them: every Messages event, in base64, inside one binary frame; no pings.

What goes wrong in mid-stream is a frame of type `exception`, after which nothing comes. The last event also bears
`amazon-bedrock-invocationMetrics`. Source: Bedrock runtime API reference and botocore 1.44.5 service model, 2026-11-20.
"""

import base64
import binascii
from typing import Any

import msgspec

from gateway.canonical.errors import StreamBroken
from gateway.canonical.translation import Json
from gateway.canonical.usage import Usage
from gateway.dialects.anthropic import chat as anthropic_chat
from gateway.dialects.anthropic.stream import AnthropicStreamWatch
from gateway.dialects.bedrock.event_stream import Frame, FrameReader, render_frame

METRICS = "amazon-bedrock-invocationMetrics"
_METRICS_OF = {
    "inputTokenCount": "input_tokens",
    "outputTokenCount": "output_tokens",
    "cacheReadInputTokenCount": "cache_read_input_tokens",
    "cacheWriteInputTokenCount": "cache_creation_input_tokens",
}
_CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
# The exceptions that a stream may hold, and the kinds of error they stand for.
EXCEPTION_OF = {
    "invalid_request_error": "validationException",
    "request_too_large": "validationException",
    "rate_limit_error": "throttlingException",
    "billing_error": "throttlingException",
    "overloaded_error": "serviceUnavailableException",
    "timeout_error": "modelTimeoutException",
}
_ANY_EXCEPTION = "internalServerException"
KIND_OF = {
    "validationException": "invalid_request_error",
    "throttlingException": "rate_limit_error",
    "serviceUnavailableException": "overloaded_error",
    "modelTimeoutException": "timeout_error",
    "modelStreamErrorException": "api_error",
    "internalServerException": "api_error",
}


class _Chunk(msgspec.Struct):
    bytes: str


class _Typed(msgspec.Struct):
    type: str = ""


class _Message(msgspec.Struct):
    message: str = ""


_chunk_decoder = msgspec.json.Decoder(_Chunk)
_typed_decoder = msgspec.json.Decoder(_Typed)
_message_decoder = msgspec.json.Decoder(_Message)


def render_event(event: bytes) -> bytes:
    """A Messages event, as JSON, in its frame."""
    return render_frame(_CHUNK, b'{"bytes":"' + base64.b64encode(event) + b'"}')


def render_exception(kind: str, message: str) -> bytes:
    """An error of Anthropic's kinds as the frame that ends a stream."""
    headers = {
        ":exception-type": EXCEPTION_OF.get(kind, _ANY_EXCEPTION),
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return render_frame(headers, msgspec.json.encode({"message": message}))


def parse_event(frame: Frame) -> bytes:
    """The Messages event inside a frame, as JSON; an exception as Anthropic's `error` event. `b""` for frames of kinds
    unknown. StreamBroken for a chunk that holds no event."""
    kind = frame.headers.get(":message-type")
    if kind == "event" and frame.headers.get(":event-type") == "chunk":
        try:
            return base64.b64decode(_chunk_decoder.decode(frame.payload).bytes, validate=True)
        except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
            raise StreamBroken("a chunk of the provider's stream holds no event") from error
    if kind in ("exception", "error"):
        return msgspec.json.encode({"type": "error", "error": _parse_exception(frame)})
    return b""


def _parse_exception(frame: Frame) -> Json:
    name = frame.headers.get(":exception-type") or frame.headers.get(":error-code") or ""
    try:
        message = _message_decoder.decode(frame.payload).message
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        message = ""
    told = message or frame.headers.get(":error-message") or f"the provider ended the stream ({name or 'no reason given'})"
    return {"type": KIND_OF.get(name[:1].lower() + name[1:], "api_error"), "message": told}


class BedrockStreamParser:
    """Frames in any cutting → Messages events."""

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._over = False

    def feed(self, chunk: bytes) -> list[Json]:
        events = []
        for frame in self._reader.feed(chunk):
            if (data := parse_event(frame)) and not self._over:
                events.append(self._parse(data))
        return events

    def _parse(self, data: bytes) -> Json:
        try:
            event = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise StreamBroken("an event of the provider's stream is no JSON") from error
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise StreamBroken("an event of the provider's stream has no type")
        self._over = self._over or event["type"] in ("message_stop", "error")
        event.pop(METRICS, None)
        return event

    def end(self) -> list[Json]:
        """StreamBroken unless `message_stop` or an exception has passed."""
        if not self._over or not self._reader.at_boundary:
            raise StreamBroken("the provider's stream ended before its message_stop")
        return []


class BedrockStreamRenderer:
    """Messages events → frames. Token counts of the stream's own usage stand in its last event, as Bedrock has them;
    latencies, which this module cannot know, do not."""

    def __init__(self, asked_model: str) -> None:
        self._asked_model = asked_model
        self._usage: Json = {}

    def render(self, event: Json) -> bytes:
        kind = event.get("type")
        if kind == "ping":
            return b""
        if kind == "error":
            error = event.get("error") or {}
            return render_exception(str(error.get("type")), str(error.get("message", "")))
        if kind == "message_start":
            message = anthropic_chat.render_answer(event["message"], asked_model=self._asked_model, request={})
            event = {**event, "message": message}
            self._note(message["usage"])
        elif kind == "message_delta":
            self._note(event.get("usage"))
        elif kind == "message_stop":
            event = {**event, METRICS: self._metrics()}
        return render_event(msgspec.json.encode(event))

    def _note(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage.update({name: value for name, value in usage.items() if value is not None})

    def _metrics(self) -> Json:
        return {metric: self._usage[name] for metric, name in _METRICS_OF.items() if isinstance(self._usage.get(name), int)}


class BedrockStreamWatch:
    """Looks on as frames pass. Reads Messages events as Anthropic's own watch does, whose figures these are.

    A stream that is no frames is not understood and not interrupted: it never ends by its own account.
    """

    def __init__(self) -> None:
        self._reader = FrameReader()
        self._inner = AnthropicStreamWatch()
        self._lost = False

    @property
    def ended(self) -> bool:
        return self._inner.ended

    @property
    def may_end(self) -> bool:
        return self.ended

    @property
    def spoke(self) -> bool:
        return self._inner.spoke

    @property
    def at_boundary(self) -> bool:
        return not self._lost and self._reader.at_boundary

    @property
    def answered_model(self) -> str | None:
        return self._inner.answered_model

    @property
    def error_kind(self) -> str | None:
        return self._inner.error_kind

    def feed(self, chunk: bytes) -> None:
        if self._lost:
            return
        try:
            events = [parse_event(frame) for frame in self._reader.feed(chunk)]
        except StreamBroken:
            self._lost = True
            return
        self._inner.feed(b"".join(_as_sse(event) for event in events if event))

    def usage(self) -> Usage | None:
        return self._inner.usage()


def _as_sse(event: bytes) -> bytes:
    try:
        kind = _typed_decoder.decode(event).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b""
    return b"event: " + kind.encode() + b"\ndata: " + event.replace(b"\n", b" ") + b"\n\n"
