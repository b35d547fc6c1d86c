"""The Bedrock dialect: paths and bodies in, errors and streams out, as AWS's own parsers read them."""

import base64
import json
import re
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.call import Operation, Request
from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import (
    CredentialRefused,
    GatewayError,
    InvalidRequest,
    NotFound,
    Overloaded,
    StreamBroken,
    Unauthenticated,
    UpstreamFailed,
    UpstreamRefused,
)
from gateway.dialects.bedrock import door as bedrock
from gateway.dialects.bedrock.chat import VERSION
from gateway.dialects.bedrock.event_stream import render_frame
from gateway.dialects.bedrock.stream import METRICS, render_event, render_exception

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TRAITS = ModelTraits("claude-sonnet-4-5", "anthropic")
HELLO = b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5-20250929",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 12, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 4, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "naïve 漢字"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]
STREAM = b"".join(render_event(json.dumps(event).encode()) for event in EVENTS)


def find(path: str) -> tuple[Operation, re.Match[str]] | None:
    found = ((operation, pattern.search(path)) for pattern, operation in bedrock.PATHS)
    return next(((operation, matched) for operation, matched in found if matched), None)


def parse(path: str, body: bytes = HELLO) -> Request:
    found = find(path)
    assert found is not None, path
    return bedrock.parse_request(found[0], found[1], {}, {}, body)


def counted(body: bytes) -> bytes:
    return json.dumps({"input": {"invokeModel": {"body": base64.b64encode(body).decode()}}}).encode()


def aws_reads(data: bytes) -> list[dict[str, Any]]:
    """Every frame as boto3 understands it: the event inside a chunk, or the error."""
    shape = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).shape_for("ResponseStream")
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    found = []
    for message in buffer:
        parsed = EventStreamJSONParser().parse(message.to_response_dict(), shape)
        found.append(json.loads(parsed["chunk"]["bytes"]) if "chunk" in parsed else parsed)
    return found


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (f"/model/{MODEL}/invoke", MODEL),
        (f"/bedrock/model/{MODEL}/invoke-with-response-stream", MODEL),
        ("/model/a/model/anthropic.claude-opus-5-5/invoke", "anthropic.claude-opus-5-5"),
        ("/model/arn:aws:bedrock:us-east-1:1:inference-profile/x/invoke", "arn:aws:bedrock:us-east-1:1:inference-profile/x"),
        ("/model/@aws/claude-opus-5-5/invoke", "@aws/claude-opus-5-5"),
        ("/model//invoke", None),
        (f"/model/{MODEL}/converse", None),
        ("/inference-profiles", None),
    ],
)
def test_paths_are_matched_from_their_end(path: str, model: str | None) -> None:
    """With any prefix, and with models that hold a slash."""
    found = find(path)
    assert (found[1]["model"] if found else None) == model


def test_the_verb_says_whether_to_stream() -> None:
    """And the body stays as it came."""
    request = parse(f"/model/{MODEL}/invoke-with-response-stream")
    assert (request.operation, request.model, request.stream, request.document.source) == ("generate", MODEL, True, HELLO)
    assert parse(f"/model/{MODEL}/invoke").stream is False


@pytest.mark.parametrize(
    ("version", "read"),
    [('"bedrock-2023-05-31"', "2023-06-01"), ('"2026-10-21"', "2026-10-21"), ("null", None), ('"tomorrow"', "tomorrow")],
)
def test_the_version_in_the_body_is_the_messages_apis(version: str, read: str | None) -> None:
    """Bedrock's own name for the first one is understood; others are kept as they were sent."""
    assert parse("/model/m/invoke", b'{"anthropic_version":%b}' % version.encode()).api_version == read


