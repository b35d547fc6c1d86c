"""A Chat Completions stream as canonical events, however odd the server that sends it.

Source: OpenAI chat streaming reference as in openai-python 3.52.0, what compatible servers send instead, and Anthropic
streaming reference, 2026-11-20.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.canonical.errors import StreamBroken
from gateway.canonical.translation import Json
from gateway.dialects.blocks import BlockWriter
from gateway.dialects.crossing import decode_event, object_of, objects_of, parse_arguments, suffix_of, text_of
from gateway.dialects.openai.answer import refusal_details, stop_reason_of
from gateway.dialects.openai.errors import canonical_message, kind_of
from gateway.dialects.openai.usage import parse_openai_usage
from gateway.dialects.sse import DONE, SseEvent, SseReader


@dataclass(slots=True)
class _Call:
    """A tool call as its pieces arrive. `held` waits until the call before it is whole."""

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    opened: bool = False
    whole: bool = False
    held: list[str] = field(default_factory=list)


class StreamParser:
    """Chunks in any cutting → canonical events. The end is told once usage may have come: at `[DONE]`, or in `end()` where a
    server leaves that out. A stream without a finish reason is broken, whatever it says at its end."""

    def __init__(self) -> None:
        self._reader = SseReader()
        self._blocks = BlockWriter()
        self._calls: dict[int, _Call] = {}
        self._telling: _Call | None = None
        self._finish: str | None = None
        self._refusal = ""
        self._usage: Json = {"output_tokens": 0}
        self._over = False

    def feed(self, chunk: bytes) -> list[Json]:
        return self._read_all(self._reader.feed(chunk))

    def end(self) -> list[Json]:
        events = self._read_all(self._reader.end())
        if self._over:
            return events
        if self._finish is None:
            raise StreamBroken("the provider's stream ended before it gave a finish_reason")
        return [*events, *self._close()]

    def _read_all(self, records: list[SseEvent]) -> list[Json]:
        events: list[Json] = []
        for record in records:
            if self._over:
                break
            if record.data.strip() == DONE:
                if self._finish is not None:
                    events += self._close()
            else:
                events += self._read(decode_event(record.data))
        return events

    def _read(self, chunk: Any) -> list[Json]:
        if not isinstance(chunk, dict):
            return []
        if chunk.get("error"):
            return self._fail(chunk["error"])
        if isinstance(chunk.get("usage"), dict):
            self._usage = parse_openai_usage(chunk["usage"])
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index", 0) != 0:
            return []
        events = [] if self._blocks.started else self._start(chunk)
        events += self._read_delta(object_of(choice.get("delta")))
        self._finish = text_of(choice.get("finish_reason")) or self._finish
        return events

    def _fail(self, error: Any) -> list[Json]:
        self._over = True
        error = error if isinstance(error, dict) else {"message": str(error)}
        return [{"type": "error", "error": {"type": kind_of(error), "message": canonical_message(error)}}]

    def _start(self, chunk: Json) -> list[Json]:
        return self._blocks.start(f"msg_{suffix_of(chunk.get('id'))}", text_of(chunk.get("model")))

    def _read_delta(self, delta: Json) -> list[Json]:
        events: list[Json] = []
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            events += self._blocks.thinking(thought)
        for block in objects_of(delta.get("thinking_blocks")):
            events += self._read_thinking(block)
        if delta.get("content"):
            events += self._close_calls() + self._blocks.text(_text(delta["content"]))
        self._refusal += text_of(delta.get("refusal"))
        for piece in objects_of(delta.get("tool_calls")):
            events += self._read_call(piece)
        return events

    def _read_thinking(self, block: Json) -> list[Json]:
        """A whole block, its text told before as `reasoning_content` by those who tell both."""
        if block.get("type") == "redacted_thinking":
            return self._blocks.whole(block)
        signature = text_of(block.get("signature"))
        if not signature:
            return []
        events = [] if self._blocks.kind == "thinking" else self._blocks.thinking(text_of(block.get("thinking")))
        return events + self._blocks.sign(signature)

    def _read_call(self, piece: Json) -> list[Json]:
        index = self._index_of(piece)
        custom = piece.get("custom")
        said = object_of(custom or piece.get("function"))
        call = self._calls.get(index)
        if call is None:
            call_id = text_of(piece.get("id")) or f"call_{suffix_of(self._blocks.message_id)}_{index}"
            call = self._calls[index] = _Call(call_id, text_of(said.get("name")), custom=bool(custom))
        text = said.get("input" if call.custom else "arguments")
        text = msgspec.json.encode(text).decode() if isinstance(text, dict) else text_of(text)
        call.arguments += text
        if text:
            call.held.append(text)
        return self._tell_calls()

    def _index_of(self, piece: Json) -> int:
        """Some servers leave `index` out, or give each call the same one: then a new id is a new call."""
        index = piece.get("index")
        if not isinstance(index, int):
            index = max(self._calls, default=0)
        known = self._calls.get(index)
        call_id = text_of(piece.get("id"))
        if known and call_id not in ("", known.id):
            known_ids = {call.id: place for place, call in self._calls.items()}
            return known_ids.get(call_id, max(self._calls) + 1)
        return index

    def _tell_calls(self) -> list[Json]:
        """The calls in their order, one open at a time: the next begins when the one before it is whole."""
        events: list[Json] = []
        for index in sorted(self._calls):
            call = self._calls[index]
            if not call.custom:
                events += self._tell_call(call)
            call.whole = call.whole or (index != max(self._calls) and _is_whole(call))
            if not call.whole:
                break
        return events

    def _close_calls(self) -> list[Json]:
        """All of what was held back."""
        events: list[Json] = []
        for index in sorted(self._calls):
            call = self._calls[index]
            if call.custom and call.held:
                call.held = [msgspec.json.encode({"input": call.arguments}).decode()]
            events += self._tell_call(call)
        return events

    def _tell_call(self, call: _Call) -> list[Json]:
        events: list[Json] = []
        if not call.opened:
            call.opened = True
            self._telling = call
            events += self._blocks.tool(call.id, call.name)
        if call.held and self._telling is not call:
            raise StreamBroken("the provider's stream goes back to a tool call that it had left")
        for text in call.held:
            events += self._blocks.arguments(text)
        call.held.clear()
        return events

    def _close(self) -> list[Json]:
        self._over = True
        events = self._close_calls()
        stop = stop_reason_of(self._finish, called=bool(self._calls), refused=bool(self._refusal))
        details = refusal_details(self._refusal or None) if stop == "refusal" else None
        return [*events, *self._blocks.stop(stop, self._usage, details)]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(text_of(part.get("text")) for part in objects_of(content))
    return text_of(content)


def _is_whole(call: _Call) -> bool:
    if call.custom or not call.arguments.strip():
        return False
    return "_raw" not in parse_arguments(call.arguments)
