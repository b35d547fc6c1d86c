"""How an answer goes out: as it should, or late, cut, garbled and zipped as a fault wants it."""

import gzip
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.faults import Fault
from gateway.sandbox.messages import STAMP
from gateway.sandbox.refusing import html
from gateway.sandbox.sse import dump, frame
from gateway.sandbox.wire import Connection

JSON = "application/json"
HTML = "text/html; charset=UTF-8"
SPOILT = {
    "html": (HTML, html(200)),
    "empty": (JSON, b""),
    "malformed": (JSON, b'{"id":"msg_vrtx_01","type":"message","content":[{"ty'),
}


Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Framing:
    """How a service puts the events of a stream on the wire. `frame` is given an event and its JSON."""

    content_type: str
    frame: Callable[[Event, str], bytes]
    error: Callable[[str, str], bytes]  # from a kind of Anthropic's and a message, in mid-stream
    is_delta: Callable[[Event], bool]  # something that is said, before which a slow answer pauses
    first: bytes = b""  # before the first event
    separator: bytes = b""  # between two
    last: bytes = b""  # after the last


def _error_sse(kind: str, message: str) -> bytes:
    event = {"type": "error", "error": {"type": kind, "message": message}}
    return frame(event, dump(event))


ANTHROPIC = Framing(
    "text/event-stream; charset=utf-8",
    frame,
    _error_sse,
    lambda event: event["type"] == "content_block_delta",
)


def spoilt(connection: Connection, fault: Fault) -> None:
    """A 200 whose body is no message."""
    kind, body = SPOILT[fault.body or "empty"]
    connection.reply(200, {"content-type": kind}, body)


def document(connection: Connection, headers: Mapping[str, str], message: Mapping[str, Any], fault: Fault) -> None:
    """An unstreamed answer."""
    body = dump(message).encode()
    said = {"content-type": JSON, **headers}
    if fault.gzip:
        body, said["content-encoding"] = gzip.compress(body, 1), "gzip"
    broken = fault.cut or fault.truncate
    if not (broken or fault.wait_at_s or fault.wait_first_event_s):
        connection.reply(200, said, body)
        return
    connection.start(200, said, chunks=False, length=len(body))
    connection.wait(fault.wait_first_event_s)
    connection.send(body[: len(body) // 2])
    connection.wait(fault.wait_at_s)
    if broken:
        connection.cut(reset=fault.cut == "rst")
    connection.send(body[len(body) // 2 :])
    connection.end()


def stream(
    connection: Connection,
    headers: Mapping[str, str],
    events: Iterable[Event],
    fault: Fault,
    *,
    pace_s: float,
    chunks: bool,
    framing: Framing = ANTHROPIC,
) -> None:
    """A streamed answer, each event one chunk."""
    packer = zlib.compressobj(1, wbits=31) if fault.gzip else None
    said = {"content-type": framing.content_type, "cache-control": "no-cache", **headers}
    connection.start(200, said | ({"content-encoding": "gzip"} if packer else {}), chunks=chunks)
    if fault.wait_first_event_s:
        connection.wait(fault.wait_first_event_s)
    send = _zipping(connection, packer) if packer else connection.send
    for piece in _pieces(connection, list(events), fault, fault.interval_s or pace_s, framing):
        send(piece)
    if packer:
        connection.send(packer.flush())
    connection.end()


def _zipping(connection: Connection, packer: Any) -> Callable[[bytes], None]:
    return lambda piece: connection.send(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH))


def _pieces(connection: Connection, events: list[Event], fault: Fault, pace_s: float, framing: Framing) -> Iterator[bytes]:
    """Framed events, up to the one at which the fault strikes."""
    at = fault.at if fault.at >= 0 else len(events) + fault.at
    for position, event in enumerate(events):
        if pace_s and framing.is_delta(event):
            connection.wait(pace_s)
        text = dump(event)
        if fault.stamps:
            text = text.replace(STAMP, str(time.monotonic_ns()))
        before = framing.separator if position else framing.first
        piece = before + framing.frame(event, text)
        if position == at:
            if fault.wait_at_s:
                connection.wait(fault.wait_at_s)
            yield from _strike(connection, before, piece, fault, framing)
            if fault.stream_error or fault.cut == "clean" or fault.truncate:
                return
        if position != at or not fault.garble:
            yield piece
    if framing.last:
        yield framing.last


def _strike(connection: Connection, before: bytes, piece: bytes, fault: Fault, framing: Framing) -> Iterator[bytes]:
    """What goes out in place of, or before, the event at `at`."""
    if fault.stream_error:
        message = fault.message or ("Overloaded" if fault.stream_error == "overloaded_error" else "Internal server error")
        yield before + framing.error(fault.stream_error, message)
    if fault.garble:
        yield _garbled(piece)
    if fault.truncate:
        yield piece[: len(piece) // 2]
    if fault.cut in ("rst", "fin") or (fault.truncate and fault.cut != "clean"):
        connection.cut(reset=fault.cut == "rst")


def _garbled(piece: bytes) -> bytes:
    """Text stays framed and becomes no JSON; in binary frames a byte is changed, which checksums notice."""
    data = piece.find(b"data:")
    if data >= 0:
        return piece[: data + 9] + b"<garbled>\n\n"
    middle = len(piece) // 2
    return piece[:middle] + bytes((piece[middle] ^ 0xFF,)) + piece[middle + 1 :]
