"""The guard in tests/conftest.py: a suite that talks to the internet would test the internet."""

import socket

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_leaving_loopback_is_refused_loudly(host: str) -> None:
    """Not as a network error, which the code under test might forgive."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as outside, pytest.raises(RuntimeError, match="stay on loopback"):
        outside.connect((host, 443))


def test_looking_up_other_names_is_refused() -> None:
    """A name server is outside too."""
    with pytest.raises(RuntimeError, match=r"metadata\.google\.internal"):
        socket.getaddrinfo("metadata.google.internal", 80)


def test_loopback_is_free() -> None:
    """By number and by name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, port), timeout=5).close()
