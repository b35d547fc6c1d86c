"""HTTP/1.1 to a provider: pooled connections, answers read as they arrive, silence that can be noticed.

Why not a ready client: `requests` and urllib3 read through a buffer that must not time out in mid-read, so a caller
cannot wake up after ten seconds of silence, ping its own client and go on reading. Here the socket is polled and a C
parser (httptools) keeps the state, so that nothing blocks and every silence can be noticed. It also costs a tenth.

Four limits hold, each its own: connect, first byte, idle, and the call's total deadline. No redirects are followed, no
proxy is used, no content encoding is undone. A request is sent again only when a pooled connection turns out to have
been closed before a single byte of the answer.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Mapping

import httptools

from gateway.canonical.errors import StreamBroken, UpstreamFailed, UpstreamTimeout
from gateway.canonical.steps import Steps, Wait, Work
from gateway.credentials.public_address import AddressRefused, resolve_public
from gateway.providers.connection import Answer, Connection, Head, Origin, Timeouts

__all__ = ["Exchange", "Head", "Origin", "Pool", "Timeouts"]

IDLE_CONNECTIONS_MAX = 256  # kept per origin


class _Stale(Exception):
    """A pooled connection had been closed before a single byte of the answer: the request may be sent again."""


class Exchange:
    """One request and its answer. Nothing is sent before `head`."""

    def __init__(self, pool: "Pool", origin: Origin, request: bytes, timeouts: Timeouts, deadline: float) -> None:
        self._pool = pool
        self._origin = origin
        self._request = request
        self._timeouts = timeouts
        self._deadline = deadline
        self._answer = Answer()
        self._connection: Connection | None = None
        self._sent_whole = False
        self.finished = False
        self._interrupted = False
        self._garbled = ""
        self._heard = False
        self._silent_since = 0.0
        self.on_end: Callable[[], None] = lambda: None  # called once, when nothing more is asked of the provider

    def head(self, wait_s: float) -> Steps[Head]:
        """Sends the request and waits for status and headers; a Wait that is answered False was `wait_s` of silence.

        UpstreamTimeout after the connect and first-byte limits, UpstreamFailed if the connection breaks.
        """
        yield from self._send(self._pool.take(self._origin))
        while self._answer.head is None:
            try:
                heard = self._receive()
            except _Stale:
                yield from self._send(None)
                continue
            if not heard:
                yield self._pause(wait_s, self._timeouts.first_byte_s, "did not begin to answer in time")
        return self._answer.head

    def _send(self, connection: Connection | None) -> Steps[None]:
        """Sends the request, on a new connection if there is none to be taken up."""
        if connection is None:
            connection = yield Work(lambda: self._pool.connect(self._origin, self._timeouts))
            if self.finished:  # given up meanwhile
                connection.close()
                raise UpstreamFailed("the call was cut off; try again")
        self._connection = connection
        now = time.monotonic()
        try:
            self._sent_whole = yield from connection.send(self._request, min(now + self._timeouts.idle_s, self._deadline))
        except TimeoutError as error:
            self._abort()
            raise UpstreamTimeout(f"{self._origin.host} did not take the request in time; try again") from error
        except OSError as error:
            self._abort()
            raise UpstreamFailed(f"the connection to {self._origin.host} broke; try again", reason=repr(error)) from error
        if self._interrupted:
            connection.interrupt()
        self._silent_since = time.monotonic()

    def read(self) -> bytes | None:
        """What has come of the body, None if nothing has, b"" at its proper end. StreamBroken at any other end."""
        while not self._answer.body:
            if self._answer.complete:
                self._finish()
                return b""
            if not self._receive():
                return None
        body = self._answer.body
        data = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        return data

    def pause(self, wait_s: float) -> Wait:
        """What to wait for before the next `read`. UpstreamTimeout after the idle limit."""
        return self._pause(wait_s, self._timeouts.idle_s, "fell silent in the middle of its answer")

    def _pause(self, wait_s: float, limit_s: float, fault: str) -> Wait:
        assert self._connection is not None
        return Wait(self._connection, min(wait_s, self._check_limit(limit_s, fault)))

    def _check_limit(self, limit_s: float, fault: str) -> float:
        """Seconds left of a silence; UpstreamTimeout if there are none."""
        left_s = min(self._silent_since + limit_s, self._deadline) - time.monotonic()
        if left_s <= 0:
            self._abort()
            raise UpstreamTimeout(f"{self._origin.host} {fault}; try again")
        return left_s

    def _receive(self) -> bool:
        """Feeds the parser what there is; False if there is nothing."""
        assert self._connection is not None
        if self._garbled:  # what came before it has been handed over by now
            return self._broke(self._garbled)
        try:
            data = None if self._connection.was_drained() else self._connection.receive()
        except OSError as error:
            return self._broke(repr(error))
        if data is None:
            return False
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
        """The connection ended: a proper end, a stale pooled connection, or a failure."""
        answer, host = self._answer, self._origin.host
        assert self._connection is not None
        if answer.complete:
            return True
        if answer.head is None:
            if self._connection.used and not self._heard and not self._interrupted:
                self._connection.close()
                raise _Stale
            self._abort()
            raise UpstreamFailed(f"{host} closed the connection without an answer; try again", reason=cause)
        if cause == "closed by the peer" and not answer.delimited and not self._interrupted:
            answer.complete = True
            return True
        self._abort()
        raise StreamBroken(f"{host} broke off its answer ({cause})")

    def _finish(self) -> None:
        """Gives the connection back, if the answer is over and the peer keeps it open."""
        if self.finished:
            return
        self.finished = True
        self._answer.let_go()
        assert self._connection is not None
        if self._sent_whole and self._answer.delimited and self._answer.reusable:
            self._pool.give_back(self._origin, self._connection)
        else:
            self._connection.close()
        self.on_end()

    def _abort(self) -> None:
        if self.finished:
            return
        self.finished = True
        self._answer.let_go()
        if self._connection is not None:
            self._connection.close()
        self.on_end()

    def interrupt(self) -> None:
        """Cuts the answer off from another thread; whoever reads finds it broken."""
        self._interrupted = True
        connection = self._connection
        if connection is not None and not self.finished:  # a finished one's connection may serve another call by now
            connection.interrupt()

    def close(self) -> None:
        """Ends the exchange: an unfinished answer is cut off upstream. May be called again."""
        if self._answer.complete and not self._answer.body:
            self._finish()
        else:
            self._abort()


class Pool:
    """Connections by origin, last used first. One per process; safe for threads."""

    def __init__(self, tls: Callable[[], ssl.SSLContext] = ssl.create_default_context, allowed: Collection[str] = ()) -> None:
        """`allowed` are the `host:port` that a guarded origin may have though they are private."""
        self._tls = tls
        self.allowed = allowed
        self._context: ssl.SSLContext | None = None
        self._idle: dict[Origin, list[Connection]] = {}
        self._lock = threading.Lock()

    def request(
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
        """A request to be sent, and its answer to be read, by the Exchange. `deadline` is monotonic seconds.

        ValueError for a path or header that would break out of its line.
        """
        lines = [f"{method} {path} HTTP/1.1", f"host: {origin.host_header}", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1 or " " in path or "\0" in head:
            raise ValueError("a path or header holds a character that HTTP forbids")
        return Exchange(self, origin, head.encode("latin-1") + b"\r\n\r\n" + body, timeouts, deadline)

    def take(self, origin: Origin) -> Connection | None:
        """A connection that is fit for another request, if there is one."""
        now = time.monotonic()
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                connection = idle.pop() if idle else None
            if connection is None or connection.alive(now):
                return connection
            connection.close()

    def connect(self, origin: Origin, timeouts: Timeouts) -> Connection:
        """A new connection; blocks. UpstreamFailed, UpstreamTimeout."""
        try:
            host = resolve_public(origin.host, origin.port, self.allowed) if origin.guarded else origin.host
            sock = socket.create_connection((host, origin.port), timeout=timeouts.connect_s)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if origin.scheme == "https":
                    sock = self._tls_context().wrap_socket(sock, server_hostname=origin.host)
                sock.setblocking(False)
            except BaseException:
                sock.close()
                raise
        except AddressRefused as error:
            told = f"{origin.host} may not be reached from this gateway; tell its operator"
            raise UpstreamFailed(told, reason=str(error)) from error
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
