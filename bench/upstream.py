"""Stands in for upstream.c where there is no C compiler: the same paths, orders, faults and stamps, with a low ceiling.

    python -m bench.upstream [PORT]
"""

import asyncio
import json
import re
import socket
import struct
import sys
import time
from collections import Counter
from typing import Any

ORDERS = re.compile(rb"bench:ev=(\d+),iv=(\d+)(?:,fault=([a-z]+))?")
USAGE = {"input_tokens": 350, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 240}
MESSAGE = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "stop_sequence": None}
PLAIN = {**MESSAGE, "content": [{"type": "text", "text": "And so on. " * 98}], "stop_reason": "end_turn", "usage": USAGE}
TOKEN = {"access_token": "ya29.bench", "expires_in": 3599, "token_type": "Bearer"}
REFUSAL = {"type": "error", "error": {"type": "api_error", "message": "refused, as the prompt asked"}}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
SLOW_S = 0.3
LIMIT_BYTES = 64 * 1024 * 1024


class Upstream:
    """Answers as upstream.c does."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter({"plain": 0, "stream": 0, "token": 0, "count": 0, "unknown": 0, "faults": 0})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = re.search(rb"\r\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                if not await self.answer(head.split(b"\r\n")[0].decode("latin-1"), body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def answer(self, line: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """False if the connection is to be closed."""
        kind = kind_of(line, body)
        if kind in ("plain", "stream"):
            self.counts[kind] += 1
            return await self.message(kind, body, writer)
        documents: dict[str, Any] = {"token": TOKEN, "count": {"input_tokens": 350}, "stats": dict(self.counts), "unknown": {}}
        self.counts[kind] += kind != "stats"
        writer.write(plain("404 Not Found" if kind == "unknown" else "200 OK", documents[kind]))
        return True

    async def message(self, kind: str, body: bytes, writer: asyncio.StreamWriter) -> bool:
        found = ORDERS.search(body)
        events, interval_s, fault = (int(found[1]), int(found[2]) / 1000, (found[3] or b"").decode()) if found else (10, 0.0, "")
        self.counts["faults"] += fault in ("cut", "reset", "slow", "refuse")
        if fault == "refuse":
            writer.write(plain("503 Service Unavailable", REFUSAL))
            return True
        await asyncio.sleep(SLOW_S if fault == "slow" else 0)
        if kind == "plain":
            if fault == "reset":
                break_off(writer)
                return False
            writer.write(plain("200 OK", PLAIN))
            return True
        return await self.stream(events, interval_s, fault, writer)

    async def stream(self, events: int, interval_s: float, fault: str, writer: asyncio.StreamWriter) -> bool:
        start: dict[str, Any] = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**USAGE, "output_tokens": 1}}
        block = {"index": 0, "content_block": {"type": "text", "text": ""}}
        writer.write(STREAM_HEAD + event("message_start", message=start) + event("content_block_start", **block))
        began = time.monotonic()
        for number in range(events):
            if number == events // 2 and fault in ("cut", "reset"):
                await writer.drain()
                if fault == "reset":
                    break_off(writer)
                return False
            await asyncio.sleep(max(0.0, began + number * interval_s - time.monotonic()))
            delta = {"type": "text_delta", "text": f"@@{time.monotonic_ns()}; and so on "}
            writer.write(event("content_block_delta", index=0, delta=delta))
        stop = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": events}}
        writer.write(event("content_block_stop", index=0) + event("message_delta", **stop) + event("message_stop") + b"0\r\n\r\n")
        await writer.drain()
        return True


def kind_of(line: str, body: bytes) -> str:
    if "streamrawpredict" in line:
        return "stream"
    if "count-tokens" in line or "count_tokens" in line:
        return "count"
    if ":rawpredict" in line:
        return "plain"
    if "/v1/messages" in line:
        return "stream" if re.search(rb'"stream": ?true', body) else "plain"
    return next((kind for kind in ("token", "stats") if f"/{kind}" in line), "unknown")


def plain(status: str, document: Any) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def event(name: str, **fields: Any) -> bytes:
    """One event as one chunk of chunked transfer coding."""
    text = f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()
    return f"{len(text):x}\r\n".encode() + text + b"\r\n"


def break_off(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def run_upstream(port: int) -> None:
    server = await asyncio.start_server(Upstream().serve, "127.0.0.1", port, limit=LIMIT_BYTES, backlog=4096)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(run_upstream(int(sys.argv[1]) if sys.argv[1:] else 0))
