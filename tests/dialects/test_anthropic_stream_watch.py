"""Reading an Anthropic stream as it passes, in any cutting, without changing or holding it."""

import itertools
import json
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_streams import (
    BLOCK_START,
    BROKEN,
    COMMENT,
    CUT,
    PING,
    STOP,
    WHOLE,
    error,
    event,
    message_delta,
    message_start,
    text_delta,
)

from gateway.canonical.usage import Tokens, Usage
from gateway.dialects.anthropic.stream import AnthropicStreamWatch, parse_message_usage, parse_usage_object

STREAMS = {"whole": WHOLE, "cut": CUT, "broken": BROKEN, "pings": PING * 3 + WHOLE, "no end": WHOLE.removesuffix(STOP)}


def watched(stream: bytes, cuts: list[int]) -> AnthropicStreamWatch:
    watch = AnthropicStreamWatch()
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(places):
        watch.feed(stream[start:end])
    return watch


def seen(watch: AnthropicStreamWatch) -> tuple[object, ...]:
    return watch.usage(), watch.answered_model, watch.ended, watch.error_kind, watch.at_boundary


@given(st.sampled_from(list(STREAMS)), st.booleans(), st.lists(st.integers(0, 100_000), max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_cutting_is_read_alike(name: str, crlf: bool, cuts: list[int]) -> None:
    """TCP cuts anywhere: in UTF-8, in a line's end, in a name. LF and CRLF give the same figures."""
    stream = STREAMS[name].replace(b"\n", b"\r\n") if crlf else STREAMS[name]
    assert seen(watched(stream, cuts)) == seen(watched(STREAMS[name], []))


@pytest.mark.parametrize("crlf", [False, True])
@pytest.mark.parametrize("name", STREAMS)
def test_a_byte_at_a_time_is_read_alike(name: str, crlf: bool) -> None:
    """The finest cutting of all."""
    stream = STREAMS[name].replace(b"\n", b"\r\n") if crlf else STREAMS[name]
    assert seen(watched(stream, list(range(len(stream))))) == seen(watched(STREAMS[name], []))


def test_usage_is_the_start_overlaid_by_the_last_delta() -> None:
    """The figures are cumulative: their sum would bill the answer twice."""
    watch = watched(WHOLE, [])
    assert watch.usage() == Usage(
        tokens=Tokens(input=13, output=77, cache_read=4000, cache_write_5m=100, cache_write_1h=200, thinking=40), searches=2
    )
    assert (watch.answered_model, watch.ended, watch.error_kind) == ("claude-opus-5-5", True, None)


def test_a_null_in_a_delta_takes_nothing_back() -> None:
    """Some deltas name every figure and fill in only one."""
    watch = watched(message_start() + message_delta(output_tokens=5, input_tokens=None, cache_read_input_tokens=None), [])
    found = watch.usage()
    assert found is not None and (found.tokens.input, found.tokens.cache_read) == (12, 4000)


@given(st.integers(0, len(WHOLE)), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_cut_stream_has_partial_usage_until_the_closing_figures_passed(end: int, crlf: bool) -> None:
    """Never `final` without a stop reason, never None once the start was seen."""
    watch = watched(WHOLE[:end].replace(b"\n", b"\r\n") if crlf else WHOLE[:end], [])
    usage = watch.usage()
    closing = WHOLE.rindex(b"event: message_delta")
    if end < WHOLE.index(b"\n\n") + 2:
        assert usage is None
    else:
        assert usage is not None and usage.tokens.cache_read == 4000
        assert usage.completeness == ("final" if end >= WHOLE.index(b"\n\n", closing) + 2 else "partial")
    assert watch.ended == (end == len(WHOLE))


def test_partial_output_is_estimated_from_the_text_that_passed() -> None:
    """About four characters a token, frames not counted; the provider's own figure wins where it is higher."""
    text = "word " * 40
    watch = watched(message_start() + BLOCK_START + text_delta(text) * 50, [])
    usage = watch.usage()
    assert usage is not None and usage.completeness == "partial"
    assert 0.8 < usage.tokens.output / (50 * len(text) / 4) < 1.25
    later = watched(message_start() + message_delta(None, output_tokens=999), []).usage()
    assert later is not None and (later.tokens.output, later.completeness) == (999, "partial")


def test_a_few_words_are_not_estimated_as_none() -> None:
    """The start alone already says one token."""
    usage = watched(message_start(), []).usage()
    assert usage is not None and usage.tokens.output >= 1


@given(st.integers(0, len(WHOLE) - 1), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_boundary_is_where_an_event_may_be_put(end: int, crlf: bool) -> None:
    """Our ping between two events is harmless, within one it would garble the stream."""
    stream = WHOLE.replace(b"\n", b"\r\n") if crlf else WHOLE
    blank = b"\r\n\r\n" if crlf else b"\n\n"
    passed = stream[:end]
    watch = watched(passed, [end // 2, end // 3])
    assert watch.at_boundary == (not passed or passed.endswith(blank))


def test_a_comment_is_no_event() -> None:
    """Keep-alive comments pass and say nothing."""
    watch = watched(COMMENT * 3 + b":\n\n", [5, 9])
    assert (watch.usage(), watch.answered_model, watch.ended, watch.at_boundary) == (None, None, False, True)


def test_an_error_event_is_seen_with_its_kind() -> None:
    """The record says what the client was told."""
    watch = watched(BROKEN, [])
    assert watch.error_kind == "overloaded_error" and not watch.ended
    assert watched(event("error"), []).error_kind == "api_error"


@pytest.mark.parametrize(
    "record",
    [
        b"data: message_start not json\n\n",
        b'event: message_start\ndata: {"type":"message_start","message":7}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","usage":[1]}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":"many","input_tokens":-5}}\n\n',
        b"event: message_stop\n\n",
        b'data: {"type":"message_start"}\n\n',
        b'data: {"type":"message_delta","usage":{"server_tool_use":7,"cache_creation":[],"iterations":3}}\n\n',
        b"data: message_ \xff\xfe\n\n",
        b"data: " + b'{"message_x":' * 5_000 + b"\n\n",
    ],
)
def test_a_garbled_record_passes_unread(record: bytes) -> None:
    """A watch looks on: nothing that passes makes it raise, and what follows is read."""
    watch = watched(record + WHOLE, [7])
    assert watch.ended and watch.answered_model == "claude-opus-5-5"


def test_data_may_stand_on_several_lines() -> None:
    """As the event-stream format has it."""
    watch = watched(b'event: message_stop\ndata: {"type":\ndata: "message_stop"}\n\n', [])
    assert watch.ended


def test_a_second_message_start_begins_anew() -> None:
    """The figures are those of the answer that counts, the last one."""
    usage = watched(message_start() + text_delta("x" * 4000) + message_start({"input_tokens": 1, "output_tokens": 1}), []).usage()
    assert usage is not None and usage.tokens.cache_read == 0 and usage.tokens.output < 50


@pytest.mark.parametrize("piece", [65_536, 1_000_000])
def test_a_huge_record_is_not_kept(piece: int) -> None:
    """A record of 24 MB costs a few MB at most, and what follows it is read."""
    text = b"a" * piece
    watch = AnthropicStreamWatch()
    watch.feed(message_start() + b'event: content_block_delta\ndata: {"text":"')
    tracemalloc.start()
    for _ in range(24_000_000 // piece):
        watch.feed(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 14_000_000
    assert not watch.at_boundary
    watch.feed(b'"}\n')
    watch.feed(b"\n")
    assert watch.at_boundary
    watch.feed(message_delta(output_tokens=9) + STOP)
    usage = watch.usage()
    assert watch.ended and usage is not None and usage.tokens.output == 9


def test_watching_is_cheap() -> None:
    """A stream of 20 MB of deltas is looked through in well under a second."""
    chunk = text_delta("some words of an answer") * 400
    watch = AnthropicStreamWatch()
    watch.feed(message_start())
    started = time.monotonic()
    for _ in range(20_000_000 // len(chunk)):
        watch.feed(chunk)
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"cache_creation_input_tokens": 9}, Tokens(cache_write_5m=9)),
        ({"cache_creation_input_tokens": 9, "cache_creation": None}, Tokens(cache_write_5m=9)),
        ({"cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 9}}, Tokens(cache_write_1h=9)),
        (
            {
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
            },
            Tokens(cache_write_5m=4, cache_write_1h=5),
        ),
        (
            {"cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5}},
            Tokens(cache_write_5m=4, cache_write_1h=5),
        ),
        ({"input_tokens": True, "output_tokens": 1.5}, Tokens()),
        ({}, Tokens()),
    ],
)
def test_cache_writes_are_told_apart_by_their_life(usage: dict[str, object], tokens: Tokens) -> None:
    """Without a breakdown all writes count as five-minute ones."""
    assert parse_usage_object(usage).tokens == tokens


def test_compaction_passes_are_billed_beside_the_figures() -> None:
    """Iterations of other types are in the top-level figures already."""
    usage = parse_usage_object(
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "speed": "fast",
            "inference_geo": "us",
            "iterations": [
                {"type": "compaction", "input_tokens": 1000, "output_tokens": 100, "cache_creation_input_tokens": 7},
                {"type": "message", "input_tokens": 10, "output_tokens": 5},
                "nonsense",
            ],
        }
    )
    assert usage.iterations == (Tokens(input=1000, output=100, cache_write_5m=7),)
    assert usage.total() == Tokens(input=1010, output=105, cache_write_5m=7)
    assert usage.fast and usage.us_only


def test_compaction_in_a_streams_last_delta_is_billed() -> None:
    """The beta reports its passes at the end."""
    passes = [{"type": "compaction", "input_tokens": 50, "output_tokens": 6}]
    usage = watched(message_start() + message_delta(output_tokens=3, iterations=passes) + STOP, []).usage()
    assert usage is not None and usage.total().output == 9


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"usage":7}', b"<html>", b'{"usage":{}', b"[" * 5000])
def test_what_is_no_message_has_no_usage(body: bytes) -> None:
    """None, so that the meter estimates; no error."""
    assert parse_message_usage(body) is None


def test_a_plain_answer_says_its_usage_and_model() -> None:
    """The same figures as a stream's."""
    body = json.dumps(
        {"type": "message", "model": "claude-sonnet-4-6", "usage": {"input_tokens": 3, "output_tokens": 4}}
    ).encode()
    assert parse_message_usage(body) == (Usage(tokens=Tokens(input=3, output=4)), "claude-sonnet-4-6")


def test_an_error_in_a_text_is_no_error() -> None:
    """Words of an answer are not events."""
    assert watched(message_start() + text_delta("error message_stop") + error("api_error"), []).error_kind == "api_error"
    assert watched(message_start() + text_delta('{"type":"error"} message_stop'), []).error_kind is None
