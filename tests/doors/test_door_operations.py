"""What operators set for every call of a provider, and what clients ask in passing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from everywhere import MODELS, PROJECT, served_everywhere
from house import Served
from wire import Answer, ask

from gateway.canonical.store import Put
from gateway.sandbox import Fault, Sandbox

TURN = [{"role": "user", "content": "Hello"}]
QUOTA, KIND = "x-goog-user-project", "x-vertex-ai-llm-request-type"


@pytest.fixture
def gateway(tmp_path: Path, key_path: Path) -> Iterator[Served]:
    with Sandbox(key_path=key_path) as sandbox, served_everywhere(tmp_path, sandbox) as gateway:
        yield gateway


def post(gateway: Served, path: str, **body: Any) -> Answer:
    return ask(gateway.url, "POST", path, body=body, headers={"x-api-key": gateway.key})


def test_quota_project_and_provisioned_throughput_are_the_operators_to_set(gateway: Served, tmp_path: Path) -> None:
    """On every kind of call to Vertex AI; and never the caller's."""
    (tmp_path / "account.json").write_text(gateway.sandbox.service_account_json)
    row = {"kind": "vertex", "credential": f"file:{tmp_path}/account.json", "project_id": PROJECT, "locations": ["global"],
           "base_url": gateway.sandbox.url, "quota_project_id": "quota-project", "request_type": "dedicated"}  # fmt: skip
    gateway.store.commit([Put("providers/reserved", row)])
    for model in ("claude-sonnet-4-6", "gemini-3.5-flash"):
        assert post(gateway, "/v1/messages", model=f"@reserved/{model}", max_tokens=50, messages=TURN).status == 200
    assert post(gateway, "/v1/embeddings", model="@reserved/text-embedding-005", input="Hello").status == 200
    sent = [request.headers for request in gateway.sandbox.requests if "/publishers/" in request.path]
    assert [(each.get(QUOTA), each.get(KIND)) for each in sent] == [("quota-project", "dedicated")] * 3


@pytest.mark.parametrize("model", ["claude-sonnet-4-6", "gemini-3.5-flash"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_provisioned_throughput_costs_nothing_if_the_operator_says_so(
    gateway: Served, tmp_path: Path, model: str, stream: bool
) -> None:
    """Tokens are recorded, dollars are none, and the record says why; a budget that is used up in dollars lets it pass."""
    (tmp_path / "account.json").write_text(gateway.sandbox.service_account_json)
    row = {"kind": "vertex", "credential": f"file:{tmp_path}/account.json", "project_id": PROJECT, "locations": ["global"],
           "base_url": gateway.sandbox.url, "request_type": "dedicated", "provisioned_free": True}  # fmt: skip
    budget = {"id": "tiny", "scope": {"type": "project", "id": "demo"}, "unit": "usd", "amount": "0.00000001", "period": "day",
              "mode": "strict", "on_store_error": "open", "alerts": [], "pooled": False, "raise": None}  # fmt: skip
    gateway.store.commit([Put("providers/reserved", row), Put("budgets/tiny", budget)])
    body = {"max_tokens": 50, "messages": TURN, "stream": stream}
    assert post(gateway, "/v1/messages", model=model, **body).status == 429
    answer = post(gateway, "/v1/messages", model=f"@reserved/{model}", **body)
    assert answer.status == 200, answer.body
    record = gateway.record(answer.headers["x-gateway-request-id"])
    assert (record["cost_nanodollars"], record["price_known"]) == (0, True)
    assert record["price_version"].endswith("+provisioned")
    assert record["tokens"]["input"] > 0 < record["tokens"]["output"]


def test_what_spills_over_from_provisioned_throughput_is_paid(gateway: Served, tmp_path: Path) -> None:
    """Gemini's answers say which of the two it was."""
    (tmp_path / "account.json").write_text(gateway.sandbox.service_account_json)
    row = {"kind": "vertex", "credential": f"file:{tmp_path}/account.json", "project_id": PROJECT, "locations": ["global"],
           "base_url": gateway.sandbox.url, "provisioned_free": True}  # fmt: skip
    gateway.store.commit([Put("providers/reserved", row)])
    costs = []
    for traffic in ("PROVISIONED_THROUGHPUT", "ON_DEMAND"):
        gateway.sandbox.script(Fault(traffic=traffic), on="gemini")
        answer = post(gateway, "/v1/messages", model="@reserved/gemini-3.5-flash", max_tokens=50, messages=TURN)
        costs.append(gateway.record(answer.headers["x-gateway-request-id"])["cost_nanodollars"])
    assert costs[0] == 0 < costs[1]


def test_without_the_operators_word_nothing_is_said_of_them(gateway: Served) -> None:
    """Not even if a client says it."""
    body = {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": TURN}
    headers = {"x-api-key": gateway.key, QUOTA: "somebody-else", KIND: "dedicated"}
    assert ask(gateway.url, "POST", "/v1/messages", body=body, headers=headers).status == 200
    (sent,) = [request.headers for request in gateway.sandbox.requests if "/publishers/" in request.path]
    assert QUOTA not in sent and KIND not in sent


@pytest.mark.parametrize("place", ["vertex", "aws"])
def test_a_link_that_cannot_be_followed_is_refused_before_the_provider_is_asked(gateway: Served, place: str) -> None:
    """These take no links themselves, and the gateway follows none to where only it can reach."""
    picture = {"type": "image", "source": {"type": "url", "url": "https://127.0.0.1:1/cat.png"}}
    answer = post(gateway, "/v1/messages", model=MODELS[place], max_tokens=50, messages=[{"role": "user", "content": [picture]}])
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert answer.error["message"].startswith("messages.0.content.0.source.url: 127.0.0.1 could not be read")
    assert not [r for r in gateway.sandbox.requests if "/publishers/" in r.path or "/model/" in r.path]


@pytest.mark.parametrize("path", ["/inference-profiles", "/inference-profiles/us.anthropic.claude-sonnet-4-6"])
def test_what_claude_code_asks_in_passing_is_no_warning(gateway: Served, path: str) -> None:
    """404 is an answer that it does well with."""
    assert ask(gateway.url, "GET", f"{path}?type=SYSTEM_DEFINED").status == 404
    assert [(line["severity"], line["status"]) for line in gateway.log_lines()] == [("INFO", 404)]


def test_geminis_clients_may_bring_their_key_in_the_url_where_that_is_allowed(serve: Callable[..., Served]) -> None:
    """As plain REST callers do; it is off unless the operator allows it, and never goes on."""
    body = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    path = "/v1beta/models/gemini-3.5-flash:generateContent?key={}"
    gateway = serve(GATEWAY_ALLOW_QUERY_KEY="true")
    assert ask(gateway.url, "POST", path.format(gateway.key), body=body).status == 200
    assert ask(gateway.url, "POST", path.format("gw-nobody"), body=body).status == 401
    assert all(gateway.key not in request.query + request.path for request in gateway.sandbox.requests)
    assert gateway.key not in gateway.lines.getvalue()
