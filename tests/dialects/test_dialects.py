"""Requests, errors and plain answers of the dialects, as pure functions."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.call import Operation, Request
from gateway.canonical.errors import CredentialRefused, GatewayError, InvalidRequest, NotFound, UpstreamRefused
from gateway.dialects import DIALECTS

PREFIX = "/projects/p/locations/l/publishers/anthropic/models/"


def match(dialect: str, path: str) -> tuple[Operation, re.Match[str]] | None:
    found = ((operation, pattern.search(path)) for pattern, operation in DIALECTS[dialect].PATHS)
    return next(((operation, matched) for operation, matched in found if matched), None)


def parse(dialect: str, path: str, body: bytes, **headers: str) -> Request:
    found = match(dialect, path)
    assert found is not None, path
    return DIALECTS[dialect].parse_request(found[0], found[1], {}, headers, body)


@pytest.mark.parametrize(
    ("dialect", "path", "operation"),
    [
        ("anthropic", "/v1/messages", "generate"),
        ("anthropic", "/any/prefix/v1/messages", "generate"),
        ("anthropic", "/v1/messages/count_tokens", "count_tokens"),
        ("anthropic", "/xv1/messages", None),
        ("anthropic", "/v1/messages/batches", None),
        ("anthropic", "/v1/messagesx", None),
        ("vertex", f"{PREFIX}claude-opus-5-5:rawPredict", "generate"),
        ("vertex", f"/v1{PREFIX}claude-opus-5-5:streamRawPredict", "generate"),
        ("vertex", f"/proxy/v1{PREFIX}claude-haiku-4-5@20251001:rawPredict", "generate"),
        ("vertex", f"/v1{PREFIX}count-tokens:rawPredict", "count_tokens"),
        ("vertex", f"{PREFIX}m:predict", None),
        ("vertex", f"{PREFIX}@vertex/claude-opus-5-5:rawPredict", "generate"),
        ("vertex", "/projects/p/locations/l/publishers/google/models/gemini:rawPredict", None),
    ],
)
def test_paths_are_matched_from_their_end(dialect: str, path: str, operation: str | None) -> None:
    """With any prefix that a client was configured with."""
    found = match(dialect, path)
    assert (found[0] if found else None) == operation


def test_a_messages_request_says_its_model_and_whether_it_streams() -> None:
    """And keeps the client's version."""
    body = b'{"model":"claude-opus-5-5","stream":true}'
    request = parse("anthropic", "/v1/messages", body, **{"anthropic-version": "2023-06-01"})
    assert (request.model, request.stream, request.api_version) == ("claude-opus-5-5", True, "2023-06-01")
    assert request.document.source == body
    assert parse("anthropic", "/v1/messages/count_tokens", body).stream is False


def test_a_vertex_request_has_its_model_and_verb_in_the_path() -> None:
    """Either the verb or the body may ask for a stream."""
    plain, streamed = f"{PREFIX}claude-opus-5-5:rawPredict", f"{PREFIX}claude-opus-5-5:streamRawPredict"
    assert parse("vertex", plain, b'{"anthropic_version":"2026-10-21"}').api_version == "2026-10-21"
    assert [parse("vertex", path, body).stream for path in (plain, streamed) for body in (b"{}", b'{"stream":true}')] == [
        False, True, True, True,
    ]  # fmt: skip
    counted = parse("vertex", f"{PREFIX}count-tokens:rawPredict", b'{"model":"m","stream":true}')
    assert (counted.operation, counted.model, counted.stream) == ("count_tokens", "m", False)


