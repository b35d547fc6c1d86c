"""OpenAI Responses: `POST /v1/responses`, the format of Codex CLI, as a door and as one half of every crossing.

Only what a request holds itself is served: nothing is kept between calls. This module holds the names that a dialect and a
translation have; the work is done in the `responses_…` files beside it.
Source: OpenAI responses reference as in openai-python 3.52.0, captures of Codex CLI 0.169.0, 2026-11-20.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.canonical import translation
from gateway.canonical.call import Operation, Request
from gateway.canonical.dialect import StreamWatch
from gateway.canonical.errors import GatewayError, InvalidRequest
from gateway.dialects.anthropic.door import flag, member, parse_object, required_text
from gateway.dialects.openai.door import (
    STREAM_TYPE,
    parse_error,
    parse_token_count,
    parse_usage,
    render_error,
    render_error_head,
    render_ping,
    render_token_count,
)
from gateway.dialects.openai.usage import OpenAIStreamWatch
from gateway.dialects.responses.answer import fail_response, new_response, parse_answer, render_answer
from gateway.dialects.responses.body import render_chat, render_count
from gateway.dialects.responses.parse_stream import StreamParser
from gateway.dialects.responses.render_stream import StreamRenderer
from gateway.dialects.responses.request import parse_chat
from gateway.dialects.sse import render_event

__all__ = [
    "NAME", "PATHS", "STREAM_TYPE", "WIRE", "frame_stream", "parse_answer", "parse_chat", "parse_error", "parse_request",
    "parse_stream", "parse_token_count", "parse_usage", "render_answer", "render_chat", "render_count", "render_error",
    "render_error_head", "render_ping", "render_stream", "render_stream_error", "render_token_count", "watch_stream",
]  # fmt: skip

NAME = "openai-responses"
WIRE = "openai-responses"
PATHS: Sequence[tuple[re.Pattern[str], Operation]] = (
    (re.compile(r"(?:^|/)v1/responses$"), "generate"),
    (re.compile(r"(?:^|/)v1/responses/input_tokens$"), "count_tokens"),
)
_MATTERS = re.compile(rb'"response\.(?:completed|incomplete|failed)"|"type"\s*:\s*"error"')
_TEXT = re.compile(rb'"delta"\s*:\s*"((?:[^"\\]|\\.)*)"')


def parse_request(
    operation: Operation, path: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Request:
    document = parse_object(body)
    if "input" not in document and "previous_response_id" not in document and "prompt" not in document:
        raise InvalidRequest('input: a text or a list of items is required; such as "input": "Hello"')
    return Request(
        operation=operation,
        model=required_text(document, "model", 'add "model": "…"; GET /v1/models lists what this key may use'),
        stream=operation == "generate" and member(document, "stream") is not None and flag(document, "stream"),
        document=document,
    )


def frame_stream(request: Request) -> None:
    """There is one form."""


def render_stream_error(error: GatewayError, request_id: str) -> bytes:
    """The last event of a stream that failed, with a response of its own: Codex reads the code and the words in it."""
    response = fail_response(new_response(request_id, "", {}, time.time), error.kind, error.message)
    data = {"type": "response.failed", "sequence_number": 0, "response": response}
    return render_event(msgspec.json.encode(data), "response.failed")


def watch_stream() -> StreamWatch:
    return OpenAIStreamWatch(matters=_MATTERS, text=_TEXT)


def parse_stream() -> translation.StreamParser:
    return StreamParser()


def render_stream(*, asked_model: str, request: Mapping[str, Any]) -> translation.StreamRenderer:
    return StreamRenderer(asked_model=asked_model, request=request)
