"""Streams over a real connection: as they come, kept alive through silence, and honest about how they end."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from house import Served
from scripted_upstream import EVENTS, ScriptedUpstream
from wire import Event, Stream, eventually

from gateway.dialects.anthropic.door import PING
from gateway.sandbox import Fault
from gateway.sandbox.recording import Recorded

PAUSE_S = 0.7  # of the provider's; pings of ours are due every 0.2 s


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def text(events: list[Event]) -> str:
    return "".join(event.data["delta"]["text"] for event in events if event.kind == "content_block_delta")


def stream(gateway: Served, *faults: Fault, **more: Any) -> Stream:
    gateway.sandbox.script(*faults)
    return gateway.stream(**more)


def asked_of(gateway: Served) -> Recorded:
    return gateway.sandbox.requests[-1]


# -- as they come ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-6:streamRawPredict"]
)
def test_events_arrive_as_they_are_sent(gateway: Served, path: str) -> None:
    """The first word is read long before the last one is said."""
    running = stream(gateway, Fault(events=8, interval_s=0.1), path=path)
    events = running.rest()
    deltas = [event.at for event in events if event.kind == "content_block_delta"]
    assert running.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert running.headers["cache-control"] == "no-cache"
    assert "content-length" not in running.headers
    assert deltas[-1] - deltas[0] > 0.5


def test_each_delta_is_there_within_milliseconds(gateway: Served) -> None:
    """Nothing is gathered on the way: the provider's clock is in the words."""
    events = stream(gateway, Fault(events=10, interval_s=0.03, stamps=True)).rest()
    delays = sorted(event.at - int(event.data["delta"]["text"]) / 1e9 for event in events if event.kind == "content_block_delta")
    assert len(delays) == 10
    assert delays[5] < 0.1


def test_a_stream_without_pauses_passes_byte_for_byte(gateway: Served) -> None:
    """Pings of the provider's included."""
    running = stream(gateway, Fault(text='Grüße 🚀, \\ and "quotes"'))
    events = running.rest()
    assert kinds(events) == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * (len(events) - 6), "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert text(events) == 'Grüße 🚀, \\ and "quotes"'
    assert json.dumps(events[0].data, ensure_ascii=False, separators=(",", ":")).encode() in running.raw


# -- silence -----------------------------------------------------------------------------------------------------------


def test_silence_before_the_head_is_filled_with_pings(gateway: Served) -> None:
    """Claude Code gives up after 300 s without a byte; ours is the first one here."""
    started = time.monotonic()
    running = stream(gateway, Fault(wait_s=PAUSE_S))
    assert running.status == 200
    assert running.head_at - started < PAUSE_S
    events = running.rest()
    assert 1 <= kinds(events).index("message_start") <= 5
    assert events[-1].kind == "message_stop"
    record = gateway.record(running.request_id)
    assert (record["status"], record["completeness"], record["error_type"]) == (200, "final", None)


def test_silence_before_the_first_event_is_filled_with_pings(gateway: Served) -> None:
    """The head is there, the words are not."""
    events = stream(gateway, Fault(wait_first_event_s=PAUSE_S)).rest()
    assert 1 <= kinds(events).index("message_start") <= 5
    assert events[-1].kind == "message_stop"


def test_silence_between_events_is_filled_with_pings(gateway: Served) -> None:
    """They stand only between two events, and the rest is as it was."""
    running = stream(gateway, Fault(wait_at_s=PAUSE_S, at=5, events=8))
    events = running.rest()
    assert kinds(events).count("ping") >= 2  # one is the provider's
    assert text(events) == "".join(f"word{i} " for i in range(8))
    assert events[-1].kind == "message_stop"


def test_no_ping_is_put_into_the_middle_of_an_event(serve: Callable[..., Served]) -> None:
    """Half an event, a long silence, then the other half: the two stay together."""
    end = EVENTS.index(b"\n\n")
    with ScriptedUpstream(
        [EVENTS[:150], 0.3, EVENTS[150 : end + 1], 0.3, EVENTS[end + 1 : end + 9], 0.3, EVENTS[end + 9 :]]
    ) as upstream:
        gateway = serve(GATEWAY_PING_INTERVAL_S="0.1", VERTEX_BASE_URL=upstream.url)
        running = gateway.stream()
        running.rest()
        before = running.raw.removesuffix(EVENTS)  # a ping may stand before the first event, if that is slow to come
        assert before == PING * before.count(PING)


