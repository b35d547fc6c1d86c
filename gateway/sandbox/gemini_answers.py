"""generateContent as the simulated Gemini answers it: whole, as server-sent events, and as a JSON array (2026-11-20)."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.answers import Answer
from gateway.sandbox.delivery import Event, Framing
from gateway.sandbox.errors import GOOGLE_STATUS
from gateway.sandbox.faults import Fault
from gateway.sandbox.gemini_models import GeminiModel
from gateway.sandbox.identifiers import LETTERS
from gateway.sandbox.messages import pieces
from gateway.sandbox.prompt_cache import CacheUse

Json = dict[str, Any]
THOUGHT = "I am the sandbox, so I will repeat what was said and say that nobody thought about it."
THOUGHT_TOKENS = 64
STATUS_OF = {"overloaded_error": 503, "rate_limit_error": 429, "invalid_request_error": 400}


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer and what it cost. `sign` makes a thought signature."""

    answer: Answer
    cache: CacheUse
    model: GeminiModel
    thoughts: int
    shows_thoughts: bool
    sign: Callable[[GeminiModel], str]
    traffic: str = "ON_DEMAND"

    @property
    def blocked(self) -> bool:
        return self.answer.stop_reason == "refusal"

    @property
    def finish(self) -> str:
        return "MAX_TOKENS" if self.answer.stop_reason == "max_tokens" else "STOP"


def response(done: Generated) -> Json:
    """The unstreamed answer."""
    if done.blocked:
        return _blocked(done)
    parts = [*_thought(done)]
    texts = [{"text": block["text"]} for block in done.answer.content if block["type"] == "text"]
    calls = _calls(done)
    if texts and not calls and done.model.new:
        texts[-1]["thoughtSignature"] = done.sign(done.model)
    return _whole(done, [*parts, *texts, *calls], finish=True)


def chunks(done: Generated, fault: Fault) -> Iterator[Json]:
    """The streamed answer: new parts only, calls whole, a signature of text in an empty part at the end."""
    if done.blocked:
        yield _blocked(done)
        return
    for part in _thought(done):
        yield _whole(done, [part])
    for block in done.answer.content:
        if block["type"] == "text":
            for piece in pieces(block["text"], fault):
                yield _whole(done, [{"text": piece}])
    calls = _calls(done)
    last: Json = {"text": ""} | ({"thoughtSignature": done.sign(done.model)} if done.model.new and not calls else {})
    yield _whole(done, calls or [last], finish=True)


def _thought(done: Generated) -> list[Json]:
    return [{"text": THOUGHT, "thought": True}] if done.shows_thoughts and done.thoughts else []


def _calls(done: Generated) -> list[Json]:
    """Of calls made at once only the first bears a signature."""
    parts: list[Json] = []
    for block in done.answer.content:
        if block["type"] != "tool_use":
            continue
        call: Json = {"name": block["name"], "args": block["input"]}
        if done.model.new:
            call["id"] = "".join(random.choices(LETTERS, k=8)).lower()
        signed = {"thoughtSignature": done.sign(done.model)} if done.model.new and not parts else {}
        parts.append({"functionCall": call, **signed})
    return parts


def _whole(done: Generated, parts: list[Json], *, finish: bool = False) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": parts}}
    if finish:
        candidate |= {"finishReason": done.finish, **_grounding(done)}
    return {"candidates": [candidate], **_about(done, final=finish)}


def _grounding(done: Generated) -> Json:
    """Queries, pages, and which of what was said rests on which; places are counted in bytes."""
    queries = [block["input"]["query"] for block in done.answer.content if block["type"] == "server_tool_use"]
    chunks: list[Json] = []
    supports: list[Json] = []
    start = 0
    for block in done.answer.content:
        if block["type"] != "text":
            continue
        end = start + len(block["text"].encode())
        for citation in block.get("citations") or []:
            segment = {"startIndex": start, "endIndex": end, "text": block["text"]}
            supports.append({"segment": segment, "groundingChunkIndices": [len(chunks)]})
            chunks.append({"web": {"uri": citation["url"], "title": citation["title"], "domain": "example.com"}})
        start = end
    if not queries:
        return {}
    return {"groundingMetadata": {"webSearchQueries": queries, "groundingChunks": chunks, "groundingSupports": supports}}


def _blocked(done: Generated) -> Json:
    feedback = {"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "The sandbox was asked to refuse."}
    return {"promptFeedback": feedback, **_about(done, final=False)}


def _about(done: Generated, *, final: bool) -> Json:
    """Thoughts are counted beside what was said, cached tokens among the prompt's. Only the last figures are whole."""
    prompt = done.cache.uncached + done.cache.read + done.cache.write_5m
    usage: Json = {
        "promptTokenCount": prompt,
        "totalTokenCount": prompt,
        "trafficType": done.traffic,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
    }
    if done.cache.read:
        usage["cachedContentTokenCount"] = done.cache.read
    if final:
        usage["candidatesTokenCount"] = done.answer.output_tokens
        usage["totalTokenCount"] += done.answer.output_tokens + done.thoughts
        if done.thoughts:
            usage["thoughtsTokenCount"] = done.thoughts
    return {"usageMetadata": usage, "modelVersion": done.model.id, "responseId": "".join(random.choices(LETTERS, k=22))}


def _error(kind: str, message: str) -> bytes:
    status = STATUS_OF.get(kind, 500)
    return json.dumps({"error": {"code": status, "message": message, "status": GOOGLE_STATUS[status]}}).encode()


def _is_delta(event: Event) -> bool:
    return "candidates" in event


EVENTS = Framing(
    "text/event-stream",
    lambda event, text: b"data: " + text.encode() + b"\r\n\r\n",
    lambda kind, message: b"data: " + _error(kind, message) + b"\r\n\r\n",
    _is_delta,
)
ARRAY = Framing(
    "application/json; charset=UTF-8",
    lambda event, text: text.encode(),
    _error,
    _is_delta,
    first=b"[",
    separator=b",\r\n",
    last=b"]",
)
