"""Every row of TRANSLATIONS keeps what it promises: what goes into a wire format comes out of it again."""

import contextlib
import copy
import itertools
import json
from typing import Any

import pytest
from canonical_chats import chats, collect, core_of_chat, core_of_message, events_of, messages
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import GatewayError, InvalidRequest, StreamBroken, UpstreamFailed
from gateway.canonical.translation import Chat, StreamParser
from gateway.dialects import TRANSLATIONS

MODEL = ModelTraits(id="some-model", vendor="some-vendor")
REQUEST: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
every_wire = pytest.mark.parametrize("wire", TRANSLATIONS)


def render(wire: str, events: list[dict[str, Any]]) -> list[bytes]:
    renderer = TRANSLATIONS[wire].render_stream(asked_model="asked", request=REQUEST)
    return [renderer.render(event) for event in events]


def read(parser: StreamParser, stream: bytes, cuts: list[int]) -> list[dict[str, Any]]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    events = [event for start, end in itertools.pairwise(places) for event in parser.feed(stream[start:end])]
    return [*events, *parser.end()]


@every_wire
@given(body=chats())
@settings(max_examples=60, deadline=None)
def test_a_chat_that_crosses_and_comes_back_means_the_same(wire: str, body: dict[str, Any]) -> None:
    """Words, pictures, calls and their results in order, tools, limits; and the chat given is left as it was."""
    chat = Chat(copy.deepcopy(body))
    rendered, _ = TRANSLATIONS[wire].render_chat(chat, MODEL, stream=True)
    assert chat.body == body
    again = TRANSLATIONS[wire].parse_chat(json.loads(json.dumps(rendered)))
    assert core_of_chat(again.body) == core_of_chat(body)


@every_wire
@given(body=chats())
@settings(max_examples=30, deadline=None)
def test_what_is_counted_is_the_whole_prompt(wire: str, body: dict[str, Any]) -> None:
    """Words, pictures, calls and tools, as the model would get them; counting sees what is paid for."""
    chat = Chat(copy.deepcopy(body))
    rendered, _ = TRANSLATIONS[wire].render_count(chat, MODEL)
    assert chat.body == body
    counted, asked = core_of_chat(TRANSLATIONS[wire].parse_chat(json.loads(json.dumps(rendered))).body), core_of_chat(body)
    assert all(counted[name] == asked[name] for name in ("messages", "system", "tools", "tool_choice"))
    assert "stream" not in rendered


@every_wire
@given(message=messages())
@settings(max_examples=60, deadline=None)
def test_an_answer_that_crosses_and_comes_back_means_the_same(wire: str, message: dict[str, Any]) -> None:
    """Words, thoughts, calls, why it stopped, and what it cost."""
    rendered = TRANSLATIONS[wire].render_answer(copy.deepcopy(message), asked_model="asked", request=REQUEST)
    again = TRANSLATIONS[wire].parse_answer(json.loads(json.dumps(rendered)))
    assert core_of_message(again) == core_of_message(message)
    assert again["model"] == "some-model"


