"""Rendered answers, streams and errors as OpenAI's own SDK reads them: its types, its parsers, its exceptions."""

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from canonical_chats import PNG, events_of
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from gateway.canonical.errors import GatewayError, InvalidRequest, NotFound, Overloaded, Unauthenticated
from gateway.dialects import TRANSLATIONS
from gateway.dialects.openai import door as openai_chat
from gateway.dialects.openai import embeddings as openai_embeddings
from gateway.dialects.openai.embeddings import Embedded
from gateway.dialects.responses import door as openai_responses

CHAT, RESPONSES = TRANSLATIONS["openai"], TRANSLATIONS["openai-responses"]
ASK: Any = {"model": "some-model", "messages": [{"role": "user", "content": "Hello"}]}
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}}
FUNCTION = {"name": "read_file", "description": "reads", "parameters": PARAMETERS}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]
FLAT_TOOLS: Any = [{"type": "function", "strict": False, **FUNCTION}]


class City(BaseModel):
    name: str
    people: int


def message(*content: dict[str, Any], stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 7}
    usage["output_tokens_details"] = {"thinking_tokens": 3}  # type: ignore[assignment]
    return {"id": "msg_01Ab", "type": "message", "role": "assistant", "model": "some-model", "content": list(content),
            "stop_reason": stop, "stop_sequence": None, "usage": usage, **more}  # fmt: skip


TEXT = {"type": "text", "text": "Grüße aus 東京 🗼"}
THOUGHT = {"type": "thinking", "thinking": "hmm …", "signature": "c2ln"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "/a"}}
NO_ARGUMENTS = {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}
PATCH = {"type": "tool_use", "id": "toolu_3", "name": "apply_patch", "input": {"input": "*** Begin\n+a"}}


def client(reply: Callable[[dict[str, Any]], tuple[int, str, bytes]]) -> openai.OpenAI:
    """An SDK client whose requests are answered by `reply(body) -> (status, content type, body)`."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        status, kind, body = reply(json.loads(request.content))
        return httpx2.Response(status, headers={"content-type": kind, "x-request-id": "req_1"}, content=body)

    transport = httpx2.MockTransport(answer)
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", max_retries=0, http_client=httpx2.Client(transport=transport))


def answering(translation: Any, said: dict[str, Any], *, piece: int = 3) -> openai.OpenAI:
    """A client of a gateway that answers with this message, streamed if it is asked so."""

    def reply(body: dict[str, Any]) -> tuple[int, str, bytes]:
        if not body.get("stream"):
            answer = translation.render_answer(said, asked_model=body["model"], request=body)
            return 200, "application/json", json.dumps(answer).encode()
        renderer = translation.render_stream(asked_model=body["model"], request=body)
        return 200, "text/event-stream", b"".join(renderer.render(event) for event in events_of(said, piece))

    return client(reply)


def records(translation: Any, said: dict[str, Any], request: dict[str, Any]) -> list[dict[str, Any]]:
    renderer = translation.render_stream(asked_model="asked", request=request)
    stream = b"".join(renderer.render(event) for event in events_of(said, 3))
    lines = [line.removeprefix(b"data: ") for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


EVERY_KIND = [
    message(TEXT),
    message(THOUGHT, TEXT, CALL, NO_ARGUMENTS, stop="tool_use"),
    message(PATCH, stop="tool_use"),
    message(TEXT, stop="max_tokens"),
    message(stop="refusal", stop_details={"type": "refusal", "category": None, "explanation": "No."}),
    message({"type": "redacted_thinking", "data": "eA=="}, TEXT),
    message(),
]


@pytest.mark.parametrize("said", EVERY_KIND)
def test_a_completion_is_one_by_the_sdks_types(said: dict[str, Any]) -> None:
    """Every member there and of its kind, with custom tools too."""
    request = {"tools": [{"type": "custom", "custom": {"name": "apply_patch"}}], "stream_options": {"include_usage": True}}
    TypeAdapter(ChatCompletion).validate_python(CHAT.render_answer(said, asked_model="asked", request=request))
    for chunk in records(CHAT, {**said, "content": [b for b in said["content"] if b["type"] != "redacted_thinking"]}, request):
        if said["content"][:1] != [PATCH]:  # chunks of custom tool calls have no type in the SDK
            TypeAdapter(ChatCompletionChunk).validate_python(chunk)


@pytest.mark.parametrize("said", EVERY_KIND)
def test_a_response_is_one_by_the_sdks_types(said: dict[str, Any]) -> None:
    """Plain, and each of its events; the last event holds what the plain answer is."""
    request = {"input": "Hello", "tools": [*FLAT_TOOLS, {"type": "custom", "name": "apply_patch"}]}
    said = {**said, "content": [block for block in said["content"] if block["type"] != "redacted_thinking"]}
    plain = RESPONSES.render_answer(said, asked_model="asked", request=request)
    TypeAdapter(Response).validate_python(plain)
    events = records(RESPONSES, said, request)
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]["response"]
    assert {**last, "created_at": 0} == {**plain, "created_at": 0}


def test_the_sdk_reads_a_completion() -> None:
    """Text, calls, why it stopped, and usage in OpenAI's terms: cached tokens are a part of the prompt."""
    sdk = answering(CHAT, message(THOUGHT, TEXT, CALL, NO_ARGUMENTS, stop="tool_use"))
    done = sdk.chat.completions.create(**ASK, tools=TOOLS)
    said = done.choices[0].message
    assert said.content == TEXT["text"] and said.tool_calls is not None
    assert [(c.id, c.function.name, json.loads(c.function.arguments)) for c in said.tool_calls if c.type == "function"] == [
        ("toolu_1", "read_file", {"path": "/a"}), ("toolu_2", "now", {}),
    ]  # fmt: skip
    assert done.choices[0].finish_reason == "tool_calls" and done.id == "chatcmpl-01Ab"
    assert done.usage is not None and done.usage.prompt_tokens_details and done.usage.completion_tokens_details
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (17, 7, 24)
    assert (done.usage.prompt_tokens_details.cached_tokens, done.usage.completion_tokens_details.reasoning_tokens) == (5, 3)
    assert said.model_extra and said.model_extra["reasoning_content"] == "hmm …"


