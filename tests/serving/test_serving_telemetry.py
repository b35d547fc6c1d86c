"""Telemetry of gateways as users start them: what happened just before a stop is sent before the process ends."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from otlp_collector import attributes, collecting
from processes import FUNCTION, SERVE, environment, running
from wire import eventually

from gateway.canonical.store import Store
from gateway.sandbox import Sandbox


@pytest.mark.parametrize("how", [SERVE, FUNCTION], ids=["serve", "function"])
def test_a_stop_loses_no_trace(
    how: Sequence[str], sandbox: Sandbox, store: Store, store_url: str, key: str, tmp_path: Path
) -> None:
    """A call, and SIGTERM at once: spans and metrics arrive, and nobody waited for the spans otherwise."""
    with collecting() as collector:
        settings = environment(
            sandbox,
            store_url,
            GATEWAY_TELEMETRY="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="60000",
            OTEL_METRIC_EXPORT_INTERVAL="200",
        )
        with running(tmp_path, settings, key, how=how) as [gateway]:
            eventually(lambda: collector.bodies)  # by now everything is loaded
            answer = gateway.ask()
            assert answer.status == 200
            gateway.terminate()
            started = time.monotonic()
            assert gateway.process.wait(15) == 0, "it ended by itself, with its house closed"
            assert time.monotonic() - started < 5
        told = [attributes(span).get("gateway.request_id") for span in collector.spans()]
        assert answer.headers["x-gateway-request-id"] in told
        assert "gateway.cost" in collector.metrics()
