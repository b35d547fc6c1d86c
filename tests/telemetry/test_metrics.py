"""What calls and this process look like as metrics."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from settled import READINGS, observation

from gateway.canonical.usage import Usage
from gateway.telemetry.metrics import Metrics


@dataclass
class Meter:
    """Metrics, and what an export would show of them."""

    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.metrics = Metrics(self.provider.get_meter("test"), READINGS, lambda: self.seconds)

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        metrics = [metric for found in data.resource_metrics for scope in found.scope_metrics for metric in scope.metrics]
        return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


@pytest.fixture
def meter() -> Meter:
    return Meter()


def test_a_call_counts_in_duration_first_word_tokens_and_cost(meter: Meter) -> None:
    """Seconds, tokens and dollars, by model and provider."""
    meter.metrics.call(observation())
    (duration,) = meter.points("gen_ai.client.operation.duration")
    assert duration.sum == 2.0 and duration.attributes["gen_ai.request.model"] == "claude-opus-5-5"
    assert meter.points("gen_ai.client.operation.time_to_first_chunk")[0].sum == 0.5
    usage = {point.attributes["gen_ai.token.type"]: point.sum for point in meter.points("gen_ai.client.token.usage")}
    assert usage == {"input": 22, "output": 21}
    classes = {point.attributes["gateway.token.class"]: point.value for point in meter.points("gateway.tokens")}
    assert classes == {"input": 10, "output": 21, "cache_read": 5, "cache_write_5m": 4, "cache_write_1h": 3, "thinking": 2}
    (cost,) = meter.points("gateway.cost")
    assert cost.value == 1.5 and cost.attributes["gateway.project"] == "acme"


def test_every_attempt_counts_with_its_outcome(meter: Meter) -> None:
    """By provider, location and status."""
    meter.metrics.call(observation())
    statuses = {point.attributes["http.response.status_code"]: point.value for point in meter.points("gateway.attempts")}
    assert statuses == {429: 1, 200: 1}


def test_a_failed_call_counts_with_its_error(meter: Meter) -> None:
    """And no tokens are told of a call that used none."""
    meter.metrics.call(observation(status=529, error_type="overloaded_error", usage=Usage(), ttft_ms=None))
    assert meter.points("gen_ai.client.operation.duration")[0].attributes["error.type"] == "overloaded_error"
    assert meter.points("gen_ai.client.token.usage") == [] == meter.points("gen_ai.client.operation.time_to_first_chunk")


def test_no_metric_is_split_by_person_key_or_session(meter: Meter) -> None:
    """Their number would grow with the number of callers."""
    meter.metrics.call(observation())
    for name in ("gen_ai.client.operation.duration", "gateway.cost", "gateway.tokens", "gateway.attempts"):
        told = {attribute for point in meter.points(name) for attribute in point.attributes}
        assert not told & {"gateway.key_id", "gateway.request_id", "gen_ai.conversation.id", "user.id"}, name


def test_the_process_tells_how_it_is_doing(meter: Meter) -> None:
    """Read at every export, not at every call."""
    values = {
        name: meter.points(name)[0].value
        for name in ("gateway.open_calls", "gateway.records.waiting", "gateway.records.lost", "gateway.access_tokens.minted")
    }
    assert list(values.values()) == [3, 7, 1, 2]


def test_refused_requests_count_by_reason(meter: Meter) -> None:
    """They never become a call, and have no usage document."""
    meter.metrics.refusal(401, "authentication_error")
    meter.metrics.refusal(401, "authentication_error")
    (point,) = meter.points("gateway.refusals")
    assert point.value == 2 and point.attributes["error.type"] == "authentication_error"


def test_a_budget_that_was_overdrawn_shows_its_debt(meter: Meter) -> None:
    """In dollars, or in its own unit; per budget the largest, until it is paid."""
    meter.metrics.budget("b-usd", "2026-11", 11_500_000_000, 10_000_000_000, "usd")
    meter.metrics.budget("b-req", "2026-11-21~ana", 12, 10, "requests")
    meter.metrics.budget("b-req", "2026-11-21~bob", 15, 10, "requests")
    meter.metrics.budget("b-fine", "2026-11", 5, 10, "requests")
    debts = {point.attributes["gateway.budget"]: point.value for point in meter.points("gateway.budget.debt")}
    assert debts == {"b-usd": 1.5, "b-req": 5}
    meter.metrics.budget("b-usd", "2026-11", 11_500_000_000, 20_000_000_000, "usd")
    meter.seconds = 601.0
    assert meter.points("gateway.budget.debt") == []


def test_debts_are_bounded(meter: Meter) -> None:
    """However many budgets there are."""
    for number in range(3_000):
        meter.metrics.budget(f"b-{number}", "2026-11", 2, 1, "requests")
    assert len(meter.points("gateway.budget.debt")) == 1_000
