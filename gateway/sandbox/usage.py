"""How many tokens a prompt has, by rule of thumb: four characters to a token, a fixed number for an image or document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.blocks import blocks_of

CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 1_500
DOCUMENT_TOKENS = 2_500
MESSAGE_TOKENS = 4
ANSWER_TOKENS = 3  # opens the assistant's turn; never cached
TOOLS_TOKENS = 300  # the system prompt that the real one adds once there are tools
UNCOUNTED = {"cache_control", "signature", "encrypted_content", "encrypted_index", "type"}


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a prompt, in the order in which prompts are cached: tools, system, messages."""

    content: Mapping[str, Any]
    tokens: int
    ttl: str | None  # of the cache marker it carries
    role: str


def text_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def total_tokens(parts: Sequence[Part]) -> int:
    """The whole prompt."""
    return sum(part.tokens for part in parts) + ANSWER_TOKENS


def parts(body: Mapping[str, Any]) -> list[Part]:
    """The prompt of a checked body, cut at its blocks."""
    found = [_part(tool, "tools", TOOLS_TOKENS if i == 0 else 0) for i, tool in enumerate(body.get("tools") or [])]
    found += [_part(block, "system", 0) for block in blocks_of(body.get("system"))]
    for message in body.get("messages") or []:
        said = blocks_of(message["content"])
        found += [_part(block, message["role"], MESSAGE_TOKENS if i == 0 else 0) for i, block in enumerate(said)]
    if found and (top := body.get("cache_control")):
        last = found[-1]
        found[-1] = Part(last.content, last.tokens, last.ttl or top.get("ttl", "5m"), last.role)
    return found


def _part(block: Mapping[str, Any], role: str, more: int) -> Part:
    marker = block.get("cache_control")
    ttl = marker.get("ttl", "5m") if marker else None
    return Part(block, -(-_characters(block) // CHARACTERS_PER_TOKEN) + more, ttl, role)


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        kind = value.get("type")
        if kind in ("image", "document") and isinstance(value.get("source"), dict) and "data" in value["source"]:
            return (IMAGE_TOKENS if kind == "image" else DOCUMENT_TOKENS) * CHARACTERS_PER_TOKEN
        return sum(len(name) + _characters(part) for name, part in value.items() if name not in UNCOUNTED)
    if isinstance(value, list):
        return sum(map(_characters, value))
    return 4
