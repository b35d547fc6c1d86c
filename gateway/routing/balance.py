"""Which of several targets takes a call: by weight, by load, by latency or by price, and the same one for a whole session.

Prompt caches are worth money, so a session stays where it is: by rendezvous hashing, on which all instances agree and
which moves no more sessions than a change of weights must; and by memory, which moves none of those that this instance
knows (a weight of 0 moves them all). Source: Wang, Ravishankar, "weighted rendezvous hashing", draft-ietf-bess 2018.
"""

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.canonical.call import Call, Target
from gateway.routing.health import Health

PINS_MAX = 20_000
GOLDEN = (math.sqrt(5) - 1) / 2  # multiples of it, without their whole part, fill 0 to 1 evenly
EXPLORE_EVERY = 20  # one call in so many finds out how slow the others are
Price = Callable[[Target], int]
"""What a call costs there, in any unit that lets targets be compared."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of those to choose from. `name` is the same on every instance and after every change of the config."""

    name: str
    weight: float
    target: Target
    resting: bool = False


class Balancer:
    """Safe to use from many threads."""

    def __init__(self, health: Health, price: Price = lambda target: 0) -> None:
        self._health = health
        self._price = price
        self._lock = threading.Lock()
        self._calls = 0
        self._pins: OrderedDict[str, str] = OrderedDict()

    def order(self, call: Call, group: str, choices: Sequence[Choice], balance: str, sticky: str) -> list[int]:
        """Places of `choices`, the one that takes the call first. Those without weight are left out, resting ones last."""
        there = [place for place, choice in enumerate(choices) if choice.weight > 0]
        if not there:
            return []  # those with a weight were left out
        with self._lock:
            self._calls += 1
            turn = self._calls
        ranked = self._rank(call, group, choices, there, balance, sticky, turn)
        return sorted(ranked, key=lambda place: choices[place].resting)

    def _rank(self, call: Call, group: str, choices: Sequence[Choice], there: list[int], balance: str, sticky: str,
              turn: int) -> list[int]:  # fmt: skip
        if balance == "least-busy":
            busy = {p: self._health.seen(choices[p].target).open_calls / choices[p].weight for p in there}
            return sorted(_rotated(there, turn), key=lambda place: busy[place])
        if balance == "lowest-latency":
            return self._by_latency(choices, there, turn)
        if balance == "lowest-cost":
            return sorted(there, key=lambda place: self._price(choices[place].target))
        if (stays := sticky_key(call, sticky)) is None:
            return _by_share(choices, there, turn * GOLDEN % 1.0)
        return self._pinned(f"{call.caller.project}/{group}/{stays}", choices, there)

    def _by_latency(self, choices: Sequence[Choice], there: list[int], turn: int) -> list[int]:
        """Those never measured first; now and then the one that was not measured for the longest time."""
        seen = {place: self._health.seen(choices[place].target) for place in there}
        if turn % EXPLORE_EVERY == 0:
            return sorted(there, key=lambda place: seen[place].measured_at)
        return sorted(there, key=lambda place: seen[place].first_word_s or 0.0)

    def _pinned(self, key: str, choices: Sequence[Choice], there: list[int]) -> list[int]:
        ranked = sorted(there, key=lambda place: _rendezvous(key, choices[place]), reverse=True)
        with self._lock:
            pinned = self._pins.get(key)
            if not any(choices[place].name == pinned for place in ranked):
                pinned = choices[ranked[0]].name
            self._pins[key] = pinned  # type: ignore[assignment]
            self._pins.move_to_end(key)
            if len(self._pins) > PINS_MAX:
                self._pins.popitem(last=False)
        return sorted(ranked, key=lambda place: choices[place].name != pinned)


def sticky_key(call: Call, sticky: str) -> str | None:
    """Whose calls stay together; None if nobody's do."""
    if sticky == "session":
        return call.session_id
    return (call.caller.user or call.caller.key_id) if sticky == "user" else None


def _by_share(choices: Sequence[Choice], there: list[int], point: float) -> list[int]:
    """The one into whose part of the line from 0 to 1 the point falls, then those after it, in a circle."""
    total = sum(choices[place].weight for place in there)
    passed = 0.0
    for number, place in enumerate(there):
        passed += choices[place].weight / total
        if point < passed:
            return there[number:] + there[:number]
    return there[-1:] + there[:-1]


def _rotated(there: list[int], turn: int) -> list[int]:
    start = turn % len(there)
    return there[start:] + there[:start]


def _rendezvous(key: str, choice: Choice) -> float:
    digest = hashlib.blake2b(f"{key}|{choice.name}".encode(), digest_size=8).digest()
    drawn = (int.from_bytes(digest) + 1) / (2**64 + 2)
    return -choice.weight / math.log(drawn)
