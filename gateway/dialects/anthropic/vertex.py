"""Vertex AI rawPredict for Claude: what Claude Code's Vertex mode and the AnthropicVertex SDKs speak.

Messages inside, but model and verb stand in the path. Project and location in the path are the client's guess: the
gateway's provider decides. Answers, errors and streams are Anthropic's own.
Source: Vertex AI partner model reference, SDK 2.11.0, captures of Claude Code 2.1.329, 2026-11-20.
"""

import re
from collections.abc import Mapping, Sequence

from gateway.canonical.call import Operation, Request
from gateway.dialects.anthropic.door import (
    STREAM_TYPE,
    WIRE,
    flag,
    frame_stream,
    member,
    parse_error,
    parse_object,
    parse_token_count,
    parse_usage,
    render_error,
    render_error_head,
    render_ping,
    render_stream_error,
    render_token_count,
    required_text,
    watch_stream,
)

__all__ = [
    "NAME", "PATHS", "STREAM_TYPE", "WIRE", "frame_stream", "parse_error", "parse_request", "parse_token_count", "parse_usage",
    "render_error",
    "render_error_head", "render_ping", "render_stream_error", "render_token_count", "watch_stream",
]  # fmt: skip

NAME = "vertex"
_MODELS = r"(?:^|/)projects/[^/]+/locations/(?P<location>[^/]+)/publishers/anthropic/models/"
PATHS: Sequence[tuple[re.Pattern[str], Operation]] = (
    (re.compile(_MODELS + r"count-tokens:rawPredict$"), "count_tokens"),
    (re.compile(_MODELS + r"(?P<model>.+):(?P<verb>rawPredict|streamRawPredict)$"), "generate"),
)


def parse_request(
    operation: Operation, path: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Request:
    document = parse_object(body)
    version = member(document, "anthropic_version")
    if operation == "count_tokens":
        model = required_text(document, "model", 'count-tokens wants "model": "claude-…" in the body')
        stream = False
    else:
        model = path["model"]
        stream = flag(document, "stream") or path["verb"] == "streamRawPredict"
    return Request(
        operation=operation,
        model=model,
        stream=stream,
        document=document,
        api_version=version if isinstance(version, str) else headers.get("anthropic-version"),
        location=path["location"],
    )
