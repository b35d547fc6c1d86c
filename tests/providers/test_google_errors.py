"""Google's errors, told again in words for a caller, without the operator's names."""

import json
from typing import Any

import pytest

from gateway.canonical.call import Call, Caller, Request
from gateway.canonical.errors import CredentialRefused, GatewayError, UpstreamFailed, UpstreamRefused
from gateway.canonical.json_object import JsonObject
from gateway.dialects import DIALECTS
from gateway.providers import vertex
from gateway.providers.google_errors import parse_google_error, scrub

PROJECT = "acme-prod-42"


def google(status: int, name: str, message: str, reason: str = "") -> bytes:
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if reason:
        error["details"] = [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": {"consumer": PROJECT}}
        ]
    return json.dumps({"error": error}).encode()


NOT_FOUND = (
    f"Publisher Model `projects/{PROJECT}/locations/global/publishers/anthropic/models/claude-opus-9@20290101` was not found "
    "or your project does not have access to it."
)
QUOTA = (
    "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model "
    "with base model: anthropic-claude-opus."
)


@pytest.mark.parametrize("wrap", [b"%s", b"[%s]", b" [ %s ,{}]\n"])
@pytest.mark.parametrize(
    ("status", "body", "told_status", "kind", "words"),
    [
        (400, google(400, "INVALID_ARGUMENT", "an invalid argument."), 400, "invalid_request_error", "invalid argument"),
        (400, google(400, "FAILED_PRECONDITION", "Org policy forbids."), 400, "invalid_request_error", "Org policy"),
        (400, google(400, "INVALID_ARGUMENT", "The request size (31457281 bytes) exceeds 30.000MB limit."), 400,
         "invalid_request_error", "Input is too long."),
        (413, google(413, "", "too big"), 413, "request_too_large", "Input is too long."),
        (404, google(404, "NOT_FOUND", NOT_FOUND), 404, "not_found_error", "claude-opus-9@20290101"),
        (429, google(429, "RESOURCE_EXHAUSTED", QUOTA), 429, "rate_limit_error", "anthropic-claude-opus"),
        (429, google(429, "RESOURCE_EXHAUSTED", "Resource exhausted, try again"), 429, "rate_limit_error", "try again"),
        (499, google(499, "CANCELLED", "The operation was cancelled."), 502, "api_error", "499"),
        (500, google(500, "INTERNAL", "Internal error"), 500, "api_error", "Internal"),
        (503, google(503, "UNAVAILABLE", "unavailable"), 503, "api_error", "unavailable"),
        (504, google(504, "DEADLINE_EXCEEDED", "Deadline expired"), 504, "timeout_error", "Deadline"),
        (529, google(529, "", "Overloaded"), 529, "overloaded_error", "Overloaded"),
    ],
)  # fmt: skip
def test_each_of_googles_errors_has_its_place(
    wrap: bytes, status: int, body: bytes, told_status: int, kind: str, words: str
) -> None:
    """Bare or as a one-element array, as streaming endpoints send it."""
    error = parse_google_error(status, wrap % body, {}, PROJECT)
    assert (error.status, error.kind) == (told_status, kind)
    assert words in error.message and PROJECT not in error.message
    envelope = json.loads(DIALECTS["anthropic"].render_error(error, "req_1"))
    assert envelope == {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": "req_1"}


@pytest.mark.parametrize("reason", ["ACCESS_TOKEN_EXPIRED", "IAM_PERMISSION_DENIED", "SERVICE_DISABLED", "BILLING_DISABLED", ""])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_the_operators_affair(status: int, reason: str) -> None:
    """502 and no retry: the caller need not log in. Roles and projects are for the log."""
    error = parse_google_error(status, google(status, "PERMISSION_DENIED", f"denied on projects/{PROJECT}", reason), {}, None)
    assert isinstance(error, CredentialRefused)
    assert (error.status, error.kind, error.headers()) == (502, "api_error", {"x-should-retry": "false"})
    assert PROJECT not in error.message and "operator" in error.message
    assert reason in error.reason and str(status) in error.reason


@pytest.mark.parametrize(
    "body", [b"", b"<html>502 Bad Gateway</html>", b"[]", b"[7]", b"null", b'{"error":"x"}', b"\xff", b"[" * 5000]
)
@pytest.mark.parametrize("status", [400, 404, 429, 500, 502, 503])
def test_a_body_that_is_no_envelope_is_still_an_error(status: int, body: bytes) -> None:
    """Front ends answer with pages; none of it is shown."""
    error = parse_google_error(status, body, {}, None)
    assert error.status == status and "<" not in error.message and len(error.message) > 20


@pytest.mark.parametrize("status", [204, 302, 418, 451])
def test_what_is_no_answer_to_a_model_call_is_a_failure(status: int) -> None:
    """A redirect, say: 502, not passed on."""
    error = parse_google_error(status, b"", {}, None)
    assert isinstance(error, UpstreamFailed) and str(status) in error.message


def test_what_steers_retries_is_passed_on() -> None:
    """A provider that says when to come back is believed."""
    error = parse_google_error(429, google(429, "RESOURCE_EXHAUSTED", QUOTA), {"retry-after": "7"}, None)
    assert error.headers() == {"retry-after": "7"}


@pytest.mark.parametrize(
    "text",
    [
        f"projects/{PROJECT}/locations/global",
        f"`projects/{PROJECT}`",
        f"project {PROJECT}.",
        f"project '{PROJECT}' has",
        f'Project "{PROJECT}"',
        f"project={PROJECT}",
        f"project: {PROJECT}",
        f"project_id: {PROJECT}",
        f"consumer '{PROJECT}'",
        f"gateway@{PROJECT}.iam.gserviceaccount.com lacks",
        "project 123456789012 lacks",
        "project number 123456789012",
        "consumer 'project_number:123456789012'",
        "projects/123456789012/x",
        "API has not been used in project 123456789012 before",
    ],
)
def test_project_ids_and_numbers_are_scrubbed(text: str) -> None:
    """However Google writes them."""
    found = scrub(f"Denied: {text} (try again)", PROJECT)
    assert PROJECT not in found and "123456789012" not in found
    assert found.startswith("Denied: ") and found.endswith("(try again)")


@pytest.mark.parametrize(
    "text", ["project other-project-7 lacks", "projects/other-project-7", "x@other-project-7.iam.gserviceaccount.com"]
)
def test_other_projects_are_scrubbed_too(text: str) -> None:
    """A quota project is the operator's as well."""
    assert "other-project-7" not in scrub(text, PROJECT)


@pytest.mark.parametrize(
    "text", ["your project does not have access", "ask the project owner", "Max 5 projects are allowed", "a projection"]
)
def test_plain_words_are_left_as_they_are(text: str) -> None:
    """A sentence about projects in general names none."""
    assert scrub(text, PROJECT) == text


# -- through the provider ----------------------------------------------------------------------------------------------

CALL = Call("r", Caller("k", "p"), "anthropic", Request("generate", "m", False, JsonObject(b"{}")), {}, at=0.0, started=0.0)


def told(status: int, body: bytes) -> GatewayError:
    return vertex.parse_error(CALL, status, body, {"x-should-retry": "true"}, PROJECT)


def anthropic(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_vrtx_1"}).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropics_own_envelope_passes_byte_for_byte(status: int, kind: str) -> None:
    """Clients repair themselves by its wording."""
    body = anthropic(kind, "Unexpected value(s) `x` for the `anthropic-beta` header")
    error = told(status, body)
    assert isinstance(error, UpstreamRefused)
    assert (error.status, DIALECTS["anthropic"].render_error(error, "req_1")) == (status, body)
    assert error.headers() == {"x-should-retry": "true"}


@pytest.mark.parametrize(("status", "kind"), [(401, "authentication_error"), (403, "permission_error")])
def test_a_refused_credential_in_anthropics_words_is_the_operators_too(status: int, kind: str) -> None:
    """No envelope makes a caller log in."""
    error = told(status, anthropic(kind, "no"))
    assert (error.status, error.headers()) == (502, {"x-should-retry": "false"})


def test_too_long_is_said_in_the_words_that_clients_compact_at() -> None:
    """Whoever says it."""
    error = told(413, anthropic("request_too_large", "Request exceeds the maximum size"))
    assert json.loads(DIALECTS["vertex"].render_error(error, "r"))["error"] == {
        "type": "request_too_large",
        "message": "Input is too long.",
    }


def test_googles_words_through_the_provider_name_no_project() -> None:
    """The provider's own id is known there."""
    assert PROJECT not in told(500, google(500, "INTERNAL", f"failed for {PROJECT}")).message
