"""Server-sent events: as Anthropic frames them (`event:` line, `data:` line, empty line), and bare data lines."""

import json
from collections.abc import Mapping
from typing import Any


def frame(event: Mapping[str, Any], text: str) -> bytes:
    """One event as JSON `text`, named after its own `type`."""
    return f"event: {event['type']}\ndata: {text}\n\n".encode()


def data_line(event: Mapping[str, Any], text: str) -> bytes:
    """One event without a name."""
    return f"data: {text}\n\n".encode()


def dump(value: Any) -> str:
    """JSON as the real service writes it: compact, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
