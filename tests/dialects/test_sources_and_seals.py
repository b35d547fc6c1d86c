"""What an answer of Gemini's rests on, and what it is signed with, as clients of every format are told."""

import json
from pathlib import Path
from typing import Any

import pytest
from gemini_talk import SIGNATURE, ask, fold

from gateway.dialects.anthropic import chat as anthropic_chat
from gateway.dialects.gemini import door as gemini
from gateway.dialects.openai import door as openai_chat
from gateway.dialects.responses import door as openai_responses
from gateway.dialects.sse import DONE, SseReader

STREAMS = Path(__file__).parent.parent / "golden/gemini/streams"
SEARCHED = (STREAMS / "searched-with-sources.sse").read_bytes()
PAGES = [("https://example.com/rome", "Rome"), ("https://example.com/sun", "Sun")]
THINKING = {"thinking": {"type": "adaptive"}}
CLAUDE_CODE = {"thinking": {"type": "adaptive", "display": "omitted"}}
Json = dict[str, Any]


def told(client: Any, request: Json, data: bytes = SEARCHED) -> list[Json]:
    """The records that a client of another format is sent."""
    parser, renderer = gemini.parse_stream(), client.render_stream(asked_model="m", request=request)
    sent = b"".join(renderer.render(event) for event in [*parser.feed(data), *parser.end()])
    return [json.loads(record.data) for record in SseReader().feed(sent) if record.data != DONE]


def whole(client: Any, request: Json, answer: Json) -> Json:
    rendered: Json = client.render_answer(gemini.parse_answer(answer), asked_model="m", request=request)
    return rendered


def signed(*parts: Json) -> Json:
    return {"candidates": [{"finishReason": "STOP", "content": {"parts": list(parts)}}], "modelVersion": "gemini-3.8-flash"}


SIGNED_BEHIND_THE_TEXT = (
    b"data: " + json.dumps(signed({"text": "Yes"})).replace('"finishReason": "STOP", ', "").encode() + b"\n\n"
    b"data: " + json.dumps(signed({"text": "", "thoughtSignature": SIGNATURE})).encode() + b"\n\n"
)


def test_a_chat_client_is_told_the_pages_behind_the_text() -> None:
    """As OpenAI's own models that search do it: annotations, with the place of the text."""
    deltas = [record["choices"][0]["delta"] for record in told(openai_chat, {}) if record["choices"]]
    (annotations,) = [delta["annotations"] for delta in deltas if "annotations" in delta]
    assert [(each["url_citation"]["url"], each["url_citation"]["title"]) for each in annotations] == PAGES
    text = "".join(delta.get("content") or "" for delta in deltas)
    assert {(each["url_citation"]["start_index"], each["url_citation"]["end_index"]) for each in annotations} == {(0, len(text))}


def test_a_responses_client_is_told_the_pages_of_its_part() -> None:
    """As events, and in the part and the response when they are whole."""
    records = told(openai_responses, {})
    added = [record["annotation"] for record in records if record["type"] == "response.output_text.annotation.added"]
    assert [(each["url"], each["title"]) for each in added] == PAGES
    (message,) = [item for item in records[-1]["response"]["output"] if item["type"] == "message"]
    assert message["content"][0]["annotations"] == added


@pytest.mark.parametrize("client", [openai_chat, openai_responses])
def test_a_plain_answer_has_the_same_annotations_as_a_stream(client: Any) -> None:
    """Page by page."""
    answer = json.loads((STREAMS.parent / "answers/searched-with-sources.json").read_text())
    assert [page in json.dumps(whole(client, {}, answer)) for page, _ in PAGES] == [True, True]


def test_sources_in_a_history_are_no_trouble_for_gemini() -> None:
    """The text goes back; where it came from, Gemini does not want to hear."""
    answer = json.loads((STREAMS.parent / "answers/searched-with-sources.json").read_text())
    content = gemini.parse_answer(answer)["content"]
    body = ask({"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}, {"role": "user", "content": "So?"})
    assert body["contents"][1]["parts"] == [{"text": "It is sunny in Rome. 😀"}]


def test_a_signed_text_goes_back_signed_through_a_client_that_is_shown_thinking() -> None:
    """In an empty thinking block behind it; plain and streamed."""
    plain = whole(anthropic_chat, THINKING, signed({"text": "Yes", "thoughtSignature": SIGNATURE}))
    streamed = fold(told(anthropic_chat, THINKING, SIGNED_BEHIND_THE_TEXT))
    for message in (plain, streamed):
        assert [block["type"] for block in message["content"]] == ["text", "thinking"]
        history = {"role": "assistant", "content": message["content"]}
        body = ask({"role": "user", "content": "Hi"}, history, {"role": "user", "content": "So?"})
        (part,) = body["contents"][1]["parts"]
        assert part["thoughtSignature"] == SIGNATURE


@pytest.mark.parametrize("request_body", [{}, {"thinking": {"type": "disabled"}}, CLAUDE_CODE])
def test_a_client_that_is_shown_no_thinking_is_given_none(request_body: Json) -> None:
    """Claude Code takes the last block for the answer: it is the text. Blocks behind a signature are numbered without it."""
    plain = whole(anthropic_chat, request_body, signed({"text": "Yes", "thoughtSignature": SIGNATURE}))
    assert [block["type"] for block in plain["content"]] == ["text"]
    call = {"functionCall": {"name": "f", "args": {}}}
    chunk = signed({"text": "Yes", "thoughtSignature": SIGNATURE}, call)
    streamed = fold(told(anthropic_chat, request_body, b"data: " + json.dumps(chunk).encode() + b"\n\n"))
    assert [block["type"] for block in streamed["content"]] == ["text", "tool_use"]


def test_thoughts_that_are_shown_stay() -> None:
    """Only what is nothing but a signature is left out."""
    chunk = signed({"text": "hm", "thought": True}, {"text": "Yes", "thoughtSignature": SIGNATURE})
    streamed = fold(told(anthropic_chat, {}, b"data: " + json.dumps(chunk).encode() + b"\n\n"))
    assert [block["type"] for block in streamed["content"]] == ["thinking", "text"]


@pytest.mark.parametrize("client", [openai_chat, openai_responses])
def test_a_signed_text_goes_back_signed_through_openais_clients(client: Any) -> None:
    """Who send back what they were given: `thinking_blocks`, `encrypted_content`."""
    answer = whole(client, {}, signed({"text": "Yes", "thoughtSignature": SIGNATURE}))
    if client is openai_chat:
        message = {name: value for name, value in answer["choices"][0]["message"].items() if value is not None}
        request: Json = {"messages": [{"role": "user", "content": "Hi"}, message, {"role": "user", "content": "So?"}]}
    else:
        request = {"input": [{"role": "user", "content": "Hi"}, *answer["output"], {"role": "user", "content": "So?"}]}
    chat = client.parse_chat({"model": "gemini-3.8-flash", **request})
    body = ask(*chat.body["messages"])
    parts = body["contents"][1]["parts"]
    assert parts == [{"text": "Yes", "thoughtSignature": SIGNATURE}]
