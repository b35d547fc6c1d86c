"""Where a credential may travel: Google's tokens to Google, AWS signatures to AWS, whatever a base URL says.

Held twice: when an operator sets a provider up, and before each request of a provider that an admin made.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

GOOGLE = ("googleapis.com",)
AWS = ("amazonaws.com", "amazonaws.com.cn", "api.aws")
SETTING = "GATEWAY_ALLOW_PRIVATE_UPSTREAMS"


def host_faults(base_url: str | None, hosts: Collection[str], allowed: Collection[str] = ()) -> list[str]:
    """A sentence if the host is none of `hosts` nor of their subdomains; `allowed` are `host:port` that may be any.

    >>> host_faults("https://aiplatform.googleapis.com.evil.example", GOOGLE)
    ['base_url: aiplatform.googleapis.com.evil.example is not under googleapis.com, where alone this credential may be sent; \
use a host there, or let the operator name aiplatform.googleapis.com.evil.example:443 in GATEWAY_ALLOW_PRIVATE_UPSTREAMS']
    """
    if base_url is None or not hosts:
        return []
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if f"{host}:{port}" in {name.strip().lower() for name in allowed}:
        return []
    if parts.scheme == "https" and any(host == own or host.endswith(f".{own}") for own in hosts):
        return []
    return [
        f"base_url: {host} is not under {' or '.join(hosts)}, where alone this credential may be sent; "
        f"use a host there, or let the operator name {host}:{port} in {SETTING}"
    ]
