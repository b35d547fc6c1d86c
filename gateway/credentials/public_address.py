"""A guard against being sent to where only this machine can go: private networks, loopback, the metadata server.

A name is resolved once and the connection made to the address that was checked, so that a name which resolves
differently a moment later leads nowhere. Every one of its addresses must be public.
"""

import ipaddress
import socket
from collections.abc import Callable, Collection
from typing import Any

Resolve = Callable[..., list[Any]]
"""As `socket.getaddrinfo`."""

NAT64 = ipaddress.ip_network("64:ff9b::/96")
SETTING = "GATEWAY_ALLOW_PRIVATE_UPSTREAMS"


class AddressRefused(Exception):
    """There is no address that may be connected to. Says why and what to do; names the host, never a path."""


def resolve_public(host: str, port: int, allowed: Collection[str] = (), resolve: Resolve = socket.getaddrinfo) -> str:
    """An IP address of the host that may be connected to; AddressRefused. Blocks as long as the resolver does.

    `allowed` are `host:port` that may be private: the operator's own.
    """
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"{host} cannot be resolved ({_words(error)}); check the name") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise AddressRefused(f"{host} has no address; check the name")
    if f"{host.lower()}:{port}" in {name.strip().lower() for name in allowed}:
        return addresses[0]
    for address in addresses:
        if not is_public(address):
            raise AddressRefused(
                f"{host} resolves to an address that is not public; name another, or add {host}:{port} to {SETTING}"
            )
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address lies on the open internet; one that carries another (IPv4 in IPv6) is judged by that.

    >>> [is_public(address) for address in ("93.184.216.34", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1")]
    [True, False, False, False]
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
