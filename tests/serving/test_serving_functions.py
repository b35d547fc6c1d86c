"""The same house under functions-framework, as Cloud Run functions runs it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import message
from processes import FUNCTION, Gateway, environment, running
from wire import ask, eventually

from gateway.canonical.store import Store
from gateway.sandbox import Fault, Sandbox

MEBIBYTE = 1024 * 1024


@pytest.fixture
def function(sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path) -> Iterator[Gateway]:
    variables = environment(sandbox, store_url, GATEWAY_PING_INTERVAL_S="0.2", GATEWAY_DRAIN_S="2")
    with running(tmp_path, variables, key, how=FUNCTION) as [gateway]:
        yield gateway


def test_it_answers_streams_breaks_and_records(function: Gateway, sandbox: Sandbox, store: Store) -> None:
    """Plain, streamed, kept alive, broken and left: as under the gateway's own server, with a record each."""
    plain = function.ask("By function")
    assert plain.status == 200
    assert "By function" in plain.json()["content"][0]["text"]

    sandbox.script(Fault(events=8, interval_s=0.1))
    whole = function.stream()
    deltas = [event.at for event in whole.events() if event.kind == "content_block_delta"]
    assert deltas[-1] - deltas[0] > 0.5

    sandbox.script(Fault(wait_s=0.7))
    silent = function.stream()
    assert next(silent.events()).kind == "ping"
    assert silent.rest()[-1].kind == "message_stop"

    sandbox.script(Fault(cut="rst", at=5, events=8))
    broken = function.stream()
    assert broken.broken()[-1].kind == "error"

    sandbox.script(Fault(events=400, interval_s=0.05))
    left = function.stream()
    left.until("content_block_delta")
    left.leave()
    assert eventually(lambda: sandbox.requests[-1].ended, within_s=3) == "client gone"

    records = eventually(lambda: found if len(found := store.query("projects/demo/usage").documents) == 5 else None)
    completeness = {document.id: document.data["completeness"] for document in records}
    assert completeness == {
        plain.request_id: "final", whole.request_id: "final", silent.request_id: "final",
        broken.request_id: "partial", left.request_id: "partial",
    }  # fmt: skip


def test_errors_and_bodies_are_the_gateways_own(function: Gateway, sandbox: Sandbox) -> None:
    """No page of the framework's, and no limit of the framework's on a body."""
    for method, path, status in [
        ("GET", "/", 200), ("GET", "/livez", 200), ("HEAD", "/api/hello", 200), ("GET", "/readyz", 200), ("GET", "/nothing", 404),
        ("PUT", "/v1/messages", 405), ("POST", "/v1/messages", 401),
    ]:  # fmt: skip
        answer = ask(function.url, method, path)
        assert (answer.status, answer.headers["content-type"]) == (status, "application/json"), (method, path)
    large = ask(
        function.url,
        "POST",
        "/v1/messages",
        body=message("x" * 12 * MEBIBYTE),
        headers={"authorization": f"Bearer {function.key}"},
    )
    assert "prompt is too long" in large.error["message"]
    assert len(sandbox.requests[-1].body) > 12 * MEBIBYTE


def test_log_lines_are_json(function: Gateway, store: Store) -> None:
    """One for each call, in what Cloud Logging reads, and nothing else on the output."""
    answer = function.ask()
    eventually(lambda: store.query("projects/demo/usage").documents)
    lines = [json.loads(line) for line in function.output.read_text().splitlines()]
    assert [line["request_id"] for line in lines] == [answer.request_id]


@pytest.mark.full
def test_sigterm_loses_no_record(function: Gateway, sandbox: Sandbox, store: Store) -> None:
    """The framework only waits; what is still open when it gives up is recorded on the way out."""
    sandbox.script(Fault(events=60, interval_s=0.05))
    stream = function.stream()
    stream.until("content_block_delta")
    started = time.monotonic()
    function.terminate()
    assert stream.rest()[-1].kind == "message_stop"
    function.process.wait(35)
    assert time.monotonic() - started < 35
    assert [document.id for document in store.query("projects/demo/usage").documents] == [stream.request_id]
