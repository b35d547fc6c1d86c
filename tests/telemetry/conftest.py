"""A collector per test, and gateways that send to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from house import Served, served
from otlp_collector import Collector, collecting

from gateway.sandbox import Sandbox


@pytest.fixture(scope="session")
def key_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "sandbox-key.json"
    with Sandbox(key_path=path):
        return path


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as one:
        yield one


@pytest.fixture
def traced(
    tmp_path: Path, key_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Served]]:
    """Starts a gateway that tells the collector; `gateway.house.close()` sends what is left."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    with ExitStack() as stack:

        def start(**settings: Any) -> Served:
            sandbox = stack.enter_context(Sandbox(key_path=key_path))
            otlp = {"GATEWAY_TELEMETRY": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
            return stack.enter_context(served(tmp_path, sandbox=sandbox, **{**otlp, **settings}))

        yield start
