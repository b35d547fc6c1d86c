"""The official google-genai SDK takes the simulated Gemini for a real one: text, streams, tools with signatures, JSON, counts."""

import json
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from sandbox_client import Client

from gateway.sandbox import Fault, Sandbox

MODEL = "gemini-3.5-flash"
OLD = "gemini-2.5-pro"
WEATHER = types.FunctionDeclaration(
    name="weather", parameters=types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)})
)
TOOLS: Any = [types.Tool(function_declarations=[WEATHER])]
PATH = f"/v1/projects/p1/locations/global/publishers/google/models/{MODEL}"
DECLARED: Any = {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}
HELLO: Any = [{"role": "user", "parts": [{"text": "Hello there"}]}]
CALL: Any = {"functionCall": {"name": "f", "args": {}}}
RESULT: Any = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "ok"}}}]}


@pytest.fixture
def sdk(sandbox: Sandbox) -> genai.Client:
    token = Credentials(sandbox.access_token())
    options = types.HttpOptions(base_url=sandbox.url)
    return genai.Client(vertexai=True, project="p1", location="global", credentials=token, http_options=options)


def config(**more: Any) -> Any:
    return types.GenerateContentConfig(**more)


def ask(client: Client, *, verb: str = "generateContent", model: str = MODEL, **more: Any) -> Any:
    body = {"contents": HELLO, **more}
    return client.send("POST", f"{PATH.replace(MODEL, model)}:{verb}", json.dumps(body).encode(), client.headers())


def declare(**members: Any) -> Any:
    return {"tools": [{"functionDeclarations": [DECLARED | members]}]}


def test_text_is_the_simulated_claudes(sdk: genai.Client, client: Client) -> None:
    """What an answer means does not depend on the door; thoughts are counted beside it."""
    answer = sdk.models.generate_content(model=MODEL, contents="Hello there")
    assert answer.text == client.ask().json["content"][-1]["text"]
    usage: Any = answer.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count


def test_a_stream_adds_up_to_the_plain_answer(sdk: genai.Client) -> None:
    """New parts only; the last chunk has the whole usage, the finish, and a signature in an empty part."""
    plain = sdk.models.generate_content(model=MODEL, contents="Hello there")
    chunks: Any = list(sdk.models.generate_content_stream(model=MODEL, contents="Hello there"))
    assert "".join(chunk.text or "" for chunk in chunks) == plain.text
    assert chunks[-1].usage_metadata.total_token_count == plain.usage_metadata.total_token_count  # type: ignore[union-attr]
    assert chunks[-1].candidates[0].content.parts[-1].thought_signature


def test_a_stream_without_sse_is_one_array(client: Client) -> None:
    """As REST clients of Google know it; its errors too."""
    parts = ask(client, verb="streamGenerateContent").json
    assert isinstance(parts, list) and parts[-1]["candidates"][0]["finishReason"] == "STOP"
    assert ask(client, verb="streamGenerateContent", wish=1).json[0]["error"]["status"] == "INVALID_ARGUMENT"


def test_tools_are_called_with_signatures_that_come_back(sdk: genai.Client) -> None:
    """Two calls at once: the first is signed; without its signature the next turn is refused, with another's as well."""
    first: Any = sdk.models.generate_content(
        model=MODEL, contents="use the tool weather and use the tool weather", config=config(tools=TOOLS)
    )
    content = first.candidates[0].content
    calls = [part for part in content.parts if part.function_call]
    assert len(calls) == 2 and calls[0].thought_signature and not calls[1].thought_signature
    assert calls[0].function_call.id
    said = {"output": "21 degrees"}
    answers = [types.FunctionResponse(id=call.function_call.id, name="weather", response=said) for call in calls]
    results = [types.Part(function_response=answer) for answer in answers]
    asked = types.Content(role="user", parts=[types.Part(text="use the tool weather")])
    turns = [asked, content, types.Content(role="user", parts=results)]
    assert "21 degrees" in str(sdk.models.generate_content(model=MODEL, contents=turns, config=config(tools=TOOLS)).text)
    with pytest.raises(errors.ClientError, match="Corrupted"):
        sdk.models.generate_content(model="gemini-3.1-pro-preview", contents=turns, config=config(tools=TOOLS))
    calls[0].thought_signature = None
    with pytest.raises(errors.ClientError, match=r"`weather` in the 2\. content block is missing a"):
        sdk.models.generate_content(model=MODEL, contents=turns, config=config(tools=TOOLS))


def test_older_turns_need_no_signature(client: Client) -> None:
    """Only the steps since a person spoke last are looked at; Google's own word for a lost one is taken."""
    done = [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [CALL]}, RESULT, *HELLO]
    assert ask(client, contents=done, **declare()).status == 200
    now = [*HELLO, {"role": "model", "parts": [CALL | {"thoughtSignature": "skip_thought_signature_validator"}]}, RESULT]
    assert ask(client, contents=now, **declare()).status == 200


