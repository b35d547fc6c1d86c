"""Answers that say no because a fault asks for it, with the words of the real services."""

from gateway.sandbox.errors import ANTHROPIC_KIND, HTML_PAGE, Refusal, anthropic, google
from gateway.sandbox.faults import Fault

FROM_ANTHROPIC = {400, 402, 413, 500, 529}  # through Vertex AI; the rest is Google's own
MESSAGES = {
    400: "The sandbox was asked to refuse this request.",
    401: "Request had invalid authentication credentials.",
    403: "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/{resource}' "
    "(or it may not exist).",
    404: "Publisher Model `{resource}` was not found or your project does not have access to it.",
    413: "Request exceeds the maximum size",
    429: "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model "
    "with base model: anthropic-claude. Please submit a quota increase request.",
    499: "The operation was cancelled.",
    500: "Internal server error",
    503: "The service is currently unavailable.",
    504: "Deadline expired before operation could complete.",
    529: "Overloaded",
}
REASONS = {401: "ACCESS_TOKEN_EXPIRED", 403: "IAM_PERMISSION_DENIED"}


def refusal(fault: Fault, resource: str) -> Refusal:
    """The refusal with which a fault that has a status answers; HTML is not one: see `html`."""
    status = fault.status or 500
    headers = {"retry-after": fault.retry_after, "x-should-retry": fault.should_retry}
    said = {name: value for name, value in headers.items() if value is not None}
    message = fault.message or MESSAGES.get(status, "The sandbox was asked to fail.").format(resource=resource)
    if envelope(fault) == "anthropic":
        return anthropic(status, message, kind=fault.kind or ANTHROPIC_KIND.get(status), headers=said)
    return google(status, message, name=fault.kind, reason=REASONS.get(status), headers=said)


def envelope(fault: Fault) -> str:
    """Whose words a status is said in: Google's front ends answer 502 with a page."""
    if fault.envelope:
        return fault.envelope
    return "html" if fault.status == 502 else "anthropic" if fault.status in FROM_ANTHROPIC else "google"


def html(status: int) -> bytes:
    messages = {404: "The requested URL was not found on this server.", 502: "The server encountered a temporary error."}
    return HTML_PAGE.format(status=status, message=messages.get(status, "Something went wrong.")).encode()
