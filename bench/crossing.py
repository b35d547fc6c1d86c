"""What it costs to carry a stream from one wire format into another: CPU per 1,000 events, beside letting its bytes pass."""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.tables import table
from gateway.dialects import DIALECTS, TRANSLATIONS
from gateway.providers.crossing import StreamCrossing, dialect_of

EVENTS = 1_000
ROUNDS = 15
WORDS = "some words of an answer "
REQUEST: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True, slots=True)
class Cost:
    """`ms` is CPU per 1,000 text deltas, each of which arrives by itself; watched for its usage in any case."""

    client: str
    target: str
    ms: float
    passing_ms: float  # of the same stream, to a client that speaks as the target does


def measure(rounds: int = ROUNDS, events: int = EVENTS) -> list[Cost]:
    """Every pair of formats. A median of `rounds`, in one thread, without sockets."""
    costs = []
    for target in TRANSLATIONS:
        chunks = list(_stream(target, events))
        passing_ms = _median_ms(rounds, events, lambda: _watch(target, chunks))  # noqa: B023
        for client in TRANSLATIONS:
            if client != target:
                ms = _median_ms(rounds, events, lambda: _carry(client, target, chunks))  # noqa: B023
                costs.append(Cost(client, target, ms, passing_ms))
    return costs


def render(costs: Sequence[Cost]) -> str:
    """As Markdown."""
    rows = [
        (cost.target, cost.client, f"{cost.passing_ms:.2f}", f"{cost.ms:.2f}", f"{cost.ms - cost.passing_ms:.1f} µs")
        for cost in costs
    ]
    return table(("provider's stream", "client's format", "ms, bytes pass", "ms, carried over", "more per event"), rows)


def _median_ms(rounds: int, events: int, work: Any) -> float:
    work()
    taken = []
    for _ in range(rounds):
        before = time.thread_time()
        work()
        taken.append(time.thread_time() - before)
    return statistics.median(taken) * 1e3 * EVENTS / events


def _watch(target: str, chunks: Sequence[bytes]) -> None:
    watch = DIALECTS[dialect_of(target)].watch_stream()
    for chunk in chunks:
        watch.feed(chunk)
    assert watch.ended, target


def _carry(client: str, target: str, chunks: Sequence[bytes]) -> None:
    watch = DIALECTS[dialect_of(target)].watch_stream()
    renderer = TRANSLATIONS[client].render_stream(asked_model="model", request=REQUEST)
    carrier = StreamCrossing(TRANSLATIONS[target].parse_stream(), renderer)
    for chunk in chunks:
        watch.feed(chunk)
        carrier.carry(chunk)
    carrier.end()


def _stream(wire: str, events: int) -> Iterator[bytes]:
    """An answer of so many text deltas, as a provider of that format sends it."""
    renderer = TRANSLATIONS[wire].render_stream(asked_model="model", request=REQUEST)
    for event in _events(events):
        if chunk := renderer.render(event):
            yield chunk


def _events(count: int) -> Iterator[dict[str, Any]]:
    usage = {"input_tokens": 100, "output_tokens": count * 5}
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "model", "content": [], "stop_reason": None,
        "stop_sequence": None, "usage": {"input_tokens": 100, "output_tokens": 1},
    }  # fmt: skip
    yield {"type": "message_start", "message": message}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for _ in range(count):
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORDS}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
    yield {"type": "message_stop"}
