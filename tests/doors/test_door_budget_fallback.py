"""Budgets of providers and models where calls fall back: over HTTP, who answers is who pays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from routing_house import Routed, routed
from wire import eventually

from gateway.canonical.store import Put
from gateway.sandbox.faults import Fault

FALLBACK = {"strategy": {"mode": "fallback"}, "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}]}
BODY = {"model": "claude-sonnet-4-6", "max_tokens": 20, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def router(tmp_path: Path, key_path: Path) -> Iterator[Routed]:
    with routed(tmp_path, key_path) as gateway:
        yield gateway


def put_budget(router: Routed, provider: str, mode: str, amount: str = "5.00") -> None:
    scope = {"type": "provider", "id": provider}
    document: dict[str, Any] = {"id": provider, "scope": scope, "unit": "usd", "amount": amount, "period": "day", "mode": mode,
                                "on_store_error": "open", "alerts": [], "pooled": False, "raise": None}  # fmt: skip
    router.gateway.store.commit([Put(f"budgets/{provider}", document)])
    router.gateway.house.ledger.directory.forget()


@pytest.mark.parametrize("mode", ["balanced", "strict"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_who_answers_pays(router: Routed, mode: str, stream: bool) -> None:
    """The first provider is overloaded, the second answers: its budget has the cost, the other's has nothing."""
    for provider in ("vertex-prod", "anthropic-prod"):
        put_budget(router, provider, mode)
    key = router.key(router.put("fallback", FALLBACK))
    router.script("inference", Fault(status=503))
    answer = router.gateway.post("/v1/messages", {**BODY, "stream": stream}, key=key)
    assert answer.status_code == 200 and router.calls() == ["us-east5", "anthropic"]
    record = router.gateway.record(answer.headers["x-gateway-request-id"])
    assert {hold["budget"]: hold["settled"] for hold in record["holds"]} == {"anthropic-prod": record["cost_nanodollars"]}
    state = router.gateway.house.ledger.state
    assert eventually(lambda: state("anthropic-prod").spent == record["cost_nanodollars"] > 0)
    assert state("vertex-prod").spent == 0
    assert eventually(lambda: state("vertex-prod").held == 0)


def test_a_strict_budget_keeps_calls_from_falling_back_beyond_it(router: Routed) -> None:
    """Nothing is left of the second provider's: no call may come to need it."""
    put_budget(router, "anthropic-prod", "strict", amount="0")
    key = router.key(router.put("fallback", FALLBACK))
    answer = router.gateway.post("/v1/messages", BODY, key=key)
    assert answer.status_code == 429 and "anthropic-prod" in answer.json()["error"]["message"]
    assert router.calls() == []
