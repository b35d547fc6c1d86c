"""One POST to an address that was checked, with an end to it: no redirects, no proxies, the answer's status alone."""

import http.client
import socket
import ssl
import threading
from collections.abc import Collection, Mapping
from urllib.parse import SplitResult, urlsplit

from gateway.credentials.public_address import AddressRefused, Resolve, resolve_public
from gateway.spending.alert import PostFailed

TIMEOUT_S = 5.0
WORDS_BYTES_MAX = 200


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: Collection[str] = (),
    timeout_s: float = TIMEOUT_S,
    resolve: Resolve = socket.getaddrinfo,
) -> None:
    """Returns when it was accepted (2xx); PostFailed. Plain http and private addresses only for the `host:port` in `allowed`."""
    parts, host, port = _split(url)
    if parts.scheme != "https" and f"{host}:{port}" not in allowed:
        raise PostFailed(f"{host}: only https is allowed; GATEWAY_ALLOW_PRIVATE_UPSTREAMS may name {host}:{port}")
    try:
        address = resolve_public(host, port, allowed, resolve)
        status, words = _exchange(parts, host, port, address, body, headers, timeout_s)
    except AddressRefused as error:
        raise PostFailed(str(error)) from None
    except TimeoutError:
        raise PostFailed(f"{host} did not answer within {timeout_s:g} s; it is tried again later") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PostFailed(f"{host} could not be reached ({type(error).__name__}); it is tried again later") from None
    if 300 <= status < 400:
        raise PostFailed(f"{host} answered {status}: redirects are not followed; name the address that it leads to")
    if not 200 <= status < 300:
        raise PostFailed(f"{host} answered {status} ({words}); check the URL and what it accepts")


def _split(url: str) -> tuple[SplitResult, str, int]:
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.username is None and url.isascii()
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        usable = False
    if not usable:
        raise PostFailed("the webhook is no URL such as https://example.com/hook; check the setting or the secret behind it")
    return parts, str(parts.hostname), port


def _exchange(
    parts: SplitResult, host: str, port: int, address: str, body: bytes, headers: Mapping[str, str], timeout_s: float
) -> tuple[int, str]:
    """Status, and the first words of the answer."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    sock = connection.sock = socket.create_connection((address, port), timeout=timeout_s)
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _cut(sock)

    end = threading.Timer(timeout_s, expire)  # the socket's own timeout begins anew with every byte
    end.daemon = True
    end.start()
    try:
        if parts.scheme == "https":
            sock = connection.sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {**headers, "host": _host_header(host, port), "connection": "close"})
        answer = connection.getresponse()
        words = " ".join(answer.read(WORDS_BYTES_MAX).decode("ascii", "replace").split())
        return answer.status, words or answer.reason
    except (OSError, http.client.HTTPException) as error:
        if expired.is_set():
            raise TimeoutError from error
        raise
    finally:
        end.cancel()
        connection.close()


def _cut(sock: socket.socket) -> None:
    try:  # not SSLSocket's own, which would leave the reader with the bare ciphertext
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # closed already


def _host_header(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port in (80, 443) else f"{name}:{port}"
