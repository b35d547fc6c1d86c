"""Conditions of a config: which calls a query describes. First match wins; what a call does not say matches nothing.

    {"metadata.team": {"$eq": "core"}, "$or": [{"model": {"$regex": "^claude-opus"}}, {"token_estimate": {"$gt": 100000}}]}

Fields of one query must all hold. `params.X` is `X`, as Portkey writes it.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from gateway.canonical.call import Call
from gateway.routing.patterns import Pattern, PatternFault

BYTES_PER_TOKEN = 3.5
MEMBERS_MAX = 100
DEPTH_MAX = 8
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _moment(call: Call) -> datetime:
    return datetime.fromtimestamp(call.at, UTC)


FACTS: Mapping[str, Callable[[Call], Any]] = {
    "model": lambda call: call.asked_model,
    "stream": lambda call: call.request.stream,
    "operation": lambda call: call.request.operation,
    "dialect": lambda call: call.dialect,
    "token_estimate": lambda call: int(len(call.request.document.source) / BYTES_PER_TOKEN),
    "user": lambda call: call.caller.user,
    "group": lambda call: list(call.caller.groups),
    "groups": lambda call: list(call.caller.groups),
    "project": lambda call: call.caller.project,
    "key": lambda call: call.caller.key_id,
    "session": lambda call: call.session_id,
    "time.hour": lambda call: _moment(call).hour,
    "time.minute": lambda call: _moment(call).minute,
    "time.weekday": lambda call: WEEKDAYS[_moment(call).weekday()],
    "time.date": lambda call: _moment(call).date().isoformat(),
}


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Numbers with numbers, texts with texts; nothing else has an order."""

    def holds(fact: Any, wanted: Any) -> bool:
        numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (fact, wanted))
        texts = isinstance(fact, str) and isinstance(wanted, str)
        return (numbers or texts) and compare(fact, wanted)

    return holds


def _equals(fact: Any, wanted: Any) -> bool:
    if isinstance(fact, list):
        return any(_equals(each, wanted) for each in fact)
    return fact == wanted and isinstance(fact, bool) is isinstance(wanted, bool)


def _matches(fact: Any, wanted: str) -> bool:
    texts = fact if isinstance(fact, list) else [fact]
    return any(isinstance(each, str) and compiled(wanted).search(each) for each in texts)


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "$eq": _equals,
    "$ne": lambda fact, wanted: not _equals(fact, wanted),
    "$in": lambda fact, wanted: any(_equals(fact, each) for each in wanted),
    "$nin": lambda fact, wanted: not any(_equals(fact, each) for each in wanted),
    "$gt": _ordered(lambda fact, wanted: fact > wanted),
    "$gte": _ordered(lambda fact, wanted: fact >= wanted),
    "$lt": _ordered(lambda fact, wanted: fact < wanted),
    "$lte": _ordered(lambda fact, wanted: fact <= wanted),
    "$regex": _matches,
}


@lru_cache(maxsize=1_024)
def compiled(pattern: str) -> Pattern:
    return Pattern(pattern)


def holds(query: Mapping[str, Any], call: Call) -> bool:
    """Whether a query, which `check_query` found good, describes the call."""
    return all(_holds(name, wanted, call) for name, wanted in query.items())


def _holds(name: str, wanted: Any, call: Call) -> bool:
    if name == "$and":
        return all(holds(each, call) for each in wanted)
    if name == "$or":
        return any(holds(each, call) for each in wanted)
    fact = fact_of(name, call)
    if not isinstance(wanted, dict):
        return _equals(fact, wanted)
    return all(OPERATORS[operator](fact, value) for operator, value in wanted.items())


def fact_of(name: str, call: Call) -> Any:
    """What the call says of a field; None if it says nothing. The key's and project's labels win over the caller's."""
    name = name.removeprefix("params.")
    if name.startswith("metadata."):
        label = name.removeprefix("metadata.")
        return call.caller.metadata.get(label, call.metadata.get(label))
    return FACTS[name](call)


def check_query(query: Any, depth: int = 1) -> Iterator[str]:
    """Faults, each beginning with the rest of its path."""
    if not isinstance(query, dict) or not query:
        yield ': should be an object such as {"metadata.team": {"$eq": "core"}}'
        return
    if depth > DEPTH_MAX or len(query) > MEMBERS_MAX:
        yield ": is too large; say less in one condition"
        return
    for name, wanted in query.items():
        at = f".{str(name)[:64]}"
        if name in ("$and", "$or"):
            if not isinstance(wanted, list) or not 0 < len(wanted) <= MEMBERS_MAX:
                yield f"{at}: should be a list of queries"
                continue
            for place, each in enumerate(wanted):
                yield from (f"{at}[{place}]{fault}" for fault in check_query(each, depth + 1))
        elif not _is_field(str(name)):
            yield f"{at}: is no field of a call; there are metadata.NAME, {', '.join(FACTS)}"
        elif isinstance(wanted, dict):
            yield from (f"{at}{fault}" for fault in _check_operators(wanted))
        elif isinstance(wanted, list):
            yield f'{at}: should be a value, or an operator such as {{"$in": […]}}'


def _is_field(name: str) -> bool:
    name = name.removeprefix("params.")
    return name in FACTS or (name.startswith("metadata.") and len(name) > len("metadata."))


def _check_operators(wanted: Mapping[str, Any]) -> Iterator[str]:
    if not wanted:
        yield f": should hold an operator: {', '.join(OPERATORS)}"
    for operator, value in wanted.items():
        at = f".{str(operator)[:64]}"
        if operator not in OPERATORS:
            yield f"{at}: is no operator; there are {', '.join(OPERATORS)}, and $and and $or around fields"
        elif operator in ("$in", "$nin"):
            if not isinstance(value, list) or len(value) > 1_000:
                yield f"{at}: should be a list of values"
        elif operator == "$regex":
            yield from (f"{at}: {fault}" for fault in _check_pattern(value))
        elif isinstance(value, dict | list):
            yield f"{at}: should be one value"


def _check_pattern(value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield "should be text"
        return
    try:
        compiled(value)
    except PatternFault as error:
        yield str(error)
