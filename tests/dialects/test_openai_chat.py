"""OpenAI's doors: requests read at their top level, streams watched as they pass, errors both ways, embeddings for Vertex AI."""

import base64
import itertools
import json
import re
from typing import Any

import pytest
from canonical_chats import events_of
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.call import Request
from gateway.canonical.dialect import StreamWatch
from gateway.canonical.errors import BudgetExceeded, GatewayError, InvalidRequest, RateExceeded, UpstreamFailed
from gateway.canonical.usage import Tokens
from gateway.dialects.openai import door as openai_chat
from gateway.dialects.openai import embeddings as openai_embeddings
from gateway.dialects.openai.embeddings import Embedding
from gateway.dialects.openai.hiding import UsageHider
from gateway.dialects.responses import door as openai_responses

USAGE = {"input_tokens": 5, "cache_read_input_tokens": 12, "cache_creation_input_tokens": 3, "output_tokens": 9,
         "output_tokens_details": {"thinking_tokens": 4}}  # fmt: skip
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "gpt-6-sol", "stop_reason": "tool_use", "stop_sequence": None,
    "content": [{"type": "text", "text": 'Grüße 🗼, "usage":null and [DONE]'},
                {"type": "tool_use", "id": "call_1", "name": "f", "input": {"error": {"usage": {}}}}],
    "usage": USAGE,
}  # fmt: skip
TOKENS = Tokens(input=5, output=9, cache_read=12, cache_write_5m=3, thinking=4)
FORMATS: dict[str, Any] = {"chat": openai_chat, "responses": openai_responses}


def stream_of(name: str, *, usage: bool = True) -> bytes:
    request = {"stream_options": {"include_usage": usage}}
    renderer = FORMATS[name].render_stream(asked_model="m", request=request)
    return b"".join(renderer.render(event) for event in events_of(MESSAGE, 5))


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(places)]


def watched(name: str, chunks: list[bytes]) -> StreamWatch:
    watch: StreamWatch = FORMATS[name].watch_stream()
    for chunk in chunks:
        watch.feed(chunk)
    return watch


def parse(module: Any, body: Any) -> Request:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    pattern, operation = module.PATHS[0]
    path = {"chat": "/gw/v1/chat/completions", "embe": "/v1/embeddings", "resp": "/v1/responses"}[
        module.NAME.removeprefix("openai").removeprefix("-")[:4] or "chat"
    ]
    match = pattern.search(path)
    assert isinstance(match, re.Match)
    request: Request = module.parse_request(operation, match, {}, {}, data)
    return request