@every_wire
@given(message=messages(), piece=st.integers(1, 7), cuts=st.lists(st.integers(0, 100_000), max_size=20), crlf=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_stream_that_crosses_and_comes_back_means_the_same(
    wire: str, message: dict[str, Any], piece: int, cuts: list[int], crlf: bool
) -> None:
    """In any cutting, with pings, LF and CRLF alike; and what comes back is a well-formed stream."""
    stream = b"".join(render(wire, events_of(message, piece)))
    if crlf and b"data: " in stream and stream.endswith(b"\n\n"):
        stream = stream.replace(b"\n", b"\r\n")
    again = collect(read(TRANSLATIONS[wire].parse_stream(), stream, cuts))
    assert again["stopped"]
    assert core_of_message(again) == core_of_message(message)


@every_wire
@given(message=messages(), cut=st.floats(0, 0.999))
@settings(max_examples=30, deadline=None)
def test_a_stream_cut_off_is_never_taken_for_a_whole_one(wire: str, message: dict[str, Any], cut: float) -> None:
    """StreamBroken, wherever before its closing events it ends."""
    pieces = render(wire, events_of(message, 4))
    head = b"".join(pieces[:-2])
    with pytest.raises((StreamBroken, UpstreamFailed)):
        read(TRANSLATIONS[wire].parse_stream(), head[: int(len(head) * cut)], [])


@every_wire
def test_an_error_in_mid_stream_is_told_as_one(wire: str) -> None:
    """Its words come through, and nothing pretends that the message ended."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded, try again"}}
    empty = {"id": "msg_1", "model": "m", "content": [], "stop_reason": "end_turn", "usage": {"output_tokens": 1}}
    start = events_of(empty, 1)[0]
    events = read(TRANSLATIONS[wire].parse_stream(), b"".join(render(wire, [start, error])), [])
    assert events[-1]["type"] == "error" and "Overloaded" in events[-1]["error"]["message"]
    assert all(event["type"] != "message_stop" for event in events)


@every_wire
@pytest.mark.parametrize("body", [{}, [], {"choices": []}, {"error": {"message": "x"}}, {"output": None}], ids=str)
def test_what_is_no_answer_is_refused(wire: str, body: Any) -> None:
    """502, not a traceback."""
    with pytest.raises(GatewayError) as refused:
        TRANSLATIONS[wire].parse_answer(body)
    assert refused.value.status >= 500 and refused.value.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "type", "role", "content", "text", "messages", "contents", "parts", "input", "tools", "id", "name", "function", "source",
        "image_url", "url", "tool_calls", "arguments", "tool_use_id", "system",
    ]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@every_wire
@given(value=st.dictionaries(st.sampled_from(["messages", "input", "contents", "system", "tools", "stop", "text"]), json_values))
@settings(max_examples=150, deadline=None)
def test_any_request_is_read_or_refused(wire: str, value: dict[str, Any]) -> None:
    """No third way out: never a fault of ours for what a client sends."""
    try:
        TRANSLATIONS[wire].parse_chat(value)
    except InvalidRequest as refused:
        assert refused.message


junk: st.SearchStrategy[Any] = st.sampled_from([None, True, False, -1, 0, 1.5, "x", "", [], {}, [1], [[]], {"type": "x"}])


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, each in inner for place in places_in(each, (*path, name)))]


def spoil(data: st.DataObject, value: Any) -> Any:
    """The value with one of its parts, at any depth, replaced by something that does not belong there."""
    path = data.draw(st.sampled_from(places_in(value)[1:]))
    spoilt = copy.deepcopy(value)
    inner = spoilt
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = data.draw(junk)
    return spoilt


@every_wire
@given(body=chats(), data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_request_with_one_wrong_part_is_read_or_refused(wire: str, body: dict[str, Any], data: st.DataObject) -> None:
    """And what is read can be said in every other format."""
    rendered, _ = TRANSLATIONS[wire].render_chat(Chat(body), MODEL, stream=True)
    try:
        chat = TRANSLATIONS[wire].parse_chat(spoil(data, json.loads(json.dumps(rendered))))
        for other in TRANSLATIONS.values():
            other.render_chat(chat, MODEL, stream=True)
    except InvalidRequest as refused:
        assert refused.message


@every_wire
@given(message=messages(), data=st.data())
@settings(max_examples=100, deadline=None)
def test_an_answer_with_one_wrong_part_is_read_or_refused(wire: str, message: dict[str, Any], data: st.DataObject) -> None:
    """A provider's odd answer is a 502 at worst."""
    rendered = TRANSLATIONS[wire].render_answer(message, asked_model="asked", request=REQUEST)
    try:
        TRANSLATIONS[wire].parse_answer(spoil(data, json.loads(json.dumps(rendered))))
    except GatewayError as refused:
        assert refused.status >= 500


@every_wire
@given(message=messages(), data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_stream_with_one_wrong_part_is_read_or_broken(wire: str, message: dict[str, Any], data: st.DataObject) -> None:
    """Never a fault of ours; what is read is a well-formed stream up to where it broke."""
    records = b"".join(render(wire, events_of(message, 9))).split(b"\n\n")
    places = [place for place, record in enumerate(records) if b"data: {" in record]
    if not places:
        return  # binary frames
    place = data.draw(st.sampled_from(places))
    head, _, payload = records[place].partition(b"data: ")
    records[place] = head + b"data: " + json.dumps(spoil(data, json.loads(payload))).encode()
    try:
        events = read(TRANSLATIONS[wire].parse_stream(), b"\n\n".join(records), [])
    except (StreamBroken, UpstreamFailed):
        return
    if wire != "anthropic":  # whose events are handed on as they are
        with contextlib.suppress(json.JSONDecodeError):  # arguments are the model's own words
            collect(events)
