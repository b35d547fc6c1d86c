"""A running sandbox for each test, and the two clients that judge it: plain HTTP and the official SDK."""

from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest
from sandbox_client import PROJECT, Client

from gateway.sandbox import Sandbox


@pytest.fixture(scope="session")
def key_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox") / "key.json"


@pytest.fixture
def sandbox(key_path: Path) -> Iterator[Sandbox]:
    with Sandbox(key_path=key_path, environment={}) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return Client(sandbox)


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[anthropic.AnthropicVertex]:
    base = f"{sandbox.url}/v1"
    token = sandbox.access_token()
    with anthropic.AnthropicVertex(base_url=base, region="global", project_id=PROJECT, access_token=token, max_retries=0) as made:
        yield made
