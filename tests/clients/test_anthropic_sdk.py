"""The official Anthropic SDK through the gateway, as `Anthropic` and as `AnthropicVertex`: it gets what upstream gives."""

import asyncio
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, ToolUseBlock
from house import Served
from traffic import betas, inference, oldest_first, statuses

SDK = anthropic.Anthropic | anthropic.AnthropicVertex
MODEL = "claude-opus-5-5"
BUDGETED = "claude-sonnet-4-6"
ADD: Any = {
    "name": "add",
    "description": "Adds two numbers.",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {"model": BUDGETED},
    "thinking adaptively": {"model": MODEL, "thinking": {"type": "adaptive", "display": "summarized"}},
    "thinking on a budget": {"model": BUDGETED, "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 3000},
    "a tool": {"model": MODEL, "tools": [ADD], "text": 'use the tool add with {"a":19,"b":23}'},
    "cut at max_tokens": {"model": BUDGETED, "max_tokens": 5},
    "a stop sequence": {"model": BUDGETED, "stop_sequences": ["heard"]},
    "a system prompt": {"model": MODEL, "system": "You are a ferret. Ünïcode ☃ travels."},
    "structured": {
        "model": MODEL,
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"title": {"type": "string"}},
                    "required": ["title"],
                    "additionalProperties": False,
                },
            }
        },
    },
}


def turn(text: str) -> Any:
    return [{"role": "user", "content": text}]


def ask(sdk: SDK, *, stream: bool = False, text: str = "Hello, 漢字 and äöü", **fields: Any) -> Message:
    """One call, plain or with the SDK's stream helper."""
    body = {"max_tokens": 1000, "messages": turn(text), **fields}
    if not stream:
        answer: Message = sdk.messages.create(**body)
        return answer
    with sdk.messages.stream(**body) as events:
        return events.get_final_message()


def essence(message: Message) -> dict[str, Any]:
    """All of an answer but its ids."""
    whole = message.to_dict()
    content: Any = whole["content"]
    return {**whole, "id": None, "content": [{**block, "id": None} for block in content]}


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
@pytest.mark.parametrize("case", CASES)
def test_the_answer_is_upstreams_own(sdk: SDK, direct_sdk: anthropic.AnthropicVertex, case: str, stream: bool) -> None:
    """Content, usage, stop reason, signatures: through the gateway as without it."""
    through = ask(sdk, stream=stream, **CASES[case])
    assert essence(through) == essence(ask(direct_sdk, stream=stream, **CASES[case]))


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
def test_a_call_is_in_the_books_with_its_usage(sdk: SDK, gateway: Served, stream: bool) -> None:
    """One document under the request id that the SDK shows, with the usage that the SDK shows."""
    if stream:
        with sdk.messages.stream(model=MODEL, max_tokens=1000, messages=turn("Hello")) as events:
            message: Message = events.get_final_message()
            request_id = events.request_id
    else:
        message = ask(sdk, model=MODEL)
        request_id = message._request_id
    (record,) = gateway.records()
    assert record["request_id"] == request_id
    assert record["answered_model"] == message.model == MODEL
    assert (record["tokens"]["input"], record["tokens"]["output"]) == (message.usage.input_tokens, message.usage.output_tokens)
    assert record["cost_nanodollars"] == message.usage.input_tokens * 4000 + message.usage.output_tokens * 20000


