"""OpenAI and compatible servers: bytes pass, usage is asked for, paths begin where the operator says."""

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.canonical.call import Call, Caller, Request, Target
from gateway.canonical.errors import CredentialRefused
from gateway.canonical.json_object import JsonObject
from gateway.providers import authorization
from gateway.providers.openai_compatible import CHAT, EMBEDDINGS, RESPONSES, OpenAiPath, check_provider
from gateway.providers.provider import Lesson, Provider
from gateway.sandbox import Sandbox

HELLO = b'{"model":"gpt-6.1-sol", "messages":[{"role":"user","content":"Hello there"}]}'


def call_of(body: bytes, *, stream: bool = False) -> Call:
    request = Request("generate", "gpt-6.1-sol", stream, JsonObject(body))
    return Call("req_1", Caller("key_1", "demo"), "openai", request, {"openai-beta": "x"}, at=0.0, started=0.0)


def target(base_url: str | None = None, model: str = "gpt-6.1-sol") -> Target:
    return Target(Provider("openai", "openai", "env:K", base_url=base_url), model, model, "global", "openai")


def test_a_body_passes_byte_for_byte() -> None:
    """To OpenAI itself, if no base URL says otherwise."""
    sent = CHAT.prepare(call_of(HELLO), target(), "", Lesson())
    assert (sent.path, sent.body) == ("/v1/chat/completions", HELLO)
    assert CHAT.base_url(target().provider, "global") == "https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.mistral.ai/v1", "/v1/chat/completions"),
        ("https://x.openai.azure.com/openai/v1/", "/openai/v1/chat/completions"),
        ("http://127.0.0.1:11434", "/chat/completions"),
    ],
)
def test_the_path_begins_where_the_base_url_ends(base_url: str, path: str) -> None:
    """As each server's own documentation has it."""
    assert CHAT.prepare(call_of(HELLO), target(base_url), "", Lesson()).path == path


def test_the_providers_own_name_replaces_the_callers() -> None:
    """In place; the rest stays."""
    sent = CHAT.prepare(call_of(HELLO), target(model="other-model"), "", Lesson())
    assert sent.body == HELLO.replace(b"gpt-6.1-sol", b"other-model")


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (b"", {"include_usage": True}),
        (b',"stream_options":null', {"include_usage": True}),
        (b',"stream_options":{"include_usage":false,"x":1}', {"include_usage": True, "x": 1}),
        (b',"stream_options":{"include_usage":true}', {"include_usage": True}),
    ],
)
def test_a_stream_is_always_asked_for_its_usage(options: bytes, sent: dict[str, Any]) -> None:
    """Without it no price could be said; only Chat Completions needs to be asked."""
    body = HELLO[:-1] + b',"stream":true' + options + b"}"
    assert json.loads(CHAT.prepare(call_of(body, stream=True), target(), "", Lesson()).body)["stream_options"] == sent
    assert RESPONSES.prepare(call_of(body, stream=True), target(), "", Lesson()).body == body


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":{"message":"Unrecognized request argument supplied: stream_options","type":"invalid_request_error"}}'),
        (422, b'{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"]}]}}'),
    ],
)
def test_a_server_that_knows_no_stream_options_is_asked_without(status: int, body: bytes) -> None:
    """Its stream passes, priced by estimate; a client's own wish is named as dropped. Other refusals teach nothing."""
    call = call_of(HELLO[:-1] + b',"stream":true}', stream=True)
    sent = CHAT.prepare(call, target(), "", Lesson())
    lesson = CHAT.parse_lesson(sent, CHAT.parse_error(call, status, body, {}, ""))
    assert lesson == Lesson(fields=frozenset({"stream_options"}))
    again = CHAT.prepare(call, target(), "", lesson)
    assert (again.body, again.dropped) == (call.request.document.source, ())
    asked = call_of(HELLO[:-1] + b',"stream":true,"stream_options":{"include_usage":true}}', stream=True)
    assert CHAT.prepare(asked, target(), "", lesson).dropped == ("stream_options",)
    assert CHAT.parse_lesson(again, CHAT.parse_error(call, status, body, {}, "")) is None
    assert CHAT.parse_lesson(sent, CHAT.parse_error(call, 400, b'{"error":{"message":"bad temperature"}}', {}, "")) is None


def test_the_servers_words_pass_and_its_401_does_not() -> None:
    """A caller's key was right; the operator's was not."""
    body = b'{"error":{"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"}}'
    error = CHAT.parse_error(call_of(HELLO), 429, body, {"retry-after": "2"}, "")
    assert (error.status, error.kind, error.message) == (429, "rate_limit_error", "slow down")
    for status in (401, 403):
        assert isinstance(CHAT.parse_error(call_of(HELLO), status, body, {}, ""), CredentialRefused)
    assert CHAT.parse_error(call_of(HELLO), 502, b"<html>", {}, "").status == 502


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"object":"error","message":"Extra inputs: top_k","type":"invalid_request_error"}', "Extra inputs: top_k"),
        (b'{"detail":[{"loc":["body","top_k"],"msg":"not permitted"}]}', '[{"loc":["body","top_k"],"msg":"not permitted"}]'),
        (b'{"detail":"Not Found"}', "Not Found"),
    ],
)
def test_what_is_wrong_is_told_in_whatever_envelope_it_came(body: bytes, told: str) -> None:
    """Mistral, vLLM and FastAPI have their own; a caller hears the words, and whose fault it is."""
    error = CHAT.parse_error(call_of(HELLO), 422, body, {}, "")
    assert (error.status, error.kind, error.message) == (422, "invalid_request_error", told)


def test_a_base_url_is_no_more_than_a_beginning() -> None:
    """A query would swallow the path."""
    assert check_provider(target("https://x.example/v1?key=1").provider)
    assert not check_provider(target("https://x.example/v1").provider) and not check_provider(target().provider)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, HELLO[:-1] + b',"stream":true}'),
        (RESPONSES, b'{"model":"gpt-6.1-sol","input":"Hello there","stream":true}'),
        (EMBEDDINGS, b'{"model":"text-embedding-3-small","input":"Hello there"}'),
    ],
)
def test_the_simulated_openai_understands(path: OpenAiPath, body: bytes) -> None:
    """Over the wire, with its key."""
    with Sandbox() as sandbox:
        aim = target(f"{sandbox.url}/v1", JsonObject(body).value("model"))
        sent = path.prepare(call_of(body, stream=path is not EMBEDDINGS), aim, "", Lesson())
        headers = {**sent.headers, **authorization.bearer(sandbox.api_key, "global", sandbox.url + sent.path, sent, 0.0)}
        connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)
        connection.request("POST", sent.path, sent.body, headers)
        response = connection.getresponse()
        answered = response.read()
        connection.close()
    assert response.status == 200, answered
    assert b'"prompt_tokens"' in answered or b'"input_tokens"' in answered
