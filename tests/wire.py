"""HTTP by hand: answers looked at as they arrive, connections left or cut short, requests no library would send."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Answer:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def request_id(self) -> str:
        return self.headers["x-gateway-request-id"]

    @property
    def error(self) -> dict[str, str]:
        """The error of Anthropic's envelope, looked at on the way: JSON, a request id, and words a person can use."""
        document = self.json()
        assert self.headers["content-type"] == "application/json", self
        assert document["type"] == "error" and document["request_id"], self
        assert set(document["error"]) == {"type", "message"}, self
        assert len(document["error"]["message"]) > 10, self
        found: dict[str, str] = document["error"]
        return found


def ask(
    url: str, method: str, path: str, *, body: bytes | dict[str, Any] = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    """One request; the path goes out as it is written."""
    connection = connect(url)
    with contextlib.closing(connection):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, body=data or None, headers=dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, lower(response.headers.items()), response.read())


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)


def lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def send_raw(url: str, data: bytes, *, half_close: bool = False) -> bytes:
    """Whatever comes back for these bytes until the server hangs up. `half_close`: nothing more will be sent."""
    parts = urlsplit(url)
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=TIMEOUT_S) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(data)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        while piece := sock.recv(65_536):
            received += piece
    return received


@dataclass
class Event:
    """One event of a stream, and when its last byte was there (monotonic seconds)."""

    kind: str
    data: dict[str, Any]
    at: float


@dataclass
class Stream:
    """A streamed answer under way."""

    connection: http.client.HTTPConnection = field(repr=False)
    status: int
    headers: Mapping[str, str]
    head_at: float
    raw: bytes = field(default=b"", repr=False)
    _response: http.client.HTTPResponse | None = field(default=None, repr=False)
    _parsed: int = field(default=0, repr=False)

    @property
    def request_id(self) -> str:
        return self.headers["x-gateway-request-id"]

    def events(self) -> Iterator[Event]:
        """As they arrive, to the end; http.client.IncompleteRead or ConnectionError if the connection breaks."""
        assert self._response is not None
        while piece := self._response.read1(65_536):
            self.raw += piece
            yield from self._ready()

    def until(self, kind: str) -> list[Event]:
        """The events up to the first of this kind, with it."""
        found = []
        for event in self.events():
            found.append(event)
            if event.kind == kind:
                return found
        raise AssertionError(f"the stream ended without {kind}: {self.raw!r}")

    def rest(self) -> list[Event]:
        return list(self.events())

    def broken(self) -> list[Event]:
        """The events up to a break of the connection. A clean end is an AssertionError."""
        found = []
        try:
            for event in self.events():
                found.append(event)
        except (http.client.IncompleteRead, ConnectionError):
            return found
        raise AssertionError(f"the stream ended cleanly: {self.raw[-300:]!r}")

    def leave(self) -> None:
        """Hangs up in the middle."""
        if self._response is not None:
            self._response.close()
        self.connection.close()

    def _ready(self) -> Iterator[Event]:
        while (end := self.raw.find(b"\n\n", self._parsed)) >= 0:
            record = self.raw[self._parsed : end].decode()
            self._parsed = end + 2
            kind, _, data = record.partition("\n")
            yield Event(kind.removeprefix("event: "), json.loads(data.removeprefix("data: ")), time.monotonic())


def open_stream(url: str, path: str, body: dict[str, Any], headers: Mapping[str, str]) -> Stream:
    """Sends a call and waits for the head of its answer."""
    connection = connect(url)
    connection.request("POST", path, body=json.dumps(body).encode(), headers=dict(headers))
    response = connection.getresponse()
    return Stream(connection, response.status, lower(response.headers.items()), time.monotonic(), _response=response)


def eventually(found: Callable[[], Any], *, within_s: float = 5.0) -> Any:
    """The first truthy value; AssertionError if there is none in time."""
    until = time.monotonic() + within_s
    while not (value := found()):
        assert time.monotonic() < until, f"did not happen within {within_s} s: {found}"
        time.sleep(0.01)
    return value
