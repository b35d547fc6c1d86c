"""Telemetry on its way out of a running gateway, to a collector on loopback."""

import logging
import threading
import time
from collections.abc import Callable

import pytest
from house import Served
from otlp_collector import Collector, attributes
from settled import PARENT, READINGS, TRACE, call, document, observation, target

from gateway.credentials.access_token import TokenError
from gateway.telemetry.exporting import open_exporting
from gateway.telemetry.hook import WAITING_MAX, GoogleAccess, Nowhere, Sink, Telemetry
from gateway.telemetry.trace_context import span_id_of

GOOGLE = GoogleAccess(token=lambda: "ya29.of-the-service", project_id=lambda: "claude-prod")
SECRET_WORDS = "tell nobody of the merger"


def test_a_call_arrives_as_a_trace_and_as_metrics(traced: Callable[..., Served], collector: Collector) -> None:
    """In the caller's own trace; its log line names the same span."""
    gateway = traced()
    trace = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    answer = gateway.post("/v1/messages", {"model": "claude-sonnet-4-6", "max_tokens": 64, "messages": [
        {"role": "user", "content": SECRET_WORDS}]}, headers=trace)  # fmt: skip
    assert answer.status_code == 200
    gateway.house.close()
    request_id = answer.headers["x-gateway-request-id"]
    server, attempt = sorted(collector.spans(), key=lambda span: span.kind)
    assert server.trace_id.hex() == attempt.trace_id.hex() == TRACE
    assert server.parent_span_id.hex() == PARENT and attempt.parent_span_id == server.span_id
    facts = attributes(server)
    assert facts["gateway.request_id"] == request_id and facts["gen_ai.usage.output_tokens"] > 0
    line = next(line for line in gateway.log_lines() if line["request_id"] == request_id)
    assert line["logging.googleapis.com/spanId"] == server.span_id.hex() == span_id_of(request_id)
    assert line["logging.googleapis.com/trace"] == TRACE
    cost = {facts["gateway.project"]: point.as_double for facts, point in collector.points("gateway.cost")}
    assert cost["demo"] == pytest.approx(float(answer.headers["x-gateway-cost-usd"]), abs=1e-6)
    assert collector.points("gateway.access_tokens.minted")[0][1].as_int == 1


def test_what_was_asked_and_answered_stays_here(traced: Callable[..., Served], collector: Collector) -> None:
    """No prompt, no answer, no key, no person in anything that is sent."""
    gateway = traced()
    answer = gateway.ask(SECRET_WORDS)
    gateway.house.close()
    sent = b"".join(body for _, body in collector.bodies)
    said = answer.json()["content"][0]["text"].encode()
    assert collector.bodies and not any(secret in sent for secret in (SECRET_WORDS.encode(), said, gateway.key.encode()))
    assert b"ana@example.com" not in sent


def test_streams_and_refusals_are_told_too(traced: Callable[..., Served], collector: Collector) -> None:
    """The time to the first word of a stream; a request without a key as a refusal."""
    gateway = traced()
    assert gateway.stream("Hello").rest()[-1].kind == "message_stop"
    assert gateway.post("/v1/messages", {}, key="gw-" + "x" * 43).status_code == 401
    gateway.house.close()
    assert collector.points("gen_ai.client.operation.time_to_first_chunk")[0][1].count == 1
    refusals = {facts["http.response.status_code"]: point.as_int for facts, point in collector.points("gateway.refusals")}
    assert refusals == {401: 1}


