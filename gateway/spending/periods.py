"""Calendar periods in UTC: when one began, when the next begins, and what it is called in the store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

PeriodKind = Literal["minute", "hour", "day", "week", "month", "total"]
PERIOD_KINDS: tuple[PeriodKind, ...] = get_args(PeriodKind)
FOREVER = float("inf")
HELD_IN_WORDS = {"minute": "per minute", "hour": "hourly", "day": "daily", "week": "weekly", "month": "monthly", "total": "total"}


@dataclass(frozen=True, slots=True)
class Period:
    """`start` and `end` in unix seconds, the end not included. `total` begins at 0 and never ends."""

    kind: PeriodKind
    id: str  # sorts by time, and stands in paths
    start: float
    end: float

    @property
    def length_s(self) -> float:
        return self.end - self.start


def _minute(moment: datetime) -> tuple[datetime, datetime]:
    start = moment.replace(second=0, microsecond=0)
    return start, start + timedelta(minutes=1)


def _hour(moment: datetime) -> tuple[datetime, datetime]:
    start = moment.replace(minute=0, second=0, microsecond=0)
    return start, start + timedelta(hours=1)


def _day(moment: datetime) -> tuple[datetime, datetime]:
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return start, start + timedelta(days=1)


def _week(moment: datetime) -> tuple[datetime, datetime]:
    """From Monday."""
    start = _day(moment)[0] - timedelta(days=moment.weekday())
    return start, start + timedelta(days=7)


def _month(moment: datetime) -> tuple[datetime, datetime]:
    start = _day(moment)[0].replace(day=1)
    return start, (start + timedelta(days=31)).replace(day=1)


BOUNDS: Mapping[str, tuple[Callable[[datetime], tuple[datetime, datetime]], str]] = {
    "minute": (_minute, "%Y-%m-%dT%H:%MZ"),
    "hour": (_hour, "%Y-%m-%dT%HZ"),
    "day": (_day, "%Y-%m-%d"),
    "week": (_week, "%G-W%V"),
    "month": (_month, "%Y-%m"),
}


def period_at(kind: PeriodKind, now: float) -> Period:
    """The period of that kind in which `now` (unix seconds) lies.

    >>> period_at("week", 1_790_000_000.0).id
    '2026-W39'
    """
    if kind == "total":
        return Period(kind, "total", 0.0, FOREVER)
    bounds, form = BOUNDS[kind]
    start, end = bounds(datetime.fromtimestamp(now, UTC))
    return Period(kind, start.strftime(form), start.timestamp(), end.timestamp())


def render_reset(end: float) -> str:
    """When a period ends, for people."""
    return datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d %H:%M UTC")
