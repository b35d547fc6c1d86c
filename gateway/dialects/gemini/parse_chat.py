"""A `generateContent` body, as a Gemini client sends it, in canonical form.

Google's JSON reading is lenient and so is this: camelCase and snake_case, one object where a list is meant. What only
Gemini can say goes to `extras`. Source: Google's generateContent reference, google-genai 3.4.0, 2026-11-20.
"""

import base64
import binascii
import re
from collections.abc import Collection
from typing import Any

import msgspec

from gateway.canonical.errors import InvalidRequest
from gateway.canonical.translation import Chat
from gateway.dialects.gemini.errors import WIRE
from gateway.dialects.gemini.schema import parse_openapi
from gateway.dialects.gemini.signatures import Signature, join_id, plain_id, unpack_thinking
from gateway.dialects.gemini.thinking import parse_thinking
from gateway.dialects.gemini.tools import as_tool_name, parse_choice, parse_tools, safe_names

Json = dict[str, Any]
_SNAKE = re.compile(r"_([a-z])")
_HANDLED = frozenset({"model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig"})
_RENAMED = {
    "temperature": "temperature", "topP": "top_p", "topK": "top_k", "maxOutputTokens": "max_tokens",
    "stopSequences": "stop_sequences",
}  # fmt: skip
_SHAPED = frozenset({"responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig", "candidateCount"})
_STANDARD = str.maketrans("-_", "+/")  # Google's SDKs write base64 with the URL alphabet
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def parse_chat(body: Json) -> Chat:
    """InvalidRequest names the member that is wrong. A `countTokens` body of the Gemini API is unwrapped."""
    request = camel(body)
    if isinstance(request.get("generateContentRequest"), dict):
        request = camel(request["generateContentRequest"])
    if "cachedContent" in request:
        raise InvalidRequest("cachedContent: lives at Google and only a Gemini model can read it; send the content itself")
    dropped: dict[str, None] = {}
    extras: Json = {name: value for name, value in request.items() if name not in _HANDLED}
    chat: Json = {"messages": _Contents(dropped).parse(request.get("contents"))}
    if system := _parse_system(request.get("systemInstruction")):
        chat["system"] = system
    tools, theirs = parse_tools(request, dropped)
    if tools:
        chat["tools"] = tools
    if theirs:
        extras["tools"] = theirs
    config = camel(_object(request.get("toolConfig"), "toolConfig"))
    if choice := parse_choice(config.pop("functionCallingConfig", None), dropped):
        chat["tool_choice"] = choice
    if config:
        extras["toolConfig"] = config
    if rest := _parse_config(camel(_object(request.get("generationConfig"), "generationConfig")), chat):
        extras["generationConfig"] = rest
    return Chat(chat, {WIRE: extras} if extras else {}, safe_names(dropped))


def camel(value: Json) -> Json:
    """The object with its own names in camelCase; what lies deeper stays."""
    return {_SNAKE.sub(lambda found: found[1].upper(), name): each for name, each in value.items()}


def _object(value: Any, where: str) -> Json:
    if value is not None and not isinstance(value, dict):
        raise InvalidRequest(f"{where}: an object is required")
    return value or {}


def _listed(value: Any, where: str) -> list[Json]:
    """A list of objects; one object stands for a list of one."""
    items = [value] if isinstance(value, dict) else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidRequest(f"{where}: a list of objects is required")
    return items


def _parse_system(value: Any) -> list[Json]:
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    parts = _listed(_object(value, "systemInstruction").get("parts") or [], "systemInstruction.parts")
    for place, part in enumerate(parts):
        if not isinstance(part.get("text"), str):
            raise InvalidRequest(f'systemInstruction.parts.{place}: only text can be an instruction; send {{"text": "…"}}')
    return [{"type": "text", "text": part["text"]} for part in parts if part["text"]]


def _parse_config(config: Json, chat: Json) -> Json:
    """Writes into `chat` what Messages can say of the config, and returns the rest."""
    if config.get("candidateCount") not in (None, 1):
        raise InvalidRequest("generationConfig.candidateCount: only 1 can be had from this model; ask again for another answer")
    for name, ours in _RENAMED.items():
        if config.get(name) is not None:
            chat[ours] = config[name]
    rest = {name: value for name, value in config.items() if name not in _RENAMED and name not in _SHAPED}
    schema = config.get("responseJsonSchema")
    if schema is None and config.get("responseSchema") is not None:
        schema = parse_openapi(config["responseSchema"])
    mime = config.get("responseMimeType")
    if schema is not None and mime in (None, "application/json"):
        chat.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}
    elif mime not in (None, "text/plain"):
        rest |= {name: config[name] for name in ("responseMimeType", "responseSchema", "responseJsonSchema") if name in config}
    parse_thinking(camel(_object(config.get("thinkingConfig"), "generationConfig.thinkingConfig")), chat)
    return rest


