"""What a call's answer must be like to be kept."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import SEMANTIC, TARGET, call_of, plan_with
from kept import NOW

from gateway.answering.cached import LARGE_MAX, SMALL_BYTES, Recall, recall
from gateway.cache.cache import Cache
from gateway.cache.entry import BODY_BYTES_MAX
from gateway.cache.memory import Memory
from gateway.cache.semantic import SemanticCache
from gateway.canonical.call import CacheRule, Call, Plan
from gateway.canonical.json_object import JsonObject
from gateway.canonical.steps import run_blocking
from gateway.canonical.store import Put
from gateway.canonical.usage import Usage
from gateway.providers.crossing import cross
from gateway.providers.send import Attempt
from gateway.records.document import Outcome

TALK = {"model": "claude-sonnet-4-6", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello"}]}
SIMPLE = CacheRule("simple")
OPENAI_STREAM = Path(__file__).parents[1] / "golden/crossing/streams/words-and-usage.sse"
GOOD = Outcome(200, usage=Usage(completeness="final"))


def new_cache() -> Cache:
    return Cache(None, Memory(), lambda: NOW, lambda: 0.0)  # type: ignore[arg-type]


def begun(call: Call | None = None, plan: Plan | None = None, cache: Cache | None = None) -> Recall | None:
    cache = cache or new_cache()
    semantic = SemanticCache(None, cache, None, "m")  # type: ignore[arg-type]
    return run_blocking(recall(cache, semantic, call or call_of(TALK), plan or plan_with(SIMPLE)))


def put_of(*pieces: bytes, outcome: Outcome = GOOD, ended: bool = True, target: Any = TARGET) -> Put | None:
    """What is written for a plain answer in these pieces."""
    running = begun()
    assert running is not None
    for piece in pieces:
        running.gather(piece)
    if ended:
        running.end("application/json", stream=False)
    return running.keep(Attempt(target, None, None, ()), outcome)  # type: ignore[arg-type]


def test_a_whole_good_answer_is_kept_once() -> None:
    """In one piece, with all that a hit has to say."""
    put = put_of(b"one", b"two")
    assert put is not None and put.data["body"] == b"onetwo"
    assert (put.data["project"], put.data["user"], put.data["provider"]) == ("demo", "ana@example.com", "vertex")
    running = begun()
    assert running is not None
    running.gather(b"x")
    running.end("application/json", stream=False)
    attempt = Attempt(TARGET, None, None, ())  # type: ignore[arg-type]
    assert running.keep(attempt, GOOD) is not None and running.keep(attempt, GOOD) is None


def test_what_is_not_known_to_be_whole_is_not_kept() -> None:
    """An end that was not told, figures that are not the provider's last, an answer of another model."""
    assert put_of(b"x", ended=False) is None
    for completeness in ("partial", "estimated"):
        assert put_of(b"x", outcome=replace(GOOD, usage=Usage(completeness=completeness))) is None  # type: ignore[arg-type]
    assert put_of(b"x", target=replace(TARGET, model="claude-haiku-4-5")) is None


def frame(said: bytes) -> bytes:
    return b'\0{"bytes":"' + base64.b64encode(said) + b'","p":"ab"}\0'


REFUSED = {
    "anthropic": b'{"type":"message","content":[],"stop_reason": "refusal"}',
    "anthropic stream": b'data: {"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null}}\n\n',
    "bedrock stream": frame(b'{"type":"content_block_stop","index":0}') + frame(b'{"delta":{"stop_reason":"refusal"}}'),
    "bedrock guardrail": b'{"content":[],"stop_reason":"end_turn","amazon-bedrock-guardrailAction":"INTERVENED"}',
    "openai": b'{"choices":[{"finish_reason":"content_filter","message":{"content":""}}]}',
    "openai words": b'{"choices":[{"finish_reason":"stop","message":{"content":null,"refusal":"No."}}]}',
    "openai stream": (OPENAI_STREAM.parent / "a-refusal.sse").read_bytes(),
    "responses": b'{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}',
    "responses words": b'{"output":[{"content":[{"type":"refusal","refusal":"No."}]}]}',
    "gemini": b'{"candidates":[{"finishReason": "PROHIBITED_CONTENT"}]}',
    "gemini prompt": b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{}}',
    "gemini fault": b'{"candidates":[{"finishReason":"MALFORMED_FUNCTION_CALL"}]}',
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_not_given_again(name: str) -> None:
    """Asked once more the model may answer; and by meaning it would stand for its neighbours too."""
    assert put_of(REFUSED[name]) is None