@pytest.mark.parametrize("name", FORMATS)
@given(cuts=st.lists(st.integers(0, 100_000), max_size=30), crlf=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_stream_that_passes_tells_its_usage_in_any_cutting(name: str, cuts: list[int], crlf: bool) -> None:
    """Cached tokens apart from the rest, the model, the end; texts that look like figures are none."""
    stream = stream_of(name).replace(b"\n", b"\r\n") if crlf else stream_of(name)
    watch = watched(name, pieces(stream, cuts))
    usage = watch.usage()
    assert usage is not None and usage.tokens == TOKENS and usage.completeness == "final"
    assert (watch.answered_model, watch.ended, watch.at_boundary, watch.error_kind) == ("gpt-6-sol", True, True, None)


@pytest.mark.parametrize("name", FORMATS)
def test_a_stream_cut_short_is_estimated(name: str) -> None:
    """By what passed: the figures would have come at its end."""
    stream = stream_of(name)
    watch = watched(name, [stream[: stream.index(b"call_1")]])
    usage = watch.usage()
    assert usage is not None and usage.completeness == "estimated" and 2 <= usage.tokens.output <= 80
    assert not watch.ended and not watch.at_boundary
    assert watched(name, []).usage() is None


@pytest.mark.parametrize("name", FORMATS)
def test_an_error_in_a_stream_is_seen(name: str) -> None:
    """In the words that the house uses."""
    error = GatewayError("slow", kind="rate_limit_error")
    watch = watched(name, [FORMATS[name].render_stream_error(error, "req_1")])
    assert watch.error_kind == "rate_limit_error" and not watch.ended


@pytest.mark.parametrize("name", FORMATS)
def test_the_usage_of_a_plain_answer_is_read(name: str) -> None:
    """In both formats' own names for it."""
    answer = FORMATS[name].render_answer(MESSAGE, asked_model="m", request={})
    found = FORMATS[name].parse_usage(json.dumps(answer).encode())
    assert found is not None and found[0].tokens == TOKENS and found[1] == "gpt-6-sol"
    assert FORMATS[name].parse_usage(b"[]") is None


@given(cuts=st.lists(st.integers(0, 100_000), max_size=30), crlf=st.booleans())
@settings(max_examples=60, deadline=None)
def test_usage_that_a_client_did_not_ask_for_is_hidden(cuts: list[int], crlf: bool) -> None:
    """What is left is the stream as it would have been without it, byte for byte."""
    asked, silent = (re.sub(rb'"created":\d+', b'"created":1', stream_of("chat", usage=usage)) for usage in (True, False))
    if crlf:
        asked, silent = asked.replace(b"\n", b"\r\n"), silent.replace(b"\n", b"\r\n")
    hider = UsageHider()
    assert b"".join(hider.feed(piece) for piece in pieces(asked, cuts)) + hider.end() == silent
    assert silent != asked and b'"usage":null and' not in silent


def test_a_client_that_asked_for_usage_gets_the_stream_untouched() -> None:
    """And who did not stream is not concerned."""
    ask: dict[str, Any] = {"model": "m", "messages": []}
    shown = parse(openai_chat, {**ask, "stream": True, "stream_options": {"include_usage": True}})
    assert openai_chat.frame_stream(shown) is None and openai_chat.frame_stream(parse(openai_chat, ask)) is None
    assert openai_chat.frame_stream(parse(openai_chat, {**ask, "stream": True})) is not None


def test_requests_say_their_model_and_whether_they_stream() -> None:
    """With any prefix before the path, and `null` for what is not set."""
    chat = parse(openai_chat, {"model": "gpt-6-sol", "messages": [], "stream": None})
    assert (chat.operation, chat.model, chat.stream) == ("generate", "gpt-6-sol", False)
    response = parse(openai_responses, {"model": "m", "input": "x", "stream": True})
    assert (response.operation, response.stream) == ("generate", True)
    assert parse(openai_embeddings, {"model": "m", "input": "x"}).operation == "embed"


@pytest.mark.parametrize(
    ("module", "body", "words"),
    [
        (openai_chat, b"[]", "not an object"),
        (openai_chat, {"messages": []}, "model: a non-empty string"),
        (openai_chat, {"model": "m"}, "messages: a list is required"),
        (openai_chat, {"model": "m", "messages": [], "stream": "yes"}, "stream: must be true or false"),
        (openai_chat, b'{"model":"m","messages":[],"stream":1e999}', "stream: cannot be read"),
        (openai_responses, {"model": "m"}, "input: a text or a list"),
        (openai_embeddings, {"model": "m"}, "input: a text or a list"),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_wrong(module: Any, body: Any, words: str) -> None:
    """400 with a sentence."""
    with pytest.raises(InvalidRequest) as refused:
        parse(module, body)
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "bad", "type": "invalid_request_error", "param": "x", "code": None}, "invalid_request_error"),
        (401, {"message": "key", "type": "invalid_request_error", "code": "invalid_api_key"}, "authentication_error"),
        (404, {"message": "none", "type": "invalid_request_error", "code": "model_not_found"}, "not_found_error"),
        (429, {"message": "slow", "type": "tokens", "code": "rate_limit_exceeded"}, "rate_limit_error"),
        (429, {"message": "spent", "type": "insufficient_quota", "code": "insufficient_quota"}, "billing_error"),
        (500, {"message": "oops", "type": "server_error", "code": None}, "api_error"),
        (503, {"message": "busy", "type": "server_error"}, "overloaded_error"),
    ],
)
def test_a_providers_error_is_read_and_goes_on_as_it_is(status: int, error: dict[str, Any], kind: str) -> None:
    """Byte for byte to clients of either of OpenAI's formats."""
    body = json.dumps({"error": error}).encode()
    read = openai_chat.parse_error(status, body, {"retry-after": "3"})
    assert read is not None and (read.kind, read.status, read.message) == (kind, status, error["message"])
    assert openai_chat.render_error(read, "r") == openai_responses.render_error(read, "r") == body
    assert openai_chat.render_error_head(read) == (status, {"retry-after": "3"})


def test_an_overlong_prompt_is_told_in_words_that_claude_code_knows() -> None:
    """It then shortens its history."""
    body = b'{"error":{"message":"maximum context length is 9","type":"invalid_request_error","code":"context_length_exceeded"}}'
    error = openai_chat.parse_error(400, body, {})
    assert error is not None and error.message == "prompt is too long: maximum context length is 9"


GOOGLES = b'{"error":{"message":"x","status":"NOT_FOUND"}}'


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error":{}}', GOOGLES])
def test_what_is_no_error_of_openais_is_left_to_others(body: bytes) -> None:
    """Google's envelope too."""
    assert openai_chat.parse_error(500, body, {}) is None


def test_a_budget_that_is_used_up_names_no_time_to_retry_at() -> None:
    """Codex would wait for it, if it took weeks; a rate does name it."""
    budget = BudgetExceeded("spent", retry_after_s=2_000_000, shown={"anthropic-ratelimit-unified-status": "rejected"})
    assert openai_chat.render_error_head(budget) == (429, {"x-should-retry": "false"})
    assert openai_chat.render_error_head(RateExceeded("slow", retry_after_s=7)) == (429, {"retry-after": "7"})
    assert openai_chat.render_error_head(GatewayError("busy", status=529, kind="overloaded_error"))[0] == 503


