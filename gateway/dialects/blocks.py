"""Canonical stream events for formats whose streams know no blocks: one block open at a time, closed when the kind changes.

Source: Anthropic streaming reference, 2026-11-20.
"""

from gateway.canonical.errors import StreamBroken
from gateway.canonical.translation import Json


class BlockWriter:
    """Says what begins, goes on and ends. `kind` is that of the open block, None between blocks."""

    def __init__(self) -> None:
        self.started = False
        self.kind: str | None = None
        self.message_id = ""
        self._index = -1

    def start(self, message_id: str, model: str, usage: Json | None = None) -> list[Json]:
        """The message's head. The prompt's figures are not known yet; the closing event has them."""
        self.started, self.message_id = True, message_id
        message: Json = {
            "id": message_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage or {"input_tokens": 0, "output_tokens": 0},
        }
        return [{"type": "message_start", "message": message}]

    def text(self, text: str) -> list[Json]:
        opened = self._open("text", {"type": "text", "text": ""}) if self.kind != "text" else []
        return [*opened, self._delta({"type": "text_delta", "text": text})] if text else opened

    def thinking(self, text: str) -> list[Json]:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        opened = self._open("thinking", block) if self.kind != "thinking" else []
        return [*opened, self._delta({"type": "thinking_delta", "thinking": text})] if text else opened

    def sign(self, signature: str) -> list[Json]:
        """Ends the open thinking block: a signature is the last thing in it."""
        return [self._delta({"type": "signature_delta", "signature": signature}), *self.close()]

    def tool(self, call_id: str, name: str) -> list[Json]:
        return self._open("tool_use", {"type": "tool_use", "id": call_id, "name": name, "input": {}})

    def arguments(self, text: str) -> list[Json]:
        """StreamBroken if they come without a call to belong to."""
        if self.kind != "tool_use":
            raise StreamBroken("the provider's stream holds arguments outside of a tool call")
        return [self._delta({"type": "input_json_delta", "partial_json": text})]

    def whole(self, block: Json) -> list[Json]:
        """A block that comes in one piece."""
        return [*self._open(block["type"], block), *self.close()]

    def stop(self, stop_reason: str, usage: Json, details: Json | None = None) -> list[Json]:
        delta: Json = {"stop_reason": stop_reason, "stop_sequence": None}
        if details:
            delta["stop_details"] = details
        return [*self.close(), {"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]

    def close(self) -> list[Json]:
        if self.kind is None:
            return []
        self.kind = None
        return [{"type": "content_block_stop", "index": self._index}]

    def _open(self, kind: str, block: Json) -> list[Json]:
        closed = self.close()
        self.kind = kind
        self._index += 1
        return [*closed, {"type": "content_block_start", "index": self._index, "content_block": block}]

    def _delta(self, delta: Json) -> Json:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}
