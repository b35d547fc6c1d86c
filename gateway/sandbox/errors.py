"""The two error envelopes of Claude on Vertex AI: Google's, and Anthropic's (protocol notes of 2026-11-20)."""

import json
from collections.abc import Mapping
from typing import Any

from gateway.sandbox.identifiers import request_id

GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
ANTHROPIC_KIND = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
HTML_PAGE = (
    "<!DOCTYPE html>\n<html lang=en>\n<title>Error {status} (Sandbox)!!1</title>\n"
    "<p><b>{status}.</b> <ins>That’s an error.</ins>\n<p>{message} <ins>That’s all we know.</ins>\n"
)


class Refusal(Exception):
    """An answer that says no: its status, its JSON document, and further headers."""

    def __init__(self, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(json.dumps(document))
        self.status = status
        self.document = document
        self.headers = {"content-type": "application/json; charset=UTF-8", **(headers or {})}

    def body(self, *, streaming: bool) -> bytes:
        """On streaming methods Google wraps its own errors, not Anthropic's, in a one-element array."""
        google = isinstance(self.document.get("error"), dict) and "code" in self.document["error"]
        return json.dumps([self.document] if streaming and google else self.document).encode()


def google(
    status: int,
    message: str,
    *,
    name: str | None = None,
    reason: str | None = None,
    metadata: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Refusal:
    """Google's envelope: for what is wrong before Anthropic's code sees the request."""
    error: dict[str, Any] = {"code": status, "message": message, "status": name or GOOGLE_STATUS.get(status, "UNKNOWN")}
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": reason, "domain": "googleapis.com", "metadata": dict(metadata or {})}]
    return Refusal(status, {"error": error}, headers)


def anthropic(status: int, message: str, *, kind: str | None = None, headers: Mapping[str, str] | None = None) -> Refusal:
    """Anthropic's envelope: for what is wrong with the request itself."""
    name = request_id()
    error = {"type": kind or ANTHROPIC_KIND.get(status, "api_error"), "message": message}
    document = {"type": "error", "error": error, "request_id": name}
    return Refusal(status, document, {"content-type": "application/json", "request-id": name, **(headers or {})})


def invalid(message: str) -> Refusal:
    """400 invalid_request_error."""
    return anthropic(400, message)


def extra(path: str) -> Refusal:
    """The 400 for a field that does not exist here, or not without its beta."""
    return invalid(f"{path}: Extra inputs are not permitted")


def oauth(error: str, description: str, *, status: int = 400) -> Refusal:
    """The token endpoint's own shape (RFC 6749 section 5.2)."""
    return Refusal(status, {"error": error, "error_description": description})
