"""Driving an attempt to its answer where waiting is allowed: the generators of `routing` and `providers` yield in silence."""

from collections.abc import Generator
from typing import TypeVar

from gateway.canonical.errors import StreamBroken, UpstreamFailed
from gateway.canonical.json_object import NotAnObject, check_object
from gateway.providers.send import Attempt, Sender

T = TypeVar("T")
PLAIN_ANSWER_BYTES_MAX = 64 * 1024 * 1024


def advance(steps: Generator[None, None, Attempt]) -> Attempt | None:
    """One step: the attempt, or None if a while passed in silence."""
    try:
        next(steps)
    except StopIteration as end:
        attempt: Attempt = end.value
        return attempt
    return None


def drive(steps: Generator[None, None, T]) -> T:
    """To the end, however long it takes: the provider's own time limits end it."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def read_document(sender: Sender, attempt: Attempt) -> bytes:
    """A plain answer, whole; UpstreamFailed if it is no JSON object."""
    check_content_type(attempt, "application/json")
    try:
        body = drive(sender.read_whole(attempt.exchange, PLAIN_ANSWER_BYTES_MAX))
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