class _Contents:
    """The conversation. Calls without an id get one from their place, the same one on every later turn; results find
    their call by id, or by name and order."""

    def __init__(self, dropped: dict[str, None]) -> None:
        self._dropped = dropped
        self._open: list[tuple[Any, str, str]] = []  # calls without result yet: their id, their name, the id here

    def parse(self, contents: Any) -> list[Json]:
        if isinstance(contents, str):
            return [{"role": "user", "content": [{"type": "text", "text": contents}]}]
        if not contents:
            raise InvalidRequest('contents: required; send [{"role": "user", "parts": [{"text": "…"}]}]')
        messages: list[Json] = []
        for place, content in enumerate(_listed(contents, "contents")):
            role = str(content.get("role") or "user").lower()
            if role not in ("user", "model", "function"):
                raise InvalidRequest(f"contents.{place}.role: must be user or model")
            parts = _listed(content.get("parts") or [], f"contents.{place}.parts")
            ours = "assistant" if role == "model" else "user"
            blocks = [
                block
                for index, part in enumerate(parts)
                for block in self._blocks(f"contents.{place}.parts.{index}", camel(part))
            ]
            if not blocks:
                continue
            if messages and messages[-1]["role"] == ours:
                messages[-1]["content"] += blocks
            else:
                messages.append({"role": ours, "content": blocks})
        return messages

    def _blocks(self, where: str, part: Json) -> list[Json]:
        signature = part.get("thoughtSignature")
        before = unpack_thinking(signature) or []
        if part.get("thought"):
            return before  # what a client was shown; the thinking itself travels with the part behind it
        if "text" in part:
            if not isinstance(part["text"], str):
                raise InvalidRequest(f"{where}.text: a string is required")
            return [*before, {"type": "text", "text": part["text"]}] if part["text"] else before
        if "functionCall" in part:
            return [*before, self._call(where, camel(_object(part["functionCall"], where)), None if before else signature)]
        if "functionResponse" in part:
            return [self._result(where, camel(_object(part["functionResponse"], where)))]
        for name in ("inlineData", "fileData"):
            if name in part:
                return self._media(name, camel(_object(part[name], f"{where}.{name}")))
        self._lost(part.keys())
        return []

    def _lost(self, names: Collection[str]) -> None:
        for name in names:
            self._dropped[f"contents.parts.{name}"] = None

    def _call(self, where: str, call: Json, signature: Any) -> Json:
        name, arguments = call.get("name"), call.get("args")
        if not isinstance(name, str) or not name:
            raise InvalidRequest(f"{where}.functionCall.name: a non-empty string is required")
        if arguments is not None and not isinstance(arguments, dict):
            raise InvalidRequest(f"{where}.functionCall.args: an object is required")
        here = join_id(plain_id(call.get("id"), where, name), Signature(signature) if isinstance(signature, str) else None)
        self._open.append((call.get("id"), name, here))
        return {"type": "tool_use", "id": here, "name": as_tool_name(name), "input": arguments or {}}

    def _result(self, where: str, result: Json) -> Json:
        call_id, name = result.get("id"), result.get("name")
        matches = [each for each in self._open if (each[0] == call_id if call_id else each[1] == name)]
        if not matches:
            raise InvalidRequest(f"{where}.functionResponse: answers no functionCall before it; repeat the call's id and name")
        self._open.remove(matches[0])
        response = result.get("response")
        block: Json = {"type": "tool_result", "tool_use_id": matches[0][2]}
        if isinstance(response, dict) and response.keys() == {"error"}:
            block["is_error"] = True
            response = {"output": response["error"]}
        if isinstance(response, dict) and response.keys() == {"output"}:
            response = response["output"]
        text = response if isinstance(response, str) else msgspec.json.encode(response or {}).decode()
        media = self._result_media(where, result)
        block["content"] = [{"type": "text", "text": text}, *media] if media else text
        return block

    def _result_media(self, where: str, result: Json) -> list[Json]:
        media: list[Json] = []
        for part in _listed(result.get("parts") or [], f"{where}.functionResponse.parts"):
            for name, value in camel(part).items():
                media += self._media(name, camel(_object(value, where))) if name in ("inlineData", "fileData") else []
        return media

    def _media(self, name: str, data: Json) -> list[Json]:
        mime, uri = str(data.get("mimeType") or ""), str(data.get("fileUri") or "")
        inline = name == "inlineData"
        encoded = str(data.get("data") or "").translate(_STANDARD)
        source: Json = {"type": "base64", "media_type": mime, "data": encoded} if inline else {"type": "url", "url": uri}
        if inline or uri.startswith(("https://", "http://")):
            if mime in _IMAGES or (not inline and mime.startswith("image/")):
                return [{"type": "image", "source": source}]
            if mime == "application/pdf":
                return [{"type": "document", "source": source}]
        if inline and mime == "text/plain" and (text := _decode_text(encoded)) is not None:
            return [{"type": "document", "source": {"type": "text", "media_type": mime, "data": text}}]
        self._dropped[f"contents.parts.{name} ({mime[:40] or 'no mimeType'})"] = None
        return []


def _decode_text(encoded: str) -> str | None:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
