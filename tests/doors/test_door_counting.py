"""Counting tokens: where the model's own location does not offer it, elsewhere; where nobody does, by estimate."""

from collections.abc import Callable
from typing import Any

import pytest
from house import Served, message
from wire import Answer, ask

from gateway.sandbox import Fault

PATHS = ("/v1/messages/count_tokens", "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict")


def count(gateway: Served, path: str = PATHS[0], **more: Any) -> Answer:
    return ask(gateway.url, "POST", path, body=message(**more), headers={"x-api-key": gateway.key})


def locations(gateway: Served) -> list[str]:
    """Where the provider was asked, in order."""
    paths = [request.path for request in gateway.sandbox.requests if "count-tokens" in request.path]
    return [path.partition("/locations/")[2].partition("/")[0] for path in paths]


@pytest.mark.parametrize("path", PATHS)
def test_counting_goes_where_it_is_offered_and_remembers_the_place(serve: Callable[..., Served], path: str) -> None:
    """Vertex AI counts on regions only: `global` is asked once, then the region that answered."""
    gateway = serve()
    first, second = count(gateway, path), count(gateway, path)
    assert first.json() == second.json() == {"input_tokens": 10}
    assert locations(gateway) == ["global", "us-east5", "us-east5"]
    assert "x-gateway-estimated" not in first.headers
    assert (first.headers["x-gateway-attempts"], second.headers["x-gateway-attempts"]) == ("2", "1")


def test_the_model_goes_without_its_date(gateway: Served) -> None:
    """`claude-sonnet-4-5@20250929 is not supported for token counting`, says Vertex AI."""
    answer = count(gateway, model="claude-sonnet-4-5@20250929")
    assert (answer.status, answer.json()) == (200, {"input_tokens": 10})
    assert b'"model":"claude-sonnet-4-5"' in gateway.sandbox.requests[-1].body.replace(b'": "', b'":"')


@pytest.mark.parametrize(
    ("region", "allowed"), [("eu", {"eu", "europe-west1"}), ("us", {"us", "us-east5"}), ("europe-west4", {"europe-west4"})]
)
def test_counting_stays_where_the_data_may_be(serve: Callable[..., Served], region: str, allowed: set[str]) -> None:
    """An operator who chose the EU is never counted in the US, not even when the EU does not answer."""
    gateway = serve(VERTEX_REGION=region)
    assert count(gateway).status == 200
    gateway.sandbox.script(Fault(status=404, times=0), on="count_tokens")
    estimated = count(gateway)
    assert estimated.headers["x-gateway-estimated"] == "input_tokens"
    assert set(locations(gateway)) <= allowed
    assert len(locations(gateway)) >= 2


def test_where_nobody_counts_an_estimate_is_given_and_marked(serve: Callable[..., Served]) -> None:
    """About a token for 3.5 bytes: better than none for a client that only wants to know whether to compact."""
    gateway = serve(GATEWAY_COUNT_TOKENS_LOCATIONS="")
    answer = count(gateway, text="x" * 3_500)
    assert answer.status == 200
    assert 1_000 < answer.json()["input_tokens"] < 1_100
    assert answer.headers["x-gateway-estimated"] == "input_tokens"


def test_a_fault_in_the_request_is_told_and_not_estimated_away(gateway: Served) -> None:
    """Anthropic's own 400 passes, wherever it came from."""
    answer = count(gateway, messages=[])
    assert answer.status == 400
    assert answer.error["type"] == "invalid_request_error"
    assert "x-gateway-estimated" not in answer.headers


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault(status=429), 429), (Fault(status=503), 503), (Fault(status=403), 502), (Fault(cut="rst"), 502),
     (Fault(cut="fin"), 502), (Fault(body="html"), 502), (Fault(body="empty"), 502), (Fault(gzip=True), 502)],
    ids=str,
)  # fmt: skip
def test_a_failure_of_the_provider_is_told(gateway: Served, fault: Fault, status: int) -> None:
    """Each in Anthropic's envelope; nothing is recorded."""
    count(gateway)
    gateway.sandbox.script(fault, on="count_tokens")
    answer = count(gateway)
    assert answer.status == status
    assert answer.error["message"]


def test_a_client_that_streams_by_mistake_gets_its_count(gateway: Served) -> None:
    """`stream` has no meaning here."""
    answer = count(gateway, stream=True)
    assert (answer.status, answer.headers["content-type"]) in ((200, "application/json"), (400, "application/json"))


def test_a_burst_of_counts_is_answered(gateway: Served) -> None:
    """Claude Code's `/context` sends 25 within 100 ms; none of them is billed or limited."""
    assert [count(gateway, text=f"tool {i}").status for i in range(25)] == [200] * 25