def test_what_is_counted_stands_in_base64_inside() -> None:
    """The document of a counting request is the invoke body."""
    request = parse(f"/model/{MODEL}/count-tokens", counted(HELLO))
    assert (request.operation, request.document.source) == ("count_tokens", HELLO)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/model/m/invoke", b"", "not valid JSON"),
        ("/model/m/invoke", b"[]", "not an object"),
        ("/model/m/invoke", b'{"stream":true}', "stream: the path's verb 'invoke' says"),
        ("/model/m/invoke", b'{"anthropic_version":7}', 'anthropic_version: must be a string such as "bedrock-2023-05-31"'),
        ("/model/m/count-tokens", HELLO, "input.invokeModel: required"),
        ("/model/m/count-tokens", b'{"input":{"converse":{}}}', "input.invokeModel: required"),
        ("/model/m/count-tokens", b'{"input":{"invokeModel":{"body":7}}}', "input.invokeModel.body: must be the base64"),
        ("/model/m/count-tokens", b'{"input":{"invokeModel":{"body":"%%"}}}', "input.invokeModel.body: must be the base64"),
        ("/model/m/count-tokens", counted(b"[]"), "not an object"),
    ],
)
def test_a_wrong_body_is_refused_with_what_is_wrong(path: str, body: bytes, words: str) -> None:
    """400 with the member's name and what would be right."""
    with pytest.raises(InvalidRequest) as refused:
        parse(path, body)
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (InvalidRequest("x"), 400, "ValidationException"),
        (NotFound("x"), 404, "ResourceNotFoundException"),
        (Overloaded("x"), 503, "ServiceUnavailableException"),
        (CredentialRefused("x"), 502, "InternalServerException"),
        (GatewayError("x", status=429, kind="billing_error"), 429, "ThrottlingException"),
        (GatewayError("x", status=403, kind="permission_error"), 400, "AccessDeniedException"),
    ],
)
def test_an_error_is_told_as_aws_sdks_know_them(error: GatewayError, status: int, name: str) -> None:
    """The class stands in a header, the sentence in `message`; 403 and 529 are never among the statuses."""
    told, headers = bedrock.render_error_head(error)
    assert (told, headers["x-amzn-errortype"]) == (status, name)
    assert json.loads(bedrock.render_error(error, "req_1")) == {"message": "x"}


def test_who_comes_without_a_gateway_key_hears_how_to_send_one() -> None:
    """A request signed with AWS keys gets 401 and the variable to set."""
    told = json.loads(bedrock.render_error(Unauthenticated("no key"), "req_1"))["message"]
    assert told.startswith("no key; ") and "AWS_BEARER_TOKEN_BEDROCK" in told
    assert bedrock.render_error_head(Unauthenticated("no key"))[0] == 401


def test_the_providers_own_error_passes_with_its_class() -> None:
    """Body byte for byte, the exception's name in the header."""
    body = b'{"message":"Too many requests, please wait"}'
    said = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/", "retry-after": "2"}
    error = bedrock.parse_error(429, body, said)
    assert error is not None
    assert (error.kind, error.status, error.message) == ("rate_limit_error", 429, "Too many requests, please wait")
    assert bedrock.render_error(error, "r") == body
    passed = {"x-amzn-errortype": "ThrottlingException", "retry-after": "2"}
    assert bedrock.render_error_head(error) == (429, passed)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"__type":"com.amazon.coral.validate#ValidationException","Message":"bad"}', "invalid_request_error"),
        (404, b'{"message":"The provided model identifier is invalid."}', "not_found_error"),
        (424, b'{"message":"The model failed"}', "api_error"),
        (503, b'{"message":"Busy"}', "overloaded_error"),
    ],
)
def test_an_error_without_the_header_is_known_by_body_or_status(status: int, body: bytes, kind: str) -> None:
    """Proxies in between may have eaten it."""
    error = bedrock.parse_error(status, body, {})
    assert error is not None and error.kind == kind


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"message":7}', b"\xff", b"[" * 5000])
def test_what_is_not_bedrocks_envelope_is_no_error_of_theirs(body: bytes) -> None:
    """None: somebody else must read it."""
    assert bedrock.parse_error(500, body, {}) is None


def test_a_foreign_error_is_told_anew() -> None:
    """Another format's body never reaches a caller of this one."""
    foreign = UpstreamRefused("slow down", status=429, kind="rate_limit_error", body=b"<xml>", wire="anthropic")
    assert bedrock.render_error(foreign, "r") == b'{"message":"slow down"}'


