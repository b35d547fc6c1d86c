"""Gemini on Vertex AI: where a call goes, what of its bytes is touched, and what callers are told of refusals."""

import json
from typing import Any

import pytest

from gateway.canonical.call import Call, Caller, Operation, Request, Target
from gateway.canonical.errors import CredentialRefused, InvalidRequest, UpstreamRefused
from gateway.canonical.json_object import JsonObject
from gateway.providers import vertex_gemini
from gateway.providers.provider import Lesson, Outgoing, Provider

PROVIDER = Provider(id="vertex", kind="vertex", credential="adc", project_id="acme-prod")
TARGET = Target(PROVIDER, "gemini-3.8-flash", "gemini-3.8-flash", "global", "gemini")
MODELS = "/v1/projects/acme-prod/locations/global/publishers/google/models/gemini-3.8-flash"


def call(body: bytes, *, operation: Operation = "generate", stream: bool = False) -> Call:
    request = Request(operation, "gemini-3.8-flash", stream, JsonObject(body))
    return Call("req_1", Caller("key_1", "demo"), "gemini", request, {"x-goog-api-client": "sdk"}, at=0.0, started=0.0)


def prepare(asked: Call) -> Outgoing:
    return vertex_gemini.prepare(asked, TARGET, "acme-prod", Lesson())


@pytest.mark.parametrize(
    ("operation", "stream", "verb"),
    [
        ("generate", False, "generateContent"),
        ("generate", True, "streamGenerateContent?alt=sse"),
        ("count_tokens", False, "countTokens"),
    ],
)
def test_model_and_verb_go_into_the_path(operation: Operation, stream: bool, verb: str) -> None:
    """A stream is asked for as records, however the client wants it."""
    sent = prepare(call(b'{"contents":[]}', operation=operation, stream=stream))
    assert sent.path == f"{MODELS}:{verb}" and sent.body == b'{"contents":[]}'
    assert sent.headers["accept"] == ("text/event-stream" if stream else "application/json")
    assert "x-goog-api-client" not in sent.headers


def test_the_clients_bytes_pass() -> None:
    """Odd numbers, escapes and unknown members as they were sent; only a model beside the path's is taken out."""
    body = b'{ "contents" : [{"parts":[{"text":"\\u00e9 1e3"}]}], "later": 1.50,"model":"models/x" }'
    assert prepare(call(body)).body == b'{ "contents" : [{"parts":[{"text":"\\u00e9 1e3"}]}], "later": 1.50 }'


def test_what_is_to_be_counted_is_taken_out_of_the_gemini_apis_wrapping() -> None:
    """And goes without what Vertex AI's countTokens does not know."""
    inner = b'{"model":"models/m","contents":[{"parts":[{"text":"Hi"}]}],"tools":[],"toolConfig":{},"safetySettings":[]}'
    for wrapped in (inner, b'{"generateContentRequest":' + inner + b"}", b'{"generate_content_request":' + inner + b"}"):
        body = prepare(call(wrapped, operation="count_tokens")).body
        assert json.loads(body) == {"contents": [{"parts": [{"text": "Hi"}]}], "tools": []}
    with pytest.raises(InvalidRequest, match="generateContentRequest: an object"):
        prepare(call(b'{"generateContentRequest":[]}', operation="count_tokens"))


def test_names_cannot_leave_their_place_in_the_path() -> None:
    """Whatever an alias maps to."""
    target = Target(PROVIDER, "m", "../../x?y#z", "global", "gemini")
    path = vertex_gemini.path("acme-prod", target, stream=False, counting=False)
    assert path.endswith("/models/..%2F..%2Fx%3Fy%23z:generateContent")


def refusal(code: int, **error: Any) -> Any:
    told = json.dumps([{"error": {"code": code, **error}}]).encode()
    return vertex_gemini.parse_error(call(b"{}"), code, told, {}, "acme-prod")


def test_a_refusal_is_told_without_the_operators_names() -> None:
    """With Google's delay as retry-after."""
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]
    error = refusal(429, message="Quota of projects/acme-prod exhausted", status="RESOURCE_EXHAUSTED", details=details)
    assert isinstance(error, UpstreamRefused) and "acme-prod" not in error.message
    assert error.headers() == {"retry-after": "34"} and error.kind == "rate_limit_error"
    assert isinstance(refusal(403, message="x", status="PERMISSION_DENIED"), CredentialRefused)


def test_a_prompt_too_long_is_told_in_the_words_that_claude_code_compacts_at() -> None:
    """With Google's figures."""
    error = refusal(400, message="The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).")
    assert (error.status, error.message) == (400, "prompt is too long: 1200000 tokens > 1048576 maximum")


def test_no_refusal_teaches_anything() -> None:
    """None of Gemini's fields is dropped for having been refused."""
    error = refusal(400, message='Unknown name "later"', status="INVALID_ARGUMENT")
    assert vertex_gemini.parse_lesson(prepare(call(b"{}")), error) is None


def test_a_rendered_chat_is_counted_by_its_prompt() -> None:
    """What stands beside the prompt stays away."""
    rendered = b'{"contents":[],"systemInstruction":{},"tools":[],"toolConfig":{},"generationConfig":{"maxOutputTokens":9}}'
    body = json.loads(prepare(call(rendered, operation="count_tokens")).body)
    assert body.keys() == {"contents", "systemInstruction", "tools", "generationConfig"}
