"""Stand-ins for upstream.c and load.c where there is no C compiler: the same options, answers and JSON, with a low ceiling.

    python -m bench.without_compiler upstream [PORT]
    python -m bench.without_compiler load json|stream name=value …
"""

import asyncio
import itertools
import json
import re
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ORDERS = re.compile(rb"bench:ev=(\d+),iv=(\d+)(?:,fault=([a-z]+))?")
STAMP = re.compile(rb"@@(\d+);")
USAGE = {"input_tokens": 350, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 240}
MESSAGE = {"id": "msg_bench", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6", "stop_sequence": None}
PLAIN = {**MESSAGE, "content": [{"type": "text", "text": "And so on. " * 98}], "stop_reason": "end_turn", "usage": USAGE}
TOKEN = {"access_token": "ya29.bench", "expires_in": 3599, "token_type": "Bearer"}
REFUSAL = {"type": "error", "error": {"type": "api_error", "message": "refused, as the prompt asked"}}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n"
SAMPLES = ("latency_ms", "first_byte_ms", "event_lag_ms", "duration_ms")
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


@dataclass(slots=True)
class Load:
    """One run of the load client: options as text, then what was seen."""

    mode: str
    options: dict[str, str]
    request: bytes = b""
    began: float = 0.0
    last_end: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def number(self, name: str, default: float = 0.0) -> float:
        return float(self.options.get(name, default))

    async def run(self) -> dict[str, Any]:
        body = Path(self.options["body"]).read_bytes()
        head = Path(self.options["head"]).read_text().replace("\n", "\r\n")
        path = self.options.get("path", "/v1/messages")
        self.request = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body
        self.began = time.monotonic()
        connections = [asyncio.create_task(self.connection(number)) for number in range(int(self.number("connections", 1)))]
        ended, unfinished = await asyncio.wait(connections, timeout=self.time_limit_s())
        for task in ended:
            task.result()
        for task in unfinished:
            task.cancel()
        return self.report(len(unfinished) if self.mode == "stream" else 0)

    def time_limit_s(self) -> float:
        seconds, limit = self.number("warmup") + self.number("seconds"), self.number("limit", 60)
        return seconds if self.mode == "json" else seconds + limit

    def again(self, asked: int) -> bool:
        if self.mode == "stream" and not self.number("seconds"):
            return asked < self.number("repeat", 1)
        return time.monotonic() < self.began + self.number("warmup") + self.number("seconds")

    async def connection(self, number: int) -> None:
        await asyncio.sleep(self.number("ramp") * number / max(1, self.number("connections", 1)))
        streams: list[Any] = []
        for asked in itertools.count():
            if not self.again(asked):
                break
            try:
                if not streams:
                    streams = list(await asyncio.open_connection("127.0.0.1", int(self.number("port")), limit=LIMIT_BYTES))
                if not await self.call(*streams):
                    streams.pop().close()
                    streams = []
            except (OSError, asyncio.IncompleteReadError) as error:
                kind = "reset" if isinstance(error, ConnectionResetError) else "broken" if streams else "unreachable"
                self.errors[kind] += 1
                streams = []
                await asyncio.sleep(0.02)

    async def call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False if the connection is of no further use."""
        start = time.monotonic()
        self.counts["no_answer"] += 1
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        self.counts["no_answer"] -= 1
        self.counts["answered"] += 1
        status = head.split(" ", 2)[1]
        whole, hung_up = await self.body(reader, head, start)
        if hung_up:
            self.counts["aborted"] += 1
            return False
        self.ended(start, status, whole)
        return "connection: close" not in head and status == "200"

    async def body(self, reader: asyncio.StreamReader, head: str, start: float) -> tuple[bool, bool]:
        """(ended with message_stop, hung up)"""
        length = re.search(r"\r\ncontent-length: *(\d+)", head)
        text, stamps, first = b"", 0, None
        while True:
            size = int(length[1]) if length else int(await reader.readuntil(b"\n"), 16)
            piece = await reader.readexactly(size)
            if first is None:
                first = time.monotonic()
                self.sample("first_byte_ms", first - start)
            self.counts["bytes"] += size
            if length:
                return True, False
            await reader.readuntil(b"\n")
            now = time.monotonic_ns()
            for stamp in STAMP.findall(piece):
                stamps += 1
                self.counts["events"] += 1
                self.sample("event_lag_ms", (now - int(stamp)) / 1e9)
            if not size:
                return b"message_stop" in text, False
            text = (text + piece)[-512:]
            if 0 < self.number("abort_after") <= stamps:
                return False, True

    def ended(self, start: float, status: str, whole: bool) -> None:
        now = self.last_end = time.monotonic()
        self.statuses[status] += 1
        self.counts["finished_all"] += 1
        if status != "200" or not whole:
            self.errors["refused" if status != "200" else "incomplete"] += 1
            return
        measured = self.mode == "stream" or now >= self.began + self.number("warmup")
        self.counts["finished"] += measured
        if measured:
            self.sample("duration_ms" if self.mode == "stream" else "latency_ms", now - start)

    def sample(self, name: str, seconds: float) -> None:
        self.samples.setdefault(name, []).append(seconds * 1000)

    def report(self, unfinished: int) -> dict[str, Any]:
        wall_s = ((self.last_end if self.mode == "stream" else 0) or time.monotonic()) - self.began
        names = ("finished", "finished_all", "answered", "no_answer", "bytes", "events", "aborted")
        kinds = ("refused", "broken", "reset", "unreachable", "incomplete")
        return {
            **{name: self.counts[name] for name in names},
            "seconds": wall_s,
            "per_second": self.counts["finished"] / max(0.001, self.number("seconds") if self.mode == "json" else wall_s),
            "events_per_second": self.counts["events"] / max(0.001, wall_s),
            **{name: percentiles(self.samples.get(name)) for name in SAMPLES},
            "errors": {**{kind: self.errors[kind] for kind in kinds}, "unfinished": unfinished},
            "statuses": dict(self.statuses),
        }


def percentiles(samples: list[float] | None) -> dict[str, float] | None:
    if not samples:
        return None
    ordered = sorted(samples)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {**{name: ordered[int(len(ordered) * share)] for name, share in places.items()}, "max": ordered[-1]}


def main(arguments: list[str]) -> None:
    if arguments[0] == "upstream":
        asyncio.run(run_upstream(int(arguments[1]) if arguments[1:] else 0))
    else:
        options = dict(argument.split("=", 1) for argument in arguments[2:])
        print(json.dumps(asyncio.run(Load(arguments[1], options).run())))


if __name__ == "__main__":
    main(sys.argv[1:])