def test_a_stream_is_what_boto3_reads() -> None:
    """Every event in its frame, pings left out, token counts in the last."""
    renderer = bedrock.render_stream(asked_model=MODEL, request={})
    events = [EVENTS[0], {"type": "ping"}, *EVENTS[1:]]
    read = aws_reads(b"".join(renderer.render(event) for event in events))
    metrics = read[-1].pop(METRICS)
    assert read == EVENTS
    counts = {"inputTokenCount": 12, "outputTokenCount": 7, "cacheReadInputTokenCount": 30, "cacheWriteInputTokenCount": 4}
    assert metrics == counts


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("rate_limit_error", "throttlingException"),
        ("overloaded_error", "serviceUnavailableException"),
        ("timeout_error", "modelTimeoutException"),
        ("invalid_request_error", "validationException"),
        ("api_error", "internalServerException"),
    ],
)
def test_an_error_in_mid_stream_is_an_exception_to_boto3(kind: str, code: str) -> None:
    """One frame that names its class, whether it comes from us or across from another format."""
    renderer = bedrock.render_stream(asked_model=MODEL, request={})
    crossed = renderer.render({"type": "error", "error": {"type": kind, "message": "sorry"}})
    assert crossed == bedrock.render_stream_error(GatewayError("sorry", kind=kind), "r")
    (error,) = aws_reads(crossed)
    assert error["Error"] == {"Code": code, "Message": "sorry"}


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=8))
def test_a_stream_in_any_cutting_gives_the_same_events(cuts: list[int]) -> None:
    """Down to single bytes."""
    parser, events, at = bedrock.parse_stream(), [], 0
    for cut in [*sorted(cuts), len(STREAM)]:
        events += parser.feed(STREAM[at:cut])
        at = cut
    assert events + parser.end() == EVENTS


@pytest.mark.parametrize("end", [0, 40, len(STREAM) - 1, STREAM.rindex(b":event-type") - 13])
def test_a_stream_that_stops_early_is_broken(end: int) -> None:
    """Without message_stop it is not over, wherever the cut was."""
    parser = bedrock.parse_stream()
    parser.feed(STREAM[:end])
    with pytest.raises(StreamBroken):
        parser.end()


def test_an_exception_frame_is_an_error_event_and_an_end() -> None:
    """The stream is over by its own account, though not well."""
    parser = bedrock.parse_stream()
    parser.feed(render_event(json.dumps(EVENTS[0]).encode()))
    told = {"type": "rate_limit_error", "message": "slow down"}
    assert parser.feed(render_exception("rate_limit_error", "slow down")) == [{"type": "error", "error": told}]
    assert parser.end() == []


@pytest.mark.parametrize(
    "frame",
    [
        render_frame({":message-type": "event", ":event-type": "chunk"}, b"{}"),
        render_frame({":message-type": "event", ":event-type": "chunk"}, b'{"bytes":"!!"}'),
        render_event(b"no json"),
        render_event(b"[]"),
    ],
)
def test_a_chunk_without_an_event_breaks_the_stream(frame: bytes) -> None:
    """It is not skipped in silence: something of the answer would be missing."""
    with pytest.raises(StreamBroken):
        bedrock.parse_stream().feed(frame)


def test_a_frame_of_a_new_kind_is_skipped() -> None:
    """AWS adds event types over time."""
    frame = render_frame({":message-type": "event", ":event-type": "initial-response"}, b"{}")
    assert bedrock.parse_stream().feed(frame) == []


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=8))
def test_the_watch_reads_usage_in_any_cutting(cuts: list[int]) -> None:
    """The same figures as in Anthropic's own stream, and the boundary between two frames."""
    watch, at = bedrock.watch_stream(), 0
    for cut in [*sorted(cuts), len(STREAM)]:
        watch.feed(STREAM[at:cut])
        at = cut
    usage = watch.usage()
    assert usage is not None and usage.completeness == "final"
    assert (usage.tokens.input, usage.tokens.cache_read, usage.tokens.cache_write_5m, usage.tokens.output) == (12, 30, 4, 7)
    assert (watch.ended, watch.at_boundary, watch.answered_model) == (True, True, "claude-sonnet-4-5-20250929")


