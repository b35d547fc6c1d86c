"""HTTP/1.1 as a server speaks it, by hand: so that an answer can be stalled, cut and garbled at any byte."""

import http
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate

KEPT_BODY_BYTES_MAX = 30 * 1024 * 1024
HEADER_LINES_MAX = 200
LINE_BYTES_MAX = 64 * 1024
CHUNK_BYTES_MAX = 64 * 1024 * 1024
FLUSH_BYTES = 16 * 1024
IDLE_S = 600.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` is still percent-encoded; `body` is empty when `size` is above what the sandbox keeps."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]  # lower-case names; repeated ones joined by a comma
    body: bytes
    size: int
    keep_alive: bool
    chunks: bool  # the client can read a chunked answer


class ClientGone(Exception):
    """The other side closed its connection before the answer was out."""


class ConnectionCut(Exception):
    """The connection was cut on purpose; nothing more can be said on it."""


class BadRequest(Exception):
    """What came in is not HTTP/1.1."""


class Connection:
    """One client's socket. Output is gathered and goes out at 16 KiB, before a wait, and at an answer's end."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(IDLE_S)
        self._sock = sock
        self._in = sock.makefile("rb", 64 * 1024)
        self._out = bytearray()
        self._chunks = False
        self.on_head: Callable[[int], None] = lambda status: None  # told the status of each answer

    def read_request(self) -> Request | None:
        """The next request; None when the client is done."""
        try:
            line = self._in.readline(LINE_BYTES_MAX)
        except (ConnectionError, TimeoutError):
            return None
        if not line:
            return None
        words = line.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise BadRequest(f"the request line should read METHOD TARGET HTTP/1.1, not {line[:80]!r}")
        method, target, version = words
        headers = self._read_headers()
        body, size = self._read_body(headers)
        path, _, query = target.partition("?")
        said = headers.get("connection", "").lower()
        modern = version == "HTTP/1.1"
        keep_alive = "close" not in said if modern else "keep-alive" in said
        return Request(method, path, query, headers, body, size, keep_alive and modern, modern)

    def _read_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        for _ in range(HEADER_LINES_MAX):
            line = self._in.readline(LINE_BYTES_MAX)
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                raise BadRequest(f"a header line should read `name: value`, not {line[:80]!r}")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]},{value}" if name in headers else value
        raise BadRequest(f"more than {HEADER_LINES_MAX} header lines")

    def _read_body(self, headers: Mapping[str, str]) -> tuple[bytes, int]:
        if headers.get("expect", "").lower() == "100-continue":
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces = self._chunked() if "chunked" in headers.get("transfer-encoding", "").lower() else self._counted(headers)
        kept, size = [], 0
        for piece in pieces:
            size += len(piece)
            if size <= KEPT_BODY_BYTES_MAX:
                kept.append(piece)
        return (b"".join(kept) if size <= KEPT_BODY_BYTES_MAX else b""), size

    def _counted(self, headers: Mapping[str, str]) -> Iterable[bytes]:
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise BadRequest(f"content-length should be a number, not {length!r}")
        left = int(length)
        while left:
            piece = self._in.read(min(left, 1 << 20))
            if not piece:
                raise ClientGone
            left -= len(piece)
            yield piece

    def _chunked(self) -> Iterable[bytes]:
        while True:
            line = self._in.readline(LINE_BYTES_MAX).split(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                size = -1
            if not 0 <= size <= CHUNK_BYTES_MAX:
                raise BadRequest(f"a chunk should begin with its size in hex, not {line[:20]!r}")
            piece = self._in.read(size)
            self._in.readline(LINE_BYTES_MAX)
            if not size:
                return
            yield piece

    def reply(self, status: int, headers: Mapping[str, str], body: bytes, *, without_body: bool = False) -> None:
        """A whole answer, in one write."""
        self._head(status, {**headers, "content-length": str(len(body))})
        if not without_body:
            self._out += body
        self.flush()

    def start(self, status: int, headers: Mapping[str, str], *, chunks: bool, length: int | None = None) -> None:
        """The head of an answer that comes in pieces: chunked, of a stated length, or up to the connection's end."""
        self._chunks = chunks and length is None
        framing = {"transfer-encoding": "chunked"} if self._chunks else {"connection": "close"}
        if length is not None:
            framing = {"content-length": str(length)}
        self._head(status, {**headers, **framing})

    def send(self, data: bytes) -> None:
        """One piece of the body; as one chunk where the answer is chunked."""
        if self._chunks:
            self._out += b"%x\r\n%b\r\n" % (len(data), data)
        else:
            self._out += data
        if len(self._out) >= FLUSH_BYTES:
            self.flush()

    def end(self) -> None:
        if self._chunks:
            self._out += b"0\r\n\r\n"
        self.flush()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.on_head(status)
        try:
            phrase = http.HTTPStatus(status).phrase
        except ValueError:
            phrase = "Overloaded" if status == 529 else "Unknown"
        lines = [f"HTTP/1.1 {status} {phrase}", f"date: {formatdate(usegmt=True)}", "server: sandbox"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._out += ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def flush(self) -> None:
        try:
            self._sock.sendall(self._out)
        except OSError as error:
            raise ClientGone from error
        finally:
            self._out.clear()

    def wait(self, seconds: float) -> None:
        """Sends what is gathered, then is silent. Raises ClientGone as soon as the client leaves."""
        self.flush()
        end = time.monotonic() + seconds
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            try:
                if not poller.poll(left * 1000):
                    continue
                if not self._sock.recv(1, socket.MSG_PEEK):
                    raise ClientGone
            except OSError as error:
                raise ClientGone from error
            time.sleep(max(0.0, end - time.monotonic()))  # a pipelined request: it can wait

    def cut(self, *, reset: bool) -> None:
        """Ends the connection at once: by RST, or by FIN in the middle of what was promised. Always raises."""
        self.flush()
        if reset:
            time.sleep(0.02)  # lets what was sent be read first
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()
        raise ConnectionCut

    def close(self) -> None:
        self._in.close()
        self._sock.close()
