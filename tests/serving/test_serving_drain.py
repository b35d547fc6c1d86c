"""SIGTERM in the middle of a call: the process ends in time, the client is not deceived, and the record is written."""

import signal
import threading
import time
from pathlib import Path

import pytest
from processes import Gateway, environment, running
from scripted_upstream import DELTA, EVENTS, ScriptedUpstream
from wire import Answer, eventually

from gateway.canonical.store import Json, Store
from gateway.sandbox import Fault, Sandbox


def records(store: Store) -> list[Json]:
    return [document.data for document in store.query("projects/demo/usage").documents]


def only_record(store: Store) -> Json:
    found = records(store)
    assert len(found) == 1, found
    return found[0]


def ends(gateway: Gateway, *, within_s: float) -> None:
    started = time.monotonic()
    gateway.process.wait(within_s)
    assert time.monotonic() - started < within_s


def test_a_stream_that_can_finish_does(sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path) -> None:
    """The answer is a second from its end: the client gets it whole, then the process goes."""
    with running(tmp_path, environment(sandbox, store_url, GATEWAY_DRAIN_S="5"), key) as [gateway]:
        sandbox.script(Fault(events=20, interval_s=0.05))
        stream = gateway.stream()
        stream.until("content_block_delta")
        gateway.terminate()
        assert stream.rest()[-1].kind == "message_stop"
        ends(gateway, within_s=4)
    record = only_record(store)
    assert (record["request_id"], record["status"], record["completeness"]) == (stream.request_id, 200, "final")


def test_a_stream_that_cannot_finish_is_broken_and_recorded(
    sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path
) -> None:
    """An error event says why, the connection is cut, what was used is on record, all within the drain time (2 s here)."""
    with running(tmp_path, environment(sandbox, store_url, GATEWAY_DRAIN_S="2"), key) as [gateway]:
        sandbox.script(Fault(events=2_000, interval_s=0.02))
        stream = gateway.stream()
        stream.until("content_block_delta")
        gateway.terminate()
        events = stream.broken()
        ends(gateway, within_s=4)
    assert events[-1].kind == "error"
    assert "shutting down" in events[-1].data["error"]["message"]
    assert sandbox.requests[-1].ended == "client gone"
    record = only_record(store)
    assert (record["request_id"], record["completeness"], record["client_gone"]) == (stream.request_id, "partial", False)
    assert record["status"] == 503
    assert record["tokens"]["output"] > 1
    assert record["cost_nanodollars"] > 0


@pytest.mark.parametrize("streaming", [True, False])
def test_a_call_that_still_waits_for_its_provider_is_told_and_recorded(
    sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path, streaming: bool
) -> None:
    """Not a word has come yet; the client hears that it should try again."""
    settings = {"GATEWAY_DRAIN_S": "2", "GATEWAY_PING_INTERVAL_S": "0.2"}
    with running(tmp_path, environment(sandbox, store_url, **settings), key) as [gateway]:
        sandbox.script(Fault(wait_s=30))
        if streaming:
            stream = gateway.stream()
            next(stream.events())
            gateway.terminate()
            events = stream.rest()
            assert events[-1].kind == "error"
            assert "shutting down" in events[-1].data["error"]["message"]
        else:
            answers: list[Answer] = []
            thread = threading.Thread(target=lambda: answers.append(gateway.ask()))
            thread.start()
            eventually(lambda: any("rawPredict" in request.path for request in sandbox.requests))
            gateway.terminate()
            thread.join()
            assert answers[0].status == 503
            assert "shutting down" in answers[0].error["message"]
        ends(gateway, within_s=4)
    assert only_record(store)["status"] == 503


def test_nobody_new_is_let_in_while_the_last_stream_ends(
    sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path
) -> None:
    """New connections are refused, so that a load balancer goes elsewhere; one record is all there is."""
    with running(tmp_path, environment(sandbox, store_url, GATEWAY_DRAIN_S="3"), key) as [gateway]:
        sandbox.script(Fault(events=30, interval_s=0.05))
        stream = gateway.stream()
        stream.until("content_block_delta")
        gateway.terminate()
        time.sleep(0.3)
        try:
            status = gateway.ask().status
        except OSError:
            status = 0
        assert status in (0, 503)
        assert stream.rest()[-1].kind == "message_stop"
        ends(gateway, within_s=4)
    assert only_record(store)["completeness"] == "final"


def test_an_idle_gateway_ends_at_once(sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path) -> None:
    """Kept-alive connections and finished calls hold nothing up."""
    with running(tmp_path, environment(sandbox, store_url), key) as [gateway]:
        assert gateway.ask().status == 200
        gateway.terminate()
        ends(gateway, within_s=4)
    assert only_record(store)["status"] == 200


def test_a_client_that_reads_nothing_holds_nobody_up(
    sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path
) -> None:
    """The stream is stuck in full buffers; the process ends all the same, and the record is written."""
    pieces = [EVENTS[: EVENTS.index(b"event: content_block_stop")], *[DELTA * 500] * 500]
    with ScriptedUpstream(pieces) as upstream:
        variables = environment(sandbox, store_url, GATEWAY_DRAIN_S="2", VERTEX_BASE_URL=upstream.url)
        with running(tmp_path, variables, key) as [gateway]:
            stream = gateway.stream()
            time.sleep(0.5)
            gateway.terminate()
            ends(gateway, within_s=6)
            stream.leave()
    record = only_record(store)
    assert (record["request_id"], record["completeness"], record["status"]) == (stream.request_id, "partial", 503)
    assert record["tokens"]["input"] == 11


def test_an_interrupt_at_the_keyboard_is_like_sigterm(
    sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path
) -> None:
    """Ctrl-C on a laptop loses no record either."""
    with running(tmp_path, environment(sandbox, store_url, GATEWAY_DRAIN_S="2"), key) as [gateway]:
        sandbox.script(Fault(events=2_000, interval_s=0.02))
        stream = gateway.stream()
        stream.until("content_block_delta")
        gateway.process.send_signal(signal.SIGINT)
        assert stream.broken()[-1].kind == "error"
        ends(gateway, within_s=4)
        assert "Traceback" not in gateway.output.read_text()
    assert only_record(store)["completeness"] == "partial"
