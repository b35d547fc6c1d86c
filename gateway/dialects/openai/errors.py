"""Errors in OpenAI's words, both ways: `{"error": {"message", "type", "param", "code"}}`, chat and responses alike.

Source: OpenAI error reference as in openai-python 3.52.0, what compatible servers send, 2026-11-20.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.canonical.errors import GatewayError, UpstreamRefused
from gateway.canonical.translation import Json

WIRE = "openai"
WIRES = ("openai", "openai-responses")  # two formats, one shape of errors
PROMPT_TOO_LONG = ("prompt is too long", "input length and `max_tokens`", "Input is too long")
_PARAM = re.compile(r"([a-z_]+(?:\.\w+)*): ")
_SAID = {  # kind → type, code, status where it differs
    "invalid_request_error": ("invalid_request_error", None, None),
    "authentication_error": ("authentication_error", "invalid_api_key", None),
    "permission_error": ("permission_error", None, None),
    "not_found_error": ("not_found_error", "model_not_found", None),
    "request_too_large": ("invalid_request_error", "request_too_large", None),
    "rate_limit_error": ("rate_limit_error", "rate_limit_exceeded", None),
    "billing_error": ("insufficient_quota", "budget_exceeded", 429),
    "policy_blocked": ("invalid_request_error", "content_policy", 400),
    "overloaded_error": ("server_error", "overloaded", 503),
    "timeout_error": ("server_error", "timeout", None),
    "not_supported": ("invalid_request_error", "not_supported", None),
}
_KIND_OF_WORD = {
    "authentication_error": "authentication_error",
    "billing_not_active": "billing_error",
    "budget_exceeded": "billing_error",
    "content_policy": "policy_blocked",
    "insufficient_quota": "billing_error",
    "invalid_api_key": "authentication_error",
    "invalid_request_error": "invalid_request_error",
    "context_length_exceeded": "invalid_request_error",
    "model_not_found": "not_found_error",
    "not_found_error": "not_found_error",
    "overloaded": "overloaded_error",
    "overloaded_error": "overloaded_error",
    "permission_error": "permission_error",
    "rate_limit_error": "rate_limit_error",
    "rate_limit_exceeded": "rate_limit_error",
    "request_too_large": "request_too_large",
    "requests": "rate_limit_error",
    "server_is_overloaded": "overloaded_error",
    "slow_down": "overloaded_error",
    "timeout": "timeout_error",
    "tokens": "rate_limit_error",
}
FOREIGN_CHARACTERS_MAX = 500
_KIND_OF_STATUS = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 408: "timeout_error", 409: "conflict_error", 413: "request_too_large",
    415: "invalid_request_error", 422: "invalid_request_error", 429: "rate_limit_error", 503: "overloaded_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def render_error_head(error: GatewayError) -> tuple[int, dict[str, str]]:
    """OpenAI's clients know no 529 and no 402. A budget that is used up names no time to retry at: Codex would wait for it,
    if it took weeks (captures of Codex CLI 0.169.0)."""
    headers = {name: value for name, value in error.headers().items() if not name.startswith("anthropic-")}
    if isinstance(error, UpstreamRefused) and error.wire in WIRES:
        return error.status, headers
    if error.kind == "billing_error":
        headers.pop("retry-after", None)
        headers["x-should-retry"] = "false"
    return _SAID.get(error.kind, (None, None, None))[2] or error.status, headers


def render_error(error: GatewayError, request_id: str) -> bytes:
    if isinstance(error, UpstreamRefused) and error.wire in WIRES and error.body:
        return error.body
    return msgspec.json.encode({"error": error_object(error.kind, error.message)})


def error_object(kind: str, message: str) -> Json:
    """`type` and `code` in OpenAI's vocabulary; `param` where the message begins with a member's name."""
    type_, code, _ = _SAID.get(kind, ("api_error", None, None))
    if kind == "invalid_request_error" and message.startswith(PROMPT_TOO_LONG):
        code = "context_length_exceeded"
    param = _PARAM.match(message) if kind == "invalid_request_error" else None
    return {"message": message, "type": type_, "param": param[1] if param else None, "code": code}


def parse_error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamRefused | None:
    """Google's envelope, whose error holds a `status`, is not one of these."""
    try:
        envelope = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    error = envelope.get("error") if isinstance(envelope, dict) else None
    if isinstance(error, str):
        error, body = {"message": error}, b""
    elif error is None and isinstance(envelope, dict):
        error, body = _of_another_kind(envelope), b""
    if not isinstance(error, dict) or not isinstance(error.get("message"), str) or "status" in error:
        return None
    kind = kind_of(error, status)
    return UpstreamRefused(
        canonical_message(error),
        status=status,
        kind=kind,
        body=body,
        wire=WIRE if body else "",
        passed_headers=headers,
        reason=f"upstream_{kind}",
    )


def _of_another_kind(envelope: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of servers that else speak like OpenAI: `{"object": "error", "message"}` (Mistral, vLLM), `{"detail"}` (FastAPI)."""
    said = envelope.get("detail") or (envelope.get("message") if envelope.get("object") == "error" else None)
    if not said:
        return None
    text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    return {"message": text[:FOREIGN_CHARACTERS_MAX]}


def kind_of(error: Mapping[str, Any], status: int | None = None) -> str:
    """In Anthropic's vocabulary: from the code, else the status, else the type."""
    code, type_ = error.get("code"), error.get("type")
    if isinstance(code, str) and code in _KIND_OF_WORD:
        return _KIND_OF_WORD[code]
    if status in _KIND_OF_STATUS and type_ != "insufficient_quota":
        return _KIND_OF_STATUS[status]
    return _KIND_OF_WORD.get(type_, "api_error") if isinstance(type_, str) else "api_error"


def canonical_message(error: Mapping[str, Any]) -> str:
    """The provider's words. An overlong prompt is told so that Claude Code knows it: it then shortens its history."""
    message = str(error.get("message") or "the provider gave no reason")
    if error.get("code") == "context_length_exceeded" and not message.startswith(PROMPT_TOO_LONG):
        return f"prompt is too long: {message}"
    return message
