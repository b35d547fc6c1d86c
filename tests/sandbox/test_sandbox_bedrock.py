"""boto3 and the official Bedrock SDK take the simulated Bedrock for a real one: signatures, frames, errors, counts."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import boto3
import pytest
from anthropic.types import ToolUseBlock
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from sandbox_client import Client, user

from gateway.sandbox import Fault, Sandbox

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEW = "global.anthropic.claude-opus-5-5"
WEATHER: Any = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


def client_with(sandbox: Sandbox, secret: str | None = None) -> Any:
    pair = json.loads(sandbox.aws_json)
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=sandbox.url,
        aws_access_key_id=pair["access_key_id"],
        aws_secret_access_key=secret or pair["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def aws(sandbox: Sandbox) -> Any:
    return client_with(sandbox)


@pytest.fixture
def sdk(sandbox: Sandbox) -> Iterator[anthropic.AnthropicBedrock]:
    pair = json.loads(sandbox.aws_json)
    with anthropic.AnthropicBedrock(
        base_url=sandbox.url,
        aws_region="eu-west-1",
        aws_access_key=pair["access_key_id"],
        aws_secret_key=pair["secret_access_key"],
        max_retries=0,
    ) as made:
        yield made


def body(text: str = "Hello there", **more: Any) -> str:
    base = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 500, "messages": user(text)}
    return json.dumps({**base, **more})


def events(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]


def test_boto3_gets_an_answer(aws: Any) -> None:
    """Signed, and with the token counts that AWS repeats in headers."""
    answer = aws.invoke_model(modelId=MODEL, body=body())
    message = json.loads(answer["body"].read())
    assert "Hello there" in message["content"][0]["text"] and message["id"].startswith("msg_bdrk_01")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert int(headers["x-amzn-bedrock-output-token-count"]) == message["usage"]["output_tokens"]


def test_boto3_gets_a_stream(aws: Any) -> None:
    """Messages events in frames, without pings, with metrics at the end; the same text as unstreamed."""
    plain = json.loads(aws.invoke_model(modelId=MODEL, body=body())["body"].read())
    streamed = events(aws.invoke_model_with_response_stream(modelId=MODEL, body=body()))
    kinds = [event["type"] for event in streamed]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop" and "ping" not in kinds
    text = "".join(event["delta"].get("text", "") for event in streamed if event["type"] == "content_block_delta")
    assert text == plain["content"][0]["text"]
    assert streamed[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == plain["usage"]["output_tokens"]


def test_the_sdk_gets_tools_and_streams(sdk: anthropic.AnthropicBedrock) -> None:
    """With a raw colon in the path, which is signed differently."""
    asked: Any = {"model": MODEL, "max_tokens": 500, "messages": user("use the tool weather"), "tools": [WEATHER]}
    plain = sdk.messages.create(**asked)
    assert plain.stop_reason == "tool_use" and isinstance(plain.content[-1], ToolUseBlock)
    assert plain.content[-1].id.startswith("toolu_bdrk_01")
    with sdk.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == ["text", "tool_use"]
    assert streamed.usage.output_tokens == plain.usage.output_tokens


def test_the_sdk_may_use_an_api_key(sandbox: Sandbox) -> None:
    """As bearer, in place of a signature."""
    with anthropic.AnthropicBedrock(base_url=sandbox.url, aws_region="us-east-1", api_key=sandbox.api_key) as sdk:
        assert sdk.messages.create(model=NEW, max_tokens=50, messages=user("hi")).usage.output_tokens > 0


@pytest.mark.parametrize(
    ("model", "more", "words"),
    [
        ("anthropic.claude-opus-5-5", {}, "on-demand throughput"),
        ("us.anthropic.claude-nobody", {}, "model identifier is invalid"),
        (NEW, {"model": "x"}, "model: Extra inputs"),
        (NEW, {"stream": True}, "stream: Extra inputs"),
        (NEW, {"anthropic_version": "vertex-2023-10-16"}, "Invalid API version"),
        (NEW, {"anthropic_beta": ["files-api-2025-04-14"]}, "invalid beta flag"),
        (NEW, {"service_tier": "auto"}, "service_tier: Extra inputs"),
        (NEW, {"temperature": 0.5}, "`temperature` is deprecated"),
    ],
)
def test_what_bedrock_refuses_is_refused(aws: Any, model: str, more: dict[str, Any], words: str) -> None:
    """As a ValidationException that boto3 knows."""
    with pytest.raises(ClientError) as refused:
        aws.invoke_model(modelId=model, body=body(**more))
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert words in refused.value.response["Error"]["Message"]


def test_a_wrong_signature_is_noticed(sandbox: Sandbox) -> None:
    """With another secret, and with a body that was changed afterwards."""
    with pytest.raises(ClientError) as refused:
        client_with(sandbox, "another-secret").invoke_model(modelId=NEW, body=body())
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"


def test_nobody_comes_in_without_a_key(client: Client) -> None:
    """403, as AWS has it."""
    answered = client.send("POST", f"/model/{NEW}/invoke", body().encode())
    assert answered.status == 403 and answered.json == {"message": "Missing Authentication Token"}
    wrong = client.send("POST", f"/model/{NEW}/invoke", body().encode(), {"authorization": "Bearer nobody"})
    assert wrong.headers["x-amzn-errortype"].startswith("AccessDeniedException")


def test_tokens_are_counted(aws: Any) -> None:
    """By the model's own name, and the same as an answer says."""
    counted = aws.count_tokens(modelId="anthropic.claude-opus-5-5", input={"invokeModel": {"body": body()}})
    answer = json.loads(aws.invoke_model(modelId=NEW, body=body())["body"].read())
    assert counted["inputTokens"] == answer["usage"]["input_tokens"]
    with pytest.raises(ClientError, match="identifier is invalid"):
        aws.count_tokens(modelId=NEW, input={"invokeModel": {"body": body()}})


def test_faults_are_told_in_bedrocks_words(sandbox: Sandbox, aws: Any) -> None:
    """A status before the answer, an exception in mid-stream, a cut."""
    sandbox.script(Fault(status=429), Fault(stream_error="overloaded_error", at=3), Fault(garble=True, at=3), on="bedrock")
    with pytest.raises(ClientError) as throttled:
        aws.invoke_model(modelId=NEW, body=body())
    assert throttled.value.response["Error"]["Code"] == "ThrottlingException"
    with pytest.raises(EventStreamError, match="serviceUnavailableException"):
        events(aws.invoke_model_with_response_stream(modelId=NEW, body=body()))
    with pytest.raises(Exception, match=r"[Cc]hecksum"):
        events(aws.invoke_model_with_response_stream(modelId=NEW, body=body()))
