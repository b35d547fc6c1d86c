"""Reading a provider's answer: what it claims to be, and a plain one whole."""

from gateway.canonical.errors import StreamBroken, UpstreamFailed
from gateway.canonical.json_object import NotAnObject, check_object
from gateway.canonical.steps import Steps
from gateway.providers.send import Attempt, Sender

PLAIN_ANSWER_BYTES_MAX = 64 * 1024 * 1024


def read_document(sender: Sender, attempt: Attempt) -> Steps[bytes]:
    """A plain answer, whole; UpstreamFailed if it is no JSON object."""
    check_content_type(attempt, "application/json")
    try:
        body = yield from sender.read_whole(attempt.exchange, PLAIN_ANSWER_BYTES_MAX)
        check_object(body)
    except StreamBroken as error:
        raise UpstreamFailed("the provider broke off its answer; try again", reason=str(error)) from error
    except NotAnObject as error:
        raise UpstreamFailed("the provider's answer is no JSON document; try again", reason=str(error)) from error
    return body


def check_content_type(attempt: Attempt, wanted: str) -> str:
    """The answer's content type; UpstreamFailed if a 200 is not what a model answers (a login page, say), or packed,
    which was not asked for."""
    found = attempt.head.headers.get("content-type", "")
    encoding = attempt.head.headers.get("content-encoding", "identity")
    if not found.startswith(wanted) or encoding != "identity":
        raise UpstreamFailed(
            f"the provider answered with {found or 'no content type'} ({encoding}) instead of {wanted}; tell the operator",
            reason=f"content type {found!r}, encoding {encoding!r}",
        )
    return found
