"""A gateway for each test, and the real clients that talk to it: the official SDK, and Claude Code where it is installed."""

import os
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest
from claude_cli import Cli
from codex_cli import Codex
from everywhere import served_everywhere
from house import Served, served
from installed import CLAUDE_CODE, CODEX, Client, ClientMissing

from gateway.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox") / "key.json"


@pytest.fixture
def gateway(tmp_path: Path, sandbox_key: Path) -> Iterator[Served]:
    with Sandbox(key_path=sandbox_key, environment={}) as sandbox, served(tmp_path, sandbox=sandbox) as running:
        yield running


@pytest.fixture(scope="session")
def gateway_everywhere(tmp_path_factory: pytest.TempPathFactory, sandbox_key: Path) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("everywhere")
    with Sandbox(key_path=sandbox_key, environment={}) as sandbox, served_everywhere(folder, sandbox) as running:
        yield running


@pytest.fixture
def everywhere(gateway_everywhere: Served) -> Served:
    """A gateway with a provider of every kind, without scripted faults."""
    gateway_everywhere.sandbox.clear()
    return gateway_everywhere


def installed(client: Client) -> Path:
    """The installed binary; skips without one, fails if REQUIRE_CLIENTS=1."""
    try:
        return client.find()
    except ClientMissing as missing:
        if os.environ.get("REQUIRE_CLIENTS") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def claude_code() -> Path:
    return installed(CLAUDE_CODE)


@pytest.fixture(scope="session")
def codex_binary() -> Path:
    return installed(CODEX)


@pytest.fixture
def outside() -> Iterator[str]:
    """A proxy that refuses everything. The gateway's address is excepted from it, so whoever comes here was on the way
    to somebody else: the test fails."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    came.append(connection.recv(200).partition(b"\r\n")[0])
                    connection.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)
    assert came == [], "the client talked to somebody else than the gateway"


@pytest.fixture
def claude(claude_code: Path, gateway: Served, tmp_path: Path, outside: str) -> Cli:
    """Claude Code, set up for the gateway."""
    return Cli(claude_code, gateway.url, gateway.key, tmp_path / "home", outside)


@pytest.fixture
def codex(codex_binary: Path, everywhere: Served, tmp_path: Path, outside: str) -> Codex:
    """The Codex CLI, set up for a gateway with a provider of every kind, in a project of its own."""
    project = f"codex-{secrets.token_hex(4)}"
    return Codex(codex_binary, everywhere.url, everywhere.add_key(project=project), tmp_path / "home", outside, project)


@pytest.fixture
def messages_sdk(gateway: Served) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as made:
        yield made


@pytest.fixture
def vertex_sdk(gateway: Served) -> Iterator[anthropic.AnthropicVertex]:
    """Its project and region are the client's guess."""
    with anthropic.AnthropicVertex(
        base_url=f"{gateway.url}/v1", access_token=gateway.key, project_id="any", region="us-east5", max_retries=0
    ) as made:
        yield made


@pytest.fixture
def direct_sdk(gateway: Served) -> Iterator[anthropic.AnthropicVertex]:
    """Past the gateway, straight to its upstream."""
    sandbox = gateway.sandbox
    with anthropic.AnthropicVertex(
        base_url=f"{sandbox.url}/v1",
        access_token=sandbox.access_token(),
        project_id="sandbox-project",
        region="global",
        max_retries=0,
    ) as made:
        yield made


@pytest.fixture(params=["messages", "vertex"])
def sdk(request: pytest.FixtureRequest) -> "anthropic.Anthropic | anthropic.AnthropicVertex":
    """The official SDK through the gateway, in both dialects."""
    made: anthropic.Anthropic | anthropic.AnthropicVertex = request.getfixturevalue(f"{request.param}_sdk")
    return made
