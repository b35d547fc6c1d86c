"""What fields may hold. A check returns the value as it is stored, or raises ValueError with what would be right."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from gateway.administration.refusals import invalid
from gateway.callers.access import matches
from gateway.canonical.store import Json
from gateway.catalog.models import all_models

Check = Callable[[Any], Any]
ID = re.compile(r"[a-z][a-z0-9-]{1,62}")
LABEL = re.compile(r"_|_?[A-Za-z0-9.:@/-][A-Za-z0-9_.:@/-]{0,62}")
VISIBLE = r"[^\x00-\x20\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff0-\uffff]"
"""A character that shows: no control, no white space, none that turns the direction of the text or hides in it."""
WORD = re.compile(f"{VISIBLE}+")
LINE = re.compile(f"{VISIBLE}(?:(?: |{VISIBLE})*{VISIBLE})?")
SECRET = re.compile(r"gw-[A-Za-z0-9_-]{43}|PRIVATE KEY|ya29\.|AIza[A-Za-z0-9_-]{30}|sk-[A-Za-z0-9_-]{20}")
LIST_MAX = 100


def check_fields(given: Mapping[str, Any], checks: Mapping[str, Check]) -> Json:
    """The fields as they are stored; AdminError names every fault at once."""
    faults: list[str] = []
    fields: Json = {}
    for name, value in given.items():
        if name not in checks:
            faults.append(f"{name[:64]!r} is no field here; there are {', '.join(checks)}")
            continue
        try:
            fields[name] = checks[name](value)
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise invalid(faults)
    return fields


def identifier(value: Any) -> str:
    """What operators name projects and providers by: it stands in paths, headers and labels."""
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise ValueError("should be 2 to 63 lower-case letters, digits and hyphens, a letter first, such as acme-prod")
    return value


def text(characters_max: int) -> Check:
    """One line for people. What looks like a secret is refused, and not echoed."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not LINE.fullmatch(value) or not _is_unicode(value):
            raise ValueError("should be one line of text, without white space around it")
        if len(value) > characters_max:
            raise ValueError(f"should have at most {characters_max} characters, not {len(value)}")
        if SECRET.search(value):
            raise ValueError("looks like a secret, and this field is shown to people; write something else")
        return value

    return check


def _is_unicode(value: str) -> bool:
    """Not so: bytes of a command line that are no UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def integer(value: Any) -> int:
    """A whole number; 60.0 is one, as JSON Schema has it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError("should be a whole number")
    return int(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("should be true or false")
    return value


def word(characters_max: int) -> Check:
    """Text without white space."""

    def check(value: Any) -> str:
        checked: str = text(characters_max)(value)
        if not WORD.fullmatch(checked):
            raise ValueError("should hold no white space")
        return checked

    return check


def optional(check: Check) -> Check:
    """`None` stays."""
    return lambda value: None if value is None else check(value)


def each(check: Check) -> Check:
    """A list without repeats, its order kept."""

    def check_list(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple) or len(value) > LIST_MAX:
            raise ValueError(f"should be a list of at most {LIST_MAX}")
        return list(dict.fromkeys(check(member) for member in value))

    return check_list


def user(value: Any) -> str:
    """Case-folded, so that Ana@example.com and ana@example.com are one person."""
    checked: str = word(256)(value)
    return checked.casefold()


def metadata(value: Any) -> dict[str, str]:
    """Labels that are copied to usage documents."""
    if not isinstance(value, Mapping) or len(value) > 32:
        raise ValueError('should be an object of at most 32 texts, such as {"team": "core"}')
    for name, member in value.items():
        if not isinstance(name, str) or not LABEL.fullmatch(name):
            raise ValueError(f"{str(name)[:64]!r} is no label; use at most 64 letters, digits and ._:@/-")
        if not isinstance(member, str):
            raise ValueError(f"{name} should be text, not {type(member).__name__}; put it in quotes")
    return {name: text(128)(member) for name, member in value.items()}


config = optional(identifier)
"""The id of a routing config."""

globs = optional(each(word(128)))
"""Patterns of model names: `claude-*`. `None` allows every model, an empty list none."""


def glob_warnings(patterns: list[str] | None) -> list[str]:
    """Patterns that are probably a slip of the pen; tomorrow's models are no error."""
    if patterns is None:
        return []
    if not patterns:
        return ["allowed_models is empty: no model at all may be used"]
    names = [name.lower() for model in all_models() for name in (model.id, *model.aliases, *model.ids.values())]
    return [
        f"allowed_models: {pattern!r} matches no model that the catalog knows"
        for pattern in patterns
        if not matches([pattern], names)
    ]
