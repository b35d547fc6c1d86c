"""A key with its own limits, in one word: so many calls at once, requests and tokens a minute. Each is a budget of that key."""

from collections.abc import Mapping
from typing import Any

from gateway.administration import checks
from gateway.administration.budgets import Budgets
from gateway.administration.changes import Who
from gateway.administration.keys import Keys
from gateway.canonical.store import Json

COUNT_MAX = 10**12
LIMITS: Mapping[str, Json] = {
    "max_parallel": {"unit": "parallel", "period": "total"},
    "rpm": {"unit": "requests", "period": "minute"},
    "tpm": {"unit": "tokens", "period": "minute"},
}


def count(value: Any) -> int:
    number: int = checks.integer(value)
    if not 0 < number <= COUNT_MAX:
        raise ValueError(f"should be a whole number from 1 to {COUNT_MAX}")
    return number


def create_key(keys: Keys, budgets: Budgets, given: Mapping[str, Any], who: Who) -> Json:
    """As `Keys.create`, with `max_parallel`, `rpm` and `tpm`; `budgets` of the answer are their ids.

    The plain text is told last: a key whose limits could not be written is known to nobody. AdminError.
    """
    asked = {name: given[name] for name in LIMITS if given.get(name) is not None}
    limits = checks.check_fields(asked, dict.fromkeys(LIMITS, count))
    made = keys.create({name: value for name, value in given.items() if name not in LIMITS}, who)
    if not limits:
        return made
    ids = [budgets.create(_budget(made["id"], name, value), who)["id"] for name, value in limits.items()]
    return {**made, "budgets": ids}


def _budget(key_id: str, name: str, value: int) -> Json:
    return {"scope": {"type": "key", "id": key_id}, "amount": str(value), "alerts": [], **LIMITS[name]}
