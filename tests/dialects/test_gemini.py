"""Gemini's door: paths, errors, counts, and the eye kept on streams that pass."""

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.call import Operation, Request
from gateway.canonical.errors import GatewayError, InvalidRequest, NotFound, Overloaded, UpstreamRefused
from gateway.dialects.gemini import door as gemini
from gateway.dialects.gemini.stream import ArrayFraming

METADATA = {"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 10, "thoughtsTokenCount": 30,
            "toolUsePromptTokenCount": 5}  # fmt: skip
LAST = {"candidates": [{"content": {"parts": [{"text": "!"}]}, "finishReason": "STOP"}], "usageMetadata": METADATA,
        "modelVersion": "gemini-3.8-flash"}  # fmt: skip


def match(path: str) -> tuple[Operation, re.Match[str]] | None:
    found = ((operation, pattern.search(path)) for pattern, operation in gemini.PATHS)
    return next(((operation, matched) for operation, matched in found if matched), None)


def parse(path: str, body: bytes = b"{}", **query: str) -> Request:
    found = match(path)
    assert found is not None, path
    return gemini.parse_request(found[0], found[1], query, {}, body)


def sse(*chunks: Any, newline: str = "\r\n") -> bytes:
    return "".join(f"data: {json.dumps(chunk, ensure_ascii=False)}{newline * 2}" for chunk in chunks).encode()


VERTEX = "/v1beta1/projects/p/locations/global/publishers/google"


@pytest.mark.parametrize(
    ("path", "operation", "model", "stream"),
    [
        ("/v1beta/models/gemini-3.8-flash:generateContent", "generate", "gemini-3.8-flash", False),
        ("/any/prefix/v1/models/gemini-3.8-flash:streamGenerateContent", "generate", "gemini-3.8-flash", True),
        ("/models/gemini-3.8-flash:countTokens", "count_tokens", "gemini-3.8-flash", False),
        (f"{VERTEX}/models/gemini-3.8-flash:streamGenerateContent", "generate", "gemini-3.8-flash", True),
        (f"{VERTEX}/models/gemini-3.8-flash:countTokens", "count_tokens", "gemini-3.8-flash", False),
        ("/v1beta1/publishers/google/models/gemini-3.8-flash:generateContent", "generate", "gemini-3.8-flash", False),
        (
            "/v1beta/models/vertex/claude-haiku-4-5@20251001:generateContent",
            "generate",
            "vertex/claude-haiku-4-5@20251001",
            False,
        ),
        ("/v1beta/models/@main/us.anthropic.claude-v1:0:generateContent", "generate", "@main/us.anthropic.claude-v1:0", False),
    ],
)
def test_model_and_verb_are_read_from_every_form_of_path(path: str, operation: str, model: str, stream: bool) -> None:
    """Vertex AI's, the Gemini API's, and express mode's without a project; with any prefix."""
    request = parse(path)
    assert (request.operation, request.model, request.stream) == (operation, model, stream)


@pytest.mark.parametrize("path", [
    "/v1/models/m", "/v1/models/m:predict", "/v1/models/m:embedContent", "/v1/xmodels/m:generateContent",
    "/v1/models/:generateContent",
    "/v1/projects/p/locations/l/publishers/anthropic/models/m:rawPredict",
])  # fmt: skip
def test_other_paths_are_somebody_elses(path: str) -> None:
    """Model lists, embeddings and Claude's own verbs."""
    assert match(path) is None


@given(st.binary(max_size=80))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """No third way out."""
    try:
        parse("/v1/models/m:generateContent", body)
    except InvalidRequest as refused:
        assert refused.message


def test_a_stream_is_an_array_unless_records_were_asked_for() -> None:
    """As Google's REST API has it; a plain answer is what it is."""
    stream, plain = "/v1/models/m:streamGenerateContent", "/v1/models/m:generateContent"
    asked = [parse(stream), parse(stream, alt="json"), parse(stream, alt="sse"), parse(plain)]
    framed = [gemini.frame_stream(request) for request in asked]
    assert [found[0] if found else None for found in framed] == ["application/json", "application/json", None, None]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (NotFound("no «model»"), 404, "NOT_FOUND"),
        (Overloaded("full", retry_after_s=1), 503, "UNAVAILABLE"),
        (GatewayError("spent", status=429, kind="billing_error"), 429, "RESOURCE_EXHAUSTED"),
        (GatewayError("away", status=502), 502, "UNAVAILABLE"),
    ],
)
def test_an_error_is_told_in_googles_words(error: GatewayError, code: int, status: str) -> None:
    """Plain and in mid-stream, with the gateway's own kind and the request's id in the details."""
    told = json.loads(gemini.render_error(error, "req_1"))["error"]
    assert (told["code"], told["status"], told["message"]) == (code, status, error.message)
    assert gemini.render_error_head(error)[0] == code
    kinds = {detail["@type"].rpartition(".")[2]: detail for detail in told["details"]}
    assert kinds["ErrorInfo"]["reason"] == error.kind.upper() and kinds["RequestInfo"]["requestId"] == "req_1"
    assert ("RetryInfo" in kinds) == (error.retry_after_s is not None)
    assert gemini.render_stream_error(error, "req_1").startswith(b'data: {"error":{"code":')


