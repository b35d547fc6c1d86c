"""The Anthropic and OpenAI SDKs through the gateway at providers of every kind: what upstream gives where both speak alike,
the same meaning where they do not."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest
from everywhere import MODELS
from house import Served
from pydantic import BaseModel

from gateway.sandbox import Fault

Json = dict[str, Any]
ASK = 'use the tool add with {"a":19,"b":23}'
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
ADD: Any = {"name": "add", "description": "Adds two numbers.", "input_schema": SCHEMA}
FUNCTION = {"name": "add", "description": "Adds two numbers.", "parameters": SCHEMA}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
VOLATILE = ("id", "created", "created_at", "completed_at", "model", "item_id", "call_id", "encrypted_content", "obfuscation")
streamed = pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
every_place = pytest.mark.parametrize("place", MODELS)


class Title(BaseModel):
    title: str


def essence(value: Any) -> Any:
    """All of a document but what is new each time."""
    if isinstance(value, BaseModel):
        value = value.model_dump(warnings=False, exclude_unset=True)
    if isinstance(value, dict):
        return {name: essence(member) for name, member in value.items() if name not in VOLATILE}
    return [essence(member) for member in value] if isinstance(value, list) else value


# -- the same wire format on both sides --------------------------------------------------------------------------------


def claude(sdk: Any, stream: bool, **body: Any) -> Any:
    body = {"max_tokens": 1000, "messages": [{"role": "user", "content": "Hello, 漢字 and äöü"}], **body}
    if not stream:
        return sdk.messages.create(**body)
    with sdk.messages.stream(**body) as events:
        return events.get_final_message()


CLAUDE: dict[str, tuple[Callable[[Served], Any], Callable[[Served], Any], str, str]] = {
    "first party": (
        lambda gateway: anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0),
        lambda gateway: anthropic.Anthropic(base_url=gateway.sandbox.url, api_key=gateway.sandbox.api_key, max_retries=0),
        "@direct/claude-sonnet-4-6",
        "claude-sonnet-4-6",
    ),
    "bedrock": (
        lambda gateway: anthropic.AnthropicBedrock(
            base_url=gateway.url, api_key=gateway.key, aws_region="us-east-1", max_retries=0
        ),
        lambda gateway: anthropic.AnthropicBedrock(
            base_url=gateway.sandbox.url, api_key=gateway.sandbox.api_key, aws_region="us-east-1", max_retries=0
        ),
        "@aws/claude-sonnet-4-6",
        "us.anthropic.claude-sonnet-4-6",
    ),
}
THOUGHT: Json = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 3000}
CASES: dict[str, Json] = {
    "plain": {},
    "thinking": THOUGHT,
    "a tool": {"messages": [{"role": "user", "content": ASK}], "tools": [ADD]},
    "cut at max_tokens": {"max_tokens": 5},
}


@streamed
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("made", CLAUDE)
def test_claude_answers_as_it_does_without_a_gateway(everywhere: Served, made: str, case: str, stream: bool) -> None:
    """Content, usage, stop reason: `Anthropic` at Anthropic's own API, `AnthropicBedrock` at Bedrock."""
    through, direct, name, own_name = CLAUDE[made]
    with through(everywhere) as gateway, direct(everywhere) as upstream:
        got = claude(gateway, stream, model=name, **CASES[case])
        assert essence(got) == essence(claude(upstream, stream, model=own_name, **CASES[case]))
        assert got.model == "claude-sonnet-4-6"


@pytest.mark.parametrize("status", [400, 404, 429, 500, 529])
@pytest.mark.parametrize("made", CLAUDE)
def test_claudes_errors_are_raised_as_they_are_without_a_gateway(everywhere: Served, made: str, status: int) -> None:
    """The same exception with the same words."""
    through, direct, name, own_name = CLAUDE[made]
    raised = []
    with through(everywhere) as gateway, direct(everywhere) as upstream:
        for sdk, model in ((gateway, name), (upstream, own_name)):
            everywhere.sandbox.script(Fault(status=status), on="bedrock" if made == "bedrock" else "anthropic")
            with pytest.raises(anthropic.APIStatusError) as caught:
                claude(sdk, False, model=model)
            raised.append((type(caught.value), caught.value.status_code, caught.value.body))
    assert essence(raised[0][2]).get("message") == essence(raised[1][2]).get("message")
    if (made, status) != ("bedrock", 529):  # after which no AWS client asks again
        assert raised[0][:2] == raised[1][:2]


def openai_pair(gateway: Served) -> tuple[openai.OpenAI, openai.OpenAI]:
    through = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)
    direct = openai.OpenAI(base_url=f"{gateway.sandbox.url}/v1", api_key=gateway.sandbox.api_key, max_retries=0)
    return through, direct


def complete(sdk: openai.OpenAI, stream: bool, **body: Any) -> Any:
    body = {"messages": [{"role": "user", "content": "Hello, 漢字 and äöü"}], **body}
    if not stream:
        return sdk.chat.completions.create(**body)
    with sdk.chat.completions.stream(**body, stream_options={"include_usage": True}) as events:
        try:
            return events.get_final_completion()
        except openai.LengthFinishReasonError as cut:
            return cut.completion


