"""What goes back to a client, and how a stream is driven: by a thread that may wait, or by an event loop that may not.

A stream is a generator that never blocks. It yields the bytes to hand over, and where it has to wait or to work it says
so and lets its driver see to it: `Wait` until the provider has said more, `Work` that blocks (committing a record). So
the relay is written once, and a thousand silent streams need no thousand threads.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Protocol


class Readable(Protocol):
    """Something to wait for: a socket, as poll and event loops know it."""

    def fileno(self) -> int: ...

    def wait_readable(self, wait_s: float) -> bool:
        """Blocks; False if `wait_s` passed first."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on when there is something to read, or after `wait_s`. Sent back: whether there is."""

    source: Readable
    wait_s: float


@dataclass(frozen=True, slots=True)
class Work:
    """Blocking work to be done before the stream goes on. What it raises is thrown into the stream."""

    run: Callable[[], object]


Step = bytes | Wait | Work
Relay = Generator[Step, bool | None, None]


@dataclass(slots=True)
class Reply:
    """`body` is whole, or a Relay. `close` must be called when the body is done with, in whatever way; it may block, and
    may be called again. `done` says that it would find nothing to do."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Relay = b""
    close: Callable[[], None] = lambda: None
    done: Callable[[], bool] = lambda: True


def next_step(relay: Relay, readable: bool | None) -> Step | None:
    """The relay's next step; None when it is over. `readable` answers a Wait, and is None otherwise."""
    try:
        return relay.send(readable)
    except StopIteration:
        return None


def do_work(relay: Relay, step: Work) -> Step | None:
    """Does the work, here and now, and takes the relay's next step."""
    try:
        step.run()
    except Exception as error:
        try:
            return relay.throw(error)
        except StopIteration:
            return None
    return next_step(relay, None)


def drive_blocking(relay: Relay) -> Iterator[bytes]:
    """The relay's bytes, for a thread of its own (WSGI)."""
    readable: bool | None = None
    try:
        while (step := next_step(relay, readable)) is not None:
            readable = None
            while isinstance(step, Work):
                step = do_work(relay, step)
            if step is None:
                return
            if isinstance(step, Wait):
                readable = step.source.wait_readable(step.wait_s)
            else:
                yield step
    finally:
        relay.close()
