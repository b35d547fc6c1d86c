"""Google's own SDK reads what we render: google-genai in Vertex mode against a tiny server that speaks through the dialect."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest
from gemini_talk import Json, stream_of
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from gateway.canonical.errors import GatewayError, Overloaded
from gateway.canonical.translation import Chat
from gateway.dialects.gemini import door as gemini

WEATHER = types.FunctionDeclaration(
    name="get.weather",
    parameters=types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}, required=["city"]),
)
USAGE = {"input_tokens": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 5, "output_tokens": 25,
         "output_tokens_details": {"thinking_tokens": 20}}  # fmt: skip
THINKING = {"type": "thinking", "thinking": "A city first.", "signature": "EqQB+/=="}
CALL = {"type": "tool_use", "id": "toolu_01A", "name": "get_weather", "input": {"city": "Köln 😀"}}


def message(*blocks: Json, stop: str = "end_turn") -> Json:
    return {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": list(blocks),
            "stop_reason": stop, "stop_sequence": None, "usage": USAGE}  # fmt: skip


class Told(ThreadingHTTPServer):
    """Answers every call with the next of `answers`: a message, or an error; `broken` follows a stream's first events."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[Json | GatewayError] = []
        self.chats: list[Chat] = []
        self.broken: GatewayError | None = None


class Handler(BaseHTTPRequestHandler):
    server: Told

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers["content-length"]))
        operation, found = next((op, m) for pattern, op in gemini.PATHS if (m := pattern.search(path)))
        request = gemini.parse_request(operation, found, dict(parse_qsl(query)), {}, body)
        asked = json.loads(request.document.source)
        self.server.chats.append(gemini.parse_chat(asked))
        answer = self.server.answers.pop(0) if self.server.answers else message()
        if isinstance(answer, GatewayError):
            self._send(gemini.render_error_head(answer)[0], gemini.render_error(answer, "req_1"))
        elif operation == "count_tokens":
            self._send(200, gemini.render_token_count(17))
        elif request.stream:
            assert gemini.frame_stream(request) is None
            self._send(200, self._stream(answer, asked), "text/event-stream")
        else:
            self._send(200, json.dumps(gemini.render_answer(answer, asked_model=request.model, request=asked)).encode())

    def _stream(self, answer: Json, asked: Json) -> bytes:
        renderer = gemini.render_stream(asked_model="m", request=asked)
        chunks = [renderer.render(event) for event in stream_of(answer)]
        if self.server.broken is not None:
            chunks = [*chunks[:-2], gemini.render_stream_error(self.server.broken, "req_1")]
        return gemini.render_ping() + gemini.render_ping().join(chunks)

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@pytest.fixture
def told() -> Iterator[Told]:
    server = Told()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def client(told: Told) -> genai.Client:
    options = types.HttpOptions(base_url=f"http://127.0.0.1:{told.server_port}", timeout=10_000)
    return genai.Client(vertexai=True, project="p", location="global", credentials=Credentials(token="gw"), http_options=options)


def config(**more: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[WEATHER])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        **more,
    )


def test_an_answer_is_read_with_its_figures(told: Told, client: genai.Client) -> None:
    """Text, finish reason, usage, model."""
    told.answers = [message({"type": "text", "text": "Grüße 😀"})]
    answer = client.models.generate_content(model="claude-opus-5-5", contents="Hi")
    assert answer.text == "Grüße 😀" and answer.model_version == "claude-opus-5-5" and answer.response_id == "msg_01"
    assert answer.candidates and answer.candidates[0].finish_reason is types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage and (usage.prompt_token_count, usage.cached_content_token_count, usage.total_token_count) == (100, 90, 125)
    assert (usage.candidates_token_count, usage.thoughts_token_count) == (5, 20)


