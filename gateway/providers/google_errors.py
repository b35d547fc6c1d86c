"""Google's error envelope, read and told again without the operator's project names.

`{"error":{"code","message","status","details"}}`, on streaming endpoints also as a one-element array
(Google API error model; Vertex AI captures, 2026-11-20).
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.canonical.errors import CredentialRefused, GatewayError, UpstreamFailed, UpstreamRefused

KINDS = {
    400: "invalid_request_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    501: "not_supported",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
TOO_LONG = "Input is too long."  # the wording that Claude Code understands and compacts at (2.1.329)
_TOO_LONG = re.compile(r"request size \(\d+ bytes\) exceeds", re.IGNORECASE)
_ACCOUNT = re.compile(r"[\w.+-]+@[\w.-]+\.gserviceaccount\.com")
_PROJECT = re.compile(
    r"\bprojects?(?:[ _](?:number|id))?"  # an id stands behind a sign, in quotes, or shows by its digits and hyphens
    r"(?:[/:=]\s?['\"`]?[\w.:-]*\w|\s(['\"`])[\w.:-]+\1|\s(?=[\w.:-]*[\d-])[a-z0-9][\w.:-]*\w)",
    re.IGNORECASE,
)
_NOT_FOUND = re.compile(r"Publisher Model .*?models/([\w.@-]+)")


def parse_google_error(status: int, body: bytes, headers: Mapping[str, str], project_id: str | None) -> GatewayError:
    """The error that a caller is told for an answer which is not in Anthropic's envelope."""
    error = _error_object(body)
    message = str(error.get("message") or "")
    google_status = str(error.get("status") or "")
    reason = f"upstream_{status}_{google_status or 'unread'}_{_detail_reason(error)}".rstrip("_")
    if status in (401, 403):
        return credential_refused(reason)
    if status == 413 or _TOO_LONG.search(message):
        kind = "request_too_large" if status == 413 else "invalid_request_error"
        return UpstreamRefused(TOO_LONG, status=status, kind=kind, passed_headers=headers, reason=reason)
    if status < 400 or (status < 500 and status not in KINDS):
        told = f"the provider answered {status}, which is no answer to a model call; tell the operator"
        return UpstreamFailed(told, reason=reason)
    told = _tell(status, message, project_id)
    return UpstreamRefused(told, status=status, kind=KINDS.get(status, "api_error"), passed_headers=headers, reason=reason)


def credential_refused(reason: str) -> CredentialRefused:
    """Roles and project names go to the log (`reason`) and to `doctor`, not to the caller."""
    return CredentialRefused(
        "the provider refused the gateway's own credential, not yours; tell the operator of this gateway to run "
        "`python -m gateway doctor`",
        reason=reason,
    )


def _tell(status: int, message: str, project_id: str | None) -> str:
    if found := _NOT_FOUND.search(message):
        return (
            f"the provider does not serve model {found[1]} at this location, or it is not enabled there; "
            "pick another model (GET /v1/models) or ask the operator to enable it in Model Garden"
        )
    scrubbed = scrub(message, project_id)
    if scrubbed:
        return scrubbed
    return f"the provider answered {status} without a message; try again" if status >= 500 else f"the provider answered {status}"


def scrub(message: str, project_id: str | None) -> str:
    """The message without project ids and numbers, and without the names of service accounts."""
    text = _PROJECT.sub("projects/-", _ACCOUNT.sub("-", message))
    return text.replace(project_id, "-") if project_id else text


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    error = decoded.get("error") if isinstance(decoded, dict) else None
    return error if isinstance(error, dict) else {}


def _detail_reason(error: dict[str, Any]) -> str:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("reason"), str):
            return str(detail["reason"])
    return ""
