"""Which `anthropic-beta` values Vertex AI takes, and which fields need one (measured and documented, 2026-11-20)."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.sandbox.errors import Refusal, invalid

TAKEN = frozenset(
    {
        "afk-mode-2026-01-31",  # Claude Code's own Vertex mode sends it in its modes plan and auto (2.1.329)
        "claude-code-20250219",
        "compact-2026-01-12",
        "compact-2026-09-04",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dangerous-tool-use-2026-09-03",
        "effort-2025-11-24",
        "fallback-credit-2026-06-01",  # and this one after a refusal
        "inline-tools-2026-09-15",
        "interleaved-thinking-2025-05-14",
        "per-turn-control-2026-07-01",
        "thinking-binding-controls-2026-08-01",
        "thinking-display-updates-2026-08-18",
        "thinking-token-count-2026-05-13",
        "tool-search-tool-2025-10-19",
        "web-search-2025-03-05",
    }
)
TAKEN_BY_COUNT_TOKENS = frozenset({"claude-code-20250219", "interleaved-thinking-2025-05-14", "token-counting-2024-11-01"})
HEADER_ONLY = frozenset({"compact-2026-09-04", "inline-tools-2026-09-15"})

COMPACTION = frozenset({"compact-2026-01-12", "compact-2026-09-04"})
CONTEXT_MANAGEMENT = COMPACTION | {"context-management-2025-06-27"}
PER_TURN_CONTROL = frozenset({"per-turn-control-2026-07-01"})
SAFEGUARDS = frozenset({"dangerous-tool-use-2026-09-03"})
TOOL_SEARCH = frozenset({"tool-search-tool-2025-10-19"})
WEB_SEARCH = frozenset({"web-search-2025-03-05"})
THINKING_UPDATES = frozenset({"thinking-display-updates-2026-08-18"})
THINKING_BINDING = frozenset({"thinking-binding-controls-2026-08-01"})


def parse_header(headers: Mapping[str, str]) -> frozenset[str]:
    return frozenset(word for part in headers.get("anthropic-beta", "").split(",") if (word := part.strip()))


def check(from_header: Iterable[str], from_body: Any, taken: Iterable[str]) -> None:
    """Every value that is not taken is named in one 400."""
    if not isinstance(from_body, list | tuple) or not all(isinstance(beta, str) for beta in from_body):
        raise invalid("anthropic_beta: Input should be a valid list of strings")
    known = set(taken)
    bad = sorted(set(from_header) - known | {beta for beta in from_body if beta not in known or beta in HEADER_ONLY})
    if bad:
        raise unexpected(bad)


def unexpected(values: Iterable[str]) -> Refusal:
    named = ", ".join(f"`{value}`" for value in values)
    return invalid(
        f"Unexpected value(s) {named} for the `anthropic-beta` header. "
        "Please consult our documentation at docs.anthropic.com or try again without the header."
    )
