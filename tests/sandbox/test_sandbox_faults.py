"""Faults strike as scripted, as often as scripted, and look to a client like the real thing."""

import gzip
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx2
import pytest
from sandbox_client import HELLO, Answered, Client, path, user

from gateway.sandbox import Fault, Sandbox


def test_a_fault_strikes_so_many_times_and_no_more(sandbox: Sandbox, client: Client) -> None:
    """In the order of the script; then the answers are right again."""
    sandbox.script(Fault(status=529, times=2), Fault(status=503))
    assert [client.ask().status for _ in range(5)] == [529, 529, 503, 200, 200]


def test_a_fault_can_stay_until_it_is_cleared(sandbox: Sandbox, client: Client) -> None:
    """times=0 means every request."""
    sandbox.script(Fault(status=500, times=0))
    assert [client.ask().status for _ in range(3)] == [500, 500, 500]
    sandbox.clear()
    assert client.ask().status == 200


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        (Fault(status=429), anthropic.RateLimitError, None),
        (Fault(status=429, envelope="anthropic"), anthropic.RateLimitError, "rate_limit_error"),
        (Fault(status=529), anthropic.APIStatusError, "overloaded_error"),
        (Fault(status=500), anthropic.InternalServerError, "api_error"),
        (Fault(status=502), anthropic.InternalServerError, None),
        (Fault(status=403), anthropic.PermissionDeniedError, None),
        (Fault(status=404), anthropic.NotFoundError, None),
        (Fault(revoke_token=True), anthropic.AuthenticationError, None),
        (Fault(cut="rst"), anthropic.APIConnectionError, None),
        (Fault(drop=True), anthropic.APIConnectionError, None),
    ],
    ids=str,
)
def test_the_sdk_raises_the_class_it_should(
    sandbox: Sandbox, sdk: anthropic.AnthropicVertex, fault: Fault, error: type[Exception], kind: str | None
) -> None:
    """Each status is the SDK's error of that name, with Anthropic's type where the envelope is Anthropic's."""
    sandbox.script(fault)
    with pytest.raises(error) as raised:
        sdk.messages.create(model="claude-opus-5-5", max_tokens=100, messages=user("x"))
    if kind:
        assert isinstance(raised.value, anthropic.APIStatusError)
        assert raised.value.type == kind


def test_headers_steer_retries(sandbox: Sandbox, client: Client) -> None:
    """retry-after and x-should-retry go out as asked."""
    sandbox.script(Fault(status=429, retry_after="7", should_retry="false"))
    answered = client.ask()
    assert (answered.headers["retry-after"], answered.headers["x-should-retry"]) == ("7", "false")


@pytest.mark.parametrize(
    ("words", "status"),
    [("status=429", 429), ("503", 503), ("overloaded", 529), ("nonsense=1", 400), ("text='", 400), ("cut=no", 400)],
)
def test_people_ask_for_faults_in_their_prompt(client: Client, words: str, status: int) -> None:
    """`[sandbox: …]` holds for every request that carries it; an unknown word is explained."""
    prompt = {"messages": user(f"[sandbox: {words}] hello")}
    assert [client.ask(prompt).status for _ in range(3)] == [status] * 3


def test_a_fault_of_a_prompt_can_be_bounded(client: Client) -> None:
    """times=2 in a prompt: twice, then an answer."""
    prompt = {"messages": user("[sandbox: 529 times=2] hello")}
    assert [client.ask(prompt).status for _ in range(3)] == [529, 529, 200]


def test_a_token_is_revoked_once(sandbox: Sandbox, client: Client) -> None:
    """401 and the token is dead; a new token works, with the same prompt too."""
    prompt, token = {"messages": user("[sandbox: expired] hello")}, sandbox.access_token()
    assert client.ask(prompt, token=token).status == 401
    assert client.ask(token=token).status == 401
    assert client.ask(prompt).status == 200


@pytest.mark.parametrize("at", [0, 3])
def test_an_error_event_takes_the_place_of_the_rest(sandbox: Sandbox, client: Client, at: int) -> None:
    """Status 200, so many events, then `error`, then a proper end."""
    sandbox.script(Fault(stream_error="overloaded_error", at=at))
    events = client.ask(stream=True).events
    assert len(events) == at + 1
    assert events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize("fault", [Fault(cut="fin", at=4), Fault(cut="rst", at=4), Fault(truncate=True, at=4)], ids=str)
def test_a_broken_stream_is_an_exception_to_the_sdk(sandbox: Sandbox, sdk: anthropic.AnthropicVertex, fault: Fault) -> None:
    """Whatever came before is seen; then the connection breaks."""
    sandbox.script(fault)
    seen: list[str] = []
    with (
        pytest.raises(httpx2.TransportError),
        sdk.messages.create(model="claude-opus-5-5", max_tokens=500, messages=HELLO, stream=True) as events,
    ):
        seen.extend(event.type for event in events)
    assert seen[:2] in ([], ["message_start", "content_block_start"])
    assert _ended(sandbox) == "cut"


def test_a_clean_end_without_the_rest(sandbox: Sandbox, client: Client) -> None:
    """The chunked body ends as it should, the message does not."""
    sandbox.script(Fault(cut="clean", at=-1))
    assert client.ask(stream=True).events[-1]["type"] == "message_delta"


def test_a_truncated_event_can_end_cleanly(sandbox: Sandbox, client: Client) -> None:
    """Half an event, then the end of the body."""
    sandbox.script(Fault(truncate=True, cut="clean", at=3))
    body = client.ask(stream=True).body
    assert body.count(b"\n\n") == 3
    assert not body.endswith(b"\n\n")


