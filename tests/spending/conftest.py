"""A ledger's surroundings: a clock turned by hand, and a store that fails when told."""

from pathlib import Path

import pytest
from ledger_doubles import FailingStore, HandClock

from gateway.store.sqlite import SqliteStore


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> FailingStore:
    return FailingStore(SqliteStore(tmp_path / "gateway.db", now=clock.now))
