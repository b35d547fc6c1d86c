"""Counting tokens in one wire format, at a provider that speaks another."""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from everywhere import MODELS
from house import Served
from wire import Answer, ask

TEXT = "How many tokens are these words?"
TOOL = {"name": "add", "description": "Adds.", "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}
COUNTED_AT = ("vertex", "direct", "aws", "cloud", "vertex-gemini", "studio")
MESSAGES: dict[str, Any] = {
    "messages": [{"role": "user", "content": TEXT}], "system": "Be brief.", "tools": [TOOL], "max_tokens": 100,
}  # fmt: skip
CONTENTS: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": TEXT}]}],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
}
RESPONSES: dict[str, Any] = {"input": TEXT, "instructions": "Be brief.", "max_output_tokens": 100, "temperature": 0.5}


def count(gateway: Served, path: str, body: dict[str, Any]) -> Answer:
    return ask(gateway.url, "POST", path, body=body, headers={"x-api-key": gateway.key})


@pytest.mark.parametrize("place", COUNTED_AT)
def test_messages_are_counted_wherever_the_model_is(everywhere: Served, place: str) -> None:
    """The provider's own figure, with what it refuses in counting left out."""
    answer = count(everywhere, "/v1/messages/count_tokens", {"model": MODELS[place], **MESSAGES})
    assert answer.status == 200, answer.body
    assert answer.json()["input_tokens"] > 10
    assert "x-gateway-estimated" not in answer.headers


@pytest.mark.parametrize("place", COUNTED_AT)
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "wrapped"])
def test_contents_are_counted_wherever_the_model_is(everywhere: Served, place: str, wrapped: bool) -> None:
    """Gemini's clients, in both forms that they ask in."""
    body = {"generateContentRequest": {"model": f"models/{MODELS[place]}", **CONTENTS}} if wrapped else CONTENTS
    answer = count(everywhere, f"/v1beta/models/{MODELS[place]}:countTokens", body)
    assert answer.status == 200, answer.body
    assert answer.json()["totalTokens"] > 5
    assert "x-gateway-estimated" not in answer.headers


@pytest.mark.parametrize("place", COUNTED_AT)
def test_a_response_is_counted_wherever_the_model_is(everywhere: Served, place: str) -> None:
    """OpenAI's clients."""
    answer = count(everywhere, "/v1/responses/input_tokens", {"model": MODELS[place], **RESPONSES})
    assert answer.status == 200, answer.body
    assert answer.json()["object"] == "response.input_tokens"
    assert answer.json()["input_tokens"] > 5
    assert "x-gateway-estimated" not in answer.headers


@pytest.mark.parametrize("place", COUNTED_AT)
def test_an_invoke_body_is_counted_wherever_the_model_is(everywhere: Served, place: str) -> None:
    """Bedrock's clients, who wrap it in base64."""
    inner = json.dumps({"anthropic_version": "bedrock-2023-05-31", **MESSAGES}).encode()
    body = {"input": {"invokeModel": {"body": base64.b64encode(inner).decode()}}}
    answer = count(everywhere, f"/model/{quote(MODELS[place], safe='')}/count-tokens", body)
    assert answer.status == 200, answer.body
    assert answer.json()["inputTokens"] > 10
    assert "x-gateway-estimated" not in answer.headers


def test_where_no_one_counts_an_estimate_is_given_and_marked(everywhere: Served) -> None:
    """OpenAI-compatible servers need not offer it."""
    answer = count(everywhere, "/v1/messages/count_tokens", {"model": MODELS["oai"], **MESSAGES})
    assert answer.status == 200, answer.body
    assert answer.headers["x-gateway-estimated"] == "input_tokens"
    assert answer.json()["input_tokens"] > 10
