"""What a call that is open for some time will have used in the end.

Dear calls take longer, so what is open at any moment is dearer than what begins: a budget held by first estimates alone is
overdrawn by a few per cent when many calls are open at its end. A provider writes about so many tokens a second; so a call's use
is, on the whole, some part of what it set aside and some amount for each second. That line is drawn through the calls that have
ended, and says for one that goes on what it has used so far. It will go on for about as long again.
"""

import math
from collections.abc import Iterable

KEPT = 0.99  # of the weight of what was seen, with each call more
CALLS_UNTIL_TRUSTED = 10
LESSONS_EVERY_S = 0.02  # of calls that end more often only some teach: the others would say the same
DEVIATIONS = 0.5
GOES_ON = 2.0
"""How long a call lasts in the end that is open for one second: answer lengths have heavy tails. Chosen by simulation."""


class Ageing:
    """Least squares with forgetting, for used = a × held + b × seconds. In memory only."""

    __slots__ = ("_calls", "_hh", "_ho", "_oo", "_taught_at", "_uh", "_uo")

    def __init__(self) -> None:
        self._calls = 0
        self._taught_at = float("-inf")
        self._hh = self._ho = self._oo = self._uh = self._uo = 0.0

    def learn(self, held: int, used: int, open_s: float, now: float) -> None:
        if 0.0 < now - self._taught_at < LESSONS_EVERY_S:
            return
        self._taught_at = now
        self._calls += 1
        self._hh = self._hh * KEPT + float(held) * held
        self._ho = self._ho * KEPT + held * open_s
        self._oo = self._oo * KEPT + open_s * open_s
        self._uh = self._uh * KEPT + float(used) * held
        self._uo = self._uo * KEPT + used * open_s

    def line(self) -> tuple[float, float]:
        """a and b; 1 and 0 as long as nothing is known. Time never makes a call cheaper."""
        area = self._hh * self._oo - self._ho * self._ho
        if self._calls < CALLS_UNTIL_TRUSTED or area <= 1e-9 * self._hh * self._oo:
            return 1.0, 0.0
        a = (self._uh * self._oo - self._uo * self._ho) / area
        b = (self._uo * self._hh - self._uh * self._ho) / area
        return (max(0.0, a), b) if b > 0 else (1.0, 0.0)


def growth(open_calls: Iterable[tuple[int, int, float]], line: tuple[float, float]) -> int:
    """By how much more than they hold calls that are still open should count together; each is (held, most, open for so many
    seconds), and counts `most` at most. Some more is kept for the chance that several turn out dear at once, which matters less
    the more there are: variances add up, not deviations."""
    a, b = line
    more = squares = 0.0
    for held, most, open_s in open_calls:
        expected = max(float(held), min(float(most), a * held + b * GOES_ON * open_s))
        more += expected - held
        squares += expected * expected
    return int(more + DEVIATIONS * math.sqrt(squares))
