"""What a prompt asks the pretend Claude to do: the words that matter, tools to call, results that came back."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.blocks import blocks_of

USE_TOOL = re.compile(r"\buse the tool\s+[`\"']?([a-zA-Z0-9_-]{1,128})[`\"']?(?:\s+with\s*(?=\{))?", re.IGNORECASE)
RUN = re.compile(r"^.*?\brun:\s*`?([^`\n]+)`?\s*$", re.IGNORECASE | re.MULTILINE)
LIST_FILES = re.compile(r"\blist (?:all |me )?(?:the )?files\b", re.IGNORECASE)
SEARCH = re.compile(
    r"\b(?:search|look up|google)\b(?: the web)?(?: for)?(?: the)?(?: query)?:?\s*(.{0,200})", re.IGNORECASE | re.DOTALL
)
# What Claude Code says beside its user: reminders, and the message of role `system` that other formats know no role for.
REMINDERS = re.compile(r"<system-reminder>.*?</system-reminder>|\A# Environment\n.*", re.DOTALL)
RESULT_CHARACTERS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class ToolUse:
    name: str
    input: Mapping[str, Any] | None  # None: to be made up from the schema


@dataclass(frozen=True, slots=True)
class ToolResult:
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """The last user turn of a checked body, and the tools that may be used for it."""

    text: str
    results: tuple[ToolResult, ...]
    uses: tuple[ToolUse, ...]
    forced: bool
    search: str | None  # the query for the web-search server tool
    schema: Mapping[str, Any] | None


def last_user_blocks(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Blocks of the trailing user turn; system-role messages in between do not end it."""
    found: list[dict[str, Any]] = []
    for message in reversed(body.get("messages") or []):
        if message.get("role") == "assistant":
            break
        if message.get("role") == "user":
            found = blocks_of(message.get("content")) + found
    return found


def prompt_text(body: Mapping[str, Any]) -> str:
    """The last text of the last user turn that a person, not a client's reminder, wrote; empty if there is none."""
    for block in reversed(last_user_blocks(body)):
        text = block.get("text") if isinstance(block, dict) else None
        if isinstance(text, str) and (said := REMINDERS.sub("", text)).strip():
            return said
    return ""


def read(body: Mapping[str, Any]) -> Ask:
    text = prompt_text(body)
    results = tuple(_result(block) for block in last_user_blocks(body) if block["type"] == "tool_result")
    tools = {tool["name"]: tool for tool in body.get("tools") or []}
    choice = body.get("tool_choice") or {}
    kind = choice.get("type", "auto")
    clients = {name: tool for name, tool in tools.items() if not _is_server_tool(tool)}
    uses: list[ToolUse] = []
    if kind != "none" and clients and (not results or kind != "auto"):
        uses = _uses(text, clients)
    if kind in ("any", "tool"):
        allowed = [choice["name"]] if kind == "tool" else list(clients)
        uses = [use for use in uses if use.name in allowed] or [ToolUse(name, None) for name in allowed[:1]]
    if choice.get("disable_parallel_tool_use"):
        uses = uses[:1]
    search = SEARCH.search(text) if not results and any(map(_searches, tools.values())) else None
    query = search.group(1).strip() or text if search else None
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    return Ask(text, results, tuple(uses), kind in ("any", "tool"), query, schema)


def _uses(text: str, tools: Mapping[str, Any]) -> list[ToolUse]:
    by_lower = {name.lower(): name for name in tools}
    uses = []
    for match in USE_TOOL.finditer(text):
        if name := by_lower.get(match.group(1).lower()):
            uses.append(ToolUse(name, _object_at(text, match.end())))
    if uses or "bash" not in by_lower:
        return uses
    commands = [command.strip() for command in RUN.findall(text)] or (["ls"] if LIST_FILES.search(text) else [])
    return [ToolUse(by_lower["bash"], _bash_input(command, tools[by_lower["bash"]])) for command in commands]


def _bash_input(command: str, tool: Mapping[str, Any]) -> dict[str, Any]:
    properties = (tool.get("input_schema") or {}).get("properties") or {}
    return {"command": command} | ({"description": "Run what the user asked for"} if "description" in properties else {})


def _object_at(text: str, position: int) -> dict[str, Any] | None:
    if not text.startswith("{", position):
        return None
    try:
        value, _ = json.JSONDecoder().raw_decode(text, position)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _result(block: Mapping[str, Any]) -> ToolResult:
    texts = [part.get("text") or f"[{part['type']}]" for part in blocks_of(block.get("content"))]
    text = REMINDERS.sub("", "\n".join(texts)).strip()
    return ToolResult(text[:RESULT_CHARACTERS_MAX], bool(block.get("is_error")))


def _is_server_tool(tool: Mapping[str, Any]) -> bool:
    return str(tool.get("type", "")).startswith(("web_search_", "tool_search_tool_"))


def _searches(tool: Mapping[str, Any]) -> bool:
    return str(tool.get("type", "")).startswith("web_search_")
