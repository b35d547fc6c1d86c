"""Usage that the gateway asked for and its client did not: taken out of a Chat Completions stream as it passes.

With `stream_options.include_usage` OpenAI adds `"usage": null` to every chunk and a last one that holds nothing but usage.
Source: OpenAI chat streaming reference as in openai-python 3.52.0, 2026-11-20.
"""

import re

from gateway.canonical.json_object import JsonObject, NotAnObject

WITHOUT_USAGE = "without usage"  # `Request.framing` of a client that did not ask for it
_RECORD = re.compile(rb'data:[^\n]*"usage"[^\n]*\n\r?\n')
_NO_USAGE = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,')
_NO_CHOICE = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_FIGURES = re.compile(rb'"usage"\s*:\s*\{')


def asks_for_usage(document: JsonObject) -> bool:
    try:
        options = document.value("stream_options")
    except NotAnObject:
        return False
    return isinstance(options, dict) and options.get("include_usage") is True


class UsageHider:
    """Fed every chunk in order, in any cutting. A record is held back until it is whole; all else passes as it is. The marks
    that it looks for cannot stand in a text: there, quotation marks are escaped."""

    def __init__(self) -> None:
        self._tail = b""

    def feed(self, chunk: bytes) -> bytes:
        data = self._tail + chunk
        end = max(data.rfind(b"\n\n") + 2, data.rfind(b"\n\r\n") + 3)
        if end < 3:
            self._tail = data
            return b""
        self._tail = data[end:]
        whole = data[:end]
        return _RECORD.sub(_without_usage, whole) if b'"usage"' in whole else whole

    def end(self) -> bytes:
        tail, self._tail = self._tail, b""
        return tail


def _without_usage(record: re.Match[bytes]) -> bytes:
    if _NO_CHOICE.search(record[0]) and _FIGURES.search(record[0]):
        return b""
    return _NO_USAGE.sub(b"", record[0])