def test_the_sdks_own_accumulator_makes_the_plain_answer_of_a_stream() -> None:
    """`chat.completions.stream()`: the same text, calls and finish reason."""
    said = message(TEXT, CALL, NO_ARGUMENTS, stop="tool_use")
    sdk = answering(CHAT, said)
    plain = sdk.chat.completions.create(**ASK, tools=TOOLS)
    with sdk.chat.completions.stream(**ASK, tools=TOOLS, stream_options={"include_usage": True}) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == plain.choices[0].message.content
    assert final.choices[0].finish_reason == plain.choices[0].finish_reason
    assert final.usage == plain.usage
    assert calls_of(final) == calls_of(plain) == [("toolu_1", "read_file", '{"path":"/a"}'), ("toolu_2", "now", "{}")]


def calls_of(done: Any) -> list[tuple[str, str, str]]:
    calls = done.choices[0].message.tool_calls
    return [(call.id, call.function.name, call.function.arguments.replace(" ", "")) for call in calls]


def test_usage_is_shown_in_a_stream_only_to_who_asked() -> None:
    """Otherwise no chunk without choices comes, and no chunk speaks of usage."""
    asked = records(CHAT, message(TEXT), {"stream_options": {"include_usage": True}})
    assert asked[-1]["choices"] == [] and asked[-1]["usage"]["total_tokens"] == 24
    assert all(chunk["usage"] is None for chunk in asked[:-1])
    silent = records(CHAT, message(TEXT), {})
    assert all(chunk["choices"] and "usage" not in chunk for chunk in silent)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in asked}) == 1


def test_structured_output_parses_in_both_formats() -> None:
    """`parse()` of the SDK, from its own schema."""
    said = message({"type": "text", "text": '{"name": "Bern", "people": 137000}'})
    chat = answering(CHAT, said).chat.completions.parse(**ASK, response_format=City)
    assert chat.choices[0].message.parsed == City(name="Bern", people=137000)
    response = answering(RESPONSES, said).responses.parse(model="m", input="Bern?", text_format=City)
    assert response.output_parsed == City(name="Bern", people=137000)


def test_the_schema_that_parse_sends_reaches_the_canonical_form() -> None:
    """Of both formats, with its name."""
    seen: list[Any] = []

    def reply(body: dict[str, Any]) -> tuple[int, str, bytes]:
        translation = CHAT if "messages" in body else RESPONSES
        seen.append(translation.parse_chat(body).body["output_config"]["format"])
        answer = translation.render_answer(message({"type": "text", "text": "{}"}), asked_model="m", request=body)
        return 200, "application/json", json.dumps(answer).encode()

    with pytest.raises(ValueError, match="name"):
        client(reply).chat.completions.parse(**ASK, response_format=City)
    with pytest.raises(ValueError, match="name"):
        client(reply).responses.parse(model="m", input="Bern?", text_format=City)
    assert [each["type"] for each in seen] == ["json_schema", "json_schema"]
    assert seen[0]["schema"] == seen[1]["schema"] and seen[0]["schema"]["title"] == "City"


