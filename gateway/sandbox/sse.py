"""Server-sent events as Anthropic frames them: `event:` line, `data:` line, empty line."""

import json
from collections.abc import Mapping
from typing import Any


def frame(event: Mapping[str, Any]) -> bytes:
    """One event, named after its own `type`."""
    return f"event: {event['type']}\ndata: {dump(event)}\n\n".encode()


def dump(value: Any) -> str:
    """JSON as the real service writes it: compact, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