CHATS: dict[str, Json] = {
    "plain": {},
    "a tool": {"messages": [{"role": "user", "content": ASK}], "tools": [{"type": "function", "function": FUNCTION}]},
    "cut at the limit": {"max_completion_tokens": 5},
    "json": {"response_format": {"type": "json_object"}},
}


@streamed
@pytest.mark.parametrize("case", CHATS)
def test_a_completion_is_as_it_is_without_a_gateway(everywhere: Served, case: str, stream: bool) -> None:
    """Text, calls, finish reason, usage."""
    through, direct = openai_pair(everywhere)
    got = complete(through, stream, model=MODELS["oai"], **CHATS[case])
    assert essence(got) == essence(complete(direct, stream, model="gpt-4.1", **CHATS[case]))


def test_a_stream_has_the_same_chunks_as_without_a_gateway(everywhere: Served) -> None:
    """None more, although usage was asked for behind the client's back."""
    through, direct = openai_pair(everywhere)
    body: Any = {"messages": [{"role": "user", "content": "Hello"}], "stream": True}
    got = [essence(chunk) for chunk in through.chat.completions.create(model=MODELS["oai"], **body)]
    assert got == [essence(chunk) for chunk in direct.chat.completions.create(model="gpt-4.1", **body)]
    answered = [each for each in everywhere.records() if each["provider"] == "oai" and each["status"] == 200]
    assert {each["completeness"] for each in answered} == {"final"}


def test_parsed_answers_are_as_they_are_without_a_gateway(everywhere: Served) -> None:
    """`chat.completions.parse` and `responses.parse`."""
    through, direct = openai_pair(everywhere)
    turn: Any = [{"role": "user", "content": "Hello"}]
    got = through.chat.completions.parse(model=MODELS["oai"], messages=turn, response_format=Title)
    same = direct.chat.completions.parse(model="gpt-4.1", messages=turn, response_format=Title)
    assert isinstance(got.choices[0].message.parsed, Title)
    assert essence(got) == essence(same)
    parsed = through.responses.parse(model=MODELS["oai"], input="Hello", text_format=Title).output_parsed
    assert isinstance(parsed, Title)
    assert parsed == direct.responses.parse(model="gpt-4.1", input="Hello", text_format=Title).output_parsed


@pytest.mark.parametrize("tools", [[], [{"type": "function", "strict": False, **FUNCTION}]], ids=["plain", "a tool"])
def test_a_response_is_as_it_is_without_a_gateway(everywhere: Served, tools: Any) -> None:
    """Plain, and each event of a stream."""
    through, direct = openai_pair(everywhere)
    body: Any = {"input": ASK, "tools": tools}
    got, same = through.responses.create(model=MODELS["oai"], **body), direct.responses.create(model="gpt-4.1", **body)
    assert essence(got) == essence(same)
    events = [essence(event) for event in through.responses.create(model=MODELS["oai"], stream=True, **body)]
    assert events == [essence(event) for event in direct.responses.create(model="gpt-4.1", stream=True, **body)]


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_openais_errors_are_raised_as_they_are_without_a_gateway(everywhere: Served, status: int) -> None:
    """The same exception, status and body."""
    raised = []
    for sdk, model in zip(openai_pair(everywhere), (MODELS["oai"], "gpt-4.1"), strict=True):
        everywhere.sandbox.script(Fault(status=status), on="openai")
        with pytest.raises(openai.APIStatusError) as caught:
            complete(sdk, False, model=model)
        raised.append((type(caught.value), caught.value.status_code, caught.value.body))
    assert raised[0] == raised[1]


def test_embeddings_are_as_they_are_without_a_gateway(everywhere: Served) -> None:
    """As the SDK asks for them, in base64."""
    through, direct = openai_pair(everywhere)
    texts = ["Hello", "you there"]
    got = through.embeddings.create(model="@oai/text-embedding-3-small", input=texts)
    assert essence(got) == essence(direct.embeddings.create(model="text-embedding-3-small", input=texts))


# -- another wire format on the other side -----------------------------------------------------------------------------


@streamed
@every_place
def test_messages_keep_their_meaning_everywhere(everywhere: Served, place: str, stream: bool) -> None:
    """Words, a tool's call and its result in two turns, stop reasons, usage."""
    with anthropic.Anthropic(base_url=everywhere.url, api_key=everywhere.key, max_retries=0) as sdk:
        said = claude(sdk, stream, model=MODELS[place], system="You are a ferret.")
        assert "漢字 and äöü" in said.content[-1].text
        assert (said.stop_reason, said.role) == ("end_turn", "assistant")
        assert said.usage.input_tokens > 0 and said.usage.output_tokens > 0
        turns: Any = [{"role": "user", "content": ASK}]
        first = claude(sdk, stream, model=MODELS[place], messages=turns, tools=[ADD])
        (use,) = [block for block in first.content if block.type == "tool_use"]
        assert (first.stop_reason, use.name, use.input) == ("tool_use", "add", {"a": 19, "b": 23})
        result: Any = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "42"}]}
        turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        second = claude(sdk, stream, model=MODELS[place], messages=turns, tools=[ADD])
        assert "42" in second.content[-1].text
        assert second.stop_reason == "end_turn"