@pytest.mark.parametrize(
    ("dialect", "path", "body", "words"),
    [
        ("anthropic", "/v1/messages", b"", "not valid JSON"),
        ("anthropic", "/v1/messages", b"[]", "not an object"),
        ("anthropic", "/v1/messages", b"{}", "model: a non-empty string"),
        ("anthropic", "/v1/messages", b'{"model":""}', "model:"),
        ("anthropic", "/v1/messages", b'{"model":null}', "model:"),
        ("anthropic", "/v1/messages", b'{"model":1e999}', "model: cannot be read"),
        ("anthropic", "/v1/messages", b'{"model":"m","stream":"true"}', "stream: must be true or false"),
        ("anthropic", "/v1/messages", b'{"model":"m","stream":null}', "stream:"),
        ("vertex", f"{PREFIX}m:rawPredict", b"\xff", "UTF-8"),
        ("vertex", f"{PREFIX}m:streamRawPredict", b'{"stream":1}', "stream:"),
        ("vertex", f"{PREFIX}m:rawPredict", b'{"anthropic_version":1e999}', "anthropic_version: cannot"),
        ("vertex", f"{PREFIX}count-tokens:rawPredict", b"{}", "model:"),
    ],
)
def test_a_wrong_body_is_refused_with_what_is_wrong(dialect: str, path: str, body: bytes, words: str) -> None:
    """400 with a sentence."""
    with pytest.raises(InvalidRequest) as refused:
        parse(dialect, path, body)
    assert refused.value.status == 400 and words in refused.value.message


@given(st.sampled_from(["/v1/messages", "/v1/messages/count_tokens"]), st.binary(max_size=80))
def test_any_body_is_read_or_refused(path: str, body: bytes) -> None:
    """No third way out."""
    try:
        parse("anthropic", path, body)
    except InvalidRequest as refused:
        assert refused.message


@pytest.mark.parametrize("dialect", [name for name, spoken in DIALECTS.items() if spoken.WIRE == "anthropic"])
@pytest.mark.parametrize("error", [NotFound("no «model»\n"), CredentialRefused("x"), GatewayError("y", kind="billing_error")])
def test_an_error_is_told_in_the_callers_words(dialect: str, error: GatewayError) -> None:
    """Plain, and as an event that names itself."""
    spoken = DIALECTS[dialect]
    expected = {"type": "error", "error": {"type": error.kind, "message": error.message}, "request_id": "req_1"}
    assert json.loads(spoken.render_error(error, "req_1")) == expected
    event = spoken.render_stream_error(error, "req_1")
    assert event.startswith(b"event: error\ndata: {") and event.endswith(b"}\n\n") and event.count(b"\n") == 3
    assert json.loads(event.split(b"data: ")[1]) == expected


def test_an_event_of_ours_is_read_by_our_own_watch() -> None:
    """A ping says nothing, an error its kind."""
    spoken = DIALECTS["anthropic"]
    watch = spoken.watch_stream()
    watch.feed(spoken.render_ping())
    assert (watch.usage(), watch.error_kind, watch.at_boundary) == (None, None, True)
    watch.feed(spoken.render_stream_error(NotFound("x"), "r"))
    assert watch.error_kind == "not_found_error"


def test_a_providers_own_error_is_rendered_byte_for_byte() -> None:
    """For callers of the same wire format; in another it is told anew."""
    body = b'{ "type":"error", "error":{"type":"rate_limit_error","message":"slow","details":{}} }'
    error = DIALECTS["anthropic"].parse_error(429, body, {"retry-after": "3"})
    assert error is not None and error.headers() == {"retry-after": "3"}
    assert DIALECTS["vertex"].render_error(error, "r") == body
    foreign = UpstreamRefused("slow", status=429, kind="rate_limit_error", body=b"<xml>", wire="other")
    assert b"<xml>" not in DIALECTS["anthropic"].render_error(foreign, "r")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"error":{"type":"x"}}',
        b'{"type":"error"}',
        b'{"type":"error","error":"x"}',
        b"\xff",
        b"[" * 5000,
    ],
)
def test_what_is_not_anthropics_envelope_is_no_error_of_theirs(body: bytes) -> None:
    """None: somebody else must read it."""
    assert DIALECTS["anthropic"].parse_error(500, body, {}) is None


def test_a_token_count_is_one_number() -> None:
    """As Anthropic's API has it."""
    assert json.loads(DIALECTS["vertex"].render_token_count(17)) == {"input_tokens": 17}
