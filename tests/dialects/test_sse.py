"""Server-sent events in any cutting, as servers really send them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.errors import StreamBroken
from gateway.dialects.sse import SseEvent, SseReader, render_comment, render_event

STREAM = (
    b"\xef\xbb\xbf: hello\n\nevent: a\ndata: {\"x\":1}\n\ndata:no space\n\nid: 7\nretry: 5\ndata: one\ndata: two\n\n"
    b"event: empty\n\n\n\n: keep-alive\n\ndata: gr\xc3\xbc\xc3\x9fe\n\n"
)  # fmt: skip
EVENTS = [
    SseEvent("a", b'{"x":1}'), SseEvent("", b"no space"), SseEvent("", b"one\ntwo"), SseEvent("", "grüße".encode()),
]  # fmt: skip


def read(stream: bytes, cuts: list[int]) -> list[SseEvent]:
    reader = SseReader()
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [event for start, end in itertools.pairwise(places) for event in reader.feed(stream[start:end])]


@given(st.lists(st.integers(0, 1000), max_size=30), st.booleans())
def test_any_cutting_is_read_alike(cuts: list[int], crlf: bool) -> None:
    """In UTF-8, in a line's end, in a name; LF and CRLF."""
    assert read(STREAM.replace(b"\n", b"\r\n") if crlf else STREAM, cuts) == EVENTS


def test_what_is_rendered_is_read_again() -> None:
    """With a name and without; a comment is nothing to a reader."""
    stream = render_event(b"{}", "ping") + render_comment("ping") + render_event(b"[DONE]")
    assert read(stream, []) == [SseEvent("ping", b"{}"), SseEvent("", b"[DONE]")]


@pytest.mark.parametrize("rest", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n"])
def test_a_last_record_without_its_blank_line_is_read_at_the_end(rest: bytes) -> None:
    """Some servers hang up right after it."""
    reader = SseReader()
    assert reader.feed(b"data: 1\n\n" + rest) == [SseEvent("", b"1")]
    assert reader.end() == [SseEvent("", b"[DONE]")] and reader.end() == []


def test_a_record_without_end_fills_no_memory() -> None:
    """Neither as one line nor as many."""
    for piece in (b"x" * 100, b"data: x\n" * 12):
        reader = SseReader(record_bytes_max=1000)
        with pytest.raises(StreamBroken, match="1000 bytes"):
            for _ in range(200):
                reader.feed(piece)
