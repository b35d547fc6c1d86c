"""Chat Completions as the simulated OpenAI answers them: whole, and in chunks (API reference, 2026-11-20)."""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.answers import Answer
from gateway.sandbox.delivery import Framing
from gateway.sandbox.faults import Fault
from gateway.sandbox.identifiers import LETTERS
from gateway.sandbox.messages import JSON_PIECE_CHARACTERS, pieces
from gateway.sandbox.openai_errors import KINDS
from gateway.sandbox.prompt_cache import CacheUse
from gateway.sandbox.sse import data_line, dump

Json = dict[str, Any]
REASONING_TOKENS = 64
FINISH = {"tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}
STATUS_OF = {"overloaded_error": 503, "rate_limit_error": 429, "invalid_request_error": 400}


@dataclass(frozen=True, slots=True)
class Completed:
    """An answer and what it cost."""

    answer: Answer
    cache: CacheUse
    model: str
    reasons: bool
    tools: Any = None  # as they were declared: calls in the Responses API bear their own names

    @property
    def text(self) -> str:
        return "".join(block["text"] for block in self.answer.content if block["type"] == "text")

    @property
    def calls(self) -> list[Json]:
        return [block for block in self.answer.content if block["type"] == "tool_use"]

    @property
    def refusal(self) -> str | None:
        return (self.answer.stop_details or {}).get("explanation") if self.answer.stop_reason == "refusal" else None

    @property
    def prompt_tokens(self) -> int:
        return self.cache.uncached + self.cache.read + self.cache.write_5m

    @property
    def reasoning_tokens(self) -> int:
        return REASONING_TOKENS if self.reasons else 0

    @property
    def output_tokens(self) -> int:
        return self.answer.output_tokens + self.reasoning_tokens


def name_with(prefix: str) -> str:
    return prefix + "".join(random.choices(LETTERS, k=24))


def completion(done: Completed) -> Json:
    """The unstreamed answer."""
    calls = [
        {"id": name_with("call_"), "type": "function", "function": {"name": call["name"], "arguments": dump(call["input"])}}
        for call in done.calls
    ]
    message: Json = {"role": "assistant", "content": done.text or None, "refusal": done.refusal, "annotations": []}
    choice = {
        "index": 0,
        "message": message | ({"tool_calls": calls} if calls else {}),
        "logprobs": None,
        "finish_reason": _finish(done),
    }
    return {**_head("chat.completion", done), "choices": [choice], "usage": _usage(done)}


def chunks(done: Completed, fault: Fault, *, with_usage: bool) -> Iterator[Json]:
    """The streamed answer; usage stands in a last chunk of its own, if it was asked for."""
    head = _head("chat.completion.chunk", done) | ({"usage": None} if with_usage else {})

    def chunk(delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for block in done.answer.content:
        if block["type"] == "text":
            for piece in pieces(block["text"], fault):
                yield chunk({"content": piece})
    if done.refusal:
        yield chunk({"refusal": done.refusal})
    for index, call in enumerate(done.calls):
        for delta in _call_deltas(index, call):
            yield chunk({"tool_calls": [delta]})
    yield chunk({}, _finish(done))
    if with_usage:
        yield {**head, "choices": [], "usage": _usage(done)}


def _call_deltas(index: int, call: Mapping[str, Any]) -> Iterator[Json]:
    function = {"name": call["name"], "arguments": ""}
    yield {"index": index, "id": name_with("call_"), "type": "function", "function": function}
    text = dump(call["input"])
    for i in range(0, len(text), JSON_PIECE_CHARACTERS):
        yield {"index": index, "function": {"arguments": text[i : i + JSON_PIECE_CHARACTERS]}}


def _head(kind: str, done: Completed) -> Json:
    return {
        "id": name_with("chatcmpl-"),
        "object": kind,
        "created": int(time.time()),
        "model": done.model,
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }


def _finish(done: Completed) -> str:
    return FINISH.get(done.answer.stop_reason, "stop")


def _usage(done: Completed) -> Json:
    """The prompt's tokens include those of the cache, the answer's those of reasoning."""
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.output_tokens,
        "total_tokens": done.prompt_tokens + done.output_tokens,
        "prompt_tokens_details": {"cached_tokens": done.cache.read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": done.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def stream_error(kind: str, message: str) -> Json:
    status = STATUS_OF.get(kind, 500)
    return {"error": {"message": message, "type": KINDS[status][0], "param": None, "code": KINDS[status][1]}}


def _frame_error(kind: str, message: str) -> bytes:
    event = stream_error(kind, message)
    return data_line(event, dump(event))


CHUNKS = Framing(
    "text/event-stream; charset=utf-8",
    data_line,
    _frame_error,
    lambda event: bool(event.get("choices")) and "content" in event["choices"][0]["delta"],
    last=b"data: [DONE]\n\n",
)