@pytest.mark.parametrize(
    "body",
    [
        OPENAI_STREAM.read_bytes(),
        b'{"choices":[{"finish_reason":"length","message":{"content":"No.","refusal":null}}]}',
        b'{"candidates":[{"finishReason":"MAX_TOKENS"},{"finishReason":"STOP"}]}',
        json.dumps({"content": [{"type": "text", "text": '{"stop_reason":"refusal"}'}], "stop_reason": "end_turn"}).encode(),
        frame(b'{"delta":{"stop_reason":"end_turn"}}'),
        b'{"bytes":"abc"}',
    ],
)
def test_words_about_refusals_are_none(body: bytes) -> None:
    """Nor is an answer that was as long as it may be."""
    assert put_of(body) is not None


def test_answers_longer_than_a_document_are_let_go_as_they_come() -> None:
    """Nothing of them stays in memory."""
    assert put_of(b"x" * BODY_BYTES_MAX) is not None
    assert put_of(b"x" * BODY_BYTES_MAX, b"x") is None
    running = begun()
    assert running is not None
    for _ in range(3):
        running.gather(b"x" * BODY_BYTES_MAX)
    assert running.pieces is None


def test_a_stream_that_was_carried_over_is_kept_when_its_own_end_is_there() -> None:
    """A provider's stream may be over before the last of it is told in the client's format."""
    call, elsewhere = call_of(TALK), replace(TARGET, wire="openai")
    call = replace(call, request=replace(call.request, stream=True))
    running, crossing = begun(call, plan_with(SIMPLE, elsewhere)), cross(call, elsewhere)
    assert running is not None and crossing is not None
    carrier = crossing.carry_stream()
    said = carrier.carry(OPENAI_STREAM.read_bytes()) + carrier.end()
    place = said.index(b"event: message_stop")
    attempt = Attempt(elsewhere, None, None, (), crossing)  # type: ignore[arg-type]
    running.gather(said[:place])
    running.end("text/event-stream", stream=True)
    assert running.keep(attempt, GOOD) is None
    running.gather(said[place:])
    put = running.keep(attempt, GOOD)
    assert put is not None and put.data["body"] == said


def test_only_so_many_long_answers_are_gathered_at_one_time() -> None:
    """Short ones all; a long one's place is free again when its call is over."""
    cache = new_cache()
    calls = [begun(cache=cache) for _ in range(LARGE_MAX + 1)]
    for call in calls:
        assert call is not None
        call.gather(b"x" * SMALL_BYTES)
        call.gather(b"x")
    assert [call.pieces is None for call in calls if call is not None] == [False] * LARGE_MAX + [True]
    calls.clear()
    del call
    later = begun(cache=cache)
    assert later is not None
    later.gather(b"x" * (SMALL_BYTES + 1))
    assert later.pieces is not None


def test_nesting_that_cannot_be_written_is_none_of_the_caches_business() -> None:
    """However deep, and however deep in the house it is looked at."""

    def from_below(frames: int, look: Callable[[], object]) -> object:
        return look() if frames == 0 else from_below(frames - 1, look)

    for depth in range(900, 1_000, 10):
        body = b'{"messages":[{"role":"user","content":"Hi"}],"deep":' + b"[" * depth + b"]" * depth + b"}"
        call = call_of(TALK)
        try:
            call = replace(call, request=replace(call.request, document=JsonObject(body)))
        except ValueError:
            continue
        for frames in range(100):
            from_below(frames, lambda call=call: begun(call, plan_with(SEMANTIC)))  # type: ignore[misc]


@pytest.mark.parametrize("dialect", ["anthropic", "bedrock", "openai", "openai-responses", "gemini"])
@pytest.mark.parametrize("odd", [[], {}, 5, None, [[]], {"type": [], "text": "x"}])
def test_a_body_of_any_shape_is_read_without_harm(dialect: str, odd: Any) -> None:
    """What is wrong with it is its provider's to say."""
    turn = {"role": "user", "content": odd}
    for turns in (odd, [odd], [turn], [{**turn, "content": [odd]}], [{"role": odd, "parts": [odd]}]):
        body = {"messages": turns, "input": turns, "contents": turns, "system": odd, "generationConfig": odd, "tools": odd}
        begun(call_of(body, dialect=dialect), plan_with(replace(SEMANTIC, tools=True)))
        begun(call_of({**body, "tools": None}, dialect=dialect), plan_with(SEMANTIC))
