"""Exactly one usage document for every admitted call, however it ends, with the right money on it."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from house import Served, message
from wire import Answer, ask, eventually

from gateway.sandbox import Fault

VERTEX = "/v1/projects/p/locations/l/publishers/anthropic/models/{model}:{verb}"
FIELDS = {
    "request_id", "at", "project", "key_id", "user", "groups", "metadata", "trace_id", "session_id", "agent_id",
    "parent_agent_id",
    "dialect", "stream", "asked_model", "model", "provider", "location", "status", "error_type", "attempts", "cache", "tokens",
    "searches", "cost_nanodollars", "price_version", "completeness", "latency_ms", "ttft_ms", "ms_per_output_token",
    "upstream_request_id", "holds", "allowance_ids", "schema_version", "expires_at",
}  # fmt: skip
TOKENS = {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "thinking"}


def post(gateway: Served, body: dict[str, Any] | None = None, path: str = "/v1/messages", **headers: Any) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway.url, "POST", path, body=body or message(), headers={"x-api-key": gateway.key, **named})


def test_a_record_has_the_fields_of_the_contract(gateway: Served) -> None:
    """Reports, exports and other programs read them by these names."""
    answer = post(gateway)
    record = gateway.record(answer.request_id)
    assert set(record) >= FIELDS
    assert set(record["tokens"]) == TOKENS
    assert record["request_id"] == answer.request_id
    assert (record["project"], record["user"], record["provider"], record["location"]) == (
        "demo",
        "ana@example.com",
        "vertex",
        "global",
    )
    assert (record["asked_model"], record["model"], record["status"]) == ("claude-sonnet-4-6", "claude-sonnet-4-6", 200)
    assert record["upstream_request_id"] == answer.headers["x-upstream-request-id"]
    assert record["expires_at"] - record["at"] == timedelta(days=400)
    assert [set(attempt) for attempt in record["attempts"]] == [{"provider", "location", "status", "ms"}]
    assert 0 <= record["ttft_ms"] <= record["latency_ms"]
    assert gateway.store.get(f"projects/demo/usage/{answer.request_id}") is not None


def test_a_plain_answer_costs_what_the_price_list_says(gateway: Served) -> None:
    """Sonnet 4.6 on `global`: $3 and $15 a million tokens, so 3,000 and 15,000 nano-dollars each."""
    answer = post(gateway)
    usage = answer.json()["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (10, 57)
    record = gateway.record(answer.request_id)
    assert record["cost_nanodollars"] == 10 * 3_000 + 57 * 15_000 == 885_000
    assert answer.headers["x-gateway-cost-usd"] == "0.000885"
    assert (record["completeness"], record["price_version"]) == ("final", "2026-11-20")


def test_a_stream_costs_the_same(gateway: Served) -> None:
    """Usage is message_start's with the last message_delta's, not their sum."""
    running = gateway.stream()
    running.rest()
    record = gateway.record(running.request_id)
    assert record["cost_nanodollars"] == 885_000
    assert record["tokens"] == {
        "input": 10,
        "output": 57,
        "cache_read": 0,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "thinking": 0,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_cache_writes_and_reads_have_their_own_prices(serve: Callable[..., Served], stream: bool) -> None:
    """Sonnet 4.6: 5-minute writes $3.75, 1-hour writes $6, reads $0.30 a million; each rounded up once, at the end."""
    gateway = serve()
    long = "word " * 2_000

    def body(text: str) -> dict[str, Any]:
        system = [
            {"type": "text", "text": long, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "text", "text": long, "cache_control": {"type": "ephemeral"}},
        ]
        return message(text, system=system, stream=stream)

    first = gateway.record(post(gateway, body("One")).request_id)
    second = gateway.record(post(gateway, body("Two")).request_id)
    written, read = first["tokens"], second["tokens"]
    assert (written["cache_write_1h"], written["cache_write_5m"], written["cache_read"]) == (2_501, 2_501, 0)
    assert (read["cache_write_1h"], read["cache_write_5m"], read["cache_read"]) == (0, 0, 5_002)
    assert first["cost_nanodollars"] == written["input"] * 3_000 + written["output"] * 15_000 + 2_501 * 6_000 + 2_501 * 3_750
    assert second["cost_nanodollars"] == read["input"] * 3_000 + read["output"] * 15_000 + 5_002 * 300


@pytest.mark.parametrize(("region", "factor"), [("us-east5", "1.1"), ("eu", "1.1")])
def test_a_regional_location_costs_a_tenth_more(serve: Callable[..., Served], region: str, factor: str) -> None:
    """Vertex AI's premium on the models it applies to."""
    gateway = serve(VERTEX_REGION=region)
    record = gateway.record(post(gateway).request_id)
    assert (record["location"], record["cost_nanodollars"]) == (region, 973_500)


