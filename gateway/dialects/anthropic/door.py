"""Anthropic Messages: `POST /v1/messages` and `/v1/messages/count_tokens`, API versions 2023-06-01 and 2026-10-21.

Answers are read by `anthropic.stream`; this module holds the request, the errors and plain answers.
Source of shapes: Anthropic API reference and SDK 2.11.0, 2026-11-20.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.canonical.call import Operation, Request
from gateway.canonical.dialect import StreamWatch
from gateway.canonical.errors import GatewayError, InvalidRequest, UpstreamRefused
from gateway.canonical.json_object import JsonObject, NotAnObject
from gateway.canonical.usage import Usage
from gateway.dialects.anthropic.stream import AnthropicStreamWatch, parse_message_usage

NAME = "anthropic"
WIRE = "anthropic"
STREAM_TYPE = "text/event-stream"
PATHS: Sequence[tuple[re.Pattern[str], Operation]] = (
    (re.compile(r"(?:^|/)v1/messages$"), "generate"),
    (re.compile(r"(?:^|/)v1/messages/count_tokens$"), "count_tokens"),
)
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def parse_request(
    operation: Operation, path: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Request:
    document = parse_object(body)
    return Request(
        operation=operation,
        model=required_text(document, "model", 'add "model": "claude-…"; GET /v1/models lists what this key may use'),
        stream=operation == "generate" and flag(document, "stream"),
        document=document,
        api_version=headers.get("anthropic-version"),
    )


def parse_object(body: bytes) -> JsonObject:
    try:
        return JsonObject(body)
    except NotAnObject as error:
        raise InvalidRequest(str(error)) from error


def member(document: JsonObject, name: str, default: Any = None) -> Any:
    """A member's value; InvalidRequest if its JSON means nothing (`1e999`)."""
    try:
        return document.value(name, default)
    except NotAnObject as error:
        raise InvalidRequest(str(error)) from error


def required_text(document: JsonObject, name: str, mend: str) -> str:
    """A member that must be a non-empty string."""
    value = member(document, name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"{name}: a non-empty string is required; {mend}")
    return value


def flag(document: JsonObject, name: str) -> bool:
    """A member that must be true or false if it is there."""
    value = member(document, name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name}: must be true or false")
    return value


def render_error_head(error: GatewayError) -> tuple[int, dict[str, str]]:
    return error.status, error.headers()


def render_error(error: GatewayError, request_id: str) -> bytes:
    if isinstance(error, UpstreamRefused) and error.wire == WIRE and error.body:
        return error.body
    return msgspec.json.encode(_envelope(error, request_id))


def render_stream_error(error: GatewayError, request_id: str) -> bytes:
    return b"event: error\ndata: " + msgspec.json.encode(_envelope(error, request_id)) + b"\n\n"


def _envelope(error: GatewayError, request_id: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": error.kind, "message": error.message}, "request_id": request_id}


def render_ping() -> bytes:
    return PING


def frame_stream(request: Request) -> None:
    """There is one form."""


def render_token_count(input_tokens: int) -> bytes:
    return msgspec.json.encode({"input_tokens": input_tokens})


class _Count(msgspec.Struct):
    input_tokens: int


def parse_token_count(body: bytes) -> int | None:
    try:
        return msgspec.json.decode(body, type=_Count).input_tokens
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class _ErrorBody(msgspec.Struct):
    type: str
    message: str = ""


class _ErrorEnvelope(msgspec.Struct):
    error: _ErrorBody
    type: str = ""


def parse_error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamRefused | None:
    try:
        envelope = msgspec.json.decode(body, type=_ErrorEnvelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if envelope.type != "error":
        return None
    return UpstreamRefused(
        envelope.error.message,
        status=status,
        kind=envelope.error.type,
        body=body,
        wire=WIRE,
        passed_headers=headers,
        reason=f"upstream_{envelope.error.type}",
    )


def parse_usage(body: bytes) -> tuple[Usage, str | None] | None:
    return parse_message_usage(body)


def watch_stream() -> StreamWatch:
    return AnthropicStreamWatch()
