"""Reading a provider's answer: what it claims to be, a plain one whole, and a stream up to its first word.

The first word ends all trying: what comes before it (`message_start`, pings) is held back, so that a provider that fails
then has said nothing to the client yet.
"""

import re
from itertools import islice

import msgspec

from gateway.canonical.dialect import Dialect
from gateway.canonical.errors import GatewayError, StreamBroken, UpstreamFailed
from gateway.canonical.json_object import NotAnObject, check_object
from gateway.canonical.steps import Steps
from gateway.dialects import DIALECTS
from gateway.dialects.sse import DONE, SseReader
from gateway.providers.crossing import dialect_of
from gateway.providers.send import Attempt, Sender

PLAIN_ANSWER_BYTES_MAX = 64 * 1024 * 1024
HELD_BYTES_MAX = 1024 * 1024
FIRST_EVENTS = 4  # so many are looked at before a client hears them: message start, block start, ping, delta
FIRST_RECORDS = 2 * FIRST_EVENTS  # comments among them
LOOKED_AT_BYTES_MAX = 64 * 1024
RECORD_END = re.compile(rb"\n\r?\n")
JSON = "application/json"
SSE = "text/event-stream"
STATUS_OF_KIND = {
    "invalid_request_error": 400,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Of error events in streams (Anthropic API errors, 2026-11-20)."""


def read_document(sender: Sender, attempt: Attempt) -> Steps[bytes]:
    """A plain answer, whole; UpstreamFailed if it is no JSON object."""
    if attempt.body is not None:
        return attempt.body
    check_content_type(attempt, JSON)
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


def hear_first_word(sender: Sender, attempt: Attempt, *, stream: bool) -> Steps[None]:
    """Reads on until the provider has said something: a plain answer whole, a stream up to its first word, which then lies
    in `attempt.held`. GatewayError if it fails before that."""
    spoken = DIALECTS[dialect_of(attempt.target.wire)]
    if not stream or attempt.head.headers.get("content-type", "").startswith(JSON):
        attempt.body = yield from read_document(sender, attempt)
        return
    check_content_type(attempt, spoken.STREAM_TYPE)
    watch = attempt.watch = spoken.watch_stream()
    held: list[bytes] = []
    try:
        while not (watch.spoke or watch.ended) and sum(map(len, held)) < HELD_BYTES_MAX:
            chunk = attempt.exchange.read()
            if chunk is None:
                yield attempt.exchange.pause(sender.wait_s)
                continue
            if chunk == b"":
                raise StreamBroken("the provider ended its stream before its first word")
            held.append(chunk)
            watch.feed(chunk)
            if watch.error_kind is not None and not watch.spoke:
                raise _error_told(spoken, b"".join(held), watch.error_kind)
    except StreamBroken as error:
        raise UpstreamFailed(f"{error}; try again", kind="overloaded_error", reason="no_first_word") from error
    attempt.held = b"".join(held)
    if spoken.STREAM_TYPE == SSE:  # binary frames have checksums
        _check_first_events(attempt.held)


def _check_first_events(held: bytes) -> None:
    """UpstreamFailed if one of them is no JSON: no client could read it, and another target can still be asked."""
    ends = [end.end() for end in islice(RECORD_END.finditer(held, 0, LOOKED_AT_BYTES_MAX), FIRST_RECORDS)]
    beginning = held[: ends[-1] if len(ends) == FIRST_RECORDS else LOOKED_AT_BYTES_MAX]
    for event in SseReader().feed(beginning)[:FIRST_EVENTS]:
        if event.data != DONE and not _is_json(event.data):
            told = "the provider's stream began with what is no JSON document; try again"
            raise UpstreamFailed(told, kind="overloaded_error", reason="garbled_first_word")


def _error_told(spoken: Dialect, held: bytes, kind: str) -> GatewayError:
    """An error event as the error that the provider would have answered with, had it been quicker."""
    status = STATUS_OF_KIND.get(kind, 500)
    for line in held.split(b"\n"):
        if line.startswith(b"data:") and b"error" in line:
            error = spoken.parse_error(status, line[5:].strip(), {})
            if error is not None and _is_json(error.body):
                return error
    return UpstreamFailed("the provider failed before its first word; try again", status=status, kind=kind, reason=kind)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
