"""The Gemini API: the same bodies as on Vertex AI, at another door and with a key."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.canonical.call import Call, Caller, Operation, Request, Target
from gateway.canonical.errors import CredentialRefused
from gateway.canonical.json_object import JsonObject
from gateway.providers import authorization, gemini_direct
from gateway.providers.provider import Lesson, Outgoing, Provider
from gateway.sandbox import Sandbox

HELLO = b'{"contents":[{"role":"user","parts":[{"text":"Hello there"}]}], "generationConfig":{"temperature":0.50}}'


def call_of(body: bytes = HELLO, *, operation: Operation = "generate", stream: bool = False) -> Call:
    request = Request(operation, "gemini-3.5-flash", stream, JsonObject(body))
    return Call("req_1", Caller("key_1", "demo"), "gemini", request, {}, at=0.0, started=0.0)


def prepare(call: Call, base_url: str | None = None) -> Outgoing:
    provider = Provider("gemini", "gemini", "env:K", base_url=base_url)
    return gemini_direct.prepare(call, Target(provider, "gemini-3.5-flash", "gemini-3.5-flash", "global", "gemini"), "", Lesson())


def test_a_body_passes_byte_for_byte() -> None:
    """But for the labels that only Vertex AI knows, which are named."""
    sent = prepare(call_of(stream=True))
    assert (sent.path, sent.body) == ("/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse", HELLO)
    labelled = prepare(call_of(HELLO[:-1] + b',"labels":{"team":"core"}}'))
    assert (labelled.body, labelled.dropped) == (HELLO, ("labels",))


def test_counting_more_than_contents_needs_a_whole_request() -> None:
    """Which names its model."""
    sent = json.loads(prepare(call_of(operation="count_tokens")).body)
    assert sent["generateContentRequest"]["model"] == "models/gemini-3.5-flash"
    bare = b'{"contents":[{"parts":[{"text":"hi"}]}]}'
    assert prepare(call_of(bare, operation="count_tokens")).body == bare


def test_a_refused_key_is_the_operators_affair() -> None:
    """Though Google answers 400 to it."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    body = json.dumps({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": details}})
    assert isinstance(gemini_direct.parse_error(call_of(), 400, body.encode(), {}, ""), CredentialRefused)
    other = body.replace("API_KEY_INVALID", "X").replace("API key not valid.", "bad").encode()
    assert gemini_direct.parse_error(call_of(), 400, other, {}, "").status == 400


@pytest.mark.parametrize("operation", ["generate", "count_tokens"])
def test_the_simulated_gemini_understands(operation: Any) -> None:
    """Over the wire, with its key."""
    with Sandbox() as sandbox:
        sent = prepare(call_of(operation=operation), sandbox.url)
        headers = {**sent.headers, **authorization.google_api_key(sandbox.api_key, "global", sandbox.url + sent.path, sent, 0.0)}
        connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)
        connection.request("POST", sent.path, sent.body, headers)
        response = connection.getresponse()
        answered = json.loads(response.read())
        connection.close()
    assert response.status == 200, answered
    assert "candidates" in answered or answered["totalTokens"] > 0
