"""Errors as Google tells them: `google.rpc.Status` in `{"error": {"code", "message", "status", "details"}}`.

Source: Google's API error model (AIP-193); what google-genai and Gemini CLI do with it, 2026-11-20.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.canonical.errors import GatewayError, UpstreamRefused

Json = dict[str, Any]
WIRE = "gemini"
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
CODES = {
    "invalid_request_error": 400, "authentication_error": 401, "permission_error": 403, "not_found_error": 404,
    "conflict_error": 409, "request_too_large": 413, "rate_limit_error": 429, "billing_error": 429, "not_supported": 501,
    "timeout_error": 504, "overloaded_error": 503,
}  # fmt: skip
"""HTTP codes of Anthropic's error kinds, for errors that come without one; every other is 500."""

KINDS = {
    "INVALID_ARGUMENT": "invalid_request_error",
    "FAILED_PRECONDITION": "invalid_request_error",
    "OUT_OF_RANGE": "invalid_request_error",
    "UNAUTHENTICATED": "authentication_error",
    "PERMISSION_DENIED": "permission_error",
    "NOT_FOUND": "not_found_error",
    "RESOURCE_EXHAUSTED": "rate_limit_error",
    "ABORTED": "conflict_error",
    "DEADLINE_EXCEEDED": "timeout_error",
    "UNIMPLEMENTED": "not_supported",
    "UNAVAILABLE": "overloaded_error",
}
"""google.rpc codes in Anthropic's words; every other is `api_error`."""

_TYPES = "type.googleapis.com/google.rpc."


def status_of(error: GatewayError) -> int:
    """The HTTP status for Google's clients: they know no 529, and do not ask again after it."""
    return 503 if error.status == 529 else error.status


def render_envelope(error: GatewayError, request_id: str) -> bytes:
    """The error's body. RetryInfo is what Gemini CLI waits by; ErrorInfo says the kind in the gateway's own words."""
    code = status_of(error)
    details: list[Json] = [{"@type": _TYPES + "ErrorInfo", "reason": error.kind.upper(), "domain": "gateway"}]
    if retry_after_s := _retry_after_s(error):
        details.append({"@type": _TYPES + "RetryInfo", "retryDelay": f"{retry_after_s}s"})
    if request_id:
        details.append({"@type": _TYPES + "RequestInfo", "requestId": request_id})
    return msgspec.json.encode(_envelope(code, error.message, details))


def render_status(error: Json) -> Json:
    """The envelope of a canonical `error` event's error."""
    code = CODES.get(str(error.get("type")), 500)
    return _envelope(code, str(error.get("message") or ""), [])


def _envelope(code: int, message: str, details: list[Json]) -> Json:
    status = STATUSES.get(code, "INVALID_ARGUMENT" if code < 500 else "INTERNAL")
    return {"error": {"code": code, "message": message, "status": status, **({"details": details} if details else {})}}


def _retry_after_s(error: GatewayError) -> int | None:
    text = error.headers().get("retry-after", "")
    return int(text) if text.isascii() and text.isdigit() else None


def render_error_event(error: Json) -> Json:
    """Google's error object as a canonical `error` event."""
    kind = KINDS.get(str(error.get("status")), "api_error")
    return {"type": "error", "error": {"type": kind, "message": str(error.get("message") or "the provider failed; try again")}}


def parse_error(status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamRefused | None:
    """Google's own error, kept for callers of this format; None if the body is not in its envelope."""
    error = error_object(body)
    if error is None:
        return None
    passed = dict(headers)
    if (delay := retry_delay_s(error)) is not None:
        passed.setdefault("retry-after", str(delay))
    name = str(error.get("status") or "")
    return UpstreamRefused(
        str(error.get("message") or f"the provider answered {status} without a message"),
        status=status,
        kind=KINDS.get(name, "api_error"),
        body=msgspec.json.encode({"error": error}),
        wire=WIRE,
        passed_headers=passed,
        reason=f"upstream_{status}_{name or 'unread'}",
    )


def error_object(body: bytes) -> Json | None:
    """The `error` of an envelope; streams that fail at once have it in an array of one."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    error = decoded.get("error") if isinstance(decoded, dict) else None
    return error if isinstance(error, dict) and ("message" in error or "status" in error) else None


def retry_delay_s(error: Json) -> int | None:
    """`google.rpc.RetryInfo`'s delay in whole seconds, rounded up."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.endswith("s"):
            try:
                return max(0, -int(-float(delay[:-1]) // 1))
            except (ValueError, OverflowError):
                return None
    return None