def test_the_watch_estimates_a_cut_answer() -> None:
    """Half a stream counts as partial, an exception by its kind, and garbage disturbs nobody."""
    watch = bedrock.watch_stream()
    watch.feed(STREAM[: STREAM.rindex(b":event-type") - 13])
    watch.feed(render_exception("overloaded_error", "busy"))
    assert watch.error_kind == "overloaded_error" and not watch.ended
    lost = bedrock.watch_stream()
    lost.feed(b"<html>" * 10)
    lost.feed(STREAM)
    assert (lost.usage(), lost.ended, lost.at_boundary) == (None, False, False)


def test_a_chat_crosses_with_its_betas() -> None:
    """Said in the body here, in a header elsewhere; the version is Bedrock's own."""
    turns = [{"role": "user", "content": "hi"}]
    own = {"anthropic_version": VERSION, "anthropic_beta": ["effort-2025-11-24"]}
    body = {**own, "max_tokens": 5, "messages": turns, "x": 1}
    chat = bedrock.parse_chat(body)
    assert (chat.body, chat.betas) == ({"max_tokens": 5, "messages": turns, "x": 1}, ("effort-2025-11-24",))
    assert bedrock.render_chat(chat, TRAITS, stream=True) == (body, [])


def test_what_bedrock_does_not_take_is_named() -> None:
    """Left out, never in silence: fields, betas, and what only another format can say."""
    chat = bedrock.parse_chat({"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]})
    chat.body |= {"service_tier": "auto", "tags": {}, "context_management": {}}
    chat.body["messages"][0]["output_config"] = {"effort": "low"}
    chat.extras["openai"] = {"seed": 7}
    chat.betas = ("files-api-2025-04-14",)
    body, dropped = bedrock.render_chat(chat, TRAITS, stream=False)
    fields = ["service_tier", "tags", "context_management", "messages.output_config"]
    assert dropped == ["seed", "anthropic-beta:files-api-2025-04-14", *fields]
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert body.keys() == {"anthropic_version", "max_tokens", "messages"}


def test_deferred_tools_bring_the_beta_that_bedrock_wants() -> None:
    """Anthropic's own API knows them under another name, or under none."""
    tools = [{"name": "a", "input_schema": {"type": "object"}, "defer_loading": True}]
    chat = bedrock.parse_chat({"max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "tools": tools})
    assert bedrock.render_chat(chat, TRAITS, stream=False)[0]["anthropic_beta"] == ["tool-search-tool-2025-10-19"]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        (None, "messages: a list"),
        ([], "messages: a list"),
        (["hi"], "messages.0: an object"),
        ([{"role": "user"}], "messages.0.content: must be"),
    ],
)
def test_a_chat_that_cannot_cross_is_refused(messages: Any, words: str) -> None:
    """With the member that is wrong."""
    with pytest.raises(InvalidRequest, match=re.escape(words)):
        bedrock.parse_chat({"messages": messages})


def test_an_answer_is_the_message_itself() -> None:
    """And what is no message is the provider's fault."""
    message = json.loads(json.dumps(EVENTS[0]["message"])) | {"model": "m", "stop_sequence": None}
    message["usage"] = {"input_tokens": 3, "output_tokens": 4}
    assert bedrock.render_answer(bedrock.parse_answer(message), asked_model="x", request={}) == message
    usage, model = bedrock.parse_usage(json.dumps(message).encode()) or (None, None)
    assert usage is not None and (usage.tokens.input, usage.tokens.output, model) == (3, 4, "m")
    with pytest.raises(UpstreamFailed):
        bedrock.parse_answer({"outputs": []})


def test_a_token_count_is_awss() -> None:
    """`inputTokens`, and no ping at all in streams."""
    assert json.loads(bedrock.render_token_count(17)) == {"inputTokens": 17}
    assert bedrock.parse_token_count(b'{"inputTokens":17}') == 17 and bedrock.parse_token_count(b"[]") is None
    assert bedrock.render_ping() == b""