def test_json_comes_by_schema(sdk: genai.Client) -> None:
    """Of either kind."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    openapi = types.Schema(type=types.Type.OBJECT, properties={"name": types.Schema(type=types.Type.STRING)})
    for given in ({"response_json_schema": schema}, {"response_schema": openapi}):
        answer = sdk.models.generate_content(
            model=MODEL, contents="Ana", config=config(response_mime_type="application/json", **given)
        )
        assert json.loads(str(answer.text)) == {"name": "Ana"}


def test_thoughts_are_shown_if_asked_for(sdk: genai.Client) -> None:
    """As parts of their own; a budget of 0 turns them off where that can be."""
    thinking = types.ThinkingConfig(include_thoughts=True)
    shown: Any = sdk.models.generate_content(model=MODEL, contents="hi", config=config(thinking_config=thinking))
    assert shown.candidates[0].content.parts[0].thought
    off = types.ThinkingConfig(thinking_budget=0)
    quiet: Any = sdk.models.generate_content(model="gemini-2.5-flash", contents="hi", config=config(thinking_config=off))
    assert quiet.usage_metadata.thoughts_token_count is None


def test_tokens_are_counted(sdk: genai.Client) -> None:
    """The same as an answer says."""
    answer: Any = sdk.models.generate_content(model=MODEL, contents="Hello there")
    assert sdk.models.count_tokens(model=MODEL, contents="Hello there").total_tokens == answer.usage_metadata.prompt_token_count


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"wish": 1}, 'Unknown name "wish"'),
        ({"contents": []}, "at least one contents field"),
        ({"contents": [{"role": "model", "parts": [{"text": "a"}]}]}, "begin with a user turn"),
        ({"contents": [{"role": "user", "parts": [{"text": ""}]}]}, "must have a text parameter"),
        ({"contents": [*HELLO, {"role": "model", "parts": [CALL]}], **declare()}, "missing a `thought_signature`"),
        ({"contents": [*HELLO, RESULT]}, "equal to the number of function call parts"),
        ({"generationConfig": {"wish": 1}}, 'Unknown name "wish" at \'generation_config\''),
        ({"generationConfig": {"stopSequences": list("abcdef")}}, "more than 5 stop sequences"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 5}}}, "only one of thinking"),
        ({"generationConfig": {"thinkingConfig": {"thinkingLevel": "XHIGH"}}}, "Thinking level XHIGH is not supported"),
        (declare(name="1"), "Invalid function name"),
        (declare(parametersJsonSchema={"type": "object"}), "must not both be set"),
        (declare(parameters={"type": "OBJECT", "$schema": "x"}), 'Unknown name "$schema"'),
        (declare(parameters={"type": "OBJECT", "properties": {}}), "should be non-empty for OBJECT type"),
        (declare(parameters={"type": "OBJECT", "properties": {"a": {"type": ["string", "null"]}}}), "cannot start list"),
        (declare(parameters={"type": "OBJECT", "properties": {"a": {"type": "ARRAY"}}}), "items: missing field"),
        (declare(parameters={"type": "OBJECT", "properties": {"a": {"type": "STRING", "enum": [1]}}}), "TYPE_STRING"),
        (declare(parameters={"type": "OBJECT", "properties": {"a": {"type": "STRING", "format": "uri"}}}), "format: only"),
        (declare(parameters={"type": "OBJECT", "properties": {"a": {"oneOf": []}}}), 'Unknown name "oneOf"'),
        ({"toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["g"]}}, **declare()}, "should only be set when"),
    ],
)
def test_what_gemini_refuses_is_refused(client: Client, more: dict[str, Any], words: str) -> None:
    """400 in Google's envelope."""
    answered = ask(client, **more)
    assert answered.status == 400 and words in answered.message


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        (OLD, {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}}, "Thinking level"),
        (OLD, {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, "thinking budget 0 is invalid"),
        (OLD, {"tools": [{"googleSearch": {}}, {"functionDeclarations": [DECLARED]}]}, "Multiple tools are supported only"),
        (OLD, {"generationConfig": {"responseMimeType": "application/json"}, **declare()}, "is unsupported"),
        (OLD, {"contents": [*HELLO, {"role": "model", "parts": [{"functionCall": {"id": "1", "name": "f"}}]}]}, 'name "id"'),
        ("gemini-nobody", {}, "was not found"),
    ],
)
def test_older_models_take_less(client: Client, model: str, more: dict[str, Any], words: str) -> None:
    """Rules by generation."""
    assert words in ask(client, model=model, **more).message


def test_the_gemini_api_takes_a_key(sandbox: Sandbox) -> None:
    """Without project and location; a wrong key is a 400 there."""
    options = types.HttpOptions(base_url=sandbox.url)
    keyed = genai.Client(api_key=sandbox.api_key, http_options=options)
    assert "hi" in str(keyed.models.generate_content(model=MODEL, contents="hi").text)
    nobody = genai.Client(api_key="nobody", http_options=options)
    with pytest.raises(errors.ClientError, match="API key not valid"):
        nobody.models.generate_content(model=MODEL, contents="hi")


def test_embeddings_come_both_ways(client: Client) -> None:
    """`:predict` for the older models, `:embedContent` for the newer."""
    instances = {"instances": [{"content": "a b"}, {"content": "c"}], "parameters": {"outputDimensionality": 64}}
    path = PATH.replace(MODEL, "text-embedding-005")
    many = client.send("POST", f"{path}:predict", json.dumps(instances).encode(), client.headers()).json["predictions"]
    assert [len(one["embeddings"]["values"]) for one in many] == [64, 64]
    path = PATH.replace(MODEL, "gemini-embedding-2")
    body = {"content": {"parts": [{"text": "a"}]}, "embedContentConfig": {"outputDimensionality": 64}}
    one = client.send("POST", f"{path}:embedContent", json.dumps(body).encode(), client.headers()).json
    assert len(one["embedding"]["values"]) == 64


def test_faults_are_told_in_googles_words(sandbox: Sandbox, sdk: genai.Client) -> None:
    """A status, and an error in mid-stream."""
    sandbox.script(Fault(status=429), Fault(stream_error="overloaded_error", at=2), on="gemini")
    with pytest.raises(errors.ClientError) as limited:
        sdk.models.generate_content(model=MODEL, contents="hi")
    assert (limited.value.code, limited.value.status) == (429, "RESOURCE_EXHAUSTED")
    with pytest.raises(errors.ServerError, match="Overloaded"):
        list(sdk.models.generate_content_stream(model=MODEL, contents="hi"))
