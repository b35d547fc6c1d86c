"""Thinking blocks that hold nothing but another vendor's signature: for clients that are shown thinking, and for no others.

Gemini signs a text behind it, and would like to have that signature back, but does not insist. A client of Messages that is
shown thinking is given it as an empty block. Others take the last block for the answer: Claude Code then finds none (2.1.329,
measured 2026-11-21). Clients of OpenAI's formats have a place of its own for it, and always get it.
"""

from collections.abc import Mapping
from typing import Any

from gateway.canonical.translation import Json, StreamRenderer
from gateway.dialects.crossing import FOREIGN_SIGNATURE, object_of


def sees_thinking(request: Mapping[str, Any]) -> bool:
    """Whether a Messages request asks to be shown what the model thinks."""
    thinking = object_of(request.get("thinking"))
    return thinking.get("type") not in (None, "disabled") and thinking.get("display") != "omitted"


def render_without_seals(renderer: StreamRenderer, request: Mapping[str, Any]) -> StreamRenderer:
    """The renderer itself for a client that is shown thinking."""
    return renderer if sees_thinking(request) else _Sealed(renderer)


def without_seals(content: list[Json]) -> list[Json]:
    return [block for block in content if not _is_seal(block)]


def _is_seal(block: Json) -> bool:
    sealed = block["type"] == "thinking" and not block.get("thinking")
    return sealed and FOREIGN_SIGNATURE.match(str(block.get("signature") or "")) is not None


class _Sealed:
    """Takes them out of a stream; the blocks behind are numbered anew."""

    def __init__(self, renderer: StreamRenderer) -> None:
        self._renderer = renderer
        self._start: Json | None = None  # of a block that may be one
        self._index: int | None = None  # of one that is
        self._left_out = 0

    def render(self, event: Json) -> bytes:
        return b"".join([self._renderer.render(passed) for passed in self._pass(event)])

    def _pass(self, event: Json) -> list[Json]:
        kind, start, self._start = event["type"], self._start, None
        if start is not None:
            delta = event["delta"] if kind == "content_block_delta" else {}
            if delta.get("type") == "signature_delta" and FOREIGN_SIGNATURE.match(delta["signature"]):
                self._index = event["index"]
                return []
            return [self._numbered(start), *self._pass(event)]
        if kind == "content_block_start" and event["content_block"]["type"] == "thinking":
            self._start = event
            return []
        if kind == "content_block_stop" and event["index"] == self._index:
            self._index = None
            self._left_out += 1
            return []
        return [self._numbered(event)]

    def _numbered(self, event: Json) -> Json:
        return {**event, "index": event["index"] - self._left_out} if self._left_out and "index" in event else event