def test_an_event_can_be_garbled(sandbox: Sandbox, client: Client) -> None:
    """Framing right, JSON wrong, the rest as ever."""
    sandbox.script(Fault(garble=True, at=3))
    blocks = client.ask(stream=True).body.decode().split("\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(blocks[3].partition("data: ")[2])
    assert "message_stop" in blocks[-2]


def test_an_unstreamed_answer_can_lose_its_second_half(sandbox: Sandbox, client: Client) -> None:
    """content-length promises more than comes."""
    sandbox.script(Fault(cut="fin"))
    with pytest.raises(http.client.IncompleteRead):
        client.ask()


@pytest.mark.parametrize(
    ("fault", "before_head"),
    [
        (Fault(wait_s=0.5), True),
        (Fault(wait_first_event_s=0.5), False),
        (Fault(wait_at_s=0.5, at=3), False),
        (Fault(events=5, interval_s=0.1), False),
    ],
    ids=str,
)
def test_silence_falls_where_it_is_asked_for(sandbox: Sandbox, fault: Fault, before_head: bool) -> None:
    """Before the head, after the head, in the middle, or between deltas."""
    sandbox.script(fault)
    began = time.monotonic()
    with _open_stream(sandbox) as response:
        head_s = time.monotonic() - began
        response.read()
    assert (head_s >= 0.5) is before_head
    assert time.monotonic() - began >= 0.5


def test_a_slow_stream_has_so_many_deltas(sandbox: Sandbox, client: Client) -> None:
    """`events` is the number of text deltas; stamps tell when each was sent."""
    sandbox.script(Fault(events=7, stamps=True))
    deltas = [e["delta"]["text"] for e in client.ask(stream=True).events if e["type"] == "content_block_delta"]
    assert len(deltas) == 7
    assert sorted(map(int, deltas)) == [int(delta) for delta in deltas]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_can_be_zipped(sandbox: Sandbox, client: Client, streamed: bool) -> None:
    """content-encoding gzip, whether asked for or not."""
    sandbox.script(Fault(gzip=True, text="zipped"))
    answered = client.ask(stream=streamed or None)
    assert answered.headers["content-encoding"] == "gzip"
    assert b"zipped" in gzip.decompress(answered.body)


@pytest.mark.parametrize(
    ("fault", "start"),
    [
        (Fault(body="html"), b"<!DOCTYPE"),
        (Fault(body="empty"), b""),
        (Fault(body="malformed"), b'{"id"'),
        (Fault(status=502), b"<!DOCTYPE"),
    ],
    ids=str,
)
def test_a_body_can_be_something_else(sandbox: Sandbox, client: Client, fault: Fault, start: bytes) -> None:
    """HTML, nothing, or half a document."""
    sandbox.script(fault)
    answered = client.ask()
    assert answered.body.startswith(start)
    assert len(answered.body) < 400
    with pytest.raises(json.JSONDecodeError):
        json.loads(answered.body)


def test_an_answer_can_be_huge_or_elsewhere(sandbox: Sandbox, client: Client) -> None:
    """Megabytes of text, and a redirect."""
    sandbox.script(Fault(huge_mib=2), Fault(redirect_to="http://127.0.0.1:1/elsewhere"))
    assert len(client.ask(max_tokens=128_000, model="claude-opus-5-5").body) > 500_000
    answered = client.ask()
    assert (answered.status, answered.headers["location"]) == (302, "http://127.0.0.1:1/elsewhere")


def test_token_counting_has_its_own_script(sandbox: Sandbox, client: Client) -> None:
    """Faults for inference do not strike counting, nor the other way round."""
    sandbox.script(Fault(status=503), on="count_tokens")
    assert client.ask().status == 200
    counting: dict[str, Any] = {"model": "claude-opus-5-5", "messages": user("x")}
    assert [client.count(counting).status for _ in range(2)] == [503, 200]


def test_a_client_that_leaves_is_noticed_in_the_silence(sandbox: Sandbox) -> None:
    """The record says so, without waiting for the silence to end."""
    sandbox.script(Fault(wait_at_s=30, at=2))
    with _open_stream(sandbox) as response:
        response.read(10)
    assert _ended(sandbox) == "client gone"


def test_another_process_can_steer(client: Client, sandbox: Sandbox) -> None:
    """POST /_sandbox/script takes faults as JSON, and GET /_sandbox/state tells what happened."""

    def steer(document: Any) -> Answered:
        return client.send("POST", "/_sandbox/script", json.dumps(document).encode())

    assert steer([{"status": 429, "times": 2}]).status == 200
    assert [client.ask().status for _ in range(3)] == [429, 429, 200]
    assert steer({"secrets": {"projects/p/secrets/s": "x"}, "revoke_tokens": True}).status == 200
    assert sandbox.secrets["projects/p/secrets/s"] == "x"
    assert "known are" in steer([{"nonsense": 1}]).message
    state = client.send("GET", "/_sandbox/state").json
    assert state["mints"] == 0
    assert state["requests"][f"POST {path('claude-opus-5-5')}"] == {"429": 2, "200": 1}


@contextmanager
def _open_stream(sandbox: Sandbox) -> Iterator[http.client.HTTPResponse]:
    client = Client(sandbox)
    connection = http.client.HTTPConnection(client.address, timeout=10)
    body = {"anthropic_version": "2026-10-21", "max_tokens": 500, "messages": user("hello"), "stream": True}
    connection.request("POST", path("claude-opus-5-5", "streamRawPredict"), json.dumps(body), client.headers())
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def _ended(sandbox: Sandbox) -> str | None:
    """How the last request ended; it may take a moment to be known."""
    patience = threading.Event()
    for _ in range(200):
        if sandbox.requests[-1].ended:
            break
        patience.wait(0.01)
    return sandbox.requests[-1].ended