@streamed
@every_place
def test_completions_keep_their_meaning_everywhere(everywhere: Served, place: str, stream: bool) -> None:
    """The same talk in OpenAI's words; the history goes back without anything that OpenAI does not know."""
    sdk, _ = openai_pair(everywhere)
    said = complete(sdk, stream, model=MODELS[place])
    assert "漢字 and äöü" in said.choices[0].message.content
    assert said.choices[0].finish_reason == "stop"
    assert said.usage.prompt_tokens + said.usage.completion_tokens == said.usage.total_tokens > 0
    turns: Any = [{"role": "user", "content": ASK}]
    tools: Any = [{"type": "function", "function": FUNCTION}]
    first = complete(sdk, stream, model=MODELS[place], messages=turns, tools=tools).choices[0]
    (call,) = first.message.tool_calls
    assert (first.finish_reason, call.function.name, json.loads(call.function.arguments)) == (
        "tool_calls", "add", {"a": 19, "b": 23},
    )  # fmt: skip
    called = {"id": call.id, "type": "function", "function": {"name": "add", "arguments": call.function.arguments}}
    turns += [{"role": "assistant", "content": None, "tool_calls": [called]}]
    turns += [{"role": "tool", "tool_call_id": call.id, "content": "42"}]
    second = complete(sdk, stream, model=MODELS[place], messages=turns, tools=tools).choices[0]
    assert "42" in second.message.content


@every_place
def test_responses_keep_their_meaning_everywhere(everywhere: Served, place: str) -> None:
    """The same talk in the words of Responses, streamed, items handed back as they came."""
    sdk, _ = openai_pair(everywhere)
    tools: Any = [{"type": "function", "strict": False, **FUNCTION}]
    items: Any = [{"role": "user", "content": ASK}]
    with sdk.responses.stream(model=MODELS[place], input=items, tools=tools, store=False) as events:
        first = events.get_final_response()
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("add", {"a": 19, "b": 23})
    items += [item.to_dict() for item in first.output]
    items += [{"type": "function_call_output", "call_id": call.call_id, "output": "42"}]
    second = sdk.responses.create(model=MODELS[place], input=items, tools=tools, store=False)
    assert "42" in second.output_text
    assert second.status == "completed" and second.usage is not None and second.usage.total_tokens > 0


@every_place
def test_structured_output_is_had_everywhere(everywhere: Served, place: str) -> None:
    """`parse` gets what it asked for."""
    sdk, _ = openai_pair(everywhere)
    turn: Any = [{"role": "user", "content": "Name it."}]
    parsed = sdk.chat.completions.parse(model=MODELS[place], messages=turn, response_format=Title)
    assert isinstance(parsed.choices[0].message.parsed, Title)


@every_place
def test_pictures_are_seen_everywhere(everywhere: Served, place: str) -> None:
    """A picture inside the request, from OpenAI's client."""
    sdk, _ = openai_pair(everywhere)
    parts: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]
    said = sdk.chat.completions.create(model=MODELS[place], messages=[{"role": "user", "content": parts}])
    assert said.choices[0].finish_reason == "stop"


@streamed
@every_place
def test_what_a_stream_breaks_with_is_raised_by_both_sdks(everywhere: Served, place: str, stream: bool) -> None:
    """In mid-stream, and before it: an error of the SDK's own, never a short answer taken for a whole one."""
    service = {"vertex": "inference", "direct": "anthropic", "cloud": "anthropic", "aws": "bedrock", "oai": "openai"}
    fault = Fault(stream_error="overloaded_error", at=3) if stream else Fault(status=529 if place in service else 503)
    sdk, _ = openai_pair(everywhere)
    with anthropic.Anthropic(base_url=everywhere.url, api_key=everywhere.key, max_retries=0) as messages:
        everywhere.sandbox.script(fault, on=service.get(place, "gemini"))
        with pytest.raises(anthropic.APIStatusError):
            claude(messages, stream, model=MODELS[place])
    everywhere.sandbox.script(fault, on=service.get(place, "gemini"))
    with pytest.raises(openai.APIError):
        complete(sdk, stream, model=MODELS[place])


@pytest.mark.parametrize("place", ["vertex", "direct", "aws", "oai", "studio"])
def test_what_it_cost_is_in_the_books(everywhere: Served, place: str) -> None:
    """One record a call with the usage that the SDK shows, and an exact price."""
    sdk, _ = openai_pair(everywhere)
    raw = sdk.chat.completions.with_raw_response.create(model=MODELS[place], messages=[{"role": "user", "content": "Hello"}])
    usage = raw.parse().usage
    record = everywhere.record(raw.headers["x-gateway-request-id"])
    assert usage is not None
    assert (record["tokens"]["input"], record["tokens"]["output"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert record["cost_nanodollars"] > 0 and record["price_known"] and record["completeness"] == "final"