def test_half_an_event_before_a_cut_stays_half(gateway: Served) -> None:
    """An error event put behind it would be read as part of it: the break alone tells."""
    running = stream(gateway, Fault(truncate=True, at=4, events=8))
    assert kinds(running.broken()) == ["message_start", "content_block_start", "ping", "content_block_delta"]
    assert not running.raw.endswith(b"\n\n")
    assert b"error" not in running.raw


@pytest.mark.parametrize("cut_every", [1, 7, 64])
@pytest.mark.parametrize("events", [EVENTS, EVENTS.replace(b"\n", b"\r\n")], ids=["lf", "crlf"])
def test_bytes_and_figures_are_the_same_in_any_cutting(serve: Callable[..., Served], events: bytes, cut_every: int) -> None:
    """Wherever the network cuts, the client reads the provider's bytes and the record the provider's figures."""
    pieces = [events[at : at + cut_every] for at in range(0, len(events), cut_every)]
    with ScriptedUpstream(pieces) as upstream:
        gateway = serve(VERTEX_BASE_URL=upstream.url)
        answer = gateway.ask(stream=True)
        assert answer.content == events
        record = gateway.record(answer.headers["x-gateway-request-id"])
    assert (record["tokens"]["input"], record["tokens"]["output"], record["completeness"]) == (11, 7, "final")


def test_a_dead_provider_is_noticed_in_spite_of_pings(serve: Callable[..., Served]) -> None:
    """Our pings keep the client, not the provider: its own limit (0.6 s here) ends the wait, with an error and a break."""
    gateway = serve(GATEWAY_PING_INTERVAL_S="0.1", GATEWAY_IDLE_TIMEOUT_S="0.6")
    started = time.monotonic()
    running = stream(gateway, Fault(wait_at_s=20, at=4, events=8))
    events = running.broken()
    assert 0.5 < time.monotonic() - started < 6
    assert kinds(events).count("ping") >= 3
    assert events[-1].kind == "error"
    assert events[-1].data["error"]["type"] == "timeout_error"
    assert events[-1].data["request_id"] == running.request_id
    assert eventually(lambda: asked_of(gateway).ended) == "client gone"
    record = gateway.record(running.request_id)
    assert (record["status"], record["error_type"], record["completeness"]) == (504, "timeout_error", "partial")


def test_a_provider_that_never_begins_ends_in_an_error_event(gateway: Served) -> None:
    """A ping has promised 200, so the first-byte limit (1.5 s here) is told as an event, and the stream ends properly."""
    running = stream(gateway, Fault(wait_s=20))
    events = running.rest()
    assert kinds(events)[-1] == "error"
    assert set(kinds(events)[:-1]) == {"ping"}
    assert events[-1].data["error"]["type"] == "timeout_error"
    assert gateway.record(running.request_id)["status"] == 504


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (Fault(wait_s=PAUSE_S, status=529), "overloaded_error", 529),
        (Fault(wait_s=PAUSE_S, status=429), "rate_limit_error", 429),
        (Fault(wait_s=PAUSE_S, status=403), "api_error", 502),
        (Fault(wait_s=PAUSE_S, body="html"), "api_error", 502),
        (Fault(wait_s=PAUSE_S, body="empty"), "api_error", 502),
        (Fault(wait_s=PAUSE_S, drop=True, times=2), "api_error", 502),
    ],
    ids=str,
)
def test_a_failure_after_a_ping_is_an_error_event(gateway: Served, fault: Fault, kind: str, status: int) -> None:
    """The status is gone; what went wrong is told in the stream, in Anthropic's words, and recorded as it was."""
    running = stream(gateway, fault)
    assert running.status == 200
    events = running.rest()
    assert (kinds(events)[0], kinds(events)[-1]) == ("ping", "error")
    assert events[-1].data["error"]["type"] == kind
    assert len(events[-1].data["error"]["message"]) >= 8
    assert events[-1].data["request_id"]
    record = gateway.record(running.request_id)
    assert (record["status"], record["error_type"], record["cost_nanodollars"]) == (status, kind, 0)


def test_a_token_that_died_is_replaced_even_after_a_ping(gateway: Served) -> None:
    """The repair takes its time; the client sees pings, then its answer."""
    events = stream(gateway, Fault(wait_s=PAUSE_S, status=401)).rest()
    assert kinds(events)[0] == "ping"
    assert events[-1].kind == "message_stop"


