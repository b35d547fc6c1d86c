"""What crossings between wire formats share: turns put in order, tool calls and their ids, blocks and texts.

Anthropic wants every tool call answered at the head of the very next user message; other formats say each result on its
own. `Turns` collects what comes in any of them into messages of the canonical form (Anthropic Messages reference,
2026-11-20).
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.canonical.errors import InvalidRequest, UpstreamFailed
from gateway.canonical.translation import Chat, Json

FOREIGN_SIGNATURE = re.compile(r"[a-z][a-z0-9-]*:")
"""A signature of another vendor's, carried in a thinking block: `openai:…`. Anthropic's own are base64, without a colon."""


class Turns:
    """Messages in the making. Results of tools come first in their message, and text after them joins it."""

    def __init__(self) -> None:
        self.messages: list[Json] = []

    def add(self, role: str, blocks: list[Json]) -> None:
        """A message of its own, but for an answer that goes on and for a user's words right after results of tools."""
        if not blocks:
            return
        last = self.messages[-1] if self.messages else None
        if last and last["role"] == role and (role == "assistant" or (role == "user" and _is_result(last["content"][0]))):
            last["content"].extend(blocks)
        else:
            self.messages.append({"role": role, "content": blocks})

    def add_result(self, result: Json) -> None:
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != "user":
            self.messages.append({"role": "user", "content": [result]})
            return
        results = sum(1 for block in last["content"] if _is_result(block))
        last["content"].insert(results, result)


def _is_result(block: Json) -> bool:
    return bool(block["type"] == "tool_result")


def blocks_of(content: Any) -> list[Json]:
    """A message's content as blocks: a string is one text block, an empty one none."""
    if isinstance(content, str):
        return [text_block(content)] if content else []
    return content if isinstance(content, list) else []


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


def parse_arguments(arguments: Any) -> Json:
    """A tool call's arguments, which the OpenAI formats send as text, as an object. What is no object is kept as `_raw`:
    models write broken JSON at times, and a conversation must be able to go on after it."""
    if isinstance(arguments, dict):
        return arguments
    if not isinstance(arguments, str) or not arguments.strip():
        return {}
    try:
        parsed = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return {"_raw": arguments}
    return parsed if isinstance(parsed, dict) else {"_raw": arguments}


def render_arguments(arguments: Any) -> str:
    return msgspec.json.encode(arguments).decode()


def decode_event(data: bytes) -> Any:
    """The JSON of a stream's record; UpstreamFailed if it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamFailed(f"the provider's stream holds a record that is not JSON ({error}); try again") from error


def fit_tool_id(tool_id: Any, *, allowed: re.Pattern[str], prefix: str) -> str:
    """The id itself where a target takes it. Otherwise one made from it, always the same: a conversation is sent whole
    each time, so call and result stay a pair without anything being remembered."""
    text = str(tool_id)
    return text if allowed.fullmatch(text) else prefix + hashlib.sha256(text.encode()).hexdigest()[:24]


def fit_user_id(user: str) -> str:
    """An opaque name of at most 64 characters; e-mail addresses are not handed on."""
    return hashlib.sha256(user.encode()).hexdigest() if "@" in user or len(user) > 64 else user


def foreign_extras(chat: Chat, *own: str) -> list[str]:
    """Names of what only other wire formats can say."""
    return [name for wire, members in chat.extras.items() if wire not in own for name in members]


def suffix_of(identifier: Any) -> str:
    """The part of an id after its format's prefix: `msg_01A` → `01A`, `chatcmpl-9x` → `9x`."""
    return re.split(r"[_-]", str(identifier or ""), maxsplit=1)[-1]


def parse_list(value: Any, name: str, mend: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest(f"{name}: a list with at least one item is required; {mend}")
    return value


def parse_object(value: Any, name: str, mend: str) -> Json:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{name}: an object is required; {mend}")
    return value


def parse_items(value: Any, name: str) -> list[Json]:
    """A list of objects that may be left out."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest(f"{name}: must be a list")
    return [parse_object(item, f"{name}.{place}", "as every item of this list") for place, item in enumerate(value)]


def objects_of(value: Any) -> list[Json]:
    """The objects in what should be a list of them: a provider's oddities are passed over."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def object_of(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def url_of(citation: Json) -> str:
    """Where a citation points on the web; empty for one of a document in the request."""
    url = text_of(citation.get("url")) or text_of(citation.get("source"))
    return url if url.startswith(("https://", "http://")) else ""


def parse_text(value: Any, name: str, mend: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name}: a string is required; {mend}")
    return value


def copy_known(source: Json, target: Json, names: Iterable[str]) -> None:
    """Members that both formats call the same. `null` means absent."""
    target.update({name: source[name] for name in names if source.get(name) is not None})
