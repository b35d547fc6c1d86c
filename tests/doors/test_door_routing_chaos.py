"""Two targets, of which one at a time fails in every way there is: callers hardly notice. And whatever fails in whatever
order: no call is asked for again after its first word, and none goes beyond its limits."""

import http.client
import random
import threading
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from routing_house import SERVICES, Routed, place_of, routed
from wire import Stream, open_stream

from gateway.canonical.store import Json
from gateway.sandbox.faults import Fault

pytestmark = pytest.mark.full
PHASES, CALLS, WORKERS = 6, 200, 6
CONFIG = {
    "strategy": {"mode": "fallback"},
    "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}],
    "retry": {"attempts": 1, "max_wait_ms": 50},
    "request_timeout": 4_000,
}
SLOW = (Fault(wait_s=5), Fault(wait_first_event_s=5))
BEFORE_THE_FIRST_WORD = (
    *(Fault(status=status) for status in (429, 500, 502, 503, 504, 529)),
    *(Fault(body=body) for body in ("html", "malformed", "empty")),
    *(Fault(cut=cut, at=at) for cut in ("rst", "fin", "clean") for at in (0, 1)),
    *(Fault(truncate=True, at=at) for at in (0, 1)),
    *(Fault(garble=True, at=at) for at in (0, 1)),
    Fault(stream_error="overloaded_error", at=1),
)
MISHAPS = (*BEFORE_THE_FIRST_WORD * 2, *(Fault(drop=True),) * 3, *SLOW)


def body(text: str, *, stream: bool) -> Json:
    return {"model": "claude-sonnet-4-6", "max_tokens": 20, "stream": stream, "messages": [{"role": "user", "content": text}]}


def test_calls_succeed_while_one_target_is_well(tmp_path: Path, key_path: Path) -> None:
    """999 of 1,000, plain and streamed, whichever of the two it is; and every call has its record."""
    draw = random.Random(7)
    failed: list[str] = []
    with routed(tmp_path, key_path, GATEWAY_FIRST_BYTE_TIMEOUT_S="30") as router:
        key = router.key(router.put("chaos", CONFIG))
        for number, sick in enumerate(islice(cycle(("inference", "anthropic")), PHASES)):
            router.gateway.sandbox.clear()
            failed += phase(router, key, number, sick, draw)
        assert len(failed) <= PHASES * CALLS / 1_000, failed[:5]
        router.gateway.house.records.flush(5.0)
        assert count_records(router) == PHASES * CALLS


def phase(router: Routed, key: str, number: int, sick: str, draw: random.Random) -> list[str]:
    """So many calls while one service is sick; those that failed, in words."""
    failed: list[str] = []
    lock = threading.Lock()

    def work(worker: int) -> None:
        for call in range(worker, CALLS, WORKERS):
            with lock:
                if draw.random() < 0.3:
                    router.script(sick, draw.choice(MISHAPS))
            asked = body(f"{number}/{call}", stream=call % 2 == 0)
            try:
                answer = router.gateway.post("/v1/messages", asked, key=key)
                whole = "message_stop" in answer.text if asked["stream"] else '"type":"message"' in answer.text
                fault = "" if answer.status_code == 200 and whole else f"{answer.status_code} {answer.text[-200:]}"
            except requests.RequestException as error:
                fault = repr(error)
            if fault:
                with lock:
                    failed.append(fault)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return failed


def count_records(router: Routed) -> int:
    found, cursor = 0, None
    while True:
        page = router.gateway.store.query("projects/demo/usage", limit=1_000, cursor=cursor)
        found += len(page.documents)
        if (cursor := page.next_cursor) is None:
            return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, key_path: Path) -> Iterator[Routed]:
    with routed(tmp_path_factory.mktemp("limits"), key_path) as made:
        yield made


