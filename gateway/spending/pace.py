"""How fast a budget is being used, here and everywhere, and so how much to borrow ahead.

An instance borrows what it will use within a span of time. The span is half a minute where a budget lasts for hours, and
shrinks as the budget empties: to a sixteenth of the time that is left at the pace of all instances together. So never more than
about a sixteenth of what remains lies unused in all of them, however many they are, and no instance needs to know the others.
"""

import math

SPAN_S_MAX = 30.0
PERIOD_SPANS = 10  # of a period, so that a minute's limit is not lent out at its beginning
REMAINING_SPANS = 16
MEMORY_S = 20.0
NEED_KEPT = 0.95  # of what a usual call needs, with each call more
NEGLIGIBLE_SHARE = 256
NEAR_CALLS = 500
CALLS_OF_A_PACE = 2.5  # one call now and then has none
FIRST_LOOK_S = 1.0  # a burst within the first second says nothing of a rate


class Rate:
    """Amounts per second, old ones weighing ever less."""

    __slots__ = ("_began_at", "_sum", "_updated_at")

    def __init__(self) -> None:
        self._began_at: float | None = None
        self._updated_at = 0.0
        self._sum = 0.0

    def add(self, amount: float, now: float) -> None:
        if self._began_at is None:
            self._began_at = self._updated_at = now
        self._decay(now)
        self._sum += amount

    def per_s(self, now: float) -> float:
        if self._began_at is None:
            return 0.0
        self._decay(now)
        seen_s = max(FIRST_LOOK_S, now - self._began_at)
        return self._sum / (MEMORY_S * (1.0 - math.exp(-seen_s / MEMORY_S)))

    def recent(self, now: float) -> float:
        """What was added lately, old amounts counting less."""
        self._decay(now)
        return self._sum

    def _decay(self, now: float) -> None:
        passed_s = max(0.0, now - self._updated_at)
        self._sum *= math.exp(-passed_s / MEMORY_S)
        self._updated_at = now


class Pace:
    """Of one account. What was admitted here is known at once, what others took when the store is next written."""

    __slots__ = (
        "_admitted", "_calls", "_everywhere", "_looked_at", "_need", "_own", "_taken", "admitted_at", "remaining",
    )  # fmt: skip

    def __init__(self) -> None:
        self._own = Rate()
        self._everywhere = Rate()
        self._taken = 0
        self._looked_at: float | None = None
        self._need = 0.0  # of a usual call
        self._admitted = self._calls = 0  # since that was worked out
        self.admitted_at = -math.inf
        self.remaining: int | None = None  # what nobody had borrowed at the last look

    def admit(self, need: int, now: float) -> None:
        """Each call's need is only added up here: what it says of the pace is worked out when somebody wants to know."""
        self.admitted_at = now
        if not self._need:
            self._own.add(need, now)
            self._need = float(need)
            return
        self._admitted += need
        self._calls += 1

    def _catch_up(self) -> None:
        if self._calls:
            self._own.add(self._admitted, self.admitted_at)
            self._need += (self._admitted / self._calls - self._need) * (1.0 - NEED_KEPT**self._calls)
            self._admitted = self._calls = 0

    def look(self, taken: int, limit: int, now: float) -> None:
        """What the store said after a write."""
        if self._looked_at is not None:
            self._everywhere.add(taken - self._taken, now)
        self._taken, self._looked_at = taken, now
        self.remaining = limit - taken

    def spare(self, now: float, period_s: float) -> int:
        """How much to have at hand beyond what is held; 0 where every call borrows for itself: at first and near the end."""
        self._catch_up()
        own = self._own.per_s(now)
        few = self._own.recent(now) < CALLS_OF_A_PACE * self._need
        if self.remaining is None or self.remaining <= 0 or own <= 0 or few:
            return 0
        everywhere = max(own, self._everywhere.per_s(now))
        span_s = min(SPAN_S_MAX, period_s / PERIOD_SPANS, self.remaining / everywhere / REMAINING_SPANS)
        spare = own * span_s
        return int(spare) if spare >= self._need else 0

    def is_near_the_end(self) -> bool:
        """Few calls are left in the budget: what one of them leaves over matters to the next, wherever that is."""
        self._catch_up()
        return self.remaining is not None and self.remaining < NEAR_CALLS * self._need

    def linger(self) -> int:
        """What may lie about for a moment when calls turned out cheap: the next one will want it."""
        self._catch_up()
        return min(int(2 * self._need), self.negligible())

    def negligible(self) -> int:
        """What matters to nobody, seeing what is left."""
        return max(0, self.remaining or 0) // NEGLIGIBLE_SHARE
