"""Clients beside the two SDKs through the gateway: Google's, AWS's, LangChain's, and Claude Code elsewhere than on Vertex AI."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from claude_cli import Cli
from everywhere import MODELS, served_everywhere
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from house import Served
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr
from tls_front import tls_front

from gateway.sandbox import Fault, Sandbox

pytestmark = pytest.mark.full
ASK = 'use the tool add with {"a":19,"b":23}'
HELLO = "Hello, 漢字 and äöü"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}
every_place = pytest.mark.parametrize("place", MODELS)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])


# -- google-genai ------------------------------------------------------------------------------------------------------

ADD = types.Tool(function_declarations=[types.FunctionDeclaration(name="add", parameters_json_schema=SCHEMA)])
NO_RETRY = types.HttpRetryOptions(attempts=1)


def google_sdk(url: str, token: str) -> genai.Client:
    return genai.Client(
        vertexai=True,
        project="sandbox-project",
        location="global",
        credentials=Credentials(token=token),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=url, retry_options=NO_RETRY),
    )


def generate(sdk: genai.Client, model: str, contents: Any, stream: bool, **config: Any) -> tuple[list[types.Part], Any]:
    """All parts of an answer, and its usage."""
    asked = types.GenerateContentConfig(**config)
    if not stream:
        answers = [sdk.models.generate_content(model=model, contents=contents, config=asked)]
    else:
        answers = list(sdk.models.generate_content_stream(model=model, contents=contents, config=asked))
    parts = [
        part
        for answer in answers
        for candidate in answer.candidates or ()
        for part in (candidate.content and candidate.content.parts) or ()
    ]
    return parts, answers[-1].usage_metadata


@streamed
@every_place
def test_googles_sdk_talks_to_every_model(everywhere: Served, place: str, stream: bool) -> None:
    """Words, a call and its result in two turns, and the count of tokens."""
    sdk = google_sdk(everywhere.url, everywhere.key)
    model = MODELS[place]
    said, usage = generate(sdk, model, HELLO, stream)
    assert HELLO in "".join(part.text or "" for part in said if not part.thought)
    assert usage.prompt_token_count > 0 and usage.total_token_count > usage.prompt_token_count
    turns: list[Any] = [types.Content(role="user", parts=[types.Part(text=ASK)])]
    first, _ = generate(sdk, model, turns, stream, tools=[ADD])
    (call,) = [part.function_call for part in first if part.function_call]
    assert (call.name, call.args) == ("add", {"a": 19, "b": 23})
    result = types.FunctionResponse(id=call.id, name="add", response={"output": 42})
    turns += [types.Content(role="model", parts=first), types.Content(role="user", parts=[types.Part(function_response=result)])]
    second, _ = generate(sdk, model, turns, stream, tools=[ADD])
    assert "42" in "".join(part.text or "" for part in second)
    assert (sdk.models.count_tokens(model=model, contents=HELLO).total_tokens or 0) > 0


@pytest.mark.parametrize("place", ["vertex", "studio", "oai"])
def test_googles_sdk_works_with_a_key_too(everywhere: Served, place: str) -> None:
    """As a client of the Gemini API, which knows neither project nor location."""
    sdk = genai.Client(api_key=everywhere.key, http_options=types.HttpOptions(base_url=everywhere.url, retry_options=NO_RETRY))
    said, _ = generate(sdk, MODELS[place], HELLO, stream=True)
    assert HELLO in "".join(part.text or "" for part in said if not part.thought)


@streamed
def test_googles_sdk_gets_what_it_gets_without_a_gateway(everywhere: Served, stream: bool) -> None:
    """Parts and usage, thoughts and their signatures included."""
    config = {"tools": [ADD], "thinking_config": types.ThinkingConfig(include_thoughts=True)}
    direct = google_sdk(everywhere.sandbox.url, everywhere.sandbox.access_token())
    said, usage = generate(google_sdk(everywhere.url, everywhere.key), "gemini-3.5-flash", ASK, stream, **config)
    same, same_usage = generate(direct, "gemini-3.5-flash", ASK, stream, **config)
    assert [_plain(part) for part in said] == [_plain(part) for part in same]
    assert usage == same_usage


def _plain(part: types.Part) -> dict[str, Any]:
    shown = part.model_dump(exclude_none=True)
    shown.get("function_call", {}).pop("id", None)
    shown["thought_signature"] = "thought_signature" in shown
    return shown


@pytest.mark.parametrize("status", [400, 404, 429, 503])
def test_googles_sdk_raises_what_it_raises_without_a_gateway(everywhere: Served, status: int) -> None:
    """The same class and code; in Google's envelope."""
    raised = []
    tokens = {everywhere.url: everywhere.key, everywhere.sandbox.url: everywhere.sandbox.access_token()}
    for url, token in tokens.items():
        everywhere.sandbox.script(Fault(status=status), on="gemini")
        with pytest.raises(errors.APIError) as caught:
            generate(google_sdk(url, token), "gemini-3.5-flash", HELLO, stream=False)
        raised.append((type(caught.value), caught.value.code, caught.value.status))
    assert raised[0] == raised[1]