def test_the_operators_discount_applies(serve: Callable[..., Served]) -> None:
    """And the price version says so."""
    record = (gateway := serve(GATEWAY_PRICE_MULTIPLIER="0.85")).record(post(gateway).request_id)
    assert record["cost_nanodollars"] == 752_250
    assert "0.85" in record["price_version"]


def test_thinking_searches_and_tools_are_counted(gateway: Served) -> None:
    """Thinking is part of the output; a search costs a cent beside its tokens."""
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]
    answer = post(
        gateway, message("Search the web for gateways", tools=tools, max_tokens=4_000), anthropic_beta="web-search-2025-03-05"
    )
    assert answer.status == 200, answer
    record = gateway.record(answer.request_id)
    tokens = record["tokens"]
    assert record["searches"] == 1
    assert record["cost_nanodollars"] == tokens["input"] * 3_000 + tokens["output"] * 15_000 + 10_000_000
    thinking = post(gateway, message(thinking={"type": "enabled", "budget_tokens": 1_024}, max_tokens=4_000))
    assert gateway.record(thinking.request_id)["tokens"]["thinking"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_both_dialects_leave_the_same_record(gateway: Served, stream: bool) -> None:
    """Claude Code's two modes cost and count the same; only `dialect` tells them apart."""
    verb = "streamRawPredict" if stream else "rawPredict"
    headers: dict[str, Any] = {
        "x_gateway_metadata": '{"team":"core"}',
        "x_gateway_trace_id": "t-1",
        "x_claude_code_session_id": "s-1",
    }
    body = message(stream=stream)
    vertex_body = {"anthropic_version": "vertex-2023-10-16", **{n: v for n, v in body.items() if n != "model"}}
    records = [
        gateway.record(answer.request_id)
        for answer in (
            post(gateway, body, **headers),
            post(gateway, vertex_body, VERTEX.format(model="claude-sonnet-4-6", verb=verb), **headers),
        )
    ]
    moving = {"request_id", "at", "expires_at", "latency_ms", "ttft_ms", "ms_per_output_token", "upstream_request_id", "attempts"}
    first, second = ({name: value for name, value in record.items() if name not in moving} for record in records)
    assert (first.pop("dialect"), second.pop("dialect")) == ("anthropic", "vertex")
    assert first == second


@pytest.mark.parametrize("family", ["gateway", "portkey"])
def test_labels_of_the_callers_are_recorded(gateway: Served, family: str) -> None:
    """Settings written for another gateway keep working under its names."""
    headers: dict[str, Any] = {
        f"x_{family}_metadata": '{"team":"core","env":"prod/eu-1:a@b.c"}',
        f"x_{family}_trace_id": "trace-1",
        "x_claude_code_session_id": "0b1c2d3e-0000-4000-8000-000000000000",
        "x_claude_code_agent_id": "agent-1",
        "x_claude_code_parent_agent_id": "agent-0",
    }
    answer = post(gateway, **headers)
    record = gateway.record(answer.request_id)
    assert record["metadata"] == {"team": "core", "env": "prod/eu-1:a@b.c"}
    assert (record["trace_id"], record["session_id"]) == ("trace-1", "0b1c2d3e-0000-4000-8000-000000000000")
    assert (record["agent_id"], record["parent_agent_id"]) == ("agent-1", "agent-0")
    assert answer.headers["x-gateway-trace-id"] == "trace-1"


def test_the_keys_own_labels_win_over_the_callers(gateway: Served) -> None:
    """A caller cannot book on another team."""
    key = gateway.add_key(project="labels", project_fields={"metadata": {"unit": "bank", "team": "none"}},
                          metadata={"team": "core"}, groups=["eng"])  # fmt: skip
    answer = post(gateway, x_api_key=key, x_gateway_metadata='{"team":"other","ticket":"T-1","unit":"x"}')
    record = gateway.record(answer.request_id)
    assert record["metadata"] == {"unit": "bank", "team": "core", "ticket": "T-1"}
    assert (record["project"], record["groups"]) == ("labels", ["eng"])


def test_a_session_id_that_is_none_is_left_out(gateway: Served) -> None:
    """It is the client's own affair, and no reason to refuse a call."""
    answer = post(gateway, x_claude_code_session_id="two words")
    assert answer.status == 200
    assert gateway.record(answer.request_id)["session_id"] is None


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (None, 200),
        (Fault(status=400), 400),
        (Fault(status=429), 429),
        (Fault(status=529), 529),
        (Fault(status=500), 500),
        (Fault(status=403), 502),
        (Fault(body="html"), 502),
        (Fault(body="empty"), 502),
        (Fault(cut="rst"), 502),
        (Fault(drop=True, times=2), 502),
        (Fault(redirect_to="http://127.0.0.1:9/"), 502),
    ],
    ids=str,
)
def test_every_way_a_call_can_end_leaves_one_record(gateway: Served, fault: Fault | None, status: int) -> None:
    """Found by its id, once, with the status that the caller saw."""
    gateway.sandbox.script(*([fault] if fault else []))
    project = f"p-{uuid.uuid4().hex[:8]}"
    answer = post(gateway, x_api_key=gateway.add_key(project=project))
    assert answer.status == status
    assert gateway.record(answer.request_id)["status"] == status
    assert [record["request_id"] for record in gateway.records(project)] == [answer.request_id]


