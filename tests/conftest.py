"""Fixtures that every room's tests may use: the Firestore emulator, and a guard that keeps the suite on loopback."""

import ipaddress
import os
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import emulator as firestore_emulator
import pytest
from hypothesis import HealthCheck, settings

GUARDED = ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")

# The same examples every time, however slow the machine, so that two runs agree. `HYPOTHESIS=explore` looks for new ones.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS", "steady"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="expect what is sent now; then read the diff")


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """host:port of a running Firestore emulator; skips without one, fails if REQUIRE_EMULATOR=1."""
    try:
        installation = firestore_emulator.find()
    except firestore_emulator.EmulatorMissing as missing:
        if os.environ.get("REQUIRE_EMULATOR") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    with firestore_emulator.running(installation) as address:
        yield address


@pytest.fixture(scope="session")
def firestore_environment(emulator: str) -> Iterator[str]:
    """FIRESTORE_EMULATOR_HOST as Google's client reads it, for the rest of the session."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FIRESTORE_EMULATOR_HOST", emulator)
        yield emulator


@pytest.fixture
def firestore_url(firestore_environment: str) -> str:
    """A database that nobody else uses: the emulator keeps projects apart."""
    return f"firestore://demo-{uuid.uuid4().hex[:20]}/(default)"


class OutsideNetwork(RuntimeError):
    """A test tried to leave this machine. No OSError: code that forgives a dead network must not forgive this."""


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """Refuses connections and name look-ups beyond loopback; what C libraries do on their own it cannot see."""
    guarding = True

    def guard(event: str, arguments: tuple[Any, ...]) -> None:
        if not guarding or event not in GUARDED:
            return
        host = _host(arguments[1]) if event in ("socket.connect", "socket.sendto") else arguments[0]
        if host is not None and not _is_loopback(host):
            raise OutsideNetwork(f"{event} to {host!r}: the tests stay on loopback; point this at a local server")

    sys.addaudithook(guard)  # cannot be taken out again
    yield
    guarding = False


def _host(address: Any) -> Any:
    """None for a socket that is a file."""
    return address[0] if isinstance(address, tuple) else None


def _is_loopback(host: str | bytes) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name in ("", "localhost") or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
