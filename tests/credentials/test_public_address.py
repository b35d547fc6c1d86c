"""Nothing that an admin names leads into private networks, whatever its name resolves to."""

import socket
from typing import Any

import pytest

from gateway.credentials.public_address import AddressRefused, is_public, resolve_public


def resolver(*addresses: str) -> Any:
    def resolve(host: str, port: int, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a00:1::", "2001:db8::1", "x",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_in_every_spelling(address: str) -> None:
    """Metadata server, loopback, private networks, and IPv4 inside IPv6."""
    assert not is_public(address)
    with pytest.raises(AddressRefused, match="not public"):
        resolve_public("hooks.example.com", 443, (), resolver(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_public_addresses_are_used_as_they_were_checked(address: str) -> None:
    """The caller connects to this one, and asks no second time."""
    assert resolve_public("hooks.example.com", 443, (), resolver(address)) == address


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    """Or chance would decide."""
    with pytest.raises(AddressRefused) as refused:
        resolve_public("hooks.example.com", 443, (), resolver("8.8.8.8", "10.0.0.1"))
    assert "add hooks.example.com:443 to GATEWAY_ALLOW_PRIVATE_UPSTREAMS" in str(refused.value)
    assert "10.0.0.1" not in str(refused.value), "what lies behind the name is nobody's business"


def test_what_the_operator_allows_may_be_private() -> None:
    """By host and port, both."""
    allowed = ["Hooks.example.com:8443 "]
    assert resolve_public("hooks.example.com", 8443, allowed, resolver("10.0.0.1")) == "10.0.0.1"
    with pytest.raises(AddressRefused):
        resolve_public("hooks.example.com", 443, allowed, resolver("10.0.0.1"))


def test_a_name_that_cannot_be_resolved_is_told() -> None:
    """In a sentence."""

    def resolve(host: str, port: int, **more: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(AddressRefused, match=r"hooks\.example\.com cannot be resolved \(Name or service not known\); check"):
        resolve_public("hooks.example.com", 443, (), resolve)
    with pytest.raises(AddressRefused, match="has no address"):
        resolve_public("hooks.example.com", 443, (), resolver())
