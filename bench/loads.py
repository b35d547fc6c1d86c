"""What is sent: a small prompt, a prompt shaped like Claude Code's after thirty turns, and streams of paced events."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL = "claude-sonnet-4-6"
SMALL_BYTES = 1400
LARGE_BYTES = 108_000
TURNS = 61
TOOLS = 24
SMALL_HEADERS = ("content-type: application/json", "anthropic-version: 2023-06-01", "user-agent: tollgate-bench")
# What Claude Code 2.1.329 sends in its Messages mode, read from its wire on 2026-11-20.
CLAUDE_CODE_HEADERS = (
    "accept: application/json",
    "content-type: application/json",
    "user-agent: claude-cli/2.1.329 (external, cli)",
    "x-claude-code-session-id: 5f0c7a52-7f2e-4d3b-9c11-3a86d0c0b1a7",
    "x-stainless-arch: x64",
    "x-stainless-lang: js",
    "x-stainless-os: Linux",
    "x-stainless-package-version: 0.128.0",
    "x-stainless-retry-count: 0",
    "x-stainless-runtime: node",
    "x-stainless-runtime-version: v24.3.0",
    "x-stainless-timeout: 600",
    "anthropic-beta: claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,"
    "advanced-tool-use-2025-11-20,effort-2025-11-24",
    "anthropic-dangerous-direct-browser-access: true",
    "anthropic-version: 2023-06-01",
    "x-app: cli",
    "accept-encoding: gzip, deflate, br, zstd",
)
WORDS = 'The handler reads the header before the body, so a "quoted" name\n\tand a path such as src/gateway/doors.py survive. '


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of request. `events` and `interval_ms` pace its answer if it is streamed."""

    large: bool = False
    stream: bool = False
    events: int = 10
    interval_ms: int = 0
    fault: str = ""

    @property
    def name(self) -> str:
        size = "large" if self.large else "small"
        return f"{size}-{'stream' if self.stream else 'plain'}-{self.events}-{self.interval_ms}-{self.fault or 'well'}"

    @property
    def headers(self) -> tuple[str, ...]:
        return CLAUDE_CODE_HEADERS if self.large else SMALL_HEADERS

    def body(self) -> bytes:
        orders = f"bench:ev={self.events},iv={self.interval_ms},fault={self.fault or 'none'}, "
        message = large_message(orders) if self.large else small_message(orders)
        if self.stream:
            message["stream"] = True
        return encode(message)

    def write(self, folder: Path, credential: tuple[str, ...], owner: str) -> tuple[Path, Path]:
        """Header and body files for the load client, made once per owner of a credential."""
        head = folder / f"{owner}-{'large' if self.large else 'small'}.head"
        body = folder / f"{self.name}.body"
        replace(head, "".join(f"{line}\n" for line in (*self.headers, *credential)).encode())
        if not body.exists():
            replace(body, self.body())
        return head, body


def replace(path: Path, content: bytes) -> None:
    """In one step: a load client that has just been started may be reading the file."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(path)


def small_message(orders: str) -> dict[str, Any]:
    message = {"model": MODEL, "max_tokens": 1024, "messages": [{"role": "user", "content": orders}]}
    padding = filler(SMALL_BYTES - len(encode(message)))
    return {**message, "messages": [{"role": "user", "content": orders + padding}]}


def large_message(orders: str) -> dict[str, Any]:
    """Tools, system blocks with cache marks, and a conversation of tool calls and their results."""
    message: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 32_000,
        "system": [
            {"type": "text", "text": "You are a coding agent. " + filler(120)},
            {"type": "text", "text": filler(9_000), "cache_control": {"type": "ephemeral"}},
        ],
        "tools": [tool(number) for number in range(TOOLS)],
        "metadata": {"user_id": "user_" + "5f" * 32},
        "thinking": {"type": "enabled", "budget_tokens": 16_000},
        "messages": [],
    }
    room = LARGE_BYTES - len(encode(message))
    message["messages"] = [turn(number, room // TURNS - 190) for number in range(TURNS - 1)]
    rest = LARGE_BYTES - len(encode(message)) - 300
    message["messages"].append({"role": "user", "content": [{"type": "text", "text": orders + filler(rest)}]})
    return message


def tool(number: int) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "description": filler(140)} for name in ("path", "pattern", "command", "reason")},
        "required": ["path"],
        "additionalProperties": False,
    }
    return {"name": f"Tool{number}", "description": filler(1_100), "input_schema": schema}


def turn(number: int, room: int) -> dict[str, Any]:
    """User turns bear tool results, assistant turns a thought, a sentence and a tool call."""
    if number == 0:
        return {"role": "user", "content": [{"type": "text", "text": filler(room)}]}
    if number % 2 == 0:
        result = {"type": "tool_result", "tool_use_id": f"toolu_{number - 1:04}", "content": filler(room)}
        return {"role": "user", "content": [result]}
    call = {"path": "src/a.py", "pattern": filler(room // 3)}
    return {
        "role": "assistant",
        "content": [
            {"type": "text", "text": filler(room // 2)},
            {"type": "tool_use", "id": f"toolu_{number:04}", "name": f"Tool{number % TOOLS}", "input": call},
        ],
    }


def filler(length: int) -> str:
    """Text with what JSON must escape, so that parsing it costs what real text costs."""
    return (WORDS * (max(0, length) // len(WORDS) + 1))[: max(0, length)]


def encode(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
