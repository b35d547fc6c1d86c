"""Budgets over HTTP, as developers and the people who pay for them meet them."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from house import Served, served
from wire import eventually

from gateway.canonical.store import Put
from gateway.sandbox.faults import Fault

THREE_CENTS = {"max_tokens": 1_550}  # at worst; 2.3 of them in fact
ANSWER = "word " * 1_550
CENT = 10_000_000
UNIFIED = "anthropic-ratelimit-unified-"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as gateway:
        yield gateway


@pytest.fixture
def cap(gateway: Served) -> Callable[..., None]:
    """Sets a budget for the project, at once."""

    def put(amount: str | None, budget: str = "cap", **fields: Any) -> None:
        document = {"id": budget, "scope": {"type": "project", "id": "demo"}, "unit": "usd", "amount": amount, "period": "day",
                    "mode": "strict", "on_store_error": "open", "alerts": [], "pooled": False, "raise": None}  # fmt: skip
        gateway.store.commit([Put(f"budgets/{budget}", {**document, **fields})])
        gateway.house.ledger.directory.forget()

    return put


def at_once(gateway: Served, count: int, **members: Any) -> list[requests.Response]:
    answers: list[requests.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(gateway.ask("Tell me", **members))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("mode", ["strict", "balanced"])
def test_thirty_calls_of_three_cents_at_once_spend_no_more_than_the_ten_that_are_there(
    gateway: Served, cap: Callable[..., None], mode: str
) -> None:
    """Gateways that look at what was spent before a call let all thirty pass: 90 cents."""
    gateway.sandbox.script(Fault(text=ANSWER, wait_s=0.3, times=0))
    cap("0.10", mode=mode)
    answers = at_once(gateway, 30, **THREE_CENTS)
    passed = [answer for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} == {200, 429}
    spent = sum(record["cost_nanodollars"] for record in gateway.records() if record["status"] == 200)
    assert len(passed) >= 3 and 5 * CENT <= spent <= 10 * CENT
    assert eventually(lambda: gateway.house.ledger.state("cap").spent == spent)


def test_an_exhausted_budget_says_what_is_left_and_when_it_is_reset(gateway: Served, cap: Callable[..., None]) -> None:
    """Claude Code shows the sentence, stops, and does not ask again; the project's own words are in it."""
    key = gateway.add_key(project_fields={"budget_message": "ask #ai-spend"})
    cap("0")
    for path in ("/v1/messages", "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-6:rawPredict"):
        refused = gateway.post(path, {"model": "claude-sonnet-4-6", "max_tokens": 5, "messages": []}, key=key)
        error = refused.json()["error"]
        assert (refused.status_code, error["type"], refused.headers["x-should-retry"]) == (429, "billing_error", "false")
        assert "budget cap" in error["message"] and "UTC" in error["message"] and "ask #ai-spend" in error["message"]
        assert 0 < int(refused.headers["retry-after"]) <= 86_400
        assert refused.headers[UNIFIED + "status"] == "rejected"
    assert gateway.sandbox.requests == []
    assert gateway.records() == []


def test_counting_and_looking_are_never_blocked(gateway: Served, cap: Callable[..., None]) -> None:
    """They cost nothing, and Claude Code needs them to tell its user what is wrong."""
    cap("0")
    body = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "Hi"}]}
    assert gateway.post("/v1/messages/count_tokens", body).status_code == 200
    models = requests.get(gateway.url + "/v1/models", headers={"x-api-key": gateway.key}, timeout=10)
    assert models.status_code == 200


@pytest.mark.parametrize("stream", [False, True])
def test_answers_tell_how_full_the_budget_is(gateway: Served, cap: Callable[..., None], stream: bool) -> None:
    """Claude Code warns its user from three quarters on."""
    gateway.sandbox.script(Fault(text=ANSWER, times=0))
    cap("0.12", mode="balanced")
    shown = []
    for _ in range(5):
        answer = gateway.ask("Tell me", stream=stream, **THREE_CENTS)
        assert answer.content  # to its end
        shown.append(answer.headers.get(UNIFIED + "status"))
    assert shown[0] == "allowed" and shown[-1] == "allowed_warning"


def test_calls_a_minute_are_limited_too(gateway: Served, cap: Callable[..., None]) -> None:
    """A rate is no budget: the client may come again, and is told when."""
    cap("2", unit="requests", period="minute", scope={"type": "key", "id": "*"})
    answers = [gateway.ask() for _ in range(4)]
    if {answer.status_code for answer in answers[:2]} == {200}:  # all within one minute, or the next has begun
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) in (1, 2)
        assert refused[0].json()["error"]["type"] == "rate_limit_error"
        assert 1 <= int(refused[0].headers["retry-after"]) <= 60


def test_open_calls_of_a_key_are_limited(gateway: Served, cap: Callable[..., None]) -> None:
    """Room is made as soon as one ends."""
    cap("2", unit="parallel", period="total", scope={"type": "key", "id": "*"})
    gateway.sandbox.script(Fault(wait_s=2.5, times=4))
    answers = at_once(gateway, 4)
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429]
    gateway.sandbox.clear()
    assert gateway.ask().status_code == 200


def test_a_budget_may_be_raised_lowered_and_taken_away_at_any_time(gateway: Served, cap: Callable[..., None]) -> None:
    """The next call goes by what is written then."""
    cap("0")
    assert gateway.ask().status_code == 429
    cap("5.00")
    assert gateway.ask().status_code == 200
    cap(None)
    assert gateway.ask().status_code == 200
    cap("0")
    assert gateway.ask().status_code == 429
    gateway.store.delete("budgets/cap")
    gateway.house.ledger.directory.forget()
    assert gateway.ask().status_code == 200


def test_what_a_call_held_and_cost_stands_in_its_record(gateway: Served, cap: Callable[..., None]) -> None:
    """By budget and period, so that every sum can be traced."""
    cap("5.00")
    cap("100000", "tokens", unit="tokens", scope={"type": "user", "id": "ana@example.com"})
    answer = gateway.ask()
    record = gateway.record(answer.headers["x-gateway-request-id"])
    held = {hold["budget"]: hold for hold in record["holds"]}
    assert held["cap"]["settled"] == record["cost_nanodollars"] <= held["cap"]["held"]
    tokens = record["tokens"]
    assert held["tokens"]["settled"] == tokens["input"] + tokens["output"]
    assert set(record["allowance_ids"]) == {hold["allowance"] for hold in record["holds"]}


def test_a_failed_call_gives_back_what_it_held(gateway: Served, cap: Callable[..., None]) -> None:
    """Refused upstream, nothing was used: nothing is charged."""
    cap("0.10")
    gateway.sandbox.script(Fault(status=500, times=6))
    assert {gateway.ask("Tell me", **THREE_CENTS).status_code for _ in range(6)} == {500}
    assert gateway.ask("Tell me", **THREE_CENTS).status_code == 200
