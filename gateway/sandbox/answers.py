"""What the pretend Claude says: thought, words, tool calls, JSON; cut at stop sequences and at max_tokens."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.sandbox import asking, example_values, web_search
from gateway.sandbox.asking import Ask
from gateway.sandbox.faults import Fault
from gateway.sandbox.identifiers import tool_use_id
from gateway.sandbox.models import Model
from gateway.sandbox.sse import dump
from gateway.sandbox.thinking import Signer, display, thinks
from gateway.sandbox.usage import text_tokens

Block = dict[str, Any]

# Anthropic's test strings, as patterns only: the strings themselves would stop a real Claude from reading this file.
REFUSAL = re.compile(r"ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL_[0-9A-F]{64}")
REDACTED = re.compile(r"ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_[0-9A-F]{64}")
REFUSAL_DETAILS = {"type": "refusal", "category": "general_harms", "explanation": "The sandbox was asked to refuse."}
ECHOED_CHARACTERS_MAX = 600
TOOL_USE_TOKENS = 24
HIDDEN_THINKING_TOKENS = 40
ADAPTIVE_THINKING_MAX_TOKENS_MIN = 128


@dataclass(frozen=True, slots=True)
class Answer:
    content: list[Block]
    stop_reason: str
    output_tokens: int
    thinking_tokens: int = 0
    stop_sequence: str | None = None
    stop_details: Mapping[str, Any] | None = None
    searches: int = 0


def plan(body: Mapping[str, Any], model: Model, project: str, signer: Signer, fault: Fault) -> Answer:
    """The whole answer to a checked body."""
    ask = asking.read(body)
    if fault.stop_reason == "refusal" or REFUSAL.search(ask.text):
        return Answer([], "refusal", 1, stop_details=REFUSAL_DETAILS)
    thought, thinking_tokens = _thought(body, model, project, signer, ask)
    content = _content(ask, body, fault)
    stop_reason = "tool_use" if content[-1]["type"] == "tool_use" else "end_turn"
    answer = Answer([*thought, *content], stop_reason, 0, thinking_tokens)
    answer = _cut_at_stop_sequence(answer, body.get("stop_sequences") or [])
    answer = _cut_at_max_tokens(answer, body["max_tokens"])
    searches = sum(block["type"] == "server_tool_use" for block in answer.content)
    return replace(answer, searches=searches, stop_reason=fault.stop_reason or answer.stop_reason)


def _thought(body: Mapping[str, Any], model: Model, project: str, signer: Signer, ask: Ask) -> tuple[list[Block], int]:
    if not thinks(body, model, prompt=ask.text, after_tools=bool(ask.results)):
        return [], 0
    if body["max_tokens"] < ADAPTIVE_THINKING_MAX_TOKENS_MIN:
        return [], 0
    words = len(ask.text.split())
    full = f"The user wrote {words} words. I am the sandbox, so I will repeat them and say that nobody thought about them."
    tokens = text_tokens(full) + HIDDEN_THINKING_TOKENS
    if REDACTED.search(ask.text):
        return [signer.redacted(model, project)], tokens
    return [signer.thinking("" if display(body, model) == "omitted" else full, model, project)], tokens


def _content(ask: Ask, body: Mapping[str, Any], fault: Fault) -> list[Block]:
    if (text := _scripted_text(fault)) is not None:
        return [{"type": "text", "text": text}]
    if ask.search is not None:
        return web_search.blocks(ask.search)
    if ask.uses:
        return _tool_uses(ask, body)
    if ask.schema is not None:
        return [{"type": "text", "text": dump(example_values.fit(ask.schema, ask.text))}]
    return [{"type": "text", "text": _results(ask) if ask.results else _prose(ask.text)}]


def _scripted_text(fault: Fault) -> str | None:
    if fault.text is not None:
        return fault.text
    if fault.huge_mib:
        return "sandbox " * (fault.huge_mib * 1024 * 128)
    if fault.events:
        return "".join(f"word{i} " for i in range(fault.events))
    return None


def _tool_uses(ask: Ask, body: Mapping[str, Any]) -> list[Block]:
    schemas = {tool["name"]: tool.get("input_schema") for tool in body["tools"]}
    uses = [
        {
            "type": "tool_use",
            "id": tool_use_id(),
            "name": use.name,
            "input": use.input if use.input is not None else example_values.fit(schemas[use.name] or {}, ask.text) or {},
        }
        for use in ask.uses
    ]
    if ask.forced:
        return uses
    names = " and ".join(use.name for use in ask.uses)
    return [{"type": "text", "text": f"I will use {names} for that."}, *uses]


def _results(ask: Ask) -> str:
    said = [f"The tool {'failed and ' if result.is_error else ''}answered:\n{result.text}" for result in ask.results]
    return "\n\n".join(said) + "\n\nThat is all that the sandbox can say about it."


def _prose(text: str) -> str:
    words = text.strip()[:ECHOED_CHARACTERS_MAX]
    heard = f"You said: “{words}”. I heard every word of it." if words else "You said nothing new."
    return (
        f"{heard} I am the sandbox, a pretend Claude that lives on your own machine: "
        "no model was asked and nothing will be billed. Give the gateway real credentials and a real Claude will answer here."
    )


def _cut_at_stop_sequence(answer: Answer, sequences: list[str]) -> Answer:
    for i, block in enumerate(answer.content):
        if block["type"] != "text":
            continue
        found = [(position, word) for word in sequences if (position := block["text"].find(word)) >= 0]
        if not found:
            continue
        position, word = min(found)
        rest = [{**block, "text": block["text"][:position]}] if position else []
        return replace(answer, content=answer.content[:i] + rest, stop_reason="stop_sequence", stop_sequence=word)
    return answer


def _cut_at_max_tokens(answer: Answer, max_tokens: int) -> Answer:
    """Counts what is said; a block that no longer fits is shortened (text) or left out."""
    used = answer.thinking_tokens
    for i, block in enumerate(answer.content):
        size = _block_tokens(block)
        if used + size > max_tokens:
            room = block["text"][: (max_tokens - used) * 4] if block["type"] == "text" else ""
            rest = [{**block, "text": room}] if room else []
            kept = answer.content[:i] + rest
            return replace(answer, content=kept, stop_reason="max_tokens", stop_sequence=None, output_tokens=max_tokens)
        used += size
    return replace(answer, output_tokens=used)


def _block_tokens(block: Block) -> int:
    match block["type"]:
        case "text":
            return text_tokens(block["text"])
        case "tool_use" | "server_tool_use":
            return TOOL_USE_TOKENS + text_tokens(dump(block["input"]))
    return 0
