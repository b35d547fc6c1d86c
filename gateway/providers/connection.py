"""One HTTP/1.1 connection to a provider, and one answer on it: bytes in, bytes out, nothing decided."""

import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import httptools

from gateway.canonical.steps import Steps, Wait

RECEIVE_BYTES = 65_536
SEND_BYTES = 262_144
IDLE_CONNECTION_S = 55.0  # below the minute after which load balancers drop silent connections
HEAD_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first_byte_s` runs from the request's last byte, `idle_s` between two bytes of the answer."""

    connect_s: float = 5.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Origin:
    scheme: str
    host: str
    port: int
    guarded: bool = False  # must lie at a public address

    @staticmethod
    @lru_cache(maxsize=1024)
    def parse(url: str, guarded: bool = False) -> "Origin":
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http(s) URL")
        return Origin(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80), guarded)

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Head:
    status: int
    headers: Mapping[str, str]  # lower-case names


class Answer:
    """What the parser tells of one response. 1xx answers are passed over."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.head: Head | None = None
        self.body: list[bytes] = []
        self.complete = False
        self.reusable = True
        self.head_bytes = 0
        self._headers: dict[str, str] = {}
        self._informational = False

    def feed(self, data: bytes) -> None:
        """httptools.HttpParserError if it is not HTTP, or if a head has no end."""
        if self.head is None:
            self.head_bytes += len(data)
        self.parser.feed_data(data)
        if self.head is None and self.head_bytes > HEAD_BYTES_MAX:
            raise httptools.HttpParserError("the head has no end")

    def let_go(self) -> None:
        """Nothing more is fed. Parser and answer hold each other, so that else both wait for the garbage collector."""
        del self.parser

    def on_message_begin(self) -> None:
        if self.complete:  # bytes behind the answer's end: nobody asked for them
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self.complete:
            return
        status = self.parser.get_status_code()
        self._informational = 100 <= status < 200
        if not self._informational:
            self.head = self.head or Head(status, self._headers)
            self.reusable = self.reusable and self.parser.should_keep_alive()
        self._headers = {}

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.body.append(data)

    def on_message_complete(self) -> None:
        self.complete = self.complete or not self._informational

    @property
    def delimited(self) -> bool:
        """The answer says itself where it ends, so that an early end is seen as one."""
        headers = self.head.headers if self.head else {}
        return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()


class Connection:
    """One socket, non-blocking throughout. Raises OSError (ssl.SSLError included) when it breaks."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._early: list[bytes] = []  # what came while a request was being sent
        self._drained = False
        self.idle_since = 0.0
        self.used = False

    def wait_ready(self, wait_s: float, *, writing: bool) -> bool:
        """Blocks until there is something to read, or with `writing` until something can be written or read."""
        if self._early or (self._is_tls and self._sock.pending()):  # type: ignore[attr-defined]
            return True
        if not writing:
            return bool(self._poll.poll(max(0.0, wait_s) * 1000))
        self._poll.modify(self._sock, select.POLLIN | select.POLLOUT)
        try:
            return bool(self._poll.poll(max(0.0, wait_s) * 1000))
        finally:
            self._poll.modify(self._sock, select.POLLIN)

    def receive(self) -> bytes | None:
        """What is there; b"" at the end; None if nothing is there after all (a TLS record without data)."""
        if self._early:
            return self._early.pop(0)
        try:
            data = self._sock.recv(RECEIVE_BYTES)
            self._drained = len(data) < RECEIVE_BYTES and not (self._is_tls and self._sock.pending())  # type: ignore[attr-defined]
            return data
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def was_drained(self) -> bool:
        """The last `receive` took all there was: the next would find nothing, and cost as much. Says so once."""
        drained, self._drained = self._drained, False
        return drained

    def send(self, data: bytes, deadline: float) -> Steps[bool]:
        """Sends all; False if the peer answered or hung up before it had everything. TimeoutError at the deadline."""
        view = memoryview(data)
        self._drained = True  # nothing can have been answered yet
        while view:
            try:
                view = view[self._sock.send(view[:SEND_BYTES]) :]
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                wait_s = deadline - time.monotonic()
                if wait_s <= 0:
                    raise TimeoutError("sending the request timed out") from None
                yield Wait(self, wait_s, writing=True)
                if self._answered_early():
                    return False
            except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                self._drained = False  # its last words may be waiting
                return False
        return True

    def _answered_early(self) -> bool:
        """Readable need not mean an answer: TLS 1.3 servers send session tickets after the handshake."""
        try:
            data = self.receive()
        except OSError:
            self._drained = False  # the next `receive` tells it
            return True
        if data is not None:
            self._early.append(data)
            self._drained = False
        return data is not None

    def alive(self, now: float) -> bool:
        """Fit for another request: young, and neither closed nor with unasked bytes waiting."""
        return now - self.idle_since < IDLE_CONNECTION_S and not self.wait_ready(0, writing=False)

    def fileno(self) -> int:
        return self._sock.fileno()

    def interrupt(self) -> None:
        """Ends both directions, which wakes whoever waits for it."""
        try:  # not SSLSocket's own, which would leave the reader with the bare ciphertext
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        except OSError:
            return  # closed already: nobody waits

    def close(self) -> None:
        self._sock.close()
