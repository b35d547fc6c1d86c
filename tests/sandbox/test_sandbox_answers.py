"""The official SDK takes the pretend Claude for a real one: text, streams, tools, thought, JSON, search, refusals."""

import json
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, TextBlock, ThinkingBlock, ToolUseBlock
from sandbox_client import Client, user

from gateway.sandbox import Fault, Sandbox

MODEL = "claude-opus-5-5"
WEATHER: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
CLOCK: Any = {"name": "clock", "input_schema": {"type": "object"}}
BASH: Any = {"name": "Bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}


def say(sdk: anthropic.AnthropicVertex, text: str, **more: Any) -> Message:
    message: Message = sdk.messages.create(**{"model": MODEL, "max_tokens": 1000, "messages": user(text), **more})
    return message


def stream(sdk: anthropic.AnthropicVertex, text: str, **more: Any) -> Message:
    with sdk.messages.stream(**{"model": MODEL, "max_tokens": 1000, "messages": user(text), **more}) as events:
        return events.get_final_message()


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if isinstance(block, TextBlock))


def test_people_see_their_own_words_and_where_they_are(sdk: anthropic.AnthropicVertex) -> None:
    """The answer repeats the question and says that it comes from the sandbox."""
    message = say(sdk, "Does my question travel, äöü 漢字?")
    assert "Does my question travel, äöü 漢字?" in text_of(message)
    assert "sandbox" in text_of(message)
    assert message.id.startswith("msg_vrtx_")
    assert (message.model, message.stop_reason) == (MODEL, "end_turn")


def test_the_request_id_header_is_there(sdk: anthropic.AnthropicVertex) -> None:
    """`_request_id` of the SDK shows a Vertex request id."""
    assert str(say(sdk, "hello")._request_id).startswith("req_vrtx_")


@pytest.mark.parametrize("thinking", [{"type": "adaptive", "display": "summarized"}, {"type": "adaptive"}])
def test_a_stream_adds_up_to_the_plain_answer(sdk: anthropic.AnthropicVertex, thinking: Any) -> None:
    """Content and usage agree whichever way an answer is asked for."""
    plain = say(sdk, "the same question", thinking=thinking)
    streamed = stream(sdk, "the same question", thinking=thinking)
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in plain.content]
    assert streamed.usage.to_dict() == plain.usage.to_dict()


def test_a_stream_comes_in_several_deltas_with_a_ping(client: Client) -> None:
    """The sequence of events is the real one; usage of the last message_delta is the final one."""
    answered = client.ask(stream=True, thinking={"type": "adaptive"})
    kinds = [event["type"] for event in answered.events]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds[-3:] == ["message_delta", "message_delta", "message_stop"]
    assert kinds.count("content_block_delta") > 5
    assert answered.events[0]["message"]["usage"]["output_tokens"] == 1
    assert answered.events[-2]["usage"]["output_tokens"] > answered.events[-3]["usage"]["output_tokens"]
    assert answered.headers["content-type"].startswith("text/event-stream")


def test_named_tools_are_called_in_parallel_and_their_results_are_quoted(sdk: anthropic.AnthropicVertex) -> None:
    """A tool round trip: two calls in one turn, then an answer that holds both results."""
    ask = 'Please use the tool weather with {"city": "Zürich"} and use the tool clock.'
    called = stream(sdk, ask, tools=[WEATHER, CLOCK])
    uses = [block for block in called.content if isinstance(block, ToolUseBlock)]
    assert [(use.name, use.input) for use in uses] == [("weather", {"city": "Zürich"}), ("clock", {})]
    assert called.stop_reason == "tool_use"
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": f"result {use.name}"} for use in uses]
    history = [*user(ask), {"role": "assistant", "content": called.content}, {"role": "user", "content": results}]
    answered = say(sdk, "", messages=history, tools=[WEATHER, CLOCK])
    assert "result weather" in text_of(answered)
    assert "result clock" in text_of(answered)


@pytest.mark.parametrize(("text", "command"), [("run: echo hi", "echo hi"), ("please list the files here", "ls")])
def test_a_coding_client_gets_a_bash_call(sdk: anthropic.AnthropicVertex, text: str, command: str) -> None:
    """With a Bash tool on offer, commands in the prompt are run with it."""
    called = say(sdk, text, tools=[BASH])
    assert [block.input for block in called.content if isinstance(block, ToolUseBlock)] == [{"command": command}]


