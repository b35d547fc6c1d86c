"""The official OpenAI SDK takes the simulated OpenAI for a real one: chat, tools, parse, responses, embeddings, errors."""

import math
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel
from sandbox_client import Client, user

from gateway.sandbox import Fault, Sandbox

MODEL = "gpt-6.1-sol"
PLAIN = "gpt-4.1"
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{sandbox.url}/v1", api_key=sandbox.api_key, max_retries=0) as made:
        yield made


def say(sdk: openai.OpenAI, text: str, **more: Any) -> Any:
    return sdk.chat.completions.create(**{"model": PLAIN, "messages": user(text), **more})


def test_chat_answers_as_claude_does(sdk: openai.OpenAI, client: Client) -> None:
    """The words are those of the simulated Claude: what an answer means does not depend on the door."""
    answer = say(sdk, "Hello there")
    assert answer.choices[0].message.content == client.ask().json["content"][-1]["text"]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_adds_up_to_the_plain_answer(sdk: openai.OpenAI) -> None:
    """Usage comes in a last chunk, if it is asked for."""
    plain = say(sdk, "Hello there")
    chunks = list(say(sdk, "Hello there", stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content
    assert chunks[-1].choices == [] and chunks[-1].usage == plain.usage
    assert all(chunk.usage is None for chunk in say(sdk, "Hello there", stream=True))


def test_tools_are_called_and_their_results_read(sdk: openai.OpenAI) -> None:
    """Twice in one answer, streamed alike, and the results come back as words."""
    asked = "use the tool weather and use the tool weather"
    first = say(sdk, asked, tools=[WEATHER]).choices[0]
    assert first.finish_reason == "tool_calls" and len(first.message.tool_calls) == 2
    deltas = [c.choices[0].delta for c in say(sdk, asked, tools=[WEATHER], stream=True)]
    names = [call.function.name for delta in deltas for call in delta.tool_calls or [] if call.id]
    assert names == ["weather", "weather"]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "21 degrees"} for call in first.message.tool_calls]
    turns: Any = [*user(asked), first.message.to_dict(), *results]
    assert "21 degrees" in say(sdk, "", messages=turns, tools=[WEATHER]).choices[0].message.content


def test_structured_output_is_parsed(sdk: openai.OpenAI) -> None:
    """The SDK's own strict schema is taken and answered."""
    parsed = sdk.chat.completions.parse(model=MODEL, messages=user("Ana, 30"), response_format=Person)
    assert isinstance(parsed.choices[0].message.parsed, Person)


def test_a_reasoning_model_bills_its_thoughts(sdk: openai.OpenAI) -> None:
    """Among the answer's tokens, unless it is told not to think."""
    details = say(sdk, "hi", model=MODEL).usage.completion_tokens_details
    assert details.reasoning_tokens > 0
    assert say(sdk, "hi", model=MODEL, reasoning_effort="none").usage.completion_tokens_details.reasoning_tokens == 0


def test_a_long_prefix_is_read_from_the_cache(sdk: openai.OpenAI) -> None:
    """Unasked, as OpenAI does."""
    text = "many words " * 1000
    say(sdk, text)
    usage = say(sdk, text).usage
    assert usage.prompt_tokens_details.cached_tokens > 1024 and usage.prompt_tokens > usage.prompt_tokens_details.cached_tokens


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"model": "gpt-nobody"}, 404, "does not exist"),
        ({"extra_body": {"wish": 1}}, 400, "Unrecognized request argument supplied: wish"),
        ({"model": MODEL, "max_tokens": 5}, 400, "max_completion_tokens"),
        ({"model": MODEL, "temperature": 0.2}, 400, "temperature"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, 400, "preceding message with 'tool_calls'"),
        ({"tool_choice": "required"}, 400, "only allowed when 'tools'"),
        ({"stream_options": {"include_usage": True}}, 400, "only allowed when 'stream'"),
    ],
)
def test_what_openai_refuses_is_refused(sdk: openai.OpenAI, more: dict[str, Any], status: int, words: str) -> None:
    """In its own envelope."""
    with pytest.raises(openai.APIStatusError) as refused:
        say(sdk, "hi", **more)
    assert refused.value.status_code == status and words in str(refused.value)


def test_unanswered_tool_calls_are_refused(sdk: openai.OpenAI) -> None:
    """Every call needs its result at once."""
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    turns: Any = [*user("hi"), {"role": "assistant", "tool_calls": [call]}, *user("well?")]
    with pytest.raises(openai.BadRequestError, match="call_1"):
        say(sdk, "", messages=turns, tools=[WEATHER])


def test_responses_answer_plain_and_streamed(sdk: openai.OpenAI) -> None:
    """The SDK's own accumulation of the events is the plain answer."""
    plain = sdk.responses.create(model=MODEL, input="Hello there", instructions="Be kind.")
    with sdk.responses.stream(model=MODEL, input="Hello there", instructions="Be kind.") as stream:
        streamed = stream.get_final_response()
    assert streamed.output_text == plain.output_text and "Hello there" in plain.output_text
    assert streamed.usage == plain.usage
    assert [item.type for item in plain.output] == ["reasoning", "message"]


def test_responses_call_tools_and_take_results(sdk: openai.OpenAI) -> None:
    """As flat items."""
    tools: Any = [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}]
    asked: Any = user("use the tool weather")
    first = sdk.responses.create(model=PLAIN, input=asked, tools=tools)
    call: Any = first.output[-1]
    assert (call.type, call.name) == ("function_call", "weather")
    items = [*asked, call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}]
    assert "21 degrees" in sdk.responses.create(model=PLAIN, input=items, tools=tools).output_text
    with pytest.raises(openai.BadRequestError, match="not found"):
        sdk.responses.create(model=PLAIN, input="hi", previous_response_id="resp_1")


def test_embeddings_are_unit_vectors_that_know_their_words(sdk: openai.OpenAI) -> None:
    """Base64 or floats, as long as asked; close texts are closer than others."""
    texts = ["the cat sat down", "the cat sat up", "interest rates rose"]
    answer = sdk.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=64)
    one, two, three = (row.embedding for row in answer.data)
    assert len(one) == 64 and math.isclose(sum(v * v for v in one), 1, rel_tol=1e-3)
    assert sum(map(float.__mul__, one, two)) > sum(map(float.__mul__, one, three))
    floats = sdk.embeddings.create(model="text-embedding-3-small", input=texts[0], dimensions=64, encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(one, abs=1e-6)
    assert answer.usage.prompt_tokens > 0


def test_faults_are_told_in_openais_words(sandbox: Sandbox, sdk: openai.OpenAI) -> None:
    """A status, and an error in mid-stream; a directive in the prompt works here too."""
    sandbox.script(Fault(status=429, retry_after="3"), Fault(stream_error="overloaded_error", at=2), on="openai")
    with pytest.raises(openai.RateLimitError) as limited:
        say(sdk, "hi")
    assert limited.value.response.headers["retry-after"] == "3" and limited.value.code == "rate_limit_exceeded"
    with pytest.raises(openai.APIError, match="Overloaded"):
        list(say(sdk, "hi", stream=True))
    with pytest.raises(openai.InternalServerError):
        say(sdk, '[sandbox: status=503 message="not now"]')


def test_nobody_comes_in_without_the_key(sandbox: Sandbox) -> None:
    """401 with OpenAI's code."""
    with pytest.raises(openai.AuthenticationError) as refused:
        say(openai.OpenAI(base_url=f"{sandbox.url}/v1", api_key="nobody", max_retries=0), "hi")
    assert refused.value.code == "invalid_api_key"