@pytest.mark.parametrize(
    ("error", "raised", "code"),
    [
        (InvalidRequest("messages.0.content: must be a string"), openai.BadRequestError, None),
        (InvalidRequest("prompt is too long: 9 tokens > 5 maximum"), openai.BadRequestError, "context_length_exceeded"),
        (Unauthenticated("no key"), openai.AuthenticationError, "invalid_api_key"),
        (NotFound("no such model"), openai.NotFoundError, "model_not_found"),
        (GatewayError("slow", status=429, kind="rate_limit_error"), openai.RateLimitError, "rate_limit_exceeded"),
        (GatewayError("spent", status=429, kind="billing_error"), openai.RateLimitError, "budget_exceeded"),
        (Overloaded("full"), openai.InternalServerError, "overloaded"),
    ],
)
def test_errors_are_the_sdks_own(error: GatewayError, raised: type[openai.APIStatusError], code: str | None) -> None:
    """Class, code, words, and the member that is wrong."""
    for dialect in (openai_chat, openai_responses, openai_embeddings):
        sdk = client(lambda body, d=dialect: (d.render_error_head(error)[0], "application/json", d.render_error(error, "req_1")))  # type: ignore[misc]
        with pytest.raises(raised) as caught:
            sdk.chat.completions.create(**ASK)
        assert caught.value.code == code and error.message in caught.value.message
    if error.message.startswith("messages"):
        assert caught.value.param == "messages.0.content"


def test_an_error_in_mid_stream_raises_in_the_sdk() -> None:
    """After what had been said before it; and pings of ours pass unseen."""
    renderer = CHAT.render_stream(asked_model="m", request={})
    said = [renderer.render(event) for event in events_of(message(TEXT), 99)[:4]]
    end = openai_chat.render_stream_error(GatewayError("cut off", kind="api_error"), "req_1")
    sdk = client(lambda body: (200, "text/event-stream", b"".join([*said, openai_chat.render_ping(), end])))
    got = []
    with pytest.raises(openai.APIError, match="cut off"):
        got += [chunk.choices[0].delta.content for chunk in sdk.chat.completions.create(**ASK, stream=True)]
    chunks = sdk.chat.completions.create(**ASK, stream=True)
    assert "".join(next(chunks).choices[0].delta.content or "" for _ in range(2)) == TEXT["text"]


def test_the_sdk_reads_a_response() -> None:
    """Text, calls, thoughts and usage."""
    done = answering(RESPONSES, message(THOUGHT, TEXT, CALL, stop="tool_use")).responses.create(model="m", input="Hello")
    assert done.output_text == TEXT["text"] and done.status == "completed"
    assert [item.type for item in done.output] == ["reasoning", "message", "function_call"]
    assert done.usage is not None and (done.usage.input_tokens, done.usage.input_tokens_details.cached_tokens) == (17, 5)


def test_the_sdks_own_accumulator_makes_the_plain_response_of_a_stream() -> None:
    """`responses.stream()`, with its final response."""
    sdk = answering(RESPONSES, message(THOUGHT, TEXT, CALL, stop="tool_use"))
    with sdk.responses.stream(model="m", input="Hello", tools=FLAT_TOOLS) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == TEXT["text"]
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert "response.reasoning_summary_text.delta" in kinds and "response.function_call_arguments.done" in kinds


def test_a_response_that_fails_says_why() -> None:
    """As the last event, with a code that clients act on."""
    error = GatewayError("prompt is too long: 9", kind="invalid_request_error")
    sdk = client(lambda body: (200, "text/event-stream", openai_responses.render_stream_error(error, "req_1")))
    events = list(sdk.responses.create(model="m", input="Hello", stream=True))
    assert events[0].type == "response.failed" and events[0].response.error is not None
    assert str(events[0].response.error.code) == "context_length_exceeded"


