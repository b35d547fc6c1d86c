"""What the fields of a budget may hold. Amounts are decimal text from end to end: a float of cents is a wrong cap."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.administration import checks
from gateway.administration.times import Clock, parse_moment
from gateway.callers.keys import PATTERN as PLAIN_KEY
from gateway.canonical.store import Json

UNITS = ("usd", "tokens", "input_tokens", "output_tokens", "requests", "parallel")
PERIODS = ("minute", "hour", "day", "week", "month", "total")
MODES = ("strict", "balanced", "shadow")
ON_STORE_ERROR = ("open", "closed")
DOLLARS = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,9})?")
COUNT = re.compile(r"0|[1-9][0-9]{0,14}")
BUDGET_ID = re.compile(r"[a-z][a-z0-9_-]{1,62}")
SESSION = re.compile(r"[A-Za-z0-9_.:@/-]{1,128}")
EACH = "*"
"""Id of a scope that means each: a budget of its own for every project, user, key …"""
EACH_HAS_ONE = ("project", "user", "group", "key", "provider", "metadata", "session")
ALERT_MAX = 10.0
ALERTS_MAX = 20


def budget_id(value: Any) -> str:
    if not isinstance(value, str) or not BUDGET_ID.fullmatch(value):
        raise ValueError("should be 2 to 63 lower-case letters, digits, hyphens and underscores, a letter first")
    return value


def one_of(*words: str) -> checks.Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"should be one of {', '.join(words)}")
        return value

    return check


def amount(value: Any) -> str | None:
    """Decimal text as it was written; `None` is unlimited, "0" blocks. Whether it fits the unit, `check_amounts` says."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError('should be decimal text such as "500.00", "0" to block, or null for unlimited')
    if not (DOLLARS.fullmatch(value) or COUNT.fullmatch(value)):
        raise ValueError('should be plain decimal text such as "500.00", below 1000000000 dollars, with at most 9 decimals')
    return value


def check_amounts(data: Json) -> list[str]:
    """Faults of a budget's amounts in its unit: money has decimals, everything else is counted."""
    raised = data["raise"] or {}
    return [
        f"{name}: {value!r} does not fit unit {data['unit']}; {_form_of(data['unit'])}"
        for name, value in (("amount", data["amount"]), ("raise.amount", raised.get("amount")))
        if value is not None and not (DOLLARS if data["unit"] == "usd" else COUNT).fullmatch(value)
    ]


def _form_of(unit: str) -> str:
    return 'write dollars such as "500.00", below 1000000000' if unit == "usd" else 'write a whole number such as "100000"'


def alerts(value: Any) -> list[float]:
    """Shares of the amount, rising."""
    if not isinstance(value, list | tuple) or len(value) > ALERTS_MAX:
        raise ValueError(f"should be a list of at most {ALERTS_MAX} shares such as [0.5, 0.8, 1.0]")
    for share in value:
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= ALERT_MAX:
            raise ValueError(f"each should be a share above 0 and at most {ALERT_MAX:g}, such as 0.8 for 80 %")
    return sorted({float(share) for share in value})


def raise_of(now: Clock) -> checks.Check:
    """`{"amount": "50.00", "until": moment}`: so much more, until then."""

    def check(value: Any) -> Json:
        if not isinstance(value, Mapping) or set(value) != {"amount", "until"}:
            raise ValueError('should be null or {"amount": "50.00", "until": "2026-12-01T00:00:00Z"}')
        more = amount(value["amount"])
        if more is None:
            raise ValueError("amount is what is added, so it cannot be null")
        try:
            return {"amount": more, "until": parse_moment(value["until"], now, "ahead")}
        except ValueError as error:
            raise ValueError(f"until {error}") from None

    return check


def scope(value: Any) -> Json:
    """`{"type": …, "id": …}`, its id as calls are matched with it."""
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        raise ValueError('should be an object such as {"type": "project", "id": "acme"}')
    kind = value["type"]
    if kind not in SCOPES:
        raise ValueError(f"type should be one of {', '.join(SCOPES)}, not {kind[:40]!r}")
    if more := [name for name in value if name not in ("type", "id")]:
        raise ValueError(f"{more[0][:40]!r} is no field here; there are type and id")
    if value.get("id") == EACH and kind in EACH_HAS_ONE:
        return {"type": kind, "id": EACH}
    try:
        return {"type": kind, "id": SCOPES[kind](value.get("id"))}
    except ValueError as error:
        raise ValueError(f"id with type {kind} {error}") from None


def _nothing(value: Any) -> None:
    if value is not None:
        raise ValueError("should be left out: there is one organization, this deployment")


def _key_id(value: Any) -> str:
    if isinstance(value, str) and PLAIN_KEY.match(value):
        raise ValueError("is a key itself; name it by its id (key_…), which `key list` shows")
    checked: str = checks.word(64)(value)
    return checked


def _label_pair(value: Any) -> str:
    """`team=core`."""
    name, separator, label = value.partition("=") if isinstance(value, str) else ("", "", "")
    if not separator or not label:
        raise ValueError("should be name=value, such as team=core")
    checks.metadata({name: label})
    return f"{name}={label.strip()}"


def _session(value: Any) -> str:
    if not isinstance(value, str) or not SESSION.fullmatch(value):
        raise ValueError("should be at most 128 letters, digits and _.:@/-, as its client sends it")
    return value


def _provider_id(value: Any) -> str:
    return checks.identifier(value.removeprefix("@") if isinstance(value, str) else value)


SCOPES: Mapping[str, checks.Check] = {
    "organization": _nothing,
    "project": checks.identifier,
    "user": checks.user,
    "group": checks.word(128),
    "key": _key_id,
    "provider": _provider_id,
    "model": checks.word(128),
    "metadata": _label_pair,
    "session": _session,
}
"""Whose calls a budget counts, and what its id looks like."""