def test_texts_are_embedded_by_predict() -> None:
    """None is cut in silence; shortened vectors have length 1."""
    wanted = openai_embeddings.parse_embedding({"model": "m", "input": ["a", "b"], "dimensions": 2, "task_type": "CLUSTERING"})
    assert openai_embeddings.render_predict(wanted) == {
        "instances": [{"content": "a", "task_type": "CLUSTERING"}, {"content": "b", "task_type": "CLUSTERING"}],
        "parameters": {"autoTruncate": False, "outputDimensionality": 2},
    }
    answer = {"predictions": [{"embeddings": {"values": v, "statistics": {"token_count": 3}}} for v in ([3.0, 4.0], [0.0, 0.0])]}
    found = openai_embeddings.parse_predict(answer, wanted)
    assert (found.vectors, found.tokens) == (((0.6, 0.8), (0.0, 0.0)), 6)


def test_a_text_is_embedded_by_embed_content() -> None:
    """As it is where nobody asked for fewer dimensions."""
    wanted = Embedding(("a",))
    assert openai_embeddings.render_embed_content(wanted) == {
        "content": {"parts": [{"text": "a"}]},
        "embedContentConfig": {"autoTruncate": False},
    }
    answer = {"embedding": {"values": [3, 4]}, "usageMetadata": {"promptTokenCount": 2}}
    found = openai_embeddings.parse_embed_content(answer, wanted)
    assert (found.vectors, found.tokens) == (((3, 4),), 2)
    told = json.loads(openai_embeddings.render_embeddings([found], model="m", as_base64=True))
    assert base64.b64decode(told["data"][0]["embedding"]) == b"\0\0\x40\x40\0\0\x80\x40"


@pytest.mark.parametrize("answer", [{}, {"predictions": [{}]}, {"predictions": []}, {"predictions": None}, []])
def test_an_answer_without_vectors_is_refused(answer: Any) -> None:
    """One a text there must be."""
    with pytest.raises(UpstreamFailed):
        openai_embeddings.parse_predict(answer, Embedding(("a",)))
    with pytest.raises(UpstreamFailed):
        openai_embeddings.parse_embed_content(answer, Embedding(("a",)))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"input": []}, "input: must be a text or a list"),
        ({"input": [1, 2]}, "token numbers"),
        ({"input": [[1], [2]]}, "token numbers"),
        ({"input": ["a", ""]}, "input.1:"),
        ({"dimensions": 0}, "dimensions:"),
        ({"encoding_format": "hex"}, "encoding_format:"),
        ({"task_type": 3}, "task_type:"),
    ],
)
def test_what_cannot_be_embedded_is_refused(more: dict[str, Any], words: str) -> None:
    """By name, with what would be right."""
    with pytest.raises(InvalidRequest) as refused:
        openai_embeddings.parse_embedding({"model": "m", "input": "a", **more})
    assert words in refused.value.message


def _chunk(**more: Any) -> bytes:
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "model": "some-model", **more}).encode() + b"\n\n"


SAID = _chunk(choices=[{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}])
FINISHED = _chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
FIGURES = _chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 1})


def test_a_stream_without_done_is_whole_once_its_figures_came() -> None:
    """Not every compatible server ends as OpenAI does."""
    watch = openai_chat.watch_stream()
    for piece, ended in ((SAID, False), (FINISHED, False), (FIGURES, True)):
        watch.feed(piece)
        assert watch.ended is ended
    usage = watch.usage()
    assert usage is not None and (usage.tokens.input, usage.tokens.output, usage.completeness) == (3, 1, "final")


def test_a_stream_with_neither_figures_nor_done_may_end_at_its_finish_reason() -> None:
    """And not before: what was cut off has none."""
    watch = openai_chat.watch_stream()
    watch.feed(SAID)
    assert not watch.may_end
    watch.feed(FINISHED)
    assert watch.may_end and not watch.ended


def test_figures_in_every_chunk_do_not_end_a_stream() -> None:
    """Some servers count as they go."""
    watch = openai_chat.watch_stream()
    counting = {"prompt_tokens": 3, "completion_tokens": 1}
    watch.feed(_chunk(choices=[{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}], usage=counting))
    assert not watch.ended and not watch.may_end
    watch.feed(_chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=counting))
    assert watch.ended


@pytest.mark.parametrize("values", [None, 3, ["a"], [None]])
@pytest.mark.parametrize("dimensions", [None, 2])
def test_a_vector_that_is_none_is_the_providers_fault(values: Any, dimensions: int | None) -> None:
    """Told as such, and tried elsewhere; no fault of the gateway's."""
    wanted = Embedding(("a",), dimensions=dimensions)
    with pytest.raises(UpstreamFailed, match="a vector that is none"):
        openai_embeddings.parse_predict({"predictions": [{"embeddings": {"values": values}}]}, wanted)
