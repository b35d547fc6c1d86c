"""HTTP/1.1 to a provider: pooled connections, answers read as they arrive, silence that can be noticed.

Why not a ready client: `requests` and urllib3 read through a buffer that must not time out in mid-read, so a caller
cannot wake up after ten seconds of silence, ping its own client and go on reading. Here the socket is polled and a C
parser (httptools) keeps the state, so `head` and `read` may return None and be called again. It also costs a tenth.

Four limits hold, each its own: connect, first byte, idle, and the call's total deadline. No redirects are followed, no
proxy is used, no content encoding is undone. A request is sent again only when a pooled connection turns out to have
been closed before a single byte of the answer.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping

import httptools

from gateway.canonical.errors import StreamBroken, UpstreamFailed, UpstreamTimeout
from gateway.providers.connection import Answer, Connection, Head, Origin, Timeouts

__all__ = ["Exchange", "Head", "Origin", "Pool", "Timeouts"]

IDLE_CONNECTIONS_MAX = 256  # kept per origin


class Exchange:
    """One request and its answer. `head` and `read` return None when `wait_s` passed in silence: call again."""

    def __init__(self, pool: "Pool", origin: Origin, request: bytes, timeouts: Timeouts, deadline: float) -> None:
        self._pool = pool
        self._origin = origin
        self._request = request
        self._timeouts = timeouts
        self._deadline = deadline
        self._answer = Answer()
        self._finished = False
        self._interrupted = False
        self._garbled = ""
        self._heard = False
        self._open(pool.take(origin, timeouts))

    def _open(self, connection: Connection) -> None:
        self._connection = connection
        now = time.monotonic()
        try:
            self._sent_whole = connection.send(self._request, min(now + self._timeouts.idle_s, self._deadline))
        except TimeoutError as error:
            self._abort()
            raise UpstreamTimeout(f"{self._origin.host} did not take the request in time; try again") from error
        except OSError as error:
            self._abort()
            raise UpstreamFailed(f"the connection to {self._origin.host} broke; try again", reason=repr(error)) from error
        self._silent_since = time.monotonic()

    def head(self, wait_s: float) -> Head | None:
        """Status and headers. UpstreamTimeout after the first-byte limit, UpstreamFailed if the connection breaks."""
        until = time.monotonic() + wait_s
        while self._answer.head is None:
            limit = min(self._silent_since + self._timeouts.first_byte_s, self._deadline)
            if not self._receive(until, limit, f"{self._origin.host} did not begin to answer in time"):
                return None
        return self._answer.head

    def read(self, wait_s: float) -> bytes | None:
        """The next bytes of the body, as they arrive; b"" at its proper end. StreamBroken at any other end."""
        until = time.monotonic() + wait_s
        while not self._answer.body:
            if self._answer.complete:
                self._finish()
                return b""
            limit = min(self._silent_since + self._timeouts.idle_s, self._deadline)
            if not self._receive(until, limit, f"{self._origin.host} fell silent in the middle of its answer"):
                return None
        body = self._answer.body
        data = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        return data

    def _receive(self, until: float, limit: float, fault: str) -> bool:
        """Feeds the parser once; False when `until` passed first."""
        if self._garbled:  # what came before it has been handed over by now
            return self._broke(self._garbled)
        now = time.monotonic()
        if now >= limit:
            self._abort()
            raise UpstreamTimeout(f"{fault}; try again")
        try:
            wait_s = min(until, limit) - now
            if wait_s > 0:
                if not self._connection.wait_readable(wait_s):
                    return limit <= until
            elif self._connection.was_drained():
                return False
            data = self._connection.receive()
        except OSError as error:
            return self._broke(repr(error))
        if data is None:
            return wait_s > 0
        if not data:
            return self._broke("closed by the peer")
        self._silent_since = time.monotonic()
        self._heard = True
        try:
            self._answer.feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._garbled = f"not HTTP: {error}"
            self._answer.reusable = False
        return self._answer.head is not None or not self._garbled or self._broke(self._garbled)

    def _broke(self, cause: str) -> bool:
        """The connection ended: a proper end, a stale pooled connection (sent again once), or a failure."""
        answer, host = self._answer, self._origin.host
        if answer.complete:
            return True
        if answer.head is None:
            stale = self._connection.used and not self._heard and not self._interrupted
            self._abort()
            if not stale:
                raise UpstreamFailed(f"{host} closed the connection without an answer; try again", reason=cause)
            self._finished = False
            self._open(self._pool.connect(self._origin, self._timeouts))
            return True
        if cause == "closed by the peer" and not answer.delimited and not self._interrupted:
            answer.complete = True
            return True
        self._abort()
        raise StreamBroken(f"{host} broke off its answer ({cause})")

    def _finish(self) -> None:
        """Gives the connection back, if the answer is over and the peer keeps it open."""
        if self._finished:
            return
        self._finished = True
        if self._sent_whole and self._answer.delimited and self._answer.reusable:
            self._pool.give_back(self._origin, self._connection)
        else:
            self._connection.close()

    def _abort(self) -> None:
        self._finished = True
        self._connection.close()

    def fileno(self) -> int:
        return self._connection.fileno()

    def wait_readable(self, wait_s: float) -> bool:
        """Blocks; False if `wait_s` passed first."""
        return self._connection.wait_readable(wait_s)

    def interrupt(self) -> None:
        """Cuts the answer off from another thread; the reading thread finds it broken."""
        self._interrupted = True
        if not self._finished:  # a finished one's connection may serve another call by now
            self._connection.interrupt()

    def close(self) -> None:
        """Ends the exchange: an unfinished answer is cut off upstream. May be called again."""
        if not self._finished:
            if self._answer.complete and not self._answer.body:
                self._finish()
            else:
                self._abort()


class Pool:
    """Connections by origin, last used first. One per process; safe for threads."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._idle: dict[Origin, list[Connection]] = {}
        self._lock = threading.Lock()

    def send(
        self,
        method: str,
        origin: Origin,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        timeouts: Timeouts,
        deadline: float,
    ) -> Exchange:
        """Sends a request; the answer is read from the Exchange. `deadline` is monotonic seconds.

        Raises UpstreamFailed or UpstreamTimeout; ValueError for a path or header that would break out of its line.
        """
        lines = [f"{method} {path} HTTP/1.1", f"host: {origin.host_header}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or " " in path or "\0" in head:
            raise ValueError("a path or header holds a character that HTTP forbids")
        return Exchange(self, origin, head.encode("latin-1") + b"\r\n\r\n" + body, timeouts, deadline)

    def take(self, origin: Origin, timeouts: Timeouts) -> Connection:
        now = time.monotonic()
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                connection = idle.pop() if idle else None
            if connection is None:
                return self.connect(origin, timeouts)
            if connection.alive(now):
                return connection
            connection.close()

    def connect(self, origin: Origin, timeouts: Timeouts) -> Connection:
        try:
            sock = socket.create_connection((origin.host, origin.port), timeout=timeouts.connect_s)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if origin.scheme == "https":
                    sock = self._tls_context().wrap_socket(sock, server_hostname=origin.host)
                sock.setblocking(False)
            except BaseException:
                sock.close()
                raise
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"{origin.host} did not accept a connection within {timeouts.connect_s:g} s; try again"
            ) from error
        except OSError as error:
            message = f"{origin.host} could not be reached; try again, and tell the operator if it persists"
            raise UpstreamFailed(message, reason=repr(error)) from error
        return Connection(sock)

    def _tls_context(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = self._tls()
            return self._context

    def give_back(self, origin: Origin, connection: Connection) -> None:
        connection.used = True
        connection.idle_since = time.monotonic()
        with self._lock:
            idle = self._idle.setdefault(origin, [])
            if len(idle) < IDLE_CONNECTIONS_MAX:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            connections = [connection for idle in self._idle.values() for connection in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()