def test_the_stream_helper_sees_every_event(sdk: SDK, direct_sdk: anthropic.AnthropicVertex) -> None:
    """Events arrive one by one, in upstream's order."""

    def kinds(client: SDK) -> list[str]:
        thinking: Any = {"type": "adaptive", "display": "summarized"}
        with client.messages.stream(model=MODEL, max_tokens=1000, messages=turn("Hello"), thinking=thinking) as events:
            return [event.type for event in events]

    assert kinds(sdk) == kinds(direct_sdk)


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
@pytest.mark.parametrize("case", ["thinking adaptively", "thinking on a budget"])
def test_thought_comes_back_as_it_was_signed(sdk: SDK, gateway: Served, case: str, stream: bool) -> None:
    """Tool round trip: upstream checks the signature of the thinking block that is returned to it."""
    fields = {**CASES[case], "tools": [ADD]}
    first = ask(sdk, stream=stream, text='use the tool add with {"a":19,"b":23}', **fields)
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    use = first.content[-1]
    assert isinstance(use, ToolUseBlock)
    assert (first.stop_reason, use.name, use.input) == ("tool_use", "add", {"a": 19, "b": 23})
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": "42"}]
    history: Any = [
        *turn('use the tool add with {"a":19,"b":23}'),
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    second = ask(sdk, stream=stream, **{**fields, "messages": history})
    assert "42" in second.content[-1].to_dict()["text"]  # type: ignore[operator]
    assert statuses(gateway) == [200, 200]


def test_tokens_are_counted_as_they_are_charged(sdk: SDK, gateway: Served) -> None:
    """count_tokens agrees with the usage of the call, and is not billed."""
    counted = sdk.messages.count_tokens(model=MODEL, messages=turn("Hello"), tools=[ADD], system="Short.")
    assert gateway.records() == []
    assert counted.input_tokens == ask(sdk, model=MODEL, text="Hello", tools=[ADD], system="Short.").usage.input_tokens


@pytest.mark.parametrize("key", ["api_key", "auth_token"])
def test_the_key_is_taken_in_both_of_the_sdks_ways(gateway: Served, key: str) -> None:
    """`api_key` and `auth_token` alike."""
    credential: Any = {key: gateway.key}
    with anthropic.Anthropic(base_url=gateway.url, **credential) as sdk:
        assert ask(sdk, model=MODEL).stop_reason == "end_turn"


def test_a_base_url_with_a_prefix_works(gateway: Served) -> None:
    """Paths are matched from their end."""
    with anthropic.Anthropic(base_url=f"{gateway.url}/team/ferrets", api_key=gateway.key) as sdk:
        assert ask(sdk, model=MODEL).stop_reason == "end_turn"


def test_models_are_listed_page_by_page(messages_sdk: anthropic.Anthropic) -> None:
    """The SDK's own paging sees every model once; each can be looked up."""
    listed = list(messages_sdk.models.list(limit=3))
    names = [model.id for model in listed]
    assert len(names) == len(set(names)) > 6
    assert {MODEL, "claude-haiku-4-5"} <= set(names)
    assert messages_sdk.models.retrieve(MODEL).display_name == "Claude Opus 5.5"
    assert all(model.type == "model" and model.created_at.year >= 1970 for model in listed)


def test_only_usable_models_are_listed(gateway: Served) -> None:
    """A key sees what it may use."""
    key = gateway.add_key(allowed_models=["claude-haiku-*"])
    with anthropic.Anthropic(base_url=gateway.url, api_key=key) as sdk:
        names = [model.id for model in sdk.models.list()]
        assert names
        assert all(name.startswith("claude-haiku-") for name in names)
        with pytest.raises(anthropic.NotFoundError):
            sdk.models.retrieve(MODEL)


def test_betas_travel_as_far_as_vertex_takes_them(sdk: SDK, gateway: Served) -> None:
    """The beta client works; what Vertex AI does not know of the first-party dialect is dropped and named."""
    asked = ["interleaved-thinking-2025-05-14", "structured-outputs-2025-12-15"]
    raw = sdk.beta.messages.with_raw_response.create(model=MODEL, max_tokens=100, messages=turn("Hello"), betas=asked)
    assert raw.parse().stop_reason == "end_turn"
    assert betas(inference(gateway)[-1]) == {"interleaved-thinking-2025-05-14"}
    assert raw.headers["x-gateway-dropped"] == "anthropic-beta:structured-outputs-2025-12-15"


def test_web_search_works_without_knowing_about_vertex(messages_sdk: anthropic.Anthropic, gateway: Served) -> None:
    """Anthropic's own API wants no beta for it, Vertex AI does."""
    tool: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    message = ask(messages_sdk, model=MODEL, text="Search the web for owls", tools=[tool])
    assert message.usage.server_tool_use is not None
    assert message.usage.server_tool_use.web_search_requests == 1
    assert [(record["searches"], record["dropped"]) for record in gateway.records()] == [(1, [])]


def test_many_calls_at_once_keep_apart(gateway: Served) -> None:
    """Forty concurrent calls over one client: each gets the answer to its own question, each is in the books once."""

    async def all_at_once() -> list[Message]:
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as sdk:

            async def one(number: int) -> Message:
                body: Any = {"model": BUDGETED, "max_tokens": 500, "messages": turn(f"question number {number}.")}
                if number % 2:
                    plain: Message = await sdk.messages.create(**body)
                    return plain
                async with sdk.messages.stream(**body) as events:
                    return await events.get_final_message()

            return await asyncio.gather(*(one(number) for number in range(40)))

    for number, message in enumerate(asyncio.run(all_at_once())):
        assert f"question number {number}." in str(message.content[0].to_dict()["text"])
    assert [record["status"] for record in oldest_first(gateway)] == [200] * 40
