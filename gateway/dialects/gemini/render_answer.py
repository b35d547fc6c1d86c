"""A canonical answer as Gemini's: the parts of a message, and the closing figures.

A thinking block is shown as a thought only where the client asked for thoughts; signed, it travels in the
`thoughtSignature` of the part behind it, which every client replays.
Source: Google's reference of GenerateContentResponse and its page on thought signatures, 2026-11-20.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialects.gemini.grounding import GroundingWriter
from gateway.dialects.gemini.signatures import gemini_signature, pack_thinking, split_id
from gateway.dialects.gemini.tools import own_names
from gateway.dialects.gemini.usage import FINISH_REASONS, render_usage_metadata

Json = dict[str, Any]
_THINKING = ("thinking", "redacted_thinking")


class PartWriter:
    """Blocks in, parts out; remembers the thinking that the next part must carry."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.shows_thoughts = _wants_thoughts(request)
        self.grounding = GroundingWriter()
        self._names = own_names(request)
        self._held: list[Json] = []

    def hold(self, block: Json) -> None:
        """Thinking that only its signature makes worth carrying."""
        if block.get("signature") or block.get("data"):
            self._held.append(block)

    def text(self, text: str) -> Json:
        return {"text": text, **self._signature()}

    def call(self, block: Json, arguments: Json) -> Json:
        call_id, signature = split_id(str(block.get("id") or ""))
        name = str(block.get("name") or "")
        call = {"id": call_id, "name": self._names.get(name, name), "args": arguments}
        own = self._signature()
        return {"functionCall": call, **({"thoughtSignature": signature.value} if signature else own)}

    def rest(self) -> list[Json]:
        """Thinking that nothing followed: an empty text carries it, as Gemini does it."""
        return [self.text("")] if self._held else []

    def _signature(self) -> Json:
        held, self._held = self._held, []
        if not held:
            return {}
        own = gemini_signature(held[-1])
        return {"thoughtSignature": own.value if own else pack_thinking(held)}


def _wants_thoughts(request: Mapping[str, Any]) -> bool:
    config = request.get("generationConfig", request.get("generation_config"))
    thinking = config.get("thinkingConfig", config.get("thinking_config")) if isinstance(config, dict) else None
    return isinstance(thinking, dict) and bool(thinking.get("includeThoughts", thinking.get("include_thoughts")))


def render_answer(message: Json, *, asked_model: str, request: Mapping[str, Any]) -> Json:
    writer = PartWriter(request)
    parts: list[Json] = []
    for block in message.get("content") or ():
        kind = block.get("type")
        if kind in _THINKING:
            if writer.shows_thoughts and block.get("thinking"):
                parts.append({"text": block["thinking"], "thought": True})
            writer.hold(block)
        elif kind == "text":
            parts.append(writer.text(str(block.get("text") or "")))
            writer.grounding.cite(str(block.get("text") or ""), block.get("citations"))
        elif kind == "tool_use":
            arguments = block.get("input")
            parts.append(writer.call(block, arguments if isinstance(arguments, dict) else {}))
        elif kind == "server_tool_use":
            writer.grounding.search(block)
    parts += writer.rest()
    candidate = {"content": {"role": "model", "parts": parts}, **finish(message), **writer.grounding.metadata(), "index": 0}
    return {
        "candidates": [candidate],
        "usageMetadata": render_usage_metadata(message.get("usage") or {}),
        "modelVersion": message.get("model") or asked_model,
        "responseId": message.get("id") or "",
    }


def finish(ending: Mapping[str, Any]) -> Json:
    """`finishReason` for a stop reason, with the refusal's own words."""
    reason: Json = {"finishReason": FINISH_REASONS.get(str(ending.get("stop_reason")), "STOP")}
    details = ending.get("stop_details")
    if isinstance(details, dict) and details.get("explanation"):
        reason["finishMessage"] = details["explanation"]
    return reason
