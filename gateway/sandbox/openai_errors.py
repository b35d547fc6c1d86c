"""OpenAI's error envelope: `{"error": {"message", "type", "param", "code"}}` (API reference, 2026-11-20)."""

import uuid

from gateway.sandbox.errors import Refusal
from gateway.sandbox.faults import Fault

KINDS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}
WORDS = {
    401: "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
    429: "Rate limit reached for requests. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later.",
}


def refuse(status: int, message: str, *, param: str | None = None, code: str | None = None, kind: str | None = None) -> Refusal:
    known_kind, known_code = KINDS.get(status, ("server_error", None))
    error = {"message": message, "type": kind or known_kind, "param": param, "code": code or known_code}
    return Refusal(status, {"error": error}, {"content-type": "application/json", **headers()})


def unsupported(name: str, value: object) -> Refusal:
    told = f"Unsupported value: '{name}' does not support {value} with this model. Only the default (1) value is supported."
    return refuse(400, told, param=name, code="unsupported_value")


def unknown(name: str) -> Refusal:
    return refuse(400, f"Unrecognized request argument supplied: {name}", param=name, code="unknown_parameter")


def scripted(fault: Fault) -> Refusal:
    status = 503 if fault.status == 529 else fault.status or 500
    no = refuse(status, fault.message or WORDS.get(status, "The sandbox was asked to fail."), kind=fault.kind)
    for name, value in (("retry-after", fault.retry_after), ("x-should-retry", fault.should_retry)):
        if value is not None:
            no.headers[name] = value
    return no


def from_anthropic(no: Refusal) -> Refusal:
    """What the engine behind refused, in this envelope."""
    message = str(no.document["error"]["message"])
    too_long = message.startswith(("prompt is too long", "input length"))
    return refuse(no.status, message, code="context_length_exceeded" if too_long else None)


def headers() -> dict[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}", "openai-processing-ms": "12"}