# -- boto3 -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def aws_sdk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, str], Any]]:
    """Made as AWS's own guide has it, by AWS_BEARER_TOKEN_BEDROCK, which is sent over TLS only."""
    with contextlib.ExitStack() as stack:

        def make(url: str, key: str) -> Any:
            front, certificate = stack.enter_context(tls_front(url, tmp_path))
            monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", key)
            config = Config(retries={"total_max_attempts": 1})
            made = boto3.client(
                "bedrock-runtime", region_name="us-east-1", endpoint_url=front, verify=str(certificate), config=config
            )
            stack.callback(made.close)
            return made

        yield make


def invoke(sdk: Any, model: str, stream: bool, text: str = HELLO, **more: Any) -> list[dict[str, Any]]:
    """The answer, or all events of a stream."""
    turn = [{"role": "user", "content": text}]
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": turn, **more})
    if not stream:
        return [json.loads(sdk.invoke_model(modelId=model, body=body)["body"].read())]
    events = sdk.invoke_model_with_response_stream(modelId=model, body=body)["body"]
    return [json.loads(event["chunk"]["bytes"]) for event in events]


@streamed
def test_boto3_gets_what_it_gets_without_a_gateway(everywhere: Served, aws_sdk: Callable[[str, str], Any], stream: bool) -> None:
    """Both ways of invoking, with the gateway's key as bearer."""
    through = aws_sdk(everywhere.url, everywhere.key)
    got = invoke(through, "@aws/us.anthropic.claude-sonnet-4-6", stream)
    direct = aws_sdk(everywhere.sandbox.url, everywhere.sandbox.api_key)
    same = invoke(direct, "us.anthropic.claude-sonnet-4-6", stream)
    for events in (got, same):
        for event in events:
            event.pop("id", None)
            event.get("message", {}).pop("id", None)
            event.get("amazon-bedrock-invocationMetrics", {}).clear()
    assert got == same


@streamed
@every_place
def test_boto3_talks_to_every_model(everywhere: Served, aws_sdk: Callable[[str, str], Any], place: str, stream: bool) -> None:
    """As if it were Claude on Bedrock."""
    said = invoke(aws_sdk(everywhere.url, everywhere.key), MODELS[place], stream)
    text = "".join(event.get("delta", {}).get("text", "") for event in said) if stream else said[0]["content"][-1]["text"]
    assert HELLO in text


@pytest.mark.parametrize(("status", "name"), [(400, "ValidationException"), (429, "ThrottlingException")])
def test_boto3_raises_what_it_raises_without_a_gateway(
    everywhere: Served, aws_sdk: Callable[[str, str], Any], status: int, name: str
) -> None:
    """The exception's name and the words."""
    raised = []
    for url, key, model in (
        (everywhere.url, everywhere.key, "@aws/us.anthropic.claude-sonnet-4-6"),
        (everywhere.sandbox.url, everywhere.sandbox.api_key, "us.anthropic.claude-sonnet-4-6"),
    ):
        everywhere.sandbox.script(Fault(status=status), on="bedrock")
        with pytest.raises(ClientError) as caught:
            invoke(aws_sdk(url, key), model, stream=False)
        raised.append(caught.value.response["Error"])
    assert raised[0] == raised[1]
    assert raised[0]["Code"] == name


# -- LangChain ---------------------------------------------------------------------------------------------------------


def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


