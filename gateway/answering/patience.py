"""Waiting for an answer without being silent for long towards the client."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.canonical.steps import Steps, Until, Wait
from gateway.providers.send import Attempt


@dataclass(slots=True)
class Patience:
    """`steps` on their way to an answer. After `wait_s` of silence, or of time at all, whoever waits is told."""

    steps: Steps[Attempt]
    clock: Callable[[], float]
    wait_s: float
    heard: Any = None  # what the next of these steps is told

    def until_silence(self) -> Steps[Attempt | None]:
        """The answer, or None when a while has passed in silence: call again to go on."""
        began, steps = self.clock(), self.steps
        try:
            pause = steps.send(self.heard)
            while True:
                try:
                    answer = yield pause
                except Exception as error:  # what the work raised is for those who asked for it
                    pause = steps.throw(error)
                    continue
                silent = isinstance(pause, Wait | Until) and not answer and pause.wait_s >= self.wait_s
                if silent or self.clock() - began >= self.wait_s:
                    self.heard = answer
                    return None
                pause = steps.send(answer)
        except StopIteration as end:
            attempt: Attempt = end.value
            return attempt