def test_a_forced_tool_is_called_without_a_word(sdk: anthropic.AnthropicVertex) -> None:
    """tool_choice any, on a model that takes it: only the call, with input that fits the schema."""
    called = say(sdk, "whatever", model="claude-opus-4-8", tools=[WEATHER], tool_choice={"type": "any"})
    assert [block.type for block in called.content] == ["tool_use"]
    assert called.content[0].to_dict()["input"] == {"city": "whatever"}


def test_thought_comes_back_signed_and_a_changed_signature_is_refused(sdk: anthropic.AnthropicVertex) -> None:
    """Signatures are verified to the byte, text included."""
    thinking: Any = {"type": "adaptive", "display": "summarized"}
    first = say(sdk, "hello", thinking=thinking)
    thought = first.content[0]
    assert isinstance(thought, ThinkingBlock)
    assert thought.thinking
    assert first.usage.output_tokens_details is not None
    assert 0 < first.usage.output_tokens_details.thinking_tokens < first.usage.output_tokens

    def again(block: Any, model: str = MODEL) -> Message:
        said = [*user("hello"), {"role": "assistant", "content": [block, *first.content[1:]]}, *user("more")]
        return say(sdk, "", messages=said, model=model)

    assert again(thought).stop_reason == "end_turn"
    for changed in ({"signature": "A" + thought.signature[1:]}, {"thinking": thought.thinking + " "}):
        with pytest.raises(anthropic.BadRequestError, match=r"messages\.1\.content\.0: Invalid `signature` in `thinking` block"):
            again(thought.to_dict() | changed)
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        again(thought, "claude-sonnet-5-5")


def test_omitted_thought_is_a_lone_signature(client: Client) -> None:
    """The default display of newer models: a thinking block with nothing but its signature."""
    events = client.ask(stream=True, thinking={"type": "adaptive"}).events
    deltas = [event["delta"]["type"] for event in events if event.get("index") == 0 and "delta" in event]
    assert deltas == ["signature_delta"]


def test_answers_stop_at_a_stop_sequence_and_at_max_tokens(sdk: anthropic.AnthropicVertex) -> None:
    """The two cuts, with their stop reasons."""
    stopped = say(sdk, "one STOP two", stop_sequences=["STOP"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "STOP")
    assert text_of(stopped).endswith("one ")
    short = say(sdk, "hello", max_tokens=5)
    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 5)
    assert len(text_of(short)) == 20


def test_structured_output_fits_its_schema(sdk: anthropic.AnthropicVertex) -> None:
    """JSON of the wanted shape, with the user's words where they are free."""
    schema: Any = {
        "type": "object",
        "additionalProperties": False,
        "required": ["title", "kind", "tags", "count"],
        "properties": {
            "title": {"type": "string"},
            "kind": {"enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
            "count": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3}]},
        },
        "$defs": {"tag": {"type": "string", "maxLength": 4}},
    }
    answered = stream(sdk, "A good title", output_config={"format": {"type": "json_schema", "schema": schema}})
    assert json.loads(text_of(answered)) == {"title": "A good title", "kind": "a", "tags": ["A go"], "count": 3}


def test_a_web_search_is_counted_and_cited(sdk: anthropic.AnthropicVertex) -> None:
    """Server tool blocks, a citation, and one billed search."""
    tool: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    beta = {"anthropic-beta": "web-search-2025-03-05"}
    answered = stream(sdk, "Search the web for owls", tools=[tool], extra_headers=beta)
    assert [block.type for block in answered.content][:2] == ["server_tool_use", "web_search_tool_result"]
    assert any(isinstance(block, TextBlock) and block.citations for block in answered.content)
    assert answered.usage.server_tool_use is not None
    assert answered.usage.server_tool_use.web_search_requests == 1


def test_a_refusal_has_its_details(sandbox: Sandbox, sdk: anthropic.AnthropicVertex) -> None:
    """stop_reason refusal, streamed too, with stop_details."""
    sandbox.script(Fault(stop_reason="refusal", times=2))
    for message in (say(sdk, "hello"), stream(sdk, "hello")):
        assert (message.stop_reason, message.content) == ("refusal", [])
        assert message.stop_details is not None


def test_counting_agrees_with_what_a_call_uses(sdk: anthropic.AnthropicVertex) -> None:
    """count_tokens of a region gives the input tokens that the call is charged."""
    counted = sdk.with_options(region="us-east5").messages.count_tokens(model=MODEL, messages=user("hello"), tools=[WEATHER])
    assert counted.input_tokens == say(sdk, "hello", tools=[WEATHER]).usage.input_tokens
