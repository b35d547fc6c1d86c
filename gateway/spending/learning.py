"""What happened so far, in a few numbers for each key and model: it forgets as it learns, and lives in memory only.

A restarted instance begins with the stated first guesses and has learned again within some tens of calls.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
SHARE = 0.9
STEP_MIN = 0.08
STEPS_FAST = 10.0
CALLS_UNTIL_STEADY = math.ceil(STEPS_FAST / STEP_MIN)  # from then on every step is the least
UP, DOWN = math.exp(STEP_MIN * SHARE), math.exp(-STEP_MIN * (1.0 - SHARE))


@dataclass(slots=True)
class Quantile:
    """A running quantile of positive values in constant memory: each value above it pushes it up, each below lets it
    sink, so that `SHARE` of them lie below in the long run. Works by factors, as token counts spread by factors;
    old values weigh ever less.

    Method: stochastic approximation (Robbins and Monro 1951) on the logarithm.
    """

    value: float
    count: int = 0

    def learn(self, seen: float) -> None:
        value, count = self.value, self.count
        self.count = count + 1
        if seen > value:
            self.value = min(value * (UP if count >= CALLS_UNTIL_STEADY else self._first_step(seen)), seen)
        else:
            self.value = max(value * (DOWN if count >= CALLS_UNTIL_STEADY else self._first_step(seen)), seen)

    def _first_step(self, seen: float) -> float:
        """The factor of one of the first steps, which are longer; the first value of all says more than a first guess."""
        if self.count == 1:
            return math.sqrt(max(seen, 1e-9) / self.value)
        step = max(STEP_MIN, 1.0 / (1.0 + (self.count - 1) / STEPS_FAST))
        return math.exp(step * SHARE if seen > self.value else -step * (1.0 - SHARE))


@dataclass(slots=True)
class Mean:
    """A running mean that forgets: the newest value weighs a twentieth, more while there are few."""

    value: float
    count: int = 0

    def learn(self, seen: float) -> None:
        self.count += 1
        self.value += (seen - self.value) * max(0.05, 1.0 / (self.count + 1))


@dataclass(slots=True)
class Habit:
    """How calls of one kind turn out. `output_tokens`; `price_factor`: what a prompt token cost, as a part of an uncached one;
    `counted_factor`: how much of it token budgets count. `learned_at`: when the last call that taught began, monotonic."""

    output_tokens: Quantile = field(default_factory=lambda: Quantile(2_048.0))
    price_factor: Quantile = field(default_factory=lambda: Quantile(1.25))
    counted_factor: Quantile = field(default_factory=lambda: Quantile(1.0))
    learned_at: float = float("-inf")


class Recent(Generic[K, V]):
    """A mapping that keeps the `size` entries last used. Not locked."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        found = self._entries.get(key)
        if found is not None:
            self._entries.move_to_end(key)
        return found

    def put(self, key: K, value: V) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def pop(self, key: K) -> V | None:
        return self._entries.pop(key, None)

    def get_or_put(self, key: K, make: Callable[[], V]) -> V:
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    def __len__(self) -> int:
        return len(self._entries)
