"""How an answer goes out: as it should, or late, cut, garbled and zipped as a fault wants it."""

import gzip
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gateway.sandbox.faults import Fault
from gateway.sandbox.messages import STAMP
from gateway.sandbox.refusing import html
from gateway.sandbox.sse import dump, frame
from gateway.sandbox.wire import Connection

JSON = "application/json"
STREAM = "text/event-stream; charset=utf-8"
HTML = "text/html; charset=UTF-8"
SPOILT = {
    "html": (HTML, html(200)),
    "empty": (JSON, b""),
    "malformed": (JSON, b'{"id":"msg_vrtx_01","type":"message","content":[{"ty'),
}


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
    events: Iterable[Mapping[str, Any]],
    fault: Fault,
    *,
    pace_s: float,
    chunks: bool,
) -> None:
    """A streamed answer, each event one chunk."""
    packer = zlib.compressobj(1, wbits=31) if fault.gzip else None
    said = {"content-type": STREAM, "cache-control": "no-cache", **headers}
    connection.start(200, said | ({"content-encoding": "gzip"} if packer else {}), chunks=chunks)
    if fault.wait_first_event_s:
        connection.wait(fault.wait_first_event_s)
    send = _zipping(connection, packer) if packer else connection.send
    for piece in _pieces(connection, list(events), fault, fault.interval_s or pace_s):
        send(piece)
    if packer:
        connection.send(packer.flush())
    connection.end()


def _zipping(connection: Connection, packer: Any) -> Callable[[bytes], None]:
    return lambda piece: connection.send(packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH))


def _pieces(connection: Connection, events: list[Mapping[str, Any]], fault: Fault, pace_s: float) -> Iterator[bytes]:
    """Framed events, up to the one at which the fault strikes."""
    at = fault.at if fault.at >= 0 else len(events) + fault.at
    for position, event in enumerate(events):
        if pace_s and event["type"] == "content_block_delta":
            connection.wait(pace_s)
        piece = frame(event)
        if fault.stamps:
            piece = piece.replace(STAMP.encode(), b"%d" % time.monotonic_ns())
        if position == at:
            if fault.wait_at_s:
                connection.wait(fault.wait_at_s)
            yield from _strike(connection, piece, fault)
            if fault.stream_error or fault.cut == "clean" or fault.truncate:
                return
        if position != at or not fault.garble:
            yield piece


def _strike(connection: Connection, piece: bytes, fault: Fault) -> Iterator[bytes]:
    """What goes out in place of, or before, the event at `at`."""
    if fault.stream_error:
        message = fault.message or ("Overloaded" if fault.stream_error == "overloaded_error" else "Internal server error")
        yield frame({"type": "error", "error": {"type": fault.stream_error, "message": message}})
    if fault.garble:
        yield piece[: piece.index(b"data:") + 9] + b"<garbled>\n\n"
    if fault.truncate:
        yield piece[: len(piece) // 2]
    if fault.cut in ("rst", "fin") or (fault.truncate and fault.cut != "clean"):
        connection.cut(reset=fault.cut == "rst")
