"""Embeddings as Google's clients ask for them, carried to OpenAI's form and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.errors import InvalidRequest, UpstreamFailed
from gateway.dialects.gemini import embeddings as gemini_embeddings
from gateway.dialects.openai.embeddings import parse_embedding

Json = dict[str, Any]
HELLO = {"parts": [{"text": "Hello"}]}
ANSWER = {"data": [{"embedding": [0.5, 0.25]}], "usage": {"prompt_tokens": 3}}
FORMS: dict[str, tuple[Json, Json, Json]] = {
    "one": (
        {"content": HELLO, "taskType": "CLUSTERING", "outputDimensionality": 2},
        {"input": ["Hello"], "task_type": "CLUSTERING", "dimensions": 2},
        {"embedding": {"values": [0.5, 0.25]}, "usageMetadata": {"promptTokenCount": 3}, "truncated": False},
    ),
    "one, with a config": (
        {"content": HELLO, "embedContentConfig": {"taskType": "CLUSTERING", "outputDimensionality": 2}},
        {"input": ["Hello"], "task_type": "CLUSTERING", "dimensions": 2},
        {"embedding": {"values": [0.5, 0.25]}, "usageMetadata": {"promptTokenCount": 3}, "truncated": False},
    ),
    "batch": (
        {"requests": [{"model": "models/m", "content": HELLO}]},
        {"input": ["Hello"]},
        {"embeddings": [{"values": [0.5, 0.25]}], "usageMetadata": {"promptTokenCount": 3}},
    ),
    "predict": (
        {"instances": [{"content": "Hello", "task_type": "CLUSTERING"}], "parameters": {"outputDimensionality": 2}},
        {"input": ["Hello"], "task_type": "CLUSTERING", "dimensions": 2},
        {"predictions": [{"embeddings": {"values": [0.5, 0.25], "statistics": {"truncated": False}}}]},
    ),
}
members = st.sampled_from(["content", "parts", "text", "requests", "instances", "parameters", "embedContentConfig", "taskType"])
bodies = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(members, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_carried_and_answered_in_its_own(form: str) -> None:
    """Texts, task and length one way, vectors and tokens the other."""
    asked, carried, answered = FORMS[form]
    chat = gemini_embeddings.parse_chat(asked)
    assert (chat.body, chat.dropped) == (carried, [])
    assert gemini_embeddings.render_answer(ANSWER, asked_model="m", request=asked) == answered


def test_what_cannot_be_carried_is_named() -> None:
    """A title helps Google's models to place a document; OpenAI's form has none."""
    assert gemini_embeddings.parse_chat({"content": HELLO, "title": "Greetings"}).dropped == ["title"]


@pytest.mark.parametrize(
    "body",
    [
        {"requests": [{"content": HELLO, "outputDimensionality": 2}, {"content": HELLO, "outputDimensionality": 3}]},
        {"requests": [{"content": HELLO}, {"content": HELLO, "taskType": "CLUSTERING"}]},
        {"instances": [{"content": "Hello", "task_type": "CLUSTERING"}, {"content": "you", "task_type": "RETRIEVAL_QUERY"}]},
    ],
)
def test_texts_that_are_to_be_embedded_differently_are_refused(body: Json) -> None:
    """Never embedded as another text of the batch wants it: such vectors are wrong, and nobody would see it."""
    with pytest.raises(InvalidRequest, match="must be the same for all texts"):
        gemini_embeddings.parse_chat(body)


def test_what_any_text_of_a_batch_loses_is_named() -> None:
    """The first and the last alike."""
    body = {"requests": [{"content": HELLO}, {"content": HELLO, "title": "Greetings"}]}
    assert gemini_embeddings.parse_chat(body).dropped == ["title"]


def test_a_part_that_is_no_text_is_refused_wherever_it_stands() -> None:
    """Nothing of what is to be embedded is passed over."""
    with pytest.raises(InvalidRequest, match="texts alone"):
        gemini_embeddings.parse_chat({"content": {"parts": [{"text": "Hello"}, "you"]}})


def test_an_answer_without_vectors_is_the_providers_fault() -> None:
    """And never an empty success."""
    with pytest.raises(UpstreamFailed):
        gemini_embeddings.render_answer({"data": []}, asked_model="m", request={"content": HELLO})


@given(st.dictionaries(members, bodies, max_size=3))
def test_any_body_is_carried_or_refused(body: Json) -> None:
    """A client's nonsense is a 400, never a fault of ours."""
    try:
        parse_embedding(json.loads(json.dumps(gemini_embeddings.parse_chat(body).body)))
    except InvalidRequest as refused:
        assert refused.message
