"""One running gateway for all tests of the doors, and others with settings of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from everywhere import served_everywhere
from house import Served, served

from gateway.sandbox import Sandbox


@pytest.fixture(scope="session")
def key_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One throwaway service-account key: to make one takes longer than most tests."""
    path = tmp_path_factory.mktemp("key") / "sandbox-key.json"
    with Sandbox(key_path=path):
        return path


@pytest.fixture(scope="session", params=["asgi", "wsgi"])
def door_gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, key_path: Path) -> Iterator[Served]:
    """Served both ways: as `python -m gateway serve` does, and as Cloud Run functions does."""
    timing: dict[str, Any] = {"GATEWAY_PING_INTERVAL_S": "0.2", "GATEWAY_FIRST_BYTE_TIMEOUT_S": "1.5"}
    with (
        Sandbox(key_path=key_path) as sandbox,
        served(tmp_path_factory.mktemp("gateway"), sandbox=sandbox, server=request.param, **timing) as gateway,
    ):
        yield gateway


@pytest.fixture
def gateway(door_gateway: Served) -> Iterator[Served]:
    """The shared gateway, without scripted faults, and with a look at what reached its web server."""
    door_gateway.sandbox.clear()
    door_gateway.server_errors.clear()
    yield door_gateway
    check_server_errors(door_gateway)


@pytest.fixture(scope="session")
def gateway_everywhere(tmp_path_factory: pytest.TempPathFactory, key_path: Path) -> Iterator[Served]:
    """With a provider of every kind."""
    with (
        Sandbox(key_path=key_path) as sandbox,
        served_everywhere(tmp_path_factory.mktemp("everywhere"), sandbox, GATEWAY_PING_INTERVAL_S="0.2") as gateway,
    ):
        yield gateway


@pytest.fixture
def everywhere(gateway_everywhere: Served) -> Iterator[Served]:
    """That gateway, without scripted faults."""
    gateway_everywhere.sandbox.clear()
    gateway_everywhere.server_errors.clear()
    yield gateway_everywhere
    check_server_errors(gateway_everywhere)


@pytest.fixture
def serve(tmp_path: Path, key_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts a gateway with settings of its own, and a sandbox of its own."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Served:
            sandbox = stack.enter_context(Sandbox(key_path=key_path))
            gateway = stack.enter_context(served(tmp_path, sandbox=sandbox, **settings))
            stack.callback(check_server_errors, gateway)
            return gateway

        yield start


def check_server_errors(gateway: Served) -> None:
    """Only a broken stream may end in an exception: that is how its connection is cut."""
    others = [error for error in gateway.server_errors if "StreamBroken" not in error.strip().splitlines()[-1]]
    assert not others, others[0]
