"""What goes back to a client: a whole body, or a stream of bytes that is driven like every other way through the house."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.canonical.steps import Pause, Work, answer_blocking, do_work

Relay = Generator[bytes | Pause, Any, None]
"""A stream: yields the bytes to hand over, and pauses as Steps do."""


@dataclass(slots=True)
class Reply:
    """`body` is whole, or a Relay. `close` must be called when the body is done with, in whatever way; it may block, and
    may be called again. `done` says that it would find nothing to do."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Relay = b""
    close: Callable[[], None] = lambda: None
    done: Callable[[], bool] = lambda: True


def drive_blocking(relay: Relay) -> Iterator[bytes]:
    """The relay's bytes, for a thread of its own (WSGI)."""
    try:
        step = next(relay)
        while True:
            if isinstance(step, bytes):
                yield step
                step = next(relay)
            elif isinstance(step, Work):
                step = do_work(relay, step)
            else:
                step = relay.send(answer_blocking(step))
    except StopIteration:
        return
    finally:
        relay.close()