def test_two_regions_keep_to_their_weights_over_two_thousand_calls(house: Routed) -> None:
    """Within 3 %; calls of one session all go to one of them, and the sessions keep to the weights too."""
    house.rest_nobody()
    regions = [{"provider": "@vertex-us-central", "weight": 0.7}, {"provider": "@vertex-us-east", "weight": 0.3}]
    key = house.key(house.put("balance", {"strategy": {"mode": "loadbalance"}, "targets": regions}))
    went = ask_in_turn(house, key, [None] * 2_000)
    assert went.count("vertex-us-central") / 2_000 == pytest.approx(0.7, abs=0.03)
    sessions = [f"session-{number % 700}" for number in range(2_100)]
    went = ask_in_turn(house, key, sessions)
    homes: dict[str, set[str]] = {}
    for session, place in zip(sessions, went, strict=True):
        homes.setdefault(str(session), set()).add(place)
    assert {len(places) for places in homes.values()} == {1}
    assert went.count("vertex-us-central") / 2_100 == pytest.approx(0.7, abs=0.03)


def ask_in_turn(router: Routed, key: str, sessions: list[str | None]) -> list[str]:
    """One call after the other, each of its session; where they went."""
    went = []
    with requests.Session() as client:
        for session in sessions:
            headers = {"authorization": f"Bearer {key}", **({"x-claude-code-session-id": session} if session else {})}
            answer = client.post(f"{router.gateway.url}/v1/messages", json=body("Hi", stream=False), headers=headers, timeout=30)
            assert answer.status_code == 200, answer.text
            went.append(answer.headers["x-gateway-provider"])
    return went


AFTER_THE_FIRST_WORD = (
    *(Fault(cut=cut, at=4) for cut in ("rst", "fin", "clean")),
    Fault(stream_error="overloaded_error", at=4),
    Fault(truncate=True, at=3),
)
FAULTS = st.sampled_from([*BEFORE_THE_FIRST_WORD, *AFTER_THE_FIRST_WORD * 2, Fault(wait_s=1.5), Fault(), Fault()])
SLACK_S = 4.0  # for a machine that has other things to do


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.fixed_dictionaries({service: st.lists(FAULTS, max_size=6) for service in SERVICES.values()}),
    order=st.permutations(list(SERVICES)),
    retries=st.integers(0, 2),
    attempts_max=st.integers(1, 6),
    deadline_ms=st.integers(300, 3_000),
    stream=st.booleans(),
)
def test_no_failures_lead_beyond_the_limits_or_past_the_first_word(
    house: Routed,
    faults: dict[str, list[Fault]],
    order: list[str],
    retries: int,
    attempts_max: int,
    deadline_ms: int,
    stream: bool,
) -> None:
    """Over HTTP: as many requests upstream as the record tells of, and no more than allowed; the one that spoke was the last,
    and is the only one that the client hears; the same bytes each time; an end within the deadline."""
    house.rest_nobody()
    for service, scripted in faults.items():
        house.script(service, *scripted)
    config: dict[str, Any] = {
        "targets": [{"provider": f"@{name}"} for name in order], "retry": {"attempts": retries, "max_wait_ms": 20},
        "max_attempts": attempts_max, "deadline_ms": deadline_ms, "request_timeout": 1_000,
    }  # fmt: skip
    key = house.key(house.put("limits", config))
    began = time.monotonic()
    answer = open_stream(house.gateway.url, "/v1/messages", body("Hi", stream=stream), {"authorization": f"Bearer {key}"})
    text = read_to_its_end(answer)
    assert time.monotonic() - began < deadline_ms / 1000 + SLACK_S
    requests_made = house.requests()
    went = [place_of(each.path) for each in requests_made]
    record = house.gateway.record(answer.request_id)
    assert 1 <= len(went) == len(record["attempts"]) <= attempts_max
    for place in set(went):
        assert len({each.body for each, other in zip(requests_made, went, strict=True) if other == place}) == 1
    assert text.count(b"event: message_start") <= 1
    if b"content_block_start" in text or (answer.status == 200 and not stream):
        spoke = {"us-east5": "vertex-prod", "anthropic": "anthropic-prod", "bedrock": "bedrock-prod"}[went[-1]]
        assert record["provider"] == spoke == answer.headers["x-gateway-provider"]
        assert [each["status"] for each in record["attempts"]][-1] == 200


def read_to_its_end(answer: Stream) -> bytes:
    """What arrived, whether the connection broke or not."""
    assert answer._response is not None
    pieces = []
    try:
        while piece := answer._response.read1(65_536):
            pieces.append(piece)
    except (http.client.IncompleteRead, ConnectionError):
        return b"".join(pieces)
    finally:
        answer.leave()
    return b"".join(pieces)
