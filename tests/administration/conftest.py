"""A SQLite store in a folder of the test's own, and the use cases over both."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from office_clock import Clock

from gateway.administration.changes import Changes, Who
from gateway.administration.keys import Keys
from gateway.administration.projects import Projects
from gateway.administration.providers import Providers
from gateway.canonical.store import Store
from gateway.store import open_store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with contextlib.closing(open_store(f"sqlite:///{tmp_path}/store/gateway.db", now=clock)) as opened:
        yield opened


@pytest.fixture
def changes(store: Store, clock: Clock) -> Changes:
    return Changes(store, clock)


@pytest.fixture
def projects(store: Store, changes: Changes, clock: Clock) -> Projects:
    return Projects(store, changes, clock, from_environment=["vertex"])


@pytest.fixture
def keys(store: Store, changes: Changes, clock: Clock) -> Keys:
    return Keys(store, changes, clock)


@pytest.fixture
def providers(store: Store, changes: Changes, clock: Clock) -> Providers:
    return Providers(store, changes, clock, private_allowed=["10.1.2.3:8443"])


@pytest.fixture
def ana() -> Who:
    """An operator at the machine."""
    return Who("cli:ana", at_machine=True)


@pytest.fixture
def remote() -> Who:
    """An admin over the network."""
    return Who("admin")


@pytest.fixture
def acme(projects: Projects, ana: Who) -> str:
    """A project, by its id."""
    return str(projects.create({"id": "acme"}, ana)["id"])
