"""How work proceeds without blocking: written once, driven by an event loop that may not wait or by a thread that may.

A function that may have to wait is a generator. Where it has to, it yields what for and lets its driver see to it:
`Wait` until a socket is ready, `Until` another thread has told something, `Work` that cannot but block (a store read, a
connection being made). So a call is written once, from its door to its record, and a thousand of them that wait for their
providers need no thousand threads.
"""

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Source(Protocol):
    """Something to wait for: a socket, as poll and event loops know it."""

    def fileno(self) -> int: ...

    def wait_ready(self, wait_s: float, *, writing: bool) -> bool:
        """Blocks; False if `wait_s` passed first."""


class Signal:
    """Told once, by any thread. Cheaper than an Event, of which a call would need a new one each time."""

    __slots__ = ("_callback", "_lock", "told")

    def __init__(self) -> None:
        self.told = False
        self._callback: Callable[[], None] | None = None
        self._lock = threading.Lock()

    def tell(self) -> None:
        with self._lock:
            if self.told:
                return
            self.told = True
            callback, self._callback = self._callback, None  # which may know this signal: a circle that only GC would end
        if callback is not None:
            callback()

    def on_told(self, callback: Callable[[], None]) -> None:
        """Calls back once, in the telling thread; at once if it was told already. One callback at a time."""
        with self._lock:
            if not self.told:
                self._callback = callback
                return
        callback()

    def wait(self, wait_s: float) -> bool:
        """Blocks; False if `wait_s` passed first."""
        gate = threading.Lock()
        gate.acquire()
        self.on_told(gate.release)
        return gate.acquire(timeout=wait_s)


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on when `source` can be read (or written), or after `wait_s`. Sent back: whether it can."""

    source: Source
    wait_s: float
    writing: bool = False


@dataclass(frozen=True, slots=True)
class Until:
    """Go on when `signal` was told, or after `wait_s`. Sent back: whether it was."""

    signal: Signal
    wait_s: float


@dataclass(frozen=True, slots=True)
class Work:
    """Blocking work to be done before going on. Sent back: its result; what it raises is thrown in."""

    run: Callable[[], object]


Pause = Wait | Until | Work
Steps = Generator[Pause, Any, T]
"""A function's way to a result. `yield from` it inside another, or `run_blocking` it."""


def do_work(steps: Generator[Any, Any, Any], work: Work) -> Any:
    """Does the work, here and now, and takes the next step. StopIteration at the end."""
    try:
        result = work.run()
    except Exception as error:
        return steps.throw(error)
    return steps.send(result)


def answer_blocking(pause: Wait | Until) -> bool:
    if isinstance(pause, Wait):
        return pause.source.wait_ready(pause.wait_s, writing=pause.writing)
    return pause.signal.wait(pause.wait_s)


def run_blocking(steps: Steps[T]) -> T:
    """To the end, in this thread."""
    try:
        pause = steps.send(None)
        while True:
            pause = do_work(steps, pause) if isinstance(pause, Work) else steps.send(answer_blocking(pause))
    except StopIteration as end:
        result: T = end.value
        return result
