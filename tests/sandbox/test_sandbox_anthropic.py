"""The simulated Anthropic API: the official SDK's direct class, and the way through Claude on Google Cloud."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import TextBlock
from sandbox_client import HELLO, Client, user

from gateway.sandbox import Fault, Sandbox

MODEL = "claude-opus-5-5"
WORKSPACE = "/v1/projects/p1/locations/global/workspaces/wrkspc_1/invoke"


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=sandbox.url, api_key=sandbox.api_key, max_retries=0) as made:
        yield made


def ask(client: Client, body: dict[str, Any], path: str = "/v1/messages", **headers: str) -> Any:
    said = {"x-api-key": client.sandbox.api_key, "anthropic-version": "2023-06-01", **headers}
    base = {"model": MODEL, "max_tokens": 100, "messages": HELLO}
    return client.send("POST", path, json.dumps({**base, **body}).encode(), said)


def test_the_sdk_gets_the_same_answer_plain_and_streamed(sdk: anthropic.Anthropic) -> None:
    """With ids as Anthropic's own service makes them."""
    asked: Any = {"model": MODEL, "max_tokens": 300, "messages": user("Hello there")}
    plain = sdk.messages.create(**asked)
    with sdk.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    assert plain.id.startswith("msg_01")
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in plain.content]
    assert streamed.usage.output_tokens == plain.usage.output_tokens


def test_tokens_are_counted_and_models_listed(sdk: anthropic.Anthropic) -> None:
    """As an answer says, and every model of the sandbox."""
    counted = sdk.messages.count_tokens(model=MODEL, messages=user("Hello there"))
    answer = sdk.messages.create(model=MODEL, max_tokens=50, messages=user("Hello there"))
    assert counted.input_tokens == answer.usage.input_tokens
    assert MODEL in [model.id for model in sdk.models.list()]


def test_first_party_features_are_taken(client: Client) -> None:
    """Fields, betas and URL sources that Vertex AI refuses."""
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    content = [image, {"type": "text", "text": "What is this?"}]
    body = {"service_tier": "auto", "tags": {"team": "core"}, "messages": [{"role": "user", "content": content}]}
    answered = ask(client, body, **{"anthropic-beta": "files-api-2025-04-14,advanced-tool-use-2025-11-20"})
    assert (answered.status, answered.json["type"]) == (200, "message")


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        ({}, {"x-api-key": "nobody"}, 401, "invalid x-api-key"),
        ({}, {"anthropic-version": "yesterday"}, 400, "anthropic-version"),
        ({}, {"anthropic-beta": "nonsense"}, 400, "Unexpected value(s) `nonsense`"),
        ({"model": "claude-nobody"}, {}, 404, "model: claude-nobody"),
        ({"anthropic_version": "vertex-2023-10-16"}, {}, 400, "anthropic_version: Extra inputs"),
        ({"wish": 1}, {}, 400, "wish: Extra inputs"),
        ({"temperature": 0.5}, {}, 400, "`temperature` is deprecated"),
    ],
)
def test_what_anthropic_refuses_is_refused(client: Client, body: Any, headers: dict[str, str], status: int, words: str) -> None:
    """In its own envelope."""
    answered = ask(client, body, **headers)
    assert answered.status == status and words in answered.message
    assert answered.json["type"] == "error"
    assert answered.json["request_id"] == answered.headers["request-id"] and "vrtx" not in answered.json["request_id"]


def test_the_way_through_google_takes_googles_tokens(sandbox: Sandbox, client: Client) -> None:
    """The same API under a workspace's path; the key is of no use there."""
    token = {"authorization": f"Bearer {sandbox.access_token()}"}
    answered = ask(client, {"stream": True}, f"{WORKSPACE}/v1/messages", **token)
    assert [event["type"] for event in answered.events][-1] == "message_stop"
    assert ask(client, {}, f"{WORKSPACE}/v1/messages").status == 401


def test_faults_are_scripted_by_service(sandbox: Sandbox, client: Client, sdk: anthropic.Anthropic) -> None:
    """One upstream may fail while another answers."""
    sandbox.script(Fault(status=529), on="anthropic")
    assert client.ask().status == 200
    with pytest.raises(anthropic.APIStatusError) as failed:
        sdk.messages.create(model=MODEL, max_tokens=50, messages=user("hi"))
    assert failed.value.status_code == 529
    assert isinstance(sdk.messages.create(model=MODEL, max_tokens=50, messages=user("hi")).content[0], TextBlock)