@pytest.mark.parametrize("streamed", [False, True])
def test_claudes_thinking_survives_a_tool_call_of_an_sdk_that_knows_nothing_of_it(
    told: Told, client: genai.Client, streamed: bool
) -> None:
    """The SDK's own chat replays parts as it got them: the thinking block comes back whole, signed, before its call."""
    told.answers = [message(THINKING, CALL, stop="tool_use"), message({"type": "text", "text": "Sunny."})]
    chat = client.chats.create(model="claude-opus-5-5", config=config())

    def send(content: Any) -> Any:
        return list(chat.send_message_stream(content)) if streamed else [chat.send_message(content)]

    calls = [call for answer in send("Weather?") for call in answer.function_calls or ()]
    assert [(call.id, call.name, call.args) for call in calls] == [("toolu_01A", "get.weather", {"city": "Köln 😀"})]
    result = types.FunctionResponse(id=calls[0].id, name=calls[0].name, response={"output": "sunny"})
    assert "".join(answer.text or "" for answer in send(types.Part(function_response=result))) == "Sunny."
    messages = told.chats[-1].body["messages"]
    assert messages[1]["content"] == [THINKING, CALL]
    assert messages[2]["content"] == [{"type": "tool_result", "tool_use_id": "toolu_01A", "content": "sunny"}]


def test_thoughts_are_shown_to_those_who_asked(told: Told, client: genai.Client) -> None:
    """As parts of their own; to others they are not."""
    told.answers = [message(THINKING, {"type": "text", "text": "Yes"})] * 2
    asking = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_budget=2048))
    shown, plain = (client.models.generate_content(model="m", contents="Hi", config=each) for each in (asking, None))
    assert [(part.text, part.thought) for part in shown.parts or ()] == [("A city first.", True), ("Yes", None)]
    assert [part.text for part in plain.parts or ()] == ["Yes"] and shown.text == plain.text == "Yes"
    assert told.chats[0].body["thinking"] == {"type": "enabled", "budget_tokens": 2048, "display": "summarized"}


def test_a_refusal_has_its_finish_reason(told: Told, client: genai.Client) -> None:
    """And the refusal's own words."""
    told.answers = [{**message(stop="refusal"), "stop_details": {"type": "refusal", "explanation": "Not that."}}]
    answer = client.models.generate_content(model="m", contents="Hi")
    assert answer.candidates and answer.candidates[0].finish_reason is types.FinishReason.SAFETY
    assert answer.candidates[0].finish_message == "Not that." and not answer.text


def test_images_and_schemas_arrive(told: Told, client: genai.Client) -> None:
    """As the SDK writes them: base64 with the URL alphabet, OpenAPI types in capitals."""
    image = types.Part.from_bytes(data=bytes(range(248, 256)) * 3, mime_type="image/png")
    wanted = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_schema=types.Schema(type=types.Type.OBJECT, properties={"a": types.Schema(type=types.Type.INTEGER)}),
        system_instruction="Be brief.",
    )
    client.models.generate_content(model="m", contents=[image, "What is it?"], config=wanted)
    body = told.chats[0].body
    assert body["messages"][0]["content"][0]["source"]["data"] == "+Pn6+/z9/v/4+fr7/P3+//j5+vv8/f7/"
    assert body["output_config"]["format"]["schema"] == {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert body["system"] == [{"type": "text", "text": "Be brief."}]


def test_tokens_are_counted(told: Told, client: genai.Client) -> None:
    """In the SDK's own terms."""
    assert client.models.count_tokens(model="m", contents="Hi").total_tokens == 17


def test_an_error_is_the_sdks_own(told: Told, client: genai.Client) -> None:
    """Class, code, status and message; 529 as the 503 that its retries know."""
    told.answers = [Overloaded("full; try again"), GatewayError("no", status=404, kind="not_found_error")]
    with pytest.raises(errors.ServerError) as busy:
        client.models.generate_content(model="m", contents="Hi")
    assert (busy.value.code, busy.value.status, busy.value.message) == (503, "UNAVAILABLE", "full; try again")
    with pytest.raises(errors.ClientError) as missing:
        client.models.generate_content(model="m", contents="Hi")
    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")


def test_an_error_in_mid_stream_is_raised(told: Told, client: genai.Client) -> None:
    """After what was said before it."""
    told.answers, told.broken = [message({"type": "text", "text": "So"})], GatewayError("away", status=502)
    words = []
    with pytest.raises(errors.APIError) as broken:
        for answer in client.models.generate_content_stream(model="m", contents="Hi"):
            words.append(answer.text)
    assert "".join(word or "" for word in words) == "So" and broken.value.code == 502
