"""Routing configs over HTTP: what is asked upstream, what the caller hears, what is recorded, and how long it took."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import message
from routing_house import Routed, routed
from wire import eventually

from gateway.canonical.store import Json
from gateway.sandbox.faults import Fault

FALLBACK = {
    "strategy": {"mode": "fallback"},
    "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}, {"provider": "@bedrock-prod"}],
    "forward_headers": ["anthropic-beta"],
}
LADDER = {"provider": "@vertex-ladder"}
RETRY = {"provider": "@vertex-prod", "retry": {"attempts": 2, "on_status_codes": [429, 500, 502, 503]}}
SILENT = {**FALLBACK, "request_timeout": 400}
BODY = b'{"model":"claude-sonnet-4-6", "max_tokens" : 20,"messages":[ {"role":"user","content":"Hi \\u00e9"}]}'


def fault(status: int, **more: Any) -> Fault:
    return Fault(status=status, **more)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, key_path: Path) -> Iterator[Routed]:
    with routed(tmp_path_factory.mktemp("routed"), key_path) as gateway:
        yield gateway


@pytest.fixture
def router(house: Routed) -> Routed:
    """Without faults that are left over, and with every target well."""
    house.rest_nobody()
    return house


SCENARIOS: dict[str, tuple[Json, dict[str, list[Fault]], list[str], list[int], int, float]] = {
    # config, faults by service → places asked, their statuses, what the caller hears, the least seconds it takes
    "the first answers": (FALLBACK, {}, ["us-east5"], [200], 200, 0),
    "the second answers": (FALLBACK, {"inference": [fault(503)]}, ["us-east5", "anthropic"], [503, 200], 200, 0),
    "the third answers": (
        FALLBACK, {"inference": [fault(429)], "anthropic": [fault(529)]}, ["us-east5", "anthropic", "bedrock"], [429, 529, 200],
        200, 0,
    ),
    "none answers": (
        FALLBACK, {"inference": [fault(500)], "anthropic": [fault(429, retry_after="3")], "bedrock": [fault(500)]},
        ["us-east5", "anthropic", "bedrock"], [500, 429, 500], 429, 0,
    ),
    "the caller's fault": (FALLBACK, {"inference": [fault(400)]}, ["us-east5"], [400], 400, 0),
    "a silent provider": (SILENT, {"inference": [Fault(wait_s=3)]}, ["us-east5", "anthropic"], [504, 200], 200, 0.4),
    "a login page": (FALLBACK, {"inference": [Fault(body="html")]}, ["us-east5", "anthropic"], [502, 200], 200, 0),
    "a refused credential": (FALLBACK, {"inference": [fault(403)]}, ["us-east5", "anthropic"], [403, 200], 200, 0),
    "down the ladder": (LADDER, {"inference": [fault(429), fault(404)]}, ["us-east5", "us", "global"], [429, 404, 200], 200, 0),
    "retried": (RETRY, {"inference": [fault(503), fault(500)]}, ["us-east5"] * 3, [503, 500, 200], 200, 0.7),
    "retried as it wishes": (RETRY, {"inference": [fault(429, retry_after="1")]}, ["us-east5"] * 2, [429, 200], 200, 1.0),
    "retried in vain": (RETRY, {"inference": [fault(503)] * 3}, ["us-east5"] * 3, [503] * 3, 503, 0.7),
    "no retry of what is not listed": (RETRY, {"inference": [fault(529)]}, ["us-east5"], [529], 529, 0),
}  # fmt: skip


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_goes_as_it_should(router: Routed, name: str, stream: bool) -> None:
    """Calls upstream, their bytes, status and headers for the caller, the usage document, the time."""
    config, faults, places, statuses, status, seconds = SCENARIOS[name]
    key = router.key(router.put("scenario", config))
    for service, scripted in faults.items():
        router.script(service, *scripted)
    body = BODY.replace(b"{", b'{"stream":true, ', 1) if stream else BODY
    before, began = len(router.bodies()), time.monotonic()
    answer = router.gateway.post("/v1/messages", body, key=key)
    took = time.monotonic() - began
    assert answer.status_code == status, answer.text
    assert router.calls() == places
    assert seconds <= took < seconds + 2.5
    same = [sent for sent, place in zip(router.bodies()[before:], places, strict=True) if place == "anthropic"]
    assert all(sent == body for sent in same)
    vertex = {sent for sent, place in zip(router.bodies()[before:], places, strict=True) if place not in ("anthropic", "bedrock")}
    assert len(vertex) == 1, "every attempt starts from the same bytes"
    record = router.gateway.record(answer.headers["x-gateway-request-id"])
    assert [each["status"] for each in record["attempts"]] == statuses and record["status"] == status
    assert answer.headers["x-gateway-attempts"] == str(len(statuses))
    if status == 200:
        assert record["provider"] == answer.headers["x-gateway-provider"] and record["completeness"] == "final"
    else:
        assert answer.json()["type"] == "error"


def test_a_connection_that_breaks_falls_back(router: Routed) -> None:
    """A kept connection may have been closed meanwhile: that is tried anew, and no failure of the target's."""
    key = router.key(router.put("reset", FALLBACK))
    router.gateway.post("/v1/messages", BODY, key=key)
    router.calls()
    router.script("inference", Fault(drop=True, times=2))
    answer = router.gateway.post("/v1/messages", BODY, key=key)
    assert answer.status_code == 200 and router.calls() == ["us-east5", "us-east5", "anthropic"]
    record = router.gateway.record(answer.headers["x-gateway-request-id"])
    assert [each["status"] for each in record["attempts"]] == [502, 200]