def test_googles_own_error_is_kept_with_its_delay() -> None:
    """Its body passes to callers of this format; in an array, as failed streams have it, it is taken out."""
    error = {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED",
             "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "33.2s"}]}  # fmt: skip
    found = gemini.parse_error(429, json.dumps([{"error": error}]).encode(), {})
    assert isinstance(found, UpstreamRefused) and found.kind == "rate_limit_error"
    assert found.headers() == {"retry-after": "34"} and json.loads(gemini.render_error(found, "r")) == {"error": error}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":"x"}', b'{"type":"error","error":{"type":"x"}}', b"\xff", b"[" * 5000]
)
def test_what_is_not_googles_envelope_is_no_error_of_theirs(body: bytes) -> None:
    """None: somebody else must read it."""
    assert gemini.parse_error(500, body, {}) is None


def test_a_token_count_is_one_number() -> None:
    """And is read from Google's answer, where nothing means 0."""
    assert json.loads(gemini.render_token_count(17)) == {"totalTokens": 17}
    counts = [gemini.parse_token_count(body) for body in (b'{"totalTokens":31,"promptTokensDetails":[]}', b"{}", b"[]", b"x")]
    assert counts == [31, 0, None, None]


def test_usage_is_what_google_bills() -> None:
    """Thoughts are output, cached tokens a part of the prompt, what tools fed back is input."""
    searched = {**LAST, "candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}]}
    found = gemini.parse_usage(json.dumps(searched).encode())
    assert found is not None and found[1] == "gemini-3.8-flash"
    usage = found[0]
    assert (usage.tokens.input, usage.tokens.cache_read, usage.tokens.output, usage.tokens.thinking) == (65, 40, 40, 30)
    assert usage.searches == 2 and usage.completeness == "final"
    assert [gemini.parse_usage(body) for body in (b"[]", b"{}", b"<html>")] == [None, None, None]


@given(st.data())
def test_a_stream_is_watched_alike_in_any_cutting(data: st.DataObject) -> None:
    """Usage of the last chunk, not a sum; the end where Gemini says why it stopped."""
    first = {
        "candidates": [{"content": {"parts": [{"text": 'says "finishReason" 😀'}]}}],
        "usageMetadata": {"promptTokenCount": 90},
    }
    stream = sse(first, LAST, newline=data.draw(st.sampled_from(["\n", "\r\n"])))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    watch = gemini.watch_stream()
    assert watch.usage() is None
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        watch.feed(stream[start:end])
        assert not watch.ended or end > len(sse(first))
    usage = watch.usage()
    assert usage is not None and (usage.tokens.input, usage.tokens.output, usage.completeness) == (65, 40, "final")
    assert (watch.ended, watch.at_boundary, watch.answered_model, watch.error_kind) == (True, True, "gemini-3.8-flash", None)


def test_a_cut_stream_is_counted_by_what_passed() -> None:
    """Its figures are partial, its output at least what was relayed."""
    watch = gemini.watch_stream()
    text = "word " * 4000
    watch.feed(sse({"candidates": [{"content": {"parts": [{"text": text}]}}], "usageMetadata": {"promptTokenCount": 9}}))
    watch.feed(sse({**LAST, "usageMetadata": {"trafficType": "ON_DEMAND"}, "candidates": []}) + sse(LAST)[:40])
    usage = watch.usage()
    assert usage is not None and usage.completeness == "partial" and not watch.at_boundary
    assert usage.tokens.input == 9 and 4000 <= usage.tokens.output <= 6000


def test_an_error_and_a_blocked_prompt_are_seen_as_they_pass() -> None:
    """Our own events are read by our own watch."""
    watch = gemini.watch_stream()
    watch.feed(gemini.render_ping())
    assert watch.at_boundary and watch.usage() is None
    watch.feed(gemini.render_stream_error(Overloaded("x"), "r"))
    assert watch.error_kind == "overloaded_error" and not watch.ended
    blocked = gemini.watch_stream()
    blocked.feed(sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 8}}))
    assert blocked.ended


@given(st.lists(st.integers(0, 400), max_size=6), st.booleans())
def test_an_array_holds_the_chunks_of_the_stream(cuts: list[int], pinged: bool) -> None:
    """In any cutting, with pings or without; an empty stream is an empty array."""
    chunks = [{"candidates": [{"content": {"parts": [{"text": text}]}}]} for text in ("a\n\n", "ö 😀", "[")]
    stream = (gemini.render_ping() if pinged else b"") + sse(*chunks)
    framing, edges = ArrayFraming(), sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    array = b"".join(framing.feed(stream[start:end]) for start, end in itertools.pairwise(edges)) + framing.end()
    assert json.loads(array) == chunks
    assert json.loads(ArrayFraming().end()) == []