# -- how they end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["rst", "fin", "clean"])
@pytest.mark.parametrize("at", [1, 5, -1])
def test_a_stream_that_the_provider_broke_is_broken_for_the_client_too(gateway: Served, cut: str, at: int) -> None:
    """Ended cleanly it would pass for a whole answer: every SDK returns the partial text as success."""
    running = stream(gateway, Fault(cut=cut, at=at, events=8))
    events = running.broken()
    assert "message_stop" not in kinds(events)
    assert events[-1].kind == "error"
    record = gateway.record(running.request_id)
    assert (record["status"], record["error_type"], record["client_gone"]) == (502, "overloaded_error", False)
    assert record["completeness"] == ("final" if at == -1 else "partial")
    assert record["tokens"]["input"] > 0


def test_a_stream_that_ends_before_it_began_is_broken_too(gateway: Served) -> None:
    """200, the right content type, and not a byte of body."""
    running = stream(gateway, Fault(cut="clean", at=0))
    assert kinds(running.broken()) == ["error"]
    assert gateway.record(running.request_id)["completeness"] == "estimated"


@pytest.mark.parametrize("at", [0, 5])
@pytest.mark.parametrize("kind", ["overloaded_error", "api_error", "invalid_request_error"])
def test_the_providers_own_error_event_passes(gateway: Served, kind: str, at: int) -> None:
    """As it is, and the stream ends as the provider ended it; the record says what it was."""
    running = stream(gateway, Fault(stream_error=kind, at=at, events=8, message="Wörter"))
    events = running.rest()
    assert kinds(events)[-1] == "error"
    assert kinds(events).count("error") == 1
    assert events[-1].data == {"type": "error", "error": {"type": kind, "message": "Wörter"}}
    record = gateway.record(running.request_id)
    assert record["error_type"] == kind
    assert record["completeness"] == ("partial" if at else "estimated")


def test_a_garbled_event_passes_as_it_is(gateway: Served) -> None:
    """Whoever reads it decides; the rest is metered as usual."""
    running = stream(gateway, Fault(garble=True, at=5, events=8))
    with pytest.raises(json.JSONDecodeError):
        running.rest()
    running.leave()
    assert b"<garbled>\n\n" in running.raw


@pytest.mark.parametrize("stop_reason", ["refusal", "pause_turn", "model_context_window_exceeded"])
def test_odd_stop_reasons_are_whole_answers(gateway: Served, stop_reason: str) -> None:
    """They end with message_stop, and are final."""
    running = stream(gateway, Fault(stop_reason=stop_reason))
    assert running.rest()[-1].kind == "message_stop"
    assert gateway.record(running.request_id)["completeness"] == "final"


def test_a_client_that_leaves_frees_the_provider(gateway: Served) -> None:
    """Whoever hangs up does not go on paying: the provider is cut off, what was said is recorded as partial."""
    running = stream(gateway, Fault(events=200, interval_s=0.05))
    running.until("content_block_delta")
    left_at = time.monotonic()
    running.leave()
    assert eventually(lambda: asked_of(gateway).ended) == "client gone"
    assert time.monotonic() - left_at < 3.0
    record = gateway.record(running.request_id)
    assert (record["completeness"], record["client_gone"], record["status"]) == ("partial", True, 200)
    assert 0 < record["tokens"]["output"] < 200
    assert record["cost_nanodollars"] > 0
    eventually(lambda: gateway.house.answering.open_calls == 0)


@pytest.mark.parametrize(
    ("fault", "completeness"),
    [
        (Fault(wait_s=10), "estimated"),
        (Fault(wait_first_event_s=10), "estimated"),
        (Fault(wait_at_s=10, at=6, events=9), "partial"),
    ],
    ids=str,
)
def test_a_client_that_leaves_in_a_silence_is_noticed_by_our_pings(gateway: Served, fault: Fault, completeness: str) -> None:
    """Nobody waits for a provider's next word that nobody will read."""
    running = stream(gateway, fault)
    next(running.events())
    running.leave()
    assert eventually(lambda: asked_of(gateway).ended, within_s=3) == "client gone"
    record = gateway.record(running.request_id)
    assert record["client_gone"] is True
    assert record["completeness"] == completeness or "wait_s" in str(fault)


def test_a_client_that_leaves_after_the_last_event_has_had_everything(gateway: Served) -> None:
    """The record was written before the last event went out: final, and nobody gone."""
    running = stream(gateway, Fault(events=4))
    running.until("message_stop")
    running.leave()
    record = gateway.record(running.request_id)
    assert (record["completeness"], record["client_gone"], record["error_type"]) == ("final", False, None)


def test_a_large_stream_passes_whole(gateway: Served) -> None:
    """One event of four MiB, read by a client that takes its time."""
    running = stream(gateway, Fault(huge_mib=4), max_tokens=64_000)
    events = running.rest()
    assert len(text(events)) > 200_000
    assert gateway.record(running.request_id)["completeness"] == "final"
