"""The `tools` of a request: which kinds Vertex AI knows, and what a client's own tool may hold (2026-11-20)."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.sandbox import betas as b
from gateway.sandbox.errors import extra, invalid
from gateway.sandbox.models import NO_COMPUTER_USE, Model

NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
CUSTOM_FIELDS = {"type", "name", "description", "input_schema", "cache_control", "strict", "input_examples"}
PLAIN_KINDS = frozenset(
    {
        "bash_20250124",
        "text_editor_20250124",
        "text_editor_20250429",
        "text_editor_20250728",
        "memory_20250818",
    }
)
BETA_KINDS = {
    "computer_20250124": {"computer-use-2025-01-24"},
    "computer_20251124": {"computer-use-2025-11-24"},
    "tool_search_tool_bm25_20251119": b.TOOL_SEARCH,
    "tool_search_tool_regex_20251119": b.TOOL_SEARCH,
    "web_search_20250305": b.WEB_SEARCH,  # Google's page on web search; refused like this without it (reports since 2025-11)
}


def check(tools: Any, model: Model, betas: frozenset[str]) -> None:
    """400 for a tool that is unknown here, or badly described."""
    names: set[str] = set()
    for i, tool in enumerate(tools or []):
        if not isinstance(tool, dict):
            raise invalid(f"tools.{i}: Input should be a valid dictionary")
        kind = tool.get("type") or "custom"
        if kind == "custom":
            _check_custom(tool, f"tools.{i}.custom", betas)
        else:
            _check_kind(kind, i, model, betas)
        if "defer_loading" in tool and not betas & b.TOOL_SEARCH:
            raise extra(f"tools.{i}.{kind}.defer_loading")
        if not tool.get("name"):
            raise invalid(f"tools.{i}.{kind}.name: Field required")
        if tool["name"] in names:
            raise invalid("tools: Tool names must be unique.")
        names.add(tool["name"])


def _check_kind(kind: str, i: int, model: Model, betas: frozenset[str]) -> None:
    needed = BETA_KINDS.get(kind)
    refused = kind.startswith("computer_") and model.id in NO_COMPUTER_USE
    if kind in PLAIN_KINDS or (needed and needed & betas and not refused):
        return
    known = ", ".join(f"'{name}'" for name in sorted({*PLAIN_KINDS, "custom"}))
    raise invalid(f"tools.{i}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}")


def _check_custom(tool: Mapping[str, Any], path: str, betas: frozenset[str]) -> None:
    for name in tool:
        if name not in CUSTOM_FIELDS and name != "defer_loading":
            raise extra(f"{path}.{name}")
    if not NAME.fullmatch(str(tool.get("name", ""))):
        raise invalid(f"{path}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    schema = tool.get("input_schema")
    if schema is None:
        raise invalid(f"{path}.input_schema: Field required")
    if not isinstance(schema, dict):
        raise invalid(f"{path}.input_schema: Input should be a valid dictionary")
    if schema.get("type") != "object":
        raise invalid(f"{path}.input_schema.type: Input should be 'object'")
