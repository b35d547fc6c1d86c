"""What was asked last, apart from all that was said before: the only part of a request in which two alike may differ.

A request has one if it is text throughout and its last turn is the user's. How alike two pictures, documents, sounds or uses of
tools are, the words beside them do not tell. Shapes: Anthropic Messages, OpenAI Chat Completions and Responses,
Gemini generateContent references, 2026-11-20.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.cache.request_key import Asked, uses_tools
from gateway.canonical.store import Json

CHARACTERS_MAX = 4_000  # below the 2,048 tokens that embedding models take (Vertex AI text embeddings reference, 2026-11-20)
NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
TEXTS = {
    "anthropic": frozenset(("text", "thinking", "redacted_thinking")),
    "bedrock": frozenset(("text", "thinking", "redacted_thinking")),
    "openai": frozenset(("text", "refusal")),
    "openai-responses": frozenset(("input_text", "output_text", "refusal", "text")),
}
"""By wire format: the types of parts that are text, or a model's thoughts."""
GEMINI_TEXT = frozenset(("text", "thought", "thoughtSignature", "thought_signature"))
TURNS = {
    "anthropic": "messages",
    "bedrock": "messages",
    "gemini": "contents",
    "openai": "messages",
    "openai-responses": "input",
}
"""By wire format: the member that holds them. One of that name in another format is a member like any other."""
SOUNDS = ("audio", "modalities")  # members of a request or a turn


@dataclass(frozen=True, slots=True)
class LastTurn:
    """`text` is what the user said last; `rest` the request without it."""

    text: str
    rest: Json

    @property
    def numbers(self) -> list[str]:
        """Of the text, in order. Embeddings of two questions that differ in a number are all but the same, their answers not."""
        return NUMBER.findall(self.text)


def read_last_turn(asked: Asked) -> LastTurn | None:
    """None if the request is none that another may stand for."""
    read = READERS.get(asked.wire)
    last = read(asked.members, TURNS[asked.wire]) if read is not None and is_text_alone(asked) else None
    return last if last is not None and last.text.strip() and len(last.text) <= CHARACTERS_MAX else None


def is_text_alone(asked: Asked) -> bool:
    """Without tools, pictures, documents and sound anywhere in it."""
    members, wire = asked.members, asked.wire
    if uses_tools(members) or any(members.get(name) for name in SOUNDS):
        return False
    turns = _turns(members, TURNS[wire]) if wire in TURNS else []
    if wire == "gemini":
        system = members.get("systemInstruction", members.get("system_instruction")) or {}
        return all(_is_text_content(turn) for turn in (*turns, *([] if isinstance(system, str) else [system])))
    if wire not in TEXTS:
        return True
    return _is_text(members.get("system"), wire) and all(_is_text_turn(turn, wire) for turn in turns)


def _turns(members: Json, name: str) -> list[Any]:
    """Messages, contents or items. A Responses input may be one text, Gemini's contents one turn."""
    given = members.get(name)
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return given if isinstance(given, list) else [] if given is None else [given]


def _of_turns(members: Json, name: str) -> LastTurn | None:
    """Anthropic's, also on Bedrock, Chat Completions and Responses."""
    *before, last = _turns(members, name) or [{}]
    if last.get("role") != "user":
        return None
    given = last.get("content")
    blocks = [{"text": given}] if isinstance(given, str) else given or []
    text = "\n".join(str(block["text"]) for block in blocks if isinstance(block.get("text"), str))
    others = [rest for block in blocks if (rest := _without(block, "text", "type"))]
    turn = {**_without(last, "type"), "content": others}
    return LastTurn(text, {"beside": _without(members, name), "turns": [*before, turn]})


def _is_text_turn(turn: Any, wire: str) -> bool:
    if not isinstance(turn, dict) or any(turn.get(name) for name in SOUNDS):
        return False
    return turn.get("type") == "reasoning" or _is_text(turn.get("content"), wire)


def _is_text(content: Any, wire: str) -> bool:
    if content is None or isinstance(content, str):
        return True
    if not isinstance(content, list):
        return False
    return all(isinstance(block, dict) and str(block.get("type")) in TEXTS[wire] for block in content)


def _of_contents(members: Json, name: str) -> LastTurn | None:
    """Gemini's."""
    *before, last = _turns(members, name) or [{}]
    if last.get("role", "user") != "user":
        return None
    parts = _parts(last)
    text = "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
    others = [rest for part in parts if (rest := _without(part, "text"))]
    return LastTurn(text, {"beside": _without(members, name), "turns": [*before, {"role": "user", "parts": others}]})


def _is_text_content(turn: Any) -> bool:
    return isinstance(turn, dict) and all(isinstance(part, dict) and part.keys() <= GEMINI_TEXT for part in _parts(turn))


def _parts(turn: Json) -> list[Any]:
    parts = turn.get("parts")
    return parts if isinstance(parts, list) else [parts] if parts else []


def _without(block: Json, *names: str) -> Json:
    return {name: value for name, value in block.items() if name not in names}


READERS: dict[str, Callable[[Json, str], LastTurn | None]] = {
    "anthropic": _of_turns,
    "bedrock": _of_turns,
    "gemini": _of_contents,
    "openai": _of_turns,
    "openai-responses": _of_turns,
}
"""By wire format."""