@pytest.mark.parametrize("encoding", [None, "base64", "float"])
def test_embeddings_are_read_in_both_encodings(encoding: Any) -> None:
    """The SDK asks for base64 unless told otherwise."""

    def reply(body: dict[str, Any]) -> tuple[int, str, bytes]:
        wanted = openai_embeddings.parse_embedding(body)
        parts = [Embedded(((0.5, -0.25),), 3), Embedded(((1.0, 0.0),), 4)]
        assert len(wanted.texts) == 2
        return 200, "application/json", openai_embeddings.render_embeddings(parts, model="m", as_base64=wanted.as_base64)

    more: dict[str, Any] = {"encoding_format": encoding} if encoding else {}
    done = client(reply).embeddings.create(model="m", input=["a", "b"], **more)
    found: list[Any] = [each.embedding for each in done.data]
    if encoding == "base64":  # asked for by name: the SDK hands it on as it is
        found = [list(struct.unpack("<2f", base64.b64decode(each))) for each in found]
    assert found == [[0.5, -0.25], [1.0, 0.0]]
    assert (done.usage.prompt_tokens, done.usage.total_tokens) == (7, 7)
    TypeAdapter(CreateEmbeddingResponse).validate_python(
        json.loads(openai_embeddings.render_embeddings([Embedded(((0.5,),), 1)], model="m", as_base64=False))
    )


def test_what_the_sdks_send_is_understood() -> None:
    """A picture, tools, and the whole round of a call, in both formats, mean the same."""
    url = f"data:image/png;base64,{PNG}"
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chat: dict[str, Any] = {
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": url}}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        ],
        "tools": TOOLS,
        "max_completion_tokens": 99,
        "reasoning_effort": "low",
    }  # fmt: skip
    response: dict[str, Any] = {
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": url}]},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "done"},
        ],
        "tools": FLAT_TOOLS,
        "max_output_tokens": 99,
        "reasoning": {"effort": "low", "summary": "auto"},
    }  # fmt: skip
    assert CHAT.parse_chat(chat).body == RESPONSES.parse_chat(response).body


def test_thinking_comes_back_sealed_through_clients_that_cannot_read_it() -> None:
    """A Responses client returns its items, a chat client what it keeps beside the words: signatures survive both."""
    said = message(THOUGHT, {"type": "redacted_thinking", "data": "eA=="}, TEXT, CALL, stop="tool_use")
    items = RESPONSES.render_answer(said, asked_model="m", request={})["output"]
    result = {"type": "function_call_output", "call_id": "toolu_1", "output": "ok"}
    again = RESPONSES.parse_chat({"input": [{"role": "user", "content": "Hello"}, *items, result]})
    assert again.body["messages"][1]["content"] == said["content"]
    kept = CHAT.render_answer(said, asked_model="m", request={})["choices"][0]["message"]
    answered = {"role": "tool", "tool_call_id": "toolu_1", "content": "ok"}
    again = CHAT.parse_chat({"messages": [{"role": "user", "content": "Hello"}, kept, answered]})
    assert again.body["messages"][1]["content"] == said["content"]


def test_codexs_tools_get_their_own_names_back() -> None:
    """Free text for custom tools; functions in namespaces by namespace and name; plain and streamed alike."""
    inner = {"type": "function", "name": "log", "parameters": {"type": "object", "properties": {}}}
    request: dict[str, Any] = {
        "input": [{"type": "message", "role": "user", "content": "Hello"}],
        "tools": [{"type": "custom", "name": "apply_patch"}, {"type": "namespace", "name": "mcp__git", "tools": [inner]}],
    }
    names = [tool["name"] for tool in RESPONSES.parse_chat(request).body["tools"]]
    assert names == ["apply_patch", "mcp__git__log"]
    said = message(PATCH, {"type": "tool_use", "id": "toolu_4", "name": "mcp__git__log", "input": {"n": 1}}, stop="tool_use")
    plain = RESPONSES.render_answer(said, asked_model="m", request=request)["output"]
    streamed = [e["item"] for e in records(RESPONSES, said, request) if e["type"] == "response.output_item.done"]
    assert plain[0]["type"] == "custom_tool_call" and plain[0]["input"] == "*** Begin\n+a"
    assert (plain[1]["namespace"], plain[1]["name"], plain[1]["call_id"]) == ("mcp__git", "log", "toolu_4")
    assert plain == streamed
    again = RESPONSES.parse_chat({**request, "input": [*request["input"], *plain]})
    assert [block["name"] for block in again.body["messages"][1]["content"]] == names
