"""Stands in for load.c where there is no C compiler: the same options and the same JSON, with a low ceiling.

    python -m bench.load json|stream name=value …
"""

import asyncio
import itertools
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STAMP = re.compile(rb"@@(\d+);")
SAMPLES = ("latency_ms", "first_byte_ms", "event_lag_ms", "duration_ms")
LIMIT_BYTES = 64 * 1024 * 1024


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
    next_turn: float = 0.0

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

    async def turn(self) -> None:
        """Waits until the next request may begin, if there is a rate."""
        if rate := self.number("rate"):
            self.next_turn = max(self.next_turn, time.monotonic())
            wait_s, self.next_turn = self.next_turn - time.monotonic(), self.next_turn + 1 / rate
            await asyncio.sleep(min(wait_s, max(0.0, self.began + self.number("seconds") - time.monotonic())))

    async def connection(self, number: int) -> None:
        await asyncio.sleep(self.number("ramp") * number / max(1, self.number("connections", 1)))
        streams: list[Any] = []
        for asked in itertools.count():
            await self.turn()
            if not self.again(asked):
                break
            if streams and streams[0].at_eof():  # the server ended it while we waited
                streams.pop().close()
                streams = []
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


def main(mode: str, arguments: list[str]) -> None:
    options = dict(argument.split("=", 1) for argument in arguments)
    print(json.dumps(asyncio.run(Load(mode, options).run())))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
