"""Gemini's generateContent: what google-genai, Gemini CLI and plain REST callers speak, on Vertex AI and on the Gemini API.

Model and verb stand in the path, in any of the forms of either service; project and location in it are the client's guess.
A stream is one record per chunk (`alt=sse`) or, as Google's REST default, one JSON array: see `frame_stream`.
Source: Google's generateContent reference, google-genai 3.4.0, Gemini CLI 0.61.0, 2026-11-20.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.canonical.call import Operation, Request
from gateway.canonical.dialect import Framing, StreamWatch
from gateway.canonical.errors import GatewayError, UpstreamRefused
from gateway.canonical.translation import StreamParser, StreamRenderer
from gateway.canonical.usage import Usage
from gateway.dialects.anthropic.door import parse_object
from gateway.dialects.gemini.answer import parse_answer
from gateway.dialects.gemini.errors import WIRE, parse_error, render_envelope, status_of
from gateway.dialects.gemini.parse_chat import parse_chat
from gateway.dialects.gemini.render_answer import render_answer
from gateway.dialects.gemini.render_chat import render_chat, render_count
from gateway.dialects.gemini.stream import PING, ArrayFraming, GeminiStreamParser, GeminiStreamRenderer
from gateway.dialects.gemini.usage import count_searches, meter
from gateway.dialects.gemini.watch import GeminiStreamWatch
from gateway.dialects.sse import render_event

__all__ = [
    "NAME", "PATHS", "STREAM_TYPE", "WIRE", "frame_stream", "parse_answer", "parse_chat", "parse_error", "parse_request",
    "parse_stream", "parse_token_count", "parse_usage", "render_answer", "render_chat", "render_count", "render_error",
    "render_error_head", "render_ping", "render_stream", "render_stream_error", "render_token_count", "watch_stream",
]  # fmt: skip

NAME = "gemini"
STREAM_TYPE = "text/event-stream"
ARRAY = "array"
_MODEL = r"(?:^|/)models/(?P<model>(?:(?!/models/).)+):"
PATHS: Sequence[tuple[re.Pattern[str], Operation]] = (
    (re.compile(_MODEL + r"(?P<verb>generateContent|streamGenerateContent)$"), "generate"),
    (re.compile(_MODEL + r"(?P<verb>countTokens)$"), "count_tokens"),
)


def parse_request(
    operation: Operation, path: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Request:
    document = parse_object(body)
    stream = path["verb"] == "streamGenerateContent"
    framing = ARRAY if stream and query.get("alt") != "sse" else ""
    return Request(operation, path["model"], stream, document, framing=framing)


def frame_stream(request: Request) -> tuple[str, Framing] | None:
    return ("application/json", ArrayFraming()) if request.framing == ARRAY else None


def render_error_head(error: GatewayError) -> tuple[int, dict[str, str]]:
    return status_of(error), error.headers()


def render_error(error: GatewayError, request_id: str) -> bytes:
    if isinstance(error, UpstreamRefused) and error.wire == WIRE and error.body:
        return error.body
    return render_envelope(error, request_id)


def render_stream_error(error: GatewayError, request_id: str) -> bytes:
    return render_event(render_error(error, request_id))


def render_ping() -> bytes:
    return PING


def render_token_count(input_tokens: int) -> bytes:
    return msgspec.json.encode({"totalTokens": input_tokens})


def parse_token_count(body: bytes) -> int | None:
    """`totalTokens` of a `countTokens` answer; Google leaves it out where it is 0. None if the body is none."""
    try:
        count = msgspec.json.decode(body, type=dict[str, Any]).get("totalTokens", 0)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return count if isinstance(count, int) else None


def parse_usage(body: bytes) -> tuple[Usage, str | None] | None:
    try:
        answer = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    metadata, model, candidates = answer.get("usageMetadata"), answer.get("modelVersion"), answer.get("candidates")
    if not isinstance(metadata, dict):
        return None
    searches = count_searches(candidates[0]) if isinstance(candidates, list) and candidates else 0
    return meter(metadata, searches), model if isinstance(model, str) else None


def watch_stream() -> StreamWatch:
    return GeminiStreamWatch()


def parse_stream() -> StreamParser:
    return GeminiStreamParser()


def render_stream(*, asked_model: str, request: Mapping[str, Any]) -> StreamRenderer:
    return GeminiStreamRenderer(asked_model=asked_model, request=request)
