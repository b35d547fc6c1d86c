"""Moments and spans as operators write them, and as they are shown: RFC 3339 in UTC."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Clock = Callable[[], float]
"""Unix seconds."""

SPAN = re.compile(r"([0-9]{1,9})([smhdw]?)")
SPAN_WITH_UNIT = re.compile(r"[0-9]{1,9}[smhdw]")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
FORMS = "a time such as 2026-12-01T00:00:00Z or 2026-12-01, or a span such as 7d"


def current(now: Clock) -> datetime:
    """The moment in UTC, cut to milliseconds."""
    moment = datetime.fromtimestamp(now(), UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def parse_span_s(text: str) -> int:
    """`90`, `90s`, `15m`, `1h`, `7d`, `2w` as seconds; ValueError."""
    found = SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError("a number of seconds, or a span such as 15m, 1h or 7d")
    return int(found[1]) * SECONDS[found[2]]


def parse_moment(value: Any, now: Clock, span: Literal["ago", "ahead"]) -> datetime:
    """A moment in UTC, from a datetime, RFC 3339, a date (its midnight in UTC) or a span from now; ValueError."""
    if isinstance(value, str) and SPAN_WITH_UNIT.fullmatch(value.strip().lower()):
        return _moment_of_span(value, now, span)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"should be {FORMS}, not {value[:40]!r}") from None
    if not isinstance(value, datetime):
        raise ValueError(f"should be {FORMS}, as text")
    try:
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"should be {FORMS}, within the years 1 to 9999") from None


def render_moment(moment: datetime) -> str:
    """RFC 3339 in UTC; milliseconds if there are any.

    >>> render_moment(datetime(2026, 11, 20, 12, tzinfo=UTC))
    '2026-11-20T12:00:00Z'
    """
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def render_moments(value: Any) -> Any:
    """A document's value with every datetime in it as text."""
    if isinstance(value, datetime):
        return render_moment(value)
    if isinstance(value, dict):
        return {name: render_moments(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [render_moments(member) for member in value]
    return value


def _moment_of_span(text: str, now: Clock, span: Literal["ago", "ahead"]) -> datetime:
    distance = timedelta(seconds=parse_span_s(text))
    try:
        return current(now) + distance if span == "ahead" else current(now) - distance
    except OverflowError:
        raise ValueError(f"should be {FORMS}; {text} is too long") from None
