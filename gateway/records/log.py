"""Log lines: one JSON object a line for Cloud Logging, or one short sentence a line for a person at a terminal."""

import sys
import threading
from typing import TextIO

import msgspec

from gateway.canonical.money import format_dollars
from gateway.canonical.store import Json


class LineLog:
    """Writes whole lines, from any thread."""

    def __init__(self, stream: TextIO | None = None, *, for_people: bool = False) -> None:
        self._stream = stream or sys.stdout
        self._for_people = for_people
        self._lock = threading.Lock()

    def write(self, line: Json) -> None:
        text = _sentence(line) if self._for_people else msgspec.json.encode(line).decode()
        with self._lock:
            self._stream.write(text + "\n")
            self._stream.flush()


def _sentence(line: Json) -> str:
    tokens = line.get("tokens") or {}
    parts = [str(line.get("message", ""))]
    if tokens:
        prompt = tokens["input"] + tokens["cache_read"] + tokens["cache_write_5m"] + tokens["cache_write_1h"]
        parts.append(f"{prompt} → {tokens['output']} tokens")
        parts.append(f"${format_dollars(line.get('cost_nanodollars', 0), digits=6)}")
    if "latency_ms" in line:
        parts.append(f"{line['latency_ms']} ms")
    parts += [str(line[name]) for name in ("user", "error_type", "reason", "request_id") if line.get(name)]
    return " · ".join(part for part in parts if part)
