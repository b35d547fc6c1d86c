"""What a call that is open for some time will have used in the end.

Dear calls take longer, so what is open at any moment is dearer than what begins: a budget held by first estimates alone is
overdrawn by a few per cent when many calls are open at its end. A provider writes about so many tokens a second; so a call's use
is, on the whole, some part of what it set aside and some amount for each second. That line is drawn through the calls that have
ended, and says for one that goes on what it has used so far. It will go on for about half as long again.
"""

KEPT = 0.99  # of the weight of what was seen, with each call more
CALLS_UNTIL_TRUSTED = 10
GOES_ON = 1.5
"""How long a call lasts in the end that is open for one second. Answer lengths have heavy tails: the older a call, the more is to
come. For log-normal lengths (spread 1) it lies between 1.3 and 1.8 over the ages that matter."""


class Ageing:
    """Least squares with forgetting, for used = a × held + b × seconds. In memory only."""

    __slots__ = ("_calls", "_hh", "_ho", "_oo", "_uh", "_uo")

    def __init__(self) -> None:
        self._calls = 0
        self._hh = self._ho = self._oo = self._uh = self._uo = 0.0

    def learn(self, held: int, used: int, open_s: float) -> None:
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


def grown(held: int, most: int, open_s: float, line: tuple[float, float]) -> int:
    """By how much more than `held` a call that is still open should count, never beyond `most` altogether."""
    a, b = line
    return max(0, min(most, int(a * held + b * GOES_ON * open_s)) - held)
