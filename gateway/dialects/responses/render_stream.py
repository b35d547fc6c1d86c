"""Canonical stream events as an OpenAI Responses stream, whose events build up a response: items, parts in them, text in those.

Every event has a `sequence_number`; each item and part is added, told piece by piece, told whole, and done. There is no
`[DONE]`: `response.completed`, `.incomplete` or `.failed` is the end.
Source: OpenAI responses streaming reference as in openai-python 3.52.0, captures of Codex CLI 0.169.0, 2026-11-20.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.canonical.translation import Json
from gateway.dialects.crossing import parse_arguments, render_arguments, suffix_of
from gateway.dialects.responses.answer import (
    close_response,
    fail_response,
    message_item,
    new_response,
    refusal_part,
    render_item,
    text_part,
    tool_names,
)
from gateway.dialects.sse import render_comment, render_event


@dataclass(slots=True)
class _Open:
    """A block under way: its place in the output, its ids, and what of it has been told."""

    block: Json
    place: int
    suffix: str
    text: str = ""
    signature: str = ""
    citations: list[Json] = field(default_factory=list)
    shown: bool = False  # its part has been added


class StreamRenderer:
    """Canonical events → Responses events."""

    def __init__(self, *, asked_model: str, request: Mapping[str, Any], now: Callable[[], float] = time.time) -> None:
        self._asked_model = asked_model
        self._request = request
        self._now = now
        self._names = tool_names(request)
        self._sequence = 0
        self._response = new_response("", asked_model, request, now)
        self._output: list[Json] = []
        self._open: dict[int, _Open] = {}
        self._places = 0
        self._usage: Json = {}
        self._stop: Any = None
        self._refusal: str | None = None

    def render(self, event: Json) -> bytes:
        handler = self._HANDLERS.get(event["type"])
        return handler(self, event) if handler else b""

    def _event(self, kind: str, **members: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return render_event(msgspec.json.encode(data), kind)

    def _start(self, event: Json) -> bytes:
        message = event["message"]
        model = message.get("model") or self._asked_model
        self._response = new_response(suffix_of(message.get("id")), model, self._request, self._now)
        self._usage = dict(message.get("usage") or {})
        return self._event("response.created", response=self._response) + self._event(
            "response.in_progress", response=self._response
        )

    def _open_block(self, event: Json) -> bytes:
        block = event["content_block"]
        suffix = f"{suffix_of(self._response['id'])}_{self._places}"
        opened = _Open(block, self._places, suffix)
        item = render_item({**block, "input": {}} if block["type"] == "tool_use" else _emptied(block), suffix, self._names,
                           status="in_progress")  # fmt: skip
        if item is None:
            return b""
        self._open[event["index"]] = opened
        self._places += 1
        if block["type"] == "text":
            item = message_item(suffix, status="in_progress")
        said = self._event("response.output_item.added", output_index=opened.place, item=item)
        if block["type"] == "text":
            said += self._show(opened, item["id"], text_part(""))
        if block["type"] == "tool_use" and block.get("input"):
            return said + self._tell(opened, render_arguments(block["input"]))
        given = block.get("text") or block.get("thinking")
        return said + self._tell(opened, given) if given else said

    def _show(self, opened: _Open, item_id: str, part: Json) -> bytes:
        opened.shown = True
        return self._event("response.content_part.added", item_id=item_id, output_index=opened.place, content_index=0, part=part)

    def _delta(self, event: Json) -> bytes:
        opened, delta = self._open.get(event["index"]), event["delta"]
        if opened is None:
            return b""
        if delta["type"] == "signature_delta":
            opened.signature += delta["signature"]
            return b""
        if delta["type"] == "citations_delta":
            opened.citations.append(delta["citation"])
            return b""
        text = delta.get("text") or delta.get("thinking") or delta.get("partial_json")
        return self._tell(opened, text) if text else b""

    def _tell(self, opened: _Open, text: str) -> bytes:
        opened.text += text
        kind, place = opened.block["type"], opened.place
        if kind == "text":
            return self._event("response.output_text.delta", item_id=f"msg_{opened.suffix}", output_index=place,
                               content_index=0, delta=text, logprobs=[])  # fmt: skip
        if kind == "tool_use":
            if opened.block["name"] in self._names.customs:
                return b""
            return self._event("response.function_call_arguments.delta", item_id=f"fc_{opened.suffix}", output_index=place,
                               delta=text)  # fmt: skip
        said = b"" if opened.shown else self._event("response.reasoning_summary_part.added", **_summary(opened, part=""))
        opened.shown = True
        return said + self._event("response.reasoning_summary_text.delta", **_summary(opened), delta=text)

    def _close_block(self, event: Json) -> bytes:
        opened = self._open.pop(event["index"], None)
        if opened is None:
            return b""
        block = _whole(opened)
        item = render_item(block, opened.suffix, self._names) or {}
        self._output.append(item)
        said = self._say_whole(opened, item)
        return said + self._event("response.output_item.done", output_index=opened.place, item=item)

    def _say_whole(self, opened: _Open, item: Json) -> bytes:
        at: Json = {"item_id": item["id"], "output_index": opened.place}
        if item["type"] == "message":
            done = self._annotate(at, item["content"][0]["annotations"])
            done += self._event("response.output_text.done", **at, content_index=0, text=opened.text, logprobs=[])
            return done + self._event("response.content_part.done", **at, content_index=0, part=item["content"][0])
        if item["type"] == "function_call":
            return self._event("response.function_call_arguments.done", **at, name=item["name"], arguments=item["arguments"])
        if item["type"] == "custom_tool_call":
            said = self._event("response.custom_tool_call_input.delta", **at, delta=item["input"])
            return said + self._event("response.custom_tool_call_input.done", **at, input=item["input"])
        if not opened.shown:
            return b""
        said = self._event("response.reasoning_summary_text.done", **_summary(opened), text=opened.text)
        return said + self._event("response.reasoning_summary_part.done", **_summary(opened, part=opened.text))

    def _annotate(self, at: Json, annotations: list[Json]) -> bytes:
        told = [
            self._event("response.output_text.annotation.added", **at, content_index=0, annotation_index=n, annotation=annotation)
            for n, annotation in enumerate(annotations)
        ]
        return b"".join(told)

    def _take_end(self, event: Json) -> bytes:
        delta = event.get("delta") or {}
        self._stop = delta.get("stop_reason") or self._stop
        self._refusal = (delta.get("stop_details") or {}).get("explanation") or self._refusal
        self._usage |= {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
        return b""

    def _finish(self, event: Json) -> bytes:
        said = self._refuse(self._refusal) if self._refusal and self._stop == "refusal" else b""
        response = close_response(self._response, self._output, self._stop, self._usage)
        return said + self._event(f"response.{response['status']}", response=response)

    def _refuse(self, refusal: str) -> bytes:
        suffix = f"{suffix_of(self._response['id'])}_{self._places}"
        item = message_item(suffix, refusal_part(refusal))
        self._output.append(item)
        at: Json = {"item_id": item["id"], "output_index": self._places, "content_index": 0}
        return b"".join(
            [
                self._event("response.output_item.added", output_index=self._places, item={**item, "content": []}),
                self._event("response.content_part.added", **at, part=refusal_part("")),
                self._event("response.refusal.delta", **at, delta=refusal),
                self._event("response.refusal.done", **at, refusal=refusal),
                self._event("response.content_part.done", **at, part=refusal_part(refusal)),
                self._event("response.output_item.done", output_index=self._places, item=item),
            ]
        )

    def _ping(self, event: Json) -> bytes:
        return render_comment("ping")

    def _fail(self, event: Json) -> bytes:
        error = event.get("error") or {}
        message = error.get("message") or "the provider gave no reason; try again"
        failed = fail_response(self._response, error.get("type") or "api_error", message)
        return self._event("response.failed", response={**failed, "output": self._output})

    _HANDLERS: Mapping[str, Callable[["StreamRenderer", Json], bytes]] = {
        "message_start": _start,
        "content_block_start": _open_block,
        "content_block_delta": _delta,
        "content_block_stop": _close_block,
        "message_delta": _take_end,
        "message_stop": _finish,
        "ping": _ping,
        "error": _fail,
    }


def _summary(opened: _Open, part: str | None = None) -> Json:
    place: Json = {"item_id": f"rs_{opened.suffix}", "output_index": opened.place, "summary_index": 0}
    return place if part is None else {**place, "part": {"type": "summary_text", "text": part}}


def _emptied(block: Json) -> Json:
    return {**block, "thinking": "", "signature": ""} if block["type"] == "thinking" else block


def _whole(opened: _Open) -> Json:
    block = opened.block
    if block["type"] == "text":
        return {**block, "text": opened.text, "citations": opened.citations}
    if block["type"] == "thinking":
        return {**block, "thinking": opened.text, "signature": opened.signature or block.get("signature") or ""}
    return {**block, "input": parse_arguments(opened.text)} if block["type"] == "tool_use" else block
