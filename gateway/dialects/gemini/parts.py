"""Turns of a Messages history as Gemini's contents: blocks as parts, calls and their results matched, signatures put back."""

import mimetypes
from typing import Any

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import InvalidRequest
from gateway.dialects.crossing import blocks_of
from gateway.dialects.gemini.signatures import SKIPPED, Signature, gemini_signature, split_id
from gateway.dialects.gemini.tools import function_name

Json = dict[str, Any]
_SEEN = frozenset({"type", "text", "source", "cache_control", "id", "name", "input", "tool_use_id", "content", "is_error",
                   "thinking", "signature", "data", "caller"})  # fmt: skip
_SEEN_IN = frozenset({("title", "search_result"), ("tool_name", "tool_reference"), ("citations", "text")})

REMINDER = "<system-reminder>\n{}\n</system-reminder>"
"""System words in mid-conversation, in the place where they stand: the tags in which Claude Code puts them in a user's turn."""


class Turns:
    """Messages go in with `add`, in order; `contents` is what they make. `referenced` holds the tools that a
    `tool_reference` named; what is lost is named in `dropped`."""

    def __init__(self, model: ModelTraits, dropped: dict[str, None]) -> None:
        self.contents: list[Json] = []
        self.referenced: set[str] = set()
        self._model = model.id
        self._can = model.capabilities
        self._dropped = dropped
        self._calls: dict[str, tuple[int, str]] = {}  # tool_use id → its place among all calls, its function
        self._order: dict[int, int] = {}  # a result's part, by identity → the place of its call
        self._place = -1

    def add(self, message: Any) -> None:
        self._place += 1
        where = f"messages.{self._place}"
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
            raise InvalidRequest(f"{where}.role: must be user or assistant")
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise InvalidRequest(f"{where}.content: a string or a list of content blocks is required")
        self._dropped |= {f"messages.{name}": None for name in message if name not in ("role", "content")}
        for block in blocks:
            self._name_lost(block)
        if message["role"] == "assistant":
            self._append("model", self._model_parts(where, blocks))
            return
        parts = self._user_parts(where, blocks)
        if message["role"] == "system":
            self._dropped["messages.role"] = None  # Gemini has no such turn
            parts = [{"text": REMINDER.format(part["text"])} if "text" in part else part for part in parts]
        self._append("user", parts)

    def _append(self, role: str, parts: list[Json]) -> None:
        if not parts:
            return
        if self.contents and self.contents[-1]["role"] == role:
            self.contents[-1]["parts"] += parts
        else:
            self.contents.append({"role": role, "parts": parts})
        if role == "user":
            # Results first, in the order of their calls; what else the turn says behind them.
            self.contents[-1]["parts"].sort(key=lambda part: self._order.get(id(part), len(self._calls)))

    def _model_parts(self, where: str, blocks: list[Json]) -> list[Json]:
        parts: list[Json] = []
        signature: Json = {}
        for place, block in enumerate(blocks):
            kind = block.get("type")
            if kind == "thinking" and (found := gemini_signature(block)):
                if not block.get("thinking") and parts and "text" in parts[-1]:
                    parts[-1] |= self._signed(found)
                else:
                    signature = self._signed(found)
            elif kind == "text":
                if block.get("text") or signature:
                    parts.append({"text": block.get("text", ""), **signature})
                    signature = {}
            elif kind == "tool_use":
                parts.append(self._call(f"{where}.content.{place}", block, signature))
                signature = {}
            else:
                self._dropped[f"messages.content.{kind}"] = None
        self._sign_first_call(parts)
        return parts

    def _call(self, where: str, block: Json, signature: Json) -> Json:
        tool_use_id, name, arguments = block.get("id"), block.get("name"), block.get("input")
        if not isinstance(tool_use_id, str) or not isinstance(name, str) or not isinstance(arguments, dict):
            raise InvalidRequest(f"{where}: a tool_use block needs id, name and an input object")
        call_id, carried = split_id(tool_use_id)
        call: Json = {"name": function_name(name), "args": arguments}
        self._calls[tool_use_id] = (len(self._calls), call["name"])
        if self._with_ids:
            call["id"] = call_id
        return {"functionCall": call, **signature, **self._signed(carried)}

    def _signed(self, signature: Signature | None) -> Json:
        """Gemini refuses a signature of another model's; a client may have changed models in mid-conversation."""
        return {"thoughtSignature": signature.value} if signature and signature.holds_for(self._model) else {}

    def _sign_first_call(self, parts: list[Json]) -> None:
        """Only the first of parallel calls bears a signature; one made by another model has none that Gemini knows."""
        if self._can is not None and self._can.thought_signatures is False:
            return
        for part in parts:
            if "functionCall" in part:
                part.setdefault("thoughtSignature", SKIPPED)
                return

    @property
    def _with_ids(self) -> bool:
        return self._can is None or self._can.tool_call_ids is not False

    def _user_parts(self, where: str, blocks: list[Json]) -> list[Json]:
        parts: list[Json] = []
        beside: list[Json] = []
        for place, block in enumerate(blocks):
            if block.get("type") == "tool_result":
                parts.append(self._result(f"{where}.content.{place}", block, beside))
            else:
                parts += self._plain(f"{where}.content.{place}", block)
        return parts + beside

    def _result(self, where: str, block: Json, beside: list[Json]) -> Json:
        tool_use_id = block.get("tool_use_id")
        if not isinstance(tool_use_id, str) or tool_use_id not in self._calls:
            raise InvalidRequest(f"{where}.tool_use_id: no tool_use block before it has the id {str(tool_use_id)[:80]!r}")
        place, name = self._calls[tool_use_id]
        texts: list[str] = []
        media: list[Json] = []
        for index, each in enumerate(blocks_of(block.get("content"))):
            for part in self._plain(f"{where}.content.{index}", each if isinstance(each, dict) else {}):
                if "text" in part:
                    texts.append(part["text"])
                else:
                    media.append(part)
        result: Json = {"name": name, "response": {"error" if block.get("is_error") else "output": "\n".join(texts)}}
        if self._with_ids:
            result["id"] = split_id(tool_use_id)[0]
        if media and (self._can is None or self._can.media_in_tool_results is not False):
            result["parts"] = media
        else:
            beside += media
        part = {"functionResponse": result}
        self._order[id(part)] = place
        return part

    def _plain(self, where: str, block: Json) -> list[Json]:
        """A block that is neither call nor result, as parts."""
        kind = block.get("type")
        if kind == "text":
            return [{"text": str(block["text"])}] if block.get("text") else []
        if kind in ("image", "document"):
            return self._media(where, block)
        if kind == "search_result":
            texts = [str(each.get("text", "")) for each in blocks_of(block.get("content")) if isinstance(each, dict)]
            return [{"text": "\n".join([str(block.get("title", "")), str(block.get("source", "")), *texts])}]
        if kind == "tool_reference":
            self.referenced.add(str(block.get("tool_name")))
            return [{"text": f"The tool {function_name(str(block.get('tool_name')))} can be called now."}]
        self._dropped[f"messages.content.{kind}"] = None
        return []

    def _media(self, where: str, block: Json) -> list[Json]:
        source = block.get("source")
        source = source if isinstance(source, dict) else {}
        kind = source.get("type")
        if kind == "base64":
            return [{"inlineData": {"mimeType": source.get("media_type"), "data": source.get("data")}}]
        if kind == "url":
            url = str(source.get("url"))
            named = "application/pdf" if block["type"] == "document" else mimetypes.guess_type(url.partition("?")[0])[0]
            return [{"fileData": {**({"mimeType": named} if named else {}), "fileUri": url}}]
        if kind == "text":
            return [{"text": str(source.get("data", ""))}]
        if kind == "content":
            inner = [each for each in blocks_of(source.get("content")) if isinstance(each, dict)]
            return [part for each in inner if each.get("type") in ("text", "image") for part in self._plain(where, each)]
        if kind == "file":
            self._dropped[f"messages.content.{block['type']}.source.file"] = None
            return []
        raise InvalidRequest(f'{where}.source: must be {{"type": "base64", "media_type": …, "data": …}} or {{"type": "url", …}}')

    def _name_lost(self, block: Json) -> None:
        for name in block:
            if name == "cache_control":
                self._dropped[name] = None
            elif name not in _SEEN and (name, block.get("type")) not in _SEEN_IN:
                self._dropped[f"messages.content.{name}"] = None
