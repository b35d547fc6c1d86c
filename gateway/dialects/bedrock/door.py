"""Bedrock InvokeModel for Claude: what Claude Code's Bedrock mode, the AnthropicBedrock SDKs and boto3 speak.

Messages inside, but model and verb stand in the path, betas and version in the body, and streams are binary frames
(`bedrock.stream`). Clients prove who they are with a gateway key as bearer: what AWS keys have signed cannot be
checked here. Sources: Bedrock runtime API reference, botocore 1.44.5, captures of Claude Code 2.1.329, 2026-11-20.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.canonical.call import Operation, Request
from gateway.canonical.dialect import StreamWatch
from gateway.canonical.errors import GatewayError, InvalidRequest, Unauthenticated, UpstreamRefused
from gateway.canonical.json_object import JsonObject
from gateway.canonical.translation import StreamParser, StreamRenderer
from gateway.dialects.anthropic import chat as anthropic_chat
from gateway.dialects.anthropic.door import flag, frame_stream, member, parse_object, parse_usage
from gateway.dialects.bedrock import event_stream
from gateway.dialects.bedrock.chat import VERSION, WIRE, parse_chat, render_chat, render_count
from gateway.dialects.bedrock.stream import BedrockStreamParser, BedrockStreamRenderer, BedrockStreamWatch, render_exception
from gateway.dialects.foreign_seals import render_without_seals

__all__ = [
    "NAME", "PATHS", "STREAM_TYPE", "WIRE", "frame_stream", "parse_answer", "parse_chat", "parse_error", "parse_request",
    "parse_stream", "parse_token_count", "parse_usage", "render_answer", "render_chat", "render_count", "render_error",
    "render_error_head", "render_ping", "render_stream", "render_stream_error", "render_token_count", "watch_stream",
]  # fmt: skip

NAME = "bedrock"
STREAM_TYPE = event_stream.CONTENT_TYPE
MESSAGES_VERSION = "2023-06-01"  # the Messages API's own name for it
_MODEL = r"(?:^|/)model/(?P<model>(?:(?!/model/).)+)/"  # an ARN and @slug/model hold a slash of their own
PATHS: Sequence[tuple[re.Pattern[str], Operation]] = (
    (re.compile(_MODEL + r"(?P<verb>invoke|invoke-with-response-stream)$"), "generate"),
    (re.compile(_MODEL + r"count-tokens$"), "count_tokens"),
)
ERROR_TYPE_HEADER = "x-amzn-errortype"
KIND_OF = {
    "AccessDeniedException": "permission_error",
    "ConflictException": "conflict_error",
    "ExpiredTokenException": "authentication_error",
    "InternalServerException": "api_error",
    "InvalidSignatureException": "authentication_error",
    "ModelErrorException": "api_error",
    "ModelNotReadyException": "rate_limit_error",
    "ModelStreamErrorException": "api_error",
    "ModelTimeoutException": "timeout_error",
    "ResourceNotFoundException": "not_found_error",
    "ServiceQuotaExceededException": "invalid_request_error",
    "ServiceUnavailableException": "overloaded_error",
    "ThrottlingException": "rate_limit_error",
    "UnrecognizedClientException": "authentication_error",
    "ValidationException": "invalid_request_error",
}
_KIND_BY_STATUS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    408: "timeout_error", 413: "request_too_large", 424: "api_error", 429: "rate_limit_error", 503: "overloaded_error",
}  # fmt: skip
_TYPE_OF = {
    "authentication_error": "UnrecognizedClientException",
    "billing_error": "ThrottlingException",
    "conflict_error": "ConflictException",
    "invalid_request_error": "ValidationException",
    "not_found_error": "ResourceNotFoundException",
    "overloaded_error": "ServiceUnavailableException",
    "permission_error": "AccessDeniedException",
    "rate_limit_error": "ThrottlingException",
    "request_too_large": "ValidationException",
    "timeout_error": "ModelTimeoutException",
}
HOW_TO_SIGN_IN = (
    "this door takes a gateway key (gw-…) as bearer and no signature of AWS keys: set AWS_BEARER_TOKEN_BEDROCK to the key "
    "(in Claude Code with CLAUDE_CODE_SKIP_BEDROCK_AUTH=1), or api_key in the AnthropicBedrock SDK"
)


def parse_request(
    operation: Operation, path: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Request:
    """For token counting the document is the InvokeModel body that stands inside."""
    document = parse_object(body)
    stream = False
    if operation == "count_tokens":
        document = _parse_counted(document)
    else:
        stream = path["verb"] == "invoke-with-response-stream"
        if "stream" in document and flag(document, "stream") != stream:
            told = f"stream: the path's verb {path['verb']!r} says whether to stream; take this member out"
            raise InvalidRequest(told)
    return Request(operation, path["model"], stream, document, _api_version(document))


def _parse_counted(document: JsonObject) -> JsonObject:
    """`{"input": {"invokeModel": {"body": BASE64}}}` (CountTokens API reference, 2026-11-20)."""
    asked = member(document, "input")
    invoke = asked.get("invokeModel") if isinstance(asked, dict) else None
    if not isinstance(invoke, dict):
        raise InvalidRequest('input.invokeModel: required; send {"input":{"invokeModel":{"body":"<base64 of an invoke body>"}}}')
    text = invoke.get("body")
    try:
        body = base64.b64decode(text if isinstance(text, str) else "!", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("input.invokeModel.body: must be the base64 of an invoke body") from error
    return parse_object(body)


def _api_version(document: JsonObject) -> str | None:
    version = member(document, "anthropic_version")
    if version is not None and not isinstance(version, str):
        raise InvalidRequest(f'anthropic_version: must be a string such as "{VERSION}"')
    return MESSAGES_VERSION if version == VERSION else version


def render_error(error: GatewayError, request_id: str) -> bytes:
    if isinstance(error, UpstreamRefused) and error.wire == WIRE and error.body:
        return error.body
    told = f"{error.message}; {HOW_TO_SIGN_IN}" if isinstance(error, Unauthenticated) else error.message
    return msgspec.json.encode({"message": told})


def render_error_head(error: GatewayError) -> tuple[int, dict[str, str]]:
    """The header by which AWS SDKs know which exception to raise. Never 403: Claude Code's Bedrock mode retries it for minutes
    (2.1.329, measured 2026-11-20). Never 529, after which no AWS SDK asks again."""
    name = _TYPE_OF.get(error.kind, "InternalServerException")
    return {403: 400, 529: 503}.get(error.status, error.status), {ERROR_TYPE_HEADER: name, **error.headers()}


def render_stream_error(error: GatewayError, request_id: str) -> bytes:
    return render_exception(error.kind, error.message)


def render_ping() -> bytes:
    """Nothing: Bedrock's streams know no pings, and a frame of another kind would reach boto3's callers."""
    return b""


def render_token_count(input_tokens: int) -> bytes:
    return msgspec.json.encode({"inputTokens": input_tokens})


class _Count(msgspec.Struct):
    tokens: int = msgspec.field(name="inputTokens")


def parse_token_count(body: bytes) -> int | None:
    try:
        return msgspec.json.decode(body, type=_Count).tokens
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class _ErrorBody(msgspec.Struct):
    message: str | None = None
    upper: str | None = msgspec.field(default=None, name="Message")
    exception: str | None = msgspec.field(default=None, name="__type")


def parse_error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamRefused | None:
    """`{"message": …}`; the exception's name stands in a header, `ThrottlingException:http://…`, or in the body."""
    try:
        envelope = msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    message = envelope.message or envelope.upper
    said = headers.get(ERROR_TYPE_HEADER) or envelope.exception or ""
    name = said.partition(":")[0].rpartition("#")[2] if said else ""
    if not message and not name:
        return None
    kind = KIND_OF.get(name) or _KIND_BY_STATUS.get(status, "api_error")
    return UpstreamRefused(
        message or f"the provider answered {name}",
        status=status,
        kind=kind,
        body=body,
        wire=WIRE,
        passed_headers={**headers, **({ERROR_TYPE_HEADER: name} if name else {})},
        reason=f"upstream_{name or kind}",
    )


def watch_stream() -> StreamWatch:
    return BedrockStreamWatch()


parse_answer = anthropic_chat.parse_answer
render_answer = anthropic_chat.render_answer


def parse_stream() -> StreamParser:
    return BedrockStreamParser()


def render_stream(*, asked_model: str, request: Mapping[str, Any]) -> StreamRenderer:
    return render_without_seals(BedrockStreamRenderer(asked_model), request)