LANGCHAIN: dict[str, Callable[[Served, str], Any]] = {
    "ChatAnthropic": lambda gateway, model: ChatAnthropic(
        model_name=model, base_url=gateway.url, api_key=SecretStr(gateway.key), max_retries=0, timeout=30, stop=None
    ),
    "ChatOpenAI": lambda gateway, model: ChatOpenAI(
        model=model, base_url=f"{gateway.url}/v1", api_key=SecretStr(gateway.key), max_retries=0, stream_usage=True
    ),
}


@streamed
@every_place
@pytest.mark.parametrize("made", LANGCHAIN)
def test_langchain_talks_to_every_model(everywhere: Served, made: str, place: str, stream: bool) -> None:
    """An answer with usage, a bound tool's call, its result."""
    chat = LANGCHAIN[made](everywhere, MODELS[place])

    def ask(model: Any, turns: Any) -> Any:
        if not stream:
            return model.invoke(turns)
        first, *rest = list(model.stream(turns))
        for chunk in rest:
            first = first + chunk
        return first

    said = ask(chat, [HumanMessage(HELLO)])
    assert HELLO in said.text
    assert said.usage_metadata["total_tokens"] > said.usage_metadata["output_tokens"] > 0
    turns: list[Any] = [HumanMessage(ASK)]
    first = ask(chat.bind_tools([add]), turns)
    (call,) = first.tool_calls
    assert (call["name"], call["args"]) == ("add", {"a": 19, "b": 23})
    turns += [first, ToolMessage("42", tool_call_id=call["id"])]
    assert "42" in ask(chat.bind_tools([add]), turns).text


# -- Claude Code -------------------------------------------------------------------------------------------------------

RUN = "run: echo tollgate-$((6*7))"


@pytest.fixture
def fresh(tmp_path: Path, sandbox_key: Path) -> Iterator[Served]:
    """A gateway with a provider of every kind and with empty books."""
    with Sandbox(key_path=sandbox_key, environment={}) as sandbox, served_everywhere(tmp_path, sandbox) as running:
        yield running


@pytest.fixture
def claude_everywhere(claude_code: Path, fresh: Served, tmp_path: Path, outside: str) -> Cli:
    return Cli(claude_code, fresh.url, fresh.key, tmp_path / "home", outside)


@pytest.mark.parametrize("model", ["us.anthropic.claude-sonnet-4-6", "@aws/claude-sonnet-4-6", "vertex/gemini-3.5-flash"])
def test_claude_code_works_in_bedrock_mode(claude_everywhere: Cli, fresh: Served, model: str) -> None:
    """A tool round trip with streaming, whoever answers: each call 200 at its first try."""
    said = claude_everywhere.run(
        RUN, "--allowedTools", "Bash", "--model", model,
        CLAUDE_CODE_USE_BEDROCK="1", CLAUDE_CODE_SKIP_BEDROCK_AUTH="1", ANTHROPIC_BEDROCK_BASE_URL=fresh.url,
        AWS_REGION="us-east-1", AWS_BEARER_TOKEN_BEDROCK=fresh.key,
    )  # fmt: skip
    assert said.code == 0, said
    assert "tollgate-42" in said.text
    records = fresh.records()
    assert {(record["dialect"], record["status"], len(record["attempts"])) for record in records} == {("bedrock", 200, 1)}


@pytest.mark.parametrize("place", ["vertex-gemini", "studio", "oai", "direct", "aws"])
def test_claude_code_works_on_models_of_others(claude_everywhere: Cli, fresh: Served, place: str) -> None:
    """Several turns with tools and streaming, each call 200 at its first try."""
    model = MODELS[place]
    options = ("--allowedTools", "Bash", "--model", model)
    first = claude_everywhere.run(RUN, *options, ANTHROPIC_DEFAULT_HAIKU_MODEL=model)
    assert first.code == 0 and "tollgate-42" in first.text, first
    second = claude_everywhere.run("run: echo again-$((7*7))", *options, "--resume", first.session)
    assert second.code == 0 and "again-49" in second.text, second
    records = fresh.records()
    assert len(records) >= 4
    assert {(record["status"], len(record["attempts"]), record["completeness"]) for record in records} == {(200, 1, "final")}
    assert {record["model"] for record in records} == {model.rpartition("/")[2]}
