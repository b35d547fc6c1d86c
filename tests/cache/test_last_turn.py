"""What was asked last, in every wire format: text alone, and the rest of the request without it."""

from typing import Any

import pytest
from asking import asked_of

from gateway.cache.last_turn import CHARACTERS_MAX, LastTurn, read_last_turn
from gateway.canonical.store import Json

PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}


def user(content: Any) -> Json:
    return {"role": "user", "content": content}


def messages(*turns: Json, **more: Any) -> Json:
    return {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": list(turns), **more}


def text(words: str, kind: str = "text", **more: Any) -> Json:
    return {"type": kind, "text": words, **more}


def said(words: str) -> Json:
    return {"role": "assistant", "content": words}


def parts(*texts: str, role: str = "user") -> Json:
    return {"role": role, "parts": [{"text": words} for words in texts]}


def last(body: Json, dialect: str = "anthropic") -> LastTurn | None:
    return read_last_turn(asked_of(body, dialect=dialect))


SAME: list[tuple[str, Any, Any]] = [
    ("anthropic", messages(user("Why?")), messages(user([text("Wherefore?")]))),
    ("anthropic", messages(user("a"), said("b"), user("Why?")), messages(user("a"), said("b"), user("Wherefore?"))),
    ("vertex", messages(user("Why?")), messages(user([text("Wherefore"), text("then?")]))),
    ("bedrock", messages(user("Why?")), messages(user("Wherefore?"))),
    ("openai", messages(user("Why?")), messages(user([text("Wherefore?")]))),
    ("openai-responses", {"input": "Why?"}, {"input": [user([text("Wherefore?", "input_text")])]}),
    ("openai-responses", {"input": [{"type": "message", **user("Why?")}]}, {"input": [user("Wherefore?")]}),
    ("gemini", {"contents": [parts("Why?")]}, {"contents": {"parts": [{"text": "Wherefore"}, {"text": "?"}]}}),
]


@pytest.mark.parametrize(("dialect", "one", "other"), SAME)
def test_two_requests_may_differ_in_their_last_turns_words_alone(dialect: str, one: Json, other: Json) -> None:
    """However these are written: what is left of them is the same."""
    first, second = last(one, dialect), last(other, dialect)
    assert first is not None and second is not None
    assert first.text == "Why?" and "Wherefore" in second.text
    assert first.rest == second.rest and "Why" not in str(first.rest)


@pytest.mark.parametrize(
    "other",
    [
        messages(user("A"), said("b"), user("Why?")),
        messages(user("a"), said("B"), user("Why?")),
        messages(user("a"), said("b"), user("Why?"), system="Be brief."),
        messages(user("a"), said("b"), user("Why?"), temperature=0.1),
        messages(user("Why?")),
        messages(user("a"), said("b"), user([text("Why?", citations=[{"type": "char_location"}])])),
    ],
)
def test_whatever_else_differs_is_in_the_rest(other: Json) -> None:
    """System prompt, earlier turns, parameters, and what belongs to the last turn beside its words."""
    first, second = last(messages(user("a"), said("b"), user("Why?"))), last(other)
    assert first is not None and second is not None and first.rest != second.rest


@pytest.mark.parametrize(
    ("dialect", "body", "added"),
    [
        ("openai-responses", {"input": "Why?"}, {"messages": [user("Why?")]}),
        ("gemini", {"contents": [parts("Why?")]}, {"messages": [user("Why?")]}),
        ("anthropic", messages(user("Why?")), {"input": "Say yes."}),
        ("openai", messages(user("Why?")), {"turns": ["Say yes."]}),
    ],
)
def test_another_formats_turns_are_a_member_like_any_other(dialect: str, body: Json, added: Json) -> None:
    """Else who shares answers could have the answer to one question given to those who ask another."""
    honest = last(body, dialect)
    for said in (body, {**body, "input": "Say yes."} if "input" in body else body):
        found = last({**said, **added}, dialect)
        assert honest is not None and found is not None and found.rest != honest.rest
    if "input" in body:
        assert found is not None and found.text == "Say yes."


NO_TEXT_ALONE: list[tuple[str, Json]] = [
    ("anthropic", messages(user([text("What is this?"), PICTURE]))),
    ("anthropic", messages(user([PICTURE]), said("A cat."), user("And its colour?"))),
    ("anthropic", messages(user([{"type": "document", "source": {"type": "text", "data": "…"}}]), said("b"), user("Why?"))),
    ("anthropic", messages(user("Why?"), said("Because"))),
    ("anthropic", messages(user("  "))),
    ("anthropic", messages(user("x" * (CHARACTERS_MAX + 1)))),
    ("anthropic", messages()),
    ("openai", messages(user([text("What?"), {"type": "image_url", "image_url": {"url": "data:…"}}]))),
    ("openai", messages(user([{"type": "input_audio", "input_audio": {"data": "…"}}]))),
    ("openai", messages(user("Hello"), {**said(""), "audio": {"id": "audio_1"}}, user("Why?"))),
    ("openai", messages(user("Hello"), modalities=["text", "audio"])),
    ("openai-responses", {"input": [user([text("What?", "input_text"), {"type": "input_image", "image_url": "data:…"}])]}),
    ("openai-responses", {"input": [user([{"type": "input_file", "file_data": "…"}])]}),
    ("gemini", {"contents": [{"role": "user", "parts": [{"text": "What?"}, {"inlineData": {"data": "…"}}]}]}),
    ("gemini", {"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": "gs://b/o"}}]}, parts("Why?")]}),
    ("gemini", {"contents": [parts("Why?"), parts("Because", role="model")]}),
    ("openai-embeddings", {"input": "Why?"}),
]


@pytest.mark.parametrize(("dialect", "body"), NO_TEXT_ALONE)
def test_a_request_that_is_not_text_throughout_has_no_last_turn(dialect: str, body: Json) -> None:
    """Pictures, documents and sound anywhere; an answer begun; nothing asked; more than can be embedded."""
    assert last(body, dialect) is None


def test_tools_have_none_even_where_the_config_lets_answers_with_tools_be_kept() -> None:
    """What a tool is asked to do depends on more than on how alike two questions are."""
    from_tools = messages(user("Why?"), tools=[{"name": "search", "input_schema": {"type": "object"}}])
    rule = asked_of(messages(user("Why?"))).rule
    allowing = type(rule)("semantic", tools=True)
    assert read_last_turn(asked_of(from_tools, rule=allowing)) is None


def test_the_numbers_of_a_question_are_told_apart() -> None:
    """In order, as they are written."""
    found = last(messages(user("Is 3.14 more than 2/7, on 2026-11-21 at 8:30?")))
    assert found is not None and found.numbers == ["3.14", "2/7", "2026-11-21", "8:30"]
