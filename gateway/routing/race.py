"""Two ways to one result, of which the first to arrive wins: both are taken a step at a time, and the slower one is given up."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic

from gateway.canonical.errors import GatewayError
from gateway.canonical.steps import Pause, Steps, T, Until, Wait, Work

LOOK_S = 0.02  # how often both are looked after: only one of them can be waited for
Clock = Callable[[], float]


class Runner(Generic[T]):
    """One of the two: under way, arrived with `result`, or failed with `error`."""

    def __init__(self, steps: Steps[T], clock: Clock) -> None:
        self.steps = steps
        self.result: T | None = None
        self.error: GatewayError | None = None
        self.arrived = False
        self.pause: Pause | None = None
        self.until = 0.0
        self._clock = clock
        self._move(steps.send, None)

    @property
    def under_way(self) -> bool:
        return not self.arrived and self.error is None

    def go(self) -> Steps[None]:
        """As far as it goes without waiting. Work is done meanwhile, and the other one waits for that."""
        while self.under_way and (pause := self.pause) is not None:
            if isinstance(pause, Work):
                try:
                    answer = yield pause
                except Exception as error:  # what the work raised is for those who asked for it
                    self._move(self.steps.throw, error)
                else:
                    self._move(self.steps.send, answer)
                continue
            ready = pause.signal.told if isinstance(pause, Until) else pause.source.wait_ready(0.0, writing=pause.writing)
            if not ready and self._clock() < self.until:
                return
            self._move(self.steps.send, ready)

    def waiting(self, longest_s: float) -> Wait | Until:
        """Its pause, cut to a time."""
        assert isinstance(self.pause, Wait | Until)
        return replace(self.pause, wait_s=max(0.0, min(longest_s, self.until - self._clock())))

    def _move(self, move: Callable[[Any], Pause], word: Any) -> None:
        try:
            self.pause = move(word)
            self.until = self._clock() + (0.0 if isinstance(self.pause, Work) else self.pause.wait_s)
        except StopIteration as end:
            self.result, self.arrived = end.value, True
        except GatewayError as error:
            self.error = error


def race(first: Steps[T], second: Callable[[], Steps[T] | None], after_s: float, clock: Clock) -> Steps[list[Runner[T]]]:
    """Who ran, the first one first: one of them arrived, or all failed. `second` sets out after `after_s`, unless it is None;
    one that fails leaves the race to the other. Nobody is under way afterwards."""
    starts_at = clock() + after_s
    runners = [Runner(first, clock)]
    try:
        while True:
            for runner in runners:
                yield from runner.go()
                if runner.arrived:
                    return runners
            running = [runner for runner in runners if runner.under_way]
            if not running:
                return runners
            if len(runners) == 1 and clock() >= starts_at:
                starts_at = float("inf")
                if (steps := second()) is not None:
                    runners.append(Runner(steps, clock))
                    continue
            left_s = starts_at - clock() if len(runners) == 1 else LOOK_S if len(running) == 2 else float("inf")
            yield running[0].waiting(left_s)
    finally:
        for runner in runners:
            if runner.under_way:
                runner.steps.close()
