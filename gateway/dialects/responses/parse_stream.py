"""An OpenAI Responses stream as canonical events.

Source: OpenAI responses streaming reference as in openai-python 3.52.0, 2026-11-20.
"""

from typing import Any

from gateway.canonical.errors import StreamBroken
from gateway.canonical.translation import Json
from gateway.dialects.blocks import BlockWriter
from gateway.dialects.crossing import decode_event, object_of, render_arguments, suffix_of, text_of
from gateway.dialects.openai.errors import canonical_message, kind_of
from gateway.dialects.openai.usage import parse_openai_usage
from gateway.dialects.responses.answer import ending_of, parse_item
from gateway.dialects.sse import DONE, SseEvent, SseReader

ENDINGS = ("response.completed", "response.incomplete")


class StreamParser:
    """Events in any cutting → canonical events. Text, thinking and the first unfinished call pass as they come; an item that
    would run beside another waits until it is done."""

    def __init__(self) -> None:
        self._reader = SseReader()
        self._blocks = BlockWriter()
        self._telling: int | None = None  # output_index of the item that passes as it comes
        self._told: dict[int, str] = {}  # what of each item has passed
        self._calls = 0
        self._over = False

    def feed(self, chunk: bytes) -> list[Json]:
        return self._read_all(self._reader.feed(chunk))

    def end(self) -> list[Json]:
        events = self._read_all(self._reader.end())
        if not self._over:
            raise StreamBroken("the provider's stream ended before its response.completed")
        return events

    def _read_all(self, records: list[SseEvent]) -> list[Json]:
        events: list[Json] = []
        for record in records:
            event = None if self._over or record.data.strip() == DONE else decode_event(record.data)
            if isinstance(event, dict):
                events += self._read(event)
        return events

    def _read(self, event: Json) -> list[Json]:
        kind = str(event.get("type"))
        given = event.get("response")
        response: Json = given if isinstance(given, dict) else {}
        if kind in ("error", "response.failed"):
            return self._fail(response.get("error") or event.get("error") or event)
        events: list[Json] = []
        if response and not self._blocks.started:
            events += self._blocks.start(f"msg_{suffix_of(response.get('id'))}", text_of(response.get("model")))
        if kind in ENDINGS:
            return events + self._close(response)
        index = event.get("output_index")
        index = index if isinstance(index, int) else 0
        if kind == "response.output_item.added":
            return events + self._add(index, object_of(event.get("item")))
        if kind == "response.output_item.done":
            return events + self._finish(index, object_of(event.get("item")))
        return events + self._tell(index, kind, event.get("delta"))

    def _fail(self, error: Any) -> list[Json]:
        self._over = True
        error = error if isinstance(error, dict) else {}
        kind = kind_of({"code": error.get("code"), "type": None if error.get("type") == "error" else error.get("type")})
        return [{"type": "error", "error": {"type": kind, "message": canonical_message(error)}}]

    def _add(self, index: int, item: Json) -> list[Json]:
        if self._telling is not None:
            return []
        self._telling = index
        self._told[index] = ""
        if item.get("type") == "function_call":
            return self._blocks.tool(text_of(item.get("call_id")) or f"call_{index}", text_of(item.get("name")))
        return []

    def _tell(self, index: int, kind: str, delta: Any) -> list[Json]:
        if index != self._telling or not isinstance(delta, str) or not delta:
            return []
        tell = {
            "response.output_text.delta": self._blocks.text,
            "response.reasoning_summary_text.delta": self._blocks.thinking,
            "response.reasoning_text.delta": self._blocks.thinking,
            "response.function_call_arguments.delta": self._blocks.arguments,
        }.get(kind)
        if tell is None:
            return []
        self._told[index] += delta
        return tell(delta)

    def _finish(self, index: int, item: Json) -> list[Json]:
        """What of an item has not been told yet: all of it, or the seal of its thinking."""
        blocks = parse_item(item)
        self._calls += sum(1 for block in blocks if block["type"] == "tool_use")
        if index != self._telling:
            return [event for block in blocks for event in self._tell_whole(block)]
        self._telling = None
        if item.get("type") == "custom_tool_call" or (blocks and not self._told[index] and item.get("type") != "function_call"):
            return [event for block in blocks for event in self._tell_whole(block)]
        if item.get("type") == "function_call" and not self._told[index] and text_of(item.get("arguments")):
            return self._blocks.arguments(item["arguments"]) + self._blocks.close()
        if item.get("type") == "reasoning" and blocks and blocks[0].get("signature"):
            return self._blocks.sign(blocks[0]["signature"])
        return self._blocks.close()

    def _tell_whole(self, block: Json) -> list[Json]:
        kind = block["type"]
        if kind == "text":
            return self._blocks.text(block["text"]) + self._blocks.close()
        if kind == "thinking":
            events = self._blocks.thinking(block["thinking"])
            return events + (self._blocks.sign(block["signature"]) if block["signature"] else self._blocks.close())
        if kind == "tool_use":
            events = self._blocks.tool(block["id"], block["name"])
            return events + self._blocks.arguments(render_arguments(block["input"])) + self._blocks.close()
        return self._blocks.whole(block)

    def _close(self, response: Json) -> list[Json]:
        self._over = True
        ending = ending_of(response, called=self._calls > 0)
        usage = parse_openai_usage(response.get("usage"))
        return self._blocks.stop(ending["stop_reason"], usage, ending.get("stop_details"))
