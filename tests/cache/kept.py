"""Entries, as the cache keeps them."""

from typing import Any

from gateway.cache.entry import Entry
from gateway.canonical.usage import Tokens, Usage

NOW = 1_795_000_000.0


def entry(key: str = "k", body: bytes = b'{"type":"message"}', **more: Any) -> Entry:
    fields: dict[str, Any] = {
        "key": key, "project": "demo", "user": "ana@example.com", "stream": False, "body": body,
        "content_type": "application/json", "framing": "", "provider": "vertex", "location": "global",
        "model": "claude-sonnet-4-6", "answered_model": "claude-sonnet-4-6", "dropped": ("seed",),
        "usage": Usage(Tokens(input=3, output=5, thinking=2), searches=1, iterations=(Tokens(input=1),)), "at": NOW,
        "max_age_s": 3600,
    }  # fmt: skip
    return Entry(**{**fields, **more})
