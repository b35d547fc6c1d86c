"""AWS event-stream frames: AWS's own decoder reads ours, ours reads known frames in any cutting, and damage is noticed."""

import json
import zlib
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.errors import StreamBroken
from gateway.dialects.bedrock.event_stream import Frame, FrameReader, render_frame

# Made with botocore 1.44.5, 2026-11-20.
CHUNK = bytes.fromhex(
    "000000870000004b87ea2bf30b3a6576656e742d747970650700056368756e6b0d3a636f6e74656e742d747970650700106170706c69636174696f6e"
    "2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b226279746573223a2265794a306558426c496a6f696257567a6332466e5a5639"
    "7a64473977496e303d227dba48ab22"
)
EXCEPTION = bytes.fromhex(
    "00000090000000618e91a9b70f3a657863657074696f6e2d747970650700137468726f74746c696e67457863657074696f6e0d3a636f6e74656e742d"
    "747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d74797065070009657863657074696f6e7b226d657373616765223a"
    "22546f6f206d616e79207265717565737473227de67f8005"
)
CHUNK_HEADERS = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
words = st.text(st.characters(codec="utf-8"), max_size=40)


def botocore_reads(data: bytes) -> list[Any]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


def test_known_frames_are_read() -> None:
    """A chunk and an exception, as botocore made them."""
    chunk, exception = FrameReader().feed(CHUNK + EXCEPTION)
    assert chunk == Frame(CHUNK_HEADERS, b'{"bytes":"eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0="}')
    assert exception.headers[":exception-type"] == "throttlingException"
    assert json.loads(exception.payload) == {"message": "Too many requests"}


def test_a_frame_is_rendered_to_the_byte() -> None:
    """As AWS renders the same headers in the same order."""
    assert render_frame(CHUNK_HEADERS, b'{"bytes":"eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0="}') == CHUNK


@given(st.dictionaries(words.filter(lambda w: 0 < len(w.encode()) < 128), words, max_size=4), st.binary(max_size=300))
def test_awss_own_decoder_reads_our_frames(headers: dict[str, str], payload: bytes) -> None:
    """Headers and payload come out as they went in, there and here."""
    frame = render_frame(headers, payload)
    (theirs,) = botocore_reads(frame)
    assert (theirs.headers, theirs.payload) == (headers, payload)
    assert FrameReader().feed(frame) == [Frame(headers, payload)]


@given(st.lists(st.binary(max_size=60), max_size=6), st.lists(st.integers(0, 600), max_size=12))
def test_frames_may_come_in_any_cutting(payloads: list[bytes], cuts: list[int]) -> None:
    """One reader, fed in pieces, gives the same frames; it is at a boundary exactly between two."""
    data = b"".join(render_frame({"n": str(i)}, payload) for i, payload in enumerate(payloads))
    reader, found, at = FrameReader(), [], 0
    for cut in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
        found += reader.feed(data[at:cut])
        at = cut
    assert [frame.payload for frame in found] == payloads
    assert reader.at_boundary


@given(st.integers(0, len(CHUNK) - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, difference: int) -> None:
    """Both checksums are looked at: no frame comes out of damaged bytes."""
    damaged = bytearray(CHUNK)
    damaged[place] ^= difference
    with pytest.raises(StreamBroken):
        FrameReader().feed(bytes(damaged) + CHUNK)


def test_half_a_frame_is_no_boundary() -> None:
    """Nothing may be put in the middle of a frame."""
    reader = FrameReader()
    assert reader.at_boundary
    assert reader.feed(CHUNK[:20]) == [] and not reader.at_boundary
    assert len(reader.feed(CHUNK[20:])) == 1 and reader.at_boundary


def test_what_is_no_event_stream_is_refused_at_once() -> None:
    """A page of HTML is not waited for as if it were a frame of gigabytes."""
    with pytest.raises(StreamBroken, match="prelude"):
        FrameReader().feed(b"<!DOCTYPE html><html>")


def test_headers_of_other_types_are_skipped() -> None:
    """Booleans, numbers, bytes and the like may stand among the strings."""
    head = b"\x01a\x00" + b"\x01b\x04\x00\x00\x00\x07" + b"\x01c\x06\x00\x02hi" + b"\x01d\x07\x00\x02ok"
    plain = render_frame({}, b"")
    lengths = (len(plain) + len(head)).to_bytes(4) + len(head).to_bytes(4)
    body = lengths + zlib.crc32(lengths).to_bytes(4) + head
    assert FrameReader().feed(body + zlib.crc32(body).to_bytes(4)) == [Frame({"d": "ok"}, b"")]
