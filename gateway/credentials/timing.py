"""The clocks and the dice of this room in one value, so that a test can hold them in its hand."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """`now` is unix seconds and may jump; `monotonic` and `sleep` are for waiting; `draw` gives 0 (incl.) to 1 (excl.)."""

    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    draw: Callable[[], float] = random.random
