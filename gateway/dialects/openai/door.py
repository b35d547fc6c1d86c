"""OpenAI Chat Completions: `POST /v1/chat/completions`, as a door and as one half of every crossing.

This module holds the names that a dialect and a translation have; the work is done in the `openai_…` files beside it.
Source: OpenAI chat reference as in openai-python 3.52.0, 2026-11-20.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.canonical import translation
from gateway.canonical.call import Operation, Request
from gateway.canonical.dialect import Framing, StreamWatch
from gateway.canonical.errors import GatewayError, InvalidRequest
from gateway.canonical.usage import Usage
from gateway.dialects.anthropic.door import flag, member, parse_object, required_text
from gateway.dialects.openai.answer import parse_answer, render_answer
from gateway.dialects.openai.body import render_chat, render_count
from gateway.dialects.openai.errors import error_object, parse_error, render_error, render_error_head
from gateway.dialects.openai.hiding import WITHOUT_USAGE, UsageHider, asks_for_usage
from gateway.dialects.openai.parse_stream import StreamParser
from gateway.dialects.openai.render_stream import StreamRenderer
from gateway.dialects.openai.request import parse_chat
from gateway.dialects.openai.usage import OpenAIStreamWatch, parse_body_usage
from gateway.dialects.sse import render_comment, render_event

__all__ = [
    "NAME", "PATHS", "STREAM_TYPE", "WIRE", "frame_stream", "parse_answer", "parse_chat", "parse_error", "parse_request",
    "parse_stream", "parse_token_count", "parse_usage", "render_answer", "render_chat", "render_count", "render_error",
    "render_error_head", "render_ping", "render_stream", "render_stream_error", "render_token_count", "watch_stream",
]  # fmt: skip

NAME = "openai"
WIRE = "openai"
STREAM_TYPE = "text/event-stream"
PATHS: Sequence[tuple[re.Pattern[str], Operation]] = ((re.compile(r"(?:^|/)v1/chat/completions$"), "generate"),)
_MATTERS = re.compile(rb'"usage"\s*:\s*\{|"error"\s*:|\[DONE\]|"finish_reason"\s*:\s*"')
_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning|arguments)"\s*:\s*"((?:[^"\\]|\\.)*)"')


class _Count(msgspec.Struct):
    input_tokens: int


def parse_request(
    operation: Operation, path: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Request:
    document = parse_object(body)
    if "messages" not in document:
        raise InvalidRequest('messages: a list is required; add "messages": [{"role": "user", "content": "…"}]')
    stream = member(document, "stream") is not None and flag(document, "stream")
    return Request(
        operation=operation,
        model=required_text(document, "model", 'add "model": "…"; GET /v1/models lists what this key may use'),
        stream=stream,
        document=document,
        framing=WITHOUT_USAGE if stream and not asks_for_usage(document) else "",
    )


def render_stream_error(error: GatewayError, request_id: str) -> bytes:
    """A record that OpenAI's SDKs raise as an error; no `[DONE]` follows it."""
    return render_event(msgspec.json.encode({"error": error_object(error.kind, error.message)}))


def render_ping() -> bytes:
    return render_comment("ping")


def frame_stream(request: Request) -> tuple[str, Framing] | None:
    """Every stream is asked for with its usage, to know what it cost; who did not ask for that is not shown it."""
    return (STREAM_TYPE, UsageHider()) if request.framing == WITHOUT_USAGE else None


def render_token_count(input_tokens: int) -> bytes:
    """The format has no such answer of its own; this is that of `/v1/responses/input_tokens`."""
    return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": input_tokens})


def parse_token_count(body: bytes) -> int | None:
    try:
        return msgspec.json.decode(body, type=_Count).input_tokens
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def parse_usage(body: bytes) -> tuple[Usage, str | None] | None:
    return parse_body_usage(body)


def watch_stream() -> StreamWatch:
    return OpenAIStreamWatch(matters=_MATTERS, text=_TEXT)


def parse_stream() -> translation.StreamParser:
    return StreamParser()


def render_stream(*, asked_model: str, request: Mapping[str, Any]) -> translation.StreamRenderer:
    return StreamRenderer(asked_model=asked_model, request=request)
