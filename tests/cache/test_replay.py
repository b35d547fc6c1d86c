"""A kept answer told again: the same bytes in the same form, the same message in the other."""

import json
from pathlib import Path
from typing import Any

import pytest
from asking import call_of
from kept import entry
from recorded_streams import WHOLE

from gateway.cache.message_events import NotWhole, events_of, gather
from gateway.cache.replay import replay
from gateway.canonical.call import Call, Request
from gateway.canonical.json_object import JsonObject
from gateway.canonical.store import Json
from gateway.canonical.usage import Usage
from gateway.dialects import TRANSLATIONS

MESSAGE: Json = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "stop_reason": "tool_use",
    "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 9},
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "eA=="},
        {"type": "text", "text": "See.", "citations": [{"type": "char_location", "cited_text": "x", "document_index": 0}]},
        {"type": "text", "text": "Look:"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": ["a", 1, None]}},
    ],
}  # fmt: skip


def asked(stream: bool, dialect: str = "anthropic", framing: str = "", **members: Any) -> Call:
    call = call_of({"model": "claude-sonnet-4-6", **members}, dialect=dialect)
    document = JsonObject(json.dumps({"model": "claude-sonnet-4-6", **members}).encode())
    return _with_request(call, Request("generate", "claude-sonnet-4-6", stream, document, framing=framing))


def _with_request(call: Call, request: Request) -> Call:
    return Call(**{**{name: getattr(call, name) for name in Call.__slots__}, "request": request})


def test_a_message_and_its_events_tell_the_same() -> None:
    """Every kind of block, in both directions."""
    assert gather(events_of(MESSAGE)) == MESSAGE


def test_the_events_are_those_of_a_stream() -> None:
    """Opened empty, told in deltas, closed; the ending apart from the beginning."""
    events = list(events_of(MESSAGE))
    assert events[0]["message"]["content"] == [] and events[0]["message"]["stop_reason"] is None
    assert [event["type"] for event in events[1:5]] == [
        "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
    ]  # fmt: skip
    assert events[1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    assert events[-2]["delta"]["stop_reason"] == "tool_use" and events[-1] == {"type": "message_stop"}


def test_what_is_no_whole_stream_makes_no_message() -> None:
    """Without its beginning or end, or with an error in it."""
    events = list(events_of(MESSAGE))
    for spoilt in (events[1:], events[:-1], [*events, {"type": "error", "error": {}}], []):
        with pytest.raises(NotWhole):
            gather(spoilt)


STREAMS = {path.stem: path.read_bytes() for path in (Path(__file__).parents[1] / "golden/crossing/streams").glob("*.sse")}
FAILED = {"an-error-in-between", "cut-before-a-finish-reason", "done-without-a-finish-reason", "responses-that-fail"}


@pytest.mark.parametrize("name", sorted(STREAMS.keys() - FAILED))
def test_streams_of_many_servers_are_told_as_plain_answers_and_back(name: str) -> None:
    """What was said, thought and called is the same in all three."""
    dialect = "openai-responses" if name.startswith("responses-") else "openai"
    plain = replay(entry(stream=True, body=STREAMS[name], usage=Usage()), asked(False, dialect))
    assert plain is not None
    again = replay(entry(body=plain, usage=Usage()), asked(True, dialect, stream_options={"include_usage": True}))
    assert again is not None
    said = told(dialect, STREAMS[name])
    assert said == told(dialect, again) == essence(TRANSLATIONS[dialect].parse_answer(json.loads(plain)))


@pytest.mark.parametrize("name", sorted(FAILED))
def test_streams_that_failed_are_no_plain_answers(name: str) -> None:
    """They would not be kept; should one be, it answers nothing."""
    dialect = "openai-responses" if name.startswith("responses-") else "openai"
    assert replay(entry(stream=True, body=STREAMS[name]), asked(False, dialect)) is None


def test_anthropics_own_stream_is_told_as_a_message_and_back() -> None:
    """With its usage, as message_start and message_delta have it together."""
    plain = replay(entry(stream=True, body=WHOLE), asked(False))
    assert plain is not None and json.loads(plain)["usage"]["cache_read_input_tokens"] == 4000
    again = replay(entry(body=plain), asked(True))
    assert again is not None and told("anthropic", again) == told("anthropic", WHOLE)


def told(dialect: str, stream: bytes) -> Any:
    parser = TRANSLATIONS[dialect].parse_stream()
    return essence(gather([*parser.feed(stream), *parser.end()]))


def essence(message: Json) -> Any:
    """What a message says, thinks and calls; ids of calls that their server left out are made up anew each time."""
    blocks = message["content"]
    calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    texts = ["".join(block.get(name, "") for block in blocks) for name in ("text", "thinking")]
    usage = {name: value for name, value in message["usage"].items() if isinstance(value, int) and value}
    return texts, calls, message["stop_reason"], usage


def test_the_same_form_is_the_same_bytes() -> None:
    """Whatever they are: nothing of them is read."""
    assert replay(entry(body=b"\xff{"), asked(stream=False)) == b"\xff{"
    assert replay(entry(body=b"\xff{", stream=True), asked(stream=True)) == b"\xff{"


def test_what_cannot_be_told_in_another_form_answers_nothing() -> None:
    """Broken, no message, or a vector: then it is a miss, and no error."""
    for body in (b"\xff{", b"{}", b'{"type":"message","content":[{"type":"tool_use"}]}'):
        assert replay(entry(body=body), asked(stream=True)) is None
    assert replay(entry(body=b"event: ping\n\n", stream=True), asked(stream=False)) is None
    odd = WHOLE.replace(b'"usage": {"output_tokens": 20}', b'"usage": ["odd"]')
    assert odd != WHOLE
    assert replay(entry(body=odd, stream=True), asked(stream=False)) is None
    assert replay(entry(body=b'{"object":"list"}'), asked(stream=True, dialect="openai-embeddings")) is None


def test_a_stream_rendered_without_figures_is_told_anew_with_them() -> None:
    """To a caller who asked for them; one who did not has it as it is."""
    renderer = TRANSLATIONS["openai"].render_stream(asked_model="m", request={})
    body = b"".join(renderer.render(event) for event in events_of({**MESSAGE, "content": [{"type": "text", "text": "Hi"}]}))
    kept = entry(stream=True, body=body, framing="without usage")
    assert replay(kept, asked(stream=True, dialect="openai", framing="without usage")) == body
    told = replay(kept, asked(stream=True, dialect="openai", stream_options={"include_usage": True}))
    assert told is not None
    closing = json.loads(told.split(b"\n\n")[-3].removeprefix(b"data: "))
    assert closing["usage"]["prompt_tokens"] == 3 and closing["usage"]["completion_tokens"] == 5


def test_figures_that_are_there_stay_as_they_are() -> None:
    """Those of the entry stand in only where there are none."""
    kept = entry(body=json.dumps(MESSAGE).encode(), usage=Usage())
    told = replay(kept, asked(stream=True))
    assert told is not None and b'"input_tokens":7' in told