@pytest.mark.parametrize(
    "spoilt",
    [
        Fault(stream_error="overloaded_error", at=1), Fault(cut="rst", at=1), Fault(cut="fin", at=0), Fault(cut="clean", at=1),
        Fault(truncate=True, at=1), Fault(garble=True, at=0), Fault(garble=True, at=1),
    ],
    ids=["error event", "reset", "closed", "ended early", "half an event", "garbled start", "garbled block"],
)  # fmt: skip
def test_a_stream_that_fails_before_its_first_word_falls_back(router: Routed, spoilt: Fault) -> None:
    """The client sees one whole stream: nothing of the first one has reached it."""
    key = router.key(router.put("streams", FALLBACK))
    router.script("inference", spoilt)
    stream = router.gateway.stream(key=key)
    kinds = [event.kind for event in stream.rest() if event.kind != "ping"]
    assert kinds.count("message_start") == 1 and kinds[-1] == "message_stop"
    assert router.calls() == ["us-east5", "anthropic"]
    assert stream.headers["x-gateway-provider"] == "anthropic-prod"


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_client_of_another_dialect_falls_back_the_same(router: Routed, stream: bool) -> None:
    """Its answer is carried over from whoever gave it."""
    key = router.key(router.put("openai", FALLBACK))
    router.script("inference", Fault(stream_error="overloaded_error", at=1) if stream else fault(503))
    body = {"model": "claude-sonnet-4-6", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    answer = router.gateway.post("/v1/chat/completions", body, key=key)
    assert answer.status_code == 200 and answer.headers["x-gateway-provider"] == "anthropic-prod", answer.text
    assert answer.text.rstrip().endswith("data: [DONE]") if stream else answer.json()["choices"][0]["message"]["content"]
    assert router.calls() == ["us-east5", "anthropic"]


def test_a_stream_that_breaks_after_its_first_word_does_not(router: Routed) -> None:
    """The client is told, and its connection is cut: half an answer of one model is not the beginning of another's."""
    key = router.key(router.put("streams", FALLBACK))
    router.script("inference", Fault(cut="rst", at=5))
    stream = router.gateway.stream(key=key)
    events = stream.broken()
    assert events[-1].kind == "error" and router.calls() == ["us-east5"]


def test_a_client_that_waits_for_retries_is_pinged(tmp_path: Path, key_path: Path) -> None:
    """That commits to 200; a failure at the end of all is an error event."""
    with routed(tmp_path, key_path, GATEWAY_PING_INTERVAL_S="0.3") as router:
        check_pings(router)


def check_pings(router: Routed) -> None:
    key = router.key(router.put("slow", {"provider": "@vertex-prod", "retry": {"attempts": 1}}))
    router.script("inference", fault(429, retry_after="1"), fault(503))
    stream = router.gateway.stream(key=key)
    events = stream.rest()
    assert stream.status == 200 and [event.kind for event in events][:2] == ["ping", "ping"]
    assert events[-1].kind == "error"
    record = router.gateway.record(stream.request_id)
    assert [each["status"] for each in record["attempts"]] == [429, 503] and record["status"] == 503


def test_a_failing_target_is_passed_over_by_the_next_call(router: Routed) -> None:
    """Until it has rested."""
    key = router.key(router.put("rests", FALLBACK))
    router.script("inference", fault(429))
    for places in (["us-east5", "anthropic"], ["anthropic"]):
        assert router.gateway.post("/v1/messages", BODY, key=key).status_code == 200
        assert router.calls() == places


def test_a_caller_may_do_without_fallback(router: Routed) -> None:
    """`x-gateway-fallback: off`."""
    key = router.key(router.put("off", FALLBACK))
    router.script("inference", fault(503))
    answer = router.gateway.post("/v1/messages", BODY, key=key, headers={"x-gateway-fallback": "off"})
    assert answer.status_code == 503 and router.calls() == ["us-east5"]


def test_falling_back_makes_the_history_fit_visibly(router: Routed) -> None:
    """Signed thinking stays behind, and the caller is told."""
    key = router.key(router.put("handoff", FALLBACK))
    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "bm90LW91cnM="}, {"type": "text", "text": "Hello"},
        ]},
        {"role": "user", "content": "And now?"},
    ]  # fmt: skip
    router.script("inference", fault(503))
    answer = router.gateway.post("/v1/messages", message(messages=history), key=key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-gateway-dropped"] == "messages.thinking"
    assert b"thinking" not in router.bodies()[-1]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_slow_target_is_hedged_and_both_are_paid(router: Routed, stream: bool) -> None:
    """The second's answer is whole; the first one's connection is cut, and its prompt is in the cost."""
    key = router.key(router.put("hedged", {**FALLBACK, "hedge_ms": 200}))
    body = BODY.replace(b"{", b'{"stream":true, ', 1) if stream else BODY
    alone = router.gateway.post("/v1/messages", body, key=router.key(router.put("direct", {"provider": "@anthropic-prod"})))
    router.calls()
    router.script("inference", Fault(wait_s=8))
    began = time.monotonic()
    answer = router.gateway.post("/v1/messages", body, key=key)
    assert answer.status_code == 200 and 0.2 <= time.monotonic() - began < 7
    assert answer.headers["x-gateway-provider"] == "anthropic-prod" and router.calls() == ["us-east5", "anthropic"]
    record, direct = (router.gateway.record(each.headers["x-gateway-request-id"]) for each in (answer, alone))
    assert [each["status"] for each in record["attempts"]] == [499, 200]
    assert record["cost_nanodollars"] > direct["cost_nanodollars"]
    ended = lambda: [each.ended for each in router.gateway.sandbox.requests if "us-east5" in each.path][-1]  # noqa: E731
    assert eventually(ended) in ("client gone", "answered")


def test_headers_are_forwarded_only_as_a_config_says(router: Routed) -> None:
    """And credentials never."""
    config = {"provider": "@anthropic-prod", "forward_headers": ["x-team", "anthropic-beta"]}
    key = router.key(router.put("forward", config))
    headers = {"x-team": "core", "x-other": "1", "cookie": "a=b", "x-gateway-trace-id": "t1"}
    assert router.gateway.post("/v1/messages", BODY, key=key, headers=headers).status_code == 200
    sent = router.gateway.sandbox.requests[-1].headers
    assert sent["x-team"] == "core" and not {"x-other", "cookie", "x-gateway-trace-id"} & set(sent)
    assert key not in json.dumps(dict(sent))


def test_a_strict_config_refuses_what_a_target_cannot_carry(router: Routed) -> None:
    """Or goes to one that can."""
    headers = {"anthropic-beta": "token-efficient-tools-2025-02-19"}
    key = router.key(router.put("loose", {"provider": "@vertex-prod"}))
    assert router.gateway.post("/v1/messages", BODY, key=key, headers=headers).headers["x-gateway-dropped"]
    strict = {"strict": True, "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}]}
    router.calls()
    answer = router.gateway.post("/v1/messages", BODY, key=router.key(router.put("strict", strict)), headers=headers)
    assert router.calls() == ["anthropic"], answer.text
    key = router.key(router.put("alone", {"strict": True, "provider": "@vertex-prod"}))
    alone = router.gateway.post("/v1/messages", BODY, key=key, headers=headers)
    assert alone.status_code == 400 and "cannot be carried" in alone.text


def test_counting_stays_within_the_residency(router: Routed) -> None:
    """Whatever the settings name as other places to count at."""
    config = {"provider": "@vertex-ladder", "locations": ["eu", "global"], "residency": ["eu"]}
    key = router.key(router.put("eu", config))
    body = {"model": "claude-sonnet-4-6", "messages": message()["messages"]}
    answer = router.gateway.post("/v1/messages/count_tokens", body, key=key)
    assert answer.status_code == 200 and "x-gateway-estimated" not in answer.headers
    assert router.calls() == ["eu", "europe-west1"]


def test_two_regions_share_calls_by_weight_and_keep_sessions(router: Routed) -> None:
    """Over HTTP, in small."""
    regions = [{"provider": "@vertex-us-central", "weight": 0.75}, {"provider": "@vertex-us-east", "weight": 0.25}]
    config = {"strategy": {"mode": "loadbalance"}, "targets": regions}
    key = router.key(router.put("share", config))
    for _ in range(40):
        assert router.gateway.post("/v1/messages", BODY, key=key).status_code == 200
    assert abs(router.calls().count("us-central1") - 30) <= 2
    for number in range(4):
        for _ in range(4):
            router.gateway.post("/v1/messages", BODY, key=key, headers={"x-claude-code-session-id": f"session-{number}"})
        assert len(set(router.calls())) == 1


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"x-gateway-config": "nothing-there"}, "there is no config"),
        ({"x-gateway-config": '{"retry": {"attempts": 99}}'}, "retry.attempts: expected"),
        ({"x-portkey-config": '{"cache": {"mode": "simple"}}'}, "stored configs only"),
        ({"x-gateway-config": "a b"}, "should be the id of a config"),
        ({"x-gateway-cache": "sometimes"}, "should be off or refresh"),
    ],
)
def test_what_a_header_cannot_mean_is_refused(router: Routed, headers: dict[str, str], told: str) -> None:
    """400, before anybody is asked."""
    answer = router.gateway.post("/v1/messages", BODY, headers=headers)
    assert answer.status_code == 400 and told in answer.json()["error"]["message"]
    assert router.calls() == []


def test_an_inline_config_is_followed(router: Routed) -> None:
    """Of a key that has none."""
    router.script("inference", fault(503))
    inline = '{"strategy": {"mode": "fallback"}, "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}]}'
    answer = router.gateway.post("/v1/messages", BODY, headers={"x-gateway-config": inline})
    assert answer.status_code == 200 and router.calls() == ["us-east5", "anthropic"]