def test_a_refused_request_stands_in_its_callers_trace_too(traced: Callable[..., Served]) -> None:
    """Its log line alone: there is no span of ours."""
    gateway = traced()
    refused = gateway.post("/v1/messages", {}, key="gw-" + "x" * 43, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    line = next(line for line in gateway.log_lines() if line["request_id"] == refused.headers["x-gateway-request-id"])
    assert line["logging.googleapis.com/trace"] == TRACE and line["logging.googleapis.com/spanId"] == PARENT


def test_a_budget_that_the_ledger_writes_is_told(collector: Collector) -> None:
    """In the ledger's own words: what was used, and the limit."""
    exporting = open_exporting(READINGS, GOOGLE, collector.url)
    telemetry = Telemetry(lambda: exporting)
    telemetry.watch("b-1", "2026-11", (0.5, 1.0), 12_000_000_000, 10_000_000_000, {"unit": "usd", "subject": "ana@example.com"})
    telemetry.close(5)
    ((facts, point),) = collector.points("gateway.budget.debt")
    assert facts == {"gateway.budget": "b-1", "gateway.budget.unit": "usd"} and point.as_double == 2.0


def test_this_process_is_named(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service, and an instance that no other shares; OpenTelemetry's own variables go first."""
    monkeypatch.setenv("K_SERVICE", "llm-gateway")
    monkeypatch.setenv("K_REVISION", "llm-gateway-00007")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "cloud.region=europe-west1,service.version=9")
    exporting = open_exporting(READINGS, GOOGLE, collector.url)
    exporting.close(5)
    resource = collector.resource()
    assert resource["service.name"] == "llm-gateway" and resource["faas.version"] == "llm-gateway-00007"
    assert resource["cloud.region"] == "europe-west1" and resource["service.version"] == "9"
    assert len(resource["service.instance.id"]) == 32


def test_a_collector_that_hangs_costs_no_call_anything(traced: Callable[..., Served], collector: Collector) -> None:
    """Calls are answered, and the gateway stops in time."""
    collector.hold.clear()
    gateway = traced()
    assert gateway.ask().status_code == 200
    started = time.monotonic()
    gateway.house.close()
    assert time.monotonic() - started < 4


def test_a_collector_that_is_away_is_told_of_in_the_log(
    traced: Callable[..., Served], collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing else comes of it."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    gateway = traced()
    assert gateway.ask().status_code == 200
    gateway.house.close()
    assert any("export" in record.message.lower() for record in caplog.records if record.name.startswith("opentelemetry"))


def test_a_signal_that_nobody_wants_is_not_sent(
    traced: Callable[..., Served], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTEL_METRICS_EXPORTER=none, as everywhere."""
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
    gateway = traced()
    gateway.ask()
    gateway.house.close()
    assert {path for path, _ in collector.bodies} == {"/v1/traces"}


def test_google_is_sent_a_token_and_the_project(collector: Collector) -> None:
    """As its Telemetry API asks; the variables of other collectors do not count then."""
    exporting = open_exporting(READINGS, GOOGLE, collector.url)
    exporting.call(observation())
    exporting.close(5)
    assert {path for path, _ in collector.bodies} == {"/v1/traces", "/v1/metrics"}
    assert {headers["authorization"] for headers in collector.headers} == {"Bearer ya29.of-the-service"}
    assert collector.resource()["gcp.project_id"] == "claude-prod"


def test_a_redirect_is_not_followed_with_the_token(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    """The token is for Google alone."""
    collector.status = 302
    exporting = open_exporting(READINGS, GOOGLE, collector.url)
    exporting.call(observation())
    exporting.close(5)
    assert "/elsewhere" not in {path for path, _ in collector.bodies}
    assert any("redirect" in record.message.lower() for record in caplog.records)


def test_without_a_token_nothing_is_sent_and_the_log_says_why(collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    """Calls go on."""

    def no_token() -> str:
        raise TokenError("no_adc", "there are no credentials", "run gcloud auth application-default login")

    exporting = open_exporting(READINGS, GoogleAccess(no_token, lambda: "claude-prod"), collector.url)
    exporting.call(observation())
    exporting.close(5)
    assert collector.bodies == []
    assert "there are no credentials; run gcloud auth application-default login" in caplog.text


def test_the_first_calls_wait_until_everything_is_loaded(collector: Collector) -> None:
    """None of them is lost, and none waits."""
    ready = threading.Event()
    exporting = open_exporting(READINGS, GOOGLE, collector.url)

    def load_slowly() -> Sink:
        ready.wait(5)
        return exporting

    telemetry = Telemetry(load_slowly)
    started = time.monotonic()
    for _ in range(5):
        made = call()
        telemetry.observe(made, document(made), target())
    assert time.monotonic() - started < 1
    ready.set()
    telemetry.close(5)
    assert len(collector.spans()) == 15


def test_telemetry_that_cannot_be_set_up_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log says so and what to do."""

    def broken() -> Sink:
        raise ModuleNotFoundError("No module named 'opentelemetry'")

    telemetry = Telemetry(broken)
    with caplog.at_level(logging.ERROR):
        for _ in range(1000):
            telemetry.refused({"status": 401, "error_type": "authentication_error"})
        telemetry.close(5)
        telemetry.refused({})
    assert [record.message.startswith("there is no telemetry: No module") for record in caplog.records] == [True]


def test_what_a_full_queue_cannot_hold_is_dropped_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Memory is bounded while an endpoint is slow to load or to take."""
    ready = threading.Event()

    def load_slowly() -> Sink:
        ready.wait(5)
        return Nowhere()

    telemetry = Telemetry(load_slowly)
    for _ in range(WAITING_MAX + 10):
        telemetry.refused({"status": 401, "error_type": "authentication_error"})
    ready.set()
    telemetry.close(5)
    assert [record.args for record in caplog.records] == [(10,)]
