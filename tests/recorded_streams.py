"""Streams as Vertex AI sends them, put together by hand so that the tests share no code with the reader."""

import json
from typing import Any


def event(name: str, /, **data: Any) -> bytes:
    text = json.dumps({"type": name, **data}, ensure_ascii=False)
    return f"event: {name}\ndata: {text}\n\n".encode()


START_USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 4000,
    "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    "output_tokens": 1,
    "service_tier": "standard",
}


def message_start(usage: dict[str, Any] | None = None, model: str = "claude-opus-5-5") -> bytes:
    message: dict[str, Any] = {
        "id": "msg_vrtx_01",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
    }
    return event("message_start", message={**message, "usage": usage or START_USAGE})


def text_delta(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


BLOCK_START = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
BLOCK_STOP = event("content_block_stop", index=0)
PING = event("ping")
COMMENT = b": keepalive\n\n"
STOP = event("message_stop")


def message_delta(stop_reason: str | None = "end_turn", **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": stop_reason, "stop_sequence": None}, usage=usage)


def error(kind: str = "overloaded_error") -> bytes:
    return event("error", error={"type": kind, "message": "Overloaded"})


TEXTS = ["Grüße aus 東京 🗼", "event: message_stop\ndata: {}", 'an "error", a message_delta', "plain", "\u2028 \r\n\n"]
WHOLE = b"".join(
    [
        message_start(),
        PING,
        BLOCK_START,
        *(text_delta(text) for text in TEXTS),
        COMMENT,
        BLOCK_STOP,
        message_delta(None, output_tokens=20),
        PING,
        message_delta(
            output_tokens=77,
            input_tokens=13,
            output_tokens_details={"thinking_tokens": 40},
            server_tool_use={"web_search_requests": 2},
        ),
        STOP,
    ]
)
CUT = WHOLE[: WHOLE.index(b"event: content_block_stop")]
BROKEN = CUT + error()
