"""AWS event-stream frames, as the simulated Bedrock sends them (Smithy's specification, 2026-11-20)."""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

CHUNK = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
EXCEPTIONS = {
    "rate_limit_error": "throttlingException",
    "overloaded_error": "serviceUnavailableException",
    "invalid_request_error": "validationException",
    "timeout_error": "modelTimeoutException",
    "api_error": "internalServerException",
}


def chunk(event: Mapping[str, Any], text: str) -> bytes:
    """One event in its frame, with padding that hides how long it is."""
    padding = LETTERS[: 1 + len(text) * 7 % len(LETTERS)]
    payload = {"bytes": base64.b64encode(text.encode()).decode(), "p": padding}
    return frame(CHUNK, json.dumps(payload, separators=(",", ":")).encode())


def exception(kind: str, message: str) -> bytes:
    """An error in mid-stream, from a kind of Anthropic's."""
    name = EXCEPTIONS.get(kind, "modelStreamErrorException")
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    head = bytearray()
    for name, value in headers.items():
        head += bytes([len(name)]) + name.encode() + b"\x07" + len(value).to_bytes(2, "big") + value.encode()
    start = (16 + len(head) + len(payload)).to_bytes(4, "big") + len(head).to_bytes(4, "big")
    whole = start + zlib.crc32(start).to_bytes(4, "big") + bytes(head) + payload
    return whole + zlib.crc32(whole).to_bytes(4, "big")