def test_what_was_not_admitted_leaves_no_record(gateway: Served) -> None:
    """Refusals at the door, counting, lists and probes are log lines only."""
    key = gateway.add_key(project="quiet")
    post(gateway, path="/v1/messages/count_tokens", x_api_key=key)
    post(gateway, message(model="gpt-6"), x_api_key=key)
    post(gateway, {"model": 7}, x_api_key=key)
    ask(gateway.url, "GET", "/v1/models", headers={"x-api-key": key})
    ask(gateway.url, "GET", "/readyz")
    assert post(gateway, x_api_key=key).status == 200
    assert len(eventually(lambda: gateway.records("quiet"))) == 1


def test_the_log_line_is_what_cloud_logging_reads(serve: Callable[..., Served]) -> None:
    """Severity, httpRequest and trace in its words, one line for one call, the document's figures beside them."""
    gateway = serve(GOOGLE_CLOUD_PROJECT="my-project")
    trace = "105445aa7843bc8bf206b12000100000"
    answer = post(gateway, message("Top secret words"), x_cloud_trace_context=f"{trace}/1;o=1", user_agent="claude-cli/2.1.329")
    lines = [line for line in gateway.log_lines() if line["request_id"] == answer.request_id]
    assert len(lines) == 1
    line = lines[0]
    assert (line["severity"], line["status"], line["cost_nanodollars"] > 0) == ("INFO", 200, True)
    assert line["httpRequest"]["requestMethod"] == "POST"
    assert line["httpRequest"]["status"] == 200
    assert line["httpRequest"]["userAgent"] == "claude-cli/2.1.329"
    assert line["httpRequest"]["latency"].endswith("s")
    assert line["logging.googleapis.com/trace"] == f"projects/my-project/traces/{trace}"


def test_severity_follows_the_status(gateway: Served) -> None:
    """Alerts are made of it."""
    gateway.sandbox.script(Fault(status=429), Fault(status=500))
    ids = [post(gateway).request_id for _ in range(3)]
    severities = {line["request_id"]: line["severity"] for line in gateway.log_lines() if "cost_nanodollars" in line}
    assert [severities[request_id] for request_id in ids] == ["WARNING", "ERROR", "INFO"]


def test_neither_log_nor_documents_hold_prompts_answers_or_secrets(serve: Callable[..., Served]) -> None:
    """Prompts and answers are stored nowhere; a key is its hash, a token sealed."""
    gateway = serve()
    secret = "the-plans-for-friday"
    for stream in (False, True):
        post(gateway, message(f"Tell nobody of {secret}", stream=stream), cookie="session=abc")
    gateway.sandbox.script(Fault(status=429), Fault(body="html"), Fault(status=403))
    for _ in range(3):
        post(gateway, message(f"Tell nobody of {secret}"))
    post(gateway, message(f"Tell nobody of {secret}"), path="/v1/messages/count_tokens")
    post(gateway, message(f"Tell nobody of {secret}", model="gpt-6"))
    documents = [
        document.data
        for collection in ("usage", "keys", "projects", "tokens", "lessons")
        for document in gateway.store.query(collection, group=True).documents
    ]
    assert len(documents) >= 8
    written = gateway.lines.getvalue() + json.dumps(documents, default=repr)
    for word in (secret, gateway.key, "ya29.", "PRIVATE KEY", "I heard every word", "session=abc"):
        assert word not in written


def test_counting_leaves_a_log_line(gateway: Served) -> None:
    """Never billed, never silent."""
    answer = post(gateway, path="/v1/messages/count_tokens")
    lines = [line for line in gateway.log_lines() if line["request_id"] == answer.request_id]
    assert [line["operation"] for line in lines] == ["count_tokens"]


def test_concurrent_calls_leave_a_record_each(gateway: Served) -> None:
    """A burst as Claude Code's sub-agents make it."""
    key = gateway.add_key(project="busy")
    streams = [gateway.stream(f"Call {i}", key=key) for i in range(25)]
    for running in streams:
        running.rest()
    eventually(lambda: len(gateway.records("busy")) == 25)
    assert {record["request_id"] for record in gateway.records("busy")} == {running.request_id for running in streams}
