"""How each dialect asks, plain and streamed, and what an answer in it means: for tests of kept answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from house import Served
from wire import Answer, ask

from gateway.canonical.store import Json, Put
from gateway.dialects import TRANSLATIONS
from gateway.sandbox.recording import Recorded

Ask = tuple[str, Json]
SIMPLE = {"cache": {"mode": "simple"}}


def _turn(text: str) -> list[Json]:
    return [{"role": "user", "content": text}]


def _anthropic(model: str, text: str, stream: bool) -> Ask:
    return "/v1/messages", {"model": model, "max_tokens": 256, "messages": _turn(text), "stream": stream}


def _vertex(model: str, text: str, stream: bool) -> Ask:
    verb = "streamRawPredict" if stream else "rawPredict"
    body = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 256, "messages": _turn(text), "stream": stream}
    return f"/v1/projects/p/locations/l/publishers/anthropic/models/{quote(model, safe='@/')}:{verb}", body


def _bedrock(model: str, text: str, stream: bool) -> Ask:
    verb = "invoke-with-response-stream" if stream else "invoke"
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 256, "messages": _turn(text)}
    return f"/model/{quote(model, safe='')}/{verb}", body


def _openai(model: str, text: str, stream: bool) -> Ask:
    return "/v1/chat/completions", {"model": model, "max_tokens": 256, "messages": _turn(text), "stream": stream}


def _openai_with_usage(model: str, text: str, stream: bool) -> Ask:
    path, body = _openai(model, text, stream)
    return path, {**body, **({"stream_options": {"include_usage": True}} if stream else {})}


def _responses(model: str, text: str, stream: bool) -> Ask:
    return "/v1/responses", {"model": model, "max_output_tokens": 256, "input": text, "stream": stream}


def _gemini(model: str, text: str, stream: bool) -> Ask:
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    body = {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": {"maxOutputTokens": 256}}
    return f"/v1beta/models/{quote(model, safe='@/')}:{verb}", body


def _gemini_array(model: str, text: str, stream: bool) -> Ask:
    path, body = _gemini(model, text, stream)
    return path.partition("?")[0], body


DOORS: dict[str, tuple[str, Callable[[str, str, bool], Ask]]] = {
    "anthropic": ("anthropic", _anthropic),
    "vertex": ("anthropic", _vertex),
    "bedrock": ("bedrock", _bedrock),
    "openai": ("openai", _openai),
    "openai with usage": ("openai", _openai_with_usage),
    "openai-responses": ("openai-responses", _responses),
    "gemini": ("gemini", _gemini),
    "gemini array": ("gemini", _gemini_array),
}
"""By a way of asking: its wire format, and the request."""


@dataclass
class Desk:
    """A gateway whose keys keep answers."""

    gateway: Served
    key: str

    def ask(self, door: str, model: str, text: str, *, stream: bool = False, key: str = "", **headers: str) -> Answer:
        path, body = DOORS[door][1](model, text, stream)
        return self.post(path, body, key=key, **headers)

    def post(self, path: str, body: Json, *, key: str = "", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = ask(self.gateway.url, "POST", path, body=body, headers={"authorization": f"Bearer {key or self.key}", **named})
        assert answer.status == 200, answer.body
        return answer

    def asked_upstream(self, text: str) -> list[Recorded]:
        """The requests that the providers got with this text."""
        return [each for each in self.gateway.sandbox.requests if text.encode() in each.body]

    def record(self, answer: Answer) -> Json:
        return self.gateway.record(answer.request_id)


def open_desk(gateway: Served) -> Desk:
    config(gateway, "kept", SIMPLE)
    return Desk(gateway, gateway.add_key(config="kept"))


def config(gateway: Served, config_id: str, document: Json) -> str:
    gateway.store.commit([Put(f"configs/{config_id}", {"config": json.dumps(document), "version": 1})])
    gateway.house.planner.shelf.forget(config_id)
    return config_id


def meaning(door: str, answer: Answer, *, stream: bool, usage: bool = True) -> Any:
    """Text, ending and figures of an answer, read by its wire format's own half of a crossing."""
    translation = TRANSLATIONS[DOORS[door][0]]
    if not stream:
        message = translation.parse_answer(answer.json())
        text = "".join(block.get("text", "") for block in message["content"])
        return text, message["stop_reason"], _figures(message["usage"]) if usage else None
    parser = translation.parse_stream()
    events = [*parser.feed(_as_sse(answer)), *parser.end()]
    text = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    (ending,) = [event for event in events if event["type"] == "message_delta"]
    (start,) = [event["message"] for event in events if event["type"] == "message_start"]
    figures = _figures({**(start.get("usage") or {}), **(ending.get("usage") or {})})
    return text, ending["delta"]["stop_reason"], figures if usage else None


def _as_sse(answer: Answer) -> bytes:
    """Gemini's array of chunks as the records of its other form."""
    if not answer.headers["content-type"].startswith("application/json"):
        return answer.body
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in answer.json())


def _figures(usage: Json) -> tuple[int, int]:
    return usage.get("input_tokens", 0), usage.get("output_tokens", 0)
