"""Nonsense in any one place of a real body is refused in words, or read as far as it goes; it is never a fault of ours."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gemini_talk import UNKNOWN, traits
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.errors import GatewayError, InvalidRequest, StreamBroken
from gateway.dialects.anthropic import chat as anthropic_chat
from gateway.dialects.gemini import door as gemini

GOLDEN = Path(__file__).parent.parent / "golden/gemini"
JUNK = [None, True, -1, "x", [], {}, [1], [None], {"type": "x"}, 1.5, "1e999"]


def bodies(folder: str) -> list[Any]:
    return [json.loads(path.read_bytes()) for path in sorted((GOLDEN / folder).glob("*.json")) if ".to-" not in path.name]


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for name, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places_in(each, (*path, name))


def spoil(data: st.DataObject, whole: Any) -> Any:
    """A copy with one of its parts replaced by something that does not belong there."""
    spoilt = copy.deepcopy(whole)
    path = data.draw(st.sampled_from([place for place in places_in(whole) if place]))
    inner = spoilt
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = data.draw(st.sampled_from(JUNK))
    return spoilt


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_a_messages_body_is_carried_or_refused(data: st.DataObject) -> None:
    """Claude Code's own bodies among them; what goes out is JSON."""
    body = spoil(data, data.draw(st.sampled_from(bodies("from-messages"))))
    model = traits("gemini-2.5-flash") if data.draw(st.booleans()) else UNKNOWN
    try:
        rendered, dropped = gemini.render_chat(anthropic_chat.parse_chat(body), model, stream=True)
    except InvalidRequest as refused:
        assert refused.message
    else:
        assert json.dumps(rendered) and all(isinstance(name, str) for name in dropped)


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_a_gemini_body_is_carried_or_refused(data: st.DataObject) -> None:
    """To Messages, and on to Gemini again."""
    body = spoil(data, data.draw(st.sampled_from(bodies("to-messages"))))
    try:
        gemini.render_chat(gemini.parse_chat(body), UNKNOWN, stream=True)
    except InvalidRequest as refused:
        assert refused.message


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_an_odd_answer_is_a_502_at_worst(data: st.DataObject) -> None:
    """Plain, as a chunk of a stream, and for the meter."""
    answer = spoil(data, data.draw(st.sampled_from(bodies("answers"))))
    encoded = json.dumps(answer).encode()
    gemini.parse_usage(encoded)
    watch = gemini.watch_stream()
    watch.feed(b"data: " + encoded + b"\n\n")
    assert watch.usage() is None or watch.answered_model is None or watch.ended in (True, False)
    try:
        gemini.parse_answer(answer)
    except GatewayError as refused:
        assert refused.status >= 500
    parser = gemini.parse_stream()
    try:
        assert all(isinstance(event["type"], str) for event in [*parser.feed(b"data: " + encoded + b"\n\n"), *parser.end()])
    except StreamBroken as broken:
        assert str(broken)


@pytest.mark.parametrize("body", [[], "x", 1, None])
def test_an_answer_that_is_no_object_is_a_502(body: Any) -> None:
    """Whatever else it is."""
    with pytest.raises(GatewayError) as refused:
        gemini.parse_answer(body)
    assert refused.value.status == 502
