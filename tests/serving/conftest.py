"""A simulated Google for gateways in other processes, and a store that this process may look into."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from house import key_writes

from gateway.callers.keys import new_key
from gateway.canonical.store import Store
from gateway.sandbox import Sandbox
from gateway.store import open_store


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gateway.db"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = open_store(store_url)
    yield store
    store.close()


@pytest.fixture
def key(store: Store) -> str:
    """Of project `demo`."""
    key = new_key()
    store.commit(key_writes(key))
    return key
