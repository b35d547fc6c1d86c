"""What a document may be called and hold, and when it is gone: the rules that every store keeps alike.

They are the narrowest of all backends, which is Firestore's (tried on its emulator 1.19.9, 2026-11-21), so that what
works on a laptop works in production.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from gateway.canonical.store import Create, Delete, Increment, Json, Put, Update, Vector, Write

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
NAME_BYTES_MAX = 1500
DEPTH_MAX = 20
PLAIN_KINDS = frozenset({type(None), bool, bytes})
DIMENSIONS_MAX = 2_048


def check_document_path(path: str) -> None:
    """ValueError unless `path` is `collection/id[/collection/id…]`."""
    if len(_check_segments(path)) % 2:
        raise ValueError(f"{path!r} names a collection; a document path has an even number of segments: collection/id")


def check_collection_path(path: str, *, group: bool = False) -> None:
    """ValueError unless `path` has an odd number of segments; exactly one for a collection group."""
    segments = _check_segments(path)
    if group and len(segments) != 1:
        raise ValueError(f"{path!r} is no collection group; give the last segment alone: {segments[-1]!r}")
    if len(segments) % 2 == 0:
        raise ValueError(f"{path!r} names a document; a collection path has an odd number of segments")


def check_data(data: Json) -> None:
    """ValueError unless every store can hold `data` and give it back: JSON, aware datetimes, bytes, top-level vectors."""
    if not isinstance(data, dict):
        raise ValueError(f"a document is a dict, not {type(data).__name__}")
    if Vector in map(type, data.values()):
        vectors = {name: value for name, value in data.items() if isinstance(value, Vector)}
        for name, value in vectors.items():
            check_name(name, "document")
            check_vector(value, name)
        data = {name: value for name, value in data.items() if name not in vectors}
    _check_value(data, "document", DEPTH_MAX + 1)


def check_vector(vector: Vector, where: str) -> None:
    """ValueError unless it has 1 to 2,048 finite numbers (Firestore's limit, vector search guide, 2026-11-20)."""
    values = vector.values
    if not isinstance(values, tuple) or not 1 <= len(values) <= DIMENSIONS_MAX:
        raise ValueError(f"{where} should be a vector of 1 to {DIMENSIONS_MAX} numbers, as a tuple")
    if not all(isinstance(value, float) and math.isfinite(value) for value in values):
        raise ValueError(f"{where} is a vector with a member that is no finite float; make each one a float")


def check_write(write: Write) -> None:
    """ValueError for what could never be written."""
    check_document_path(write.path)
    match write:
        case Create() | Put():
            check_data(write.data)
        case Update():
            check_data(write.fields)
            if not write.fields:
                raise ValueError(f"an update of {write.path} names no field; name at least one")
        case Increment():
            check_data(write.fields)
            _check_amounts(write.path, write.amounts, write.fields)
        case Delete():
            pass


def check_name(name: object, where: str) -> None:
    """ValueError unless `name` may be a field's name, at any depth."""
    if type(name) is str and _is_plain(name):
        return
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where} has a field called {name!r}; a field's name is text of at least one character")
    if name.startswith("__") and name.endswith("__"):
        raise ValueError(f"{where} has a field called {name!r}; names of the form __…__ are reserved")
    if min(name) < " ":
        # In a field path Firestore takes a carriage return for a line feed and loses the field (emulator 2026-11-21).
        raise ValueError(f"{where} has a field called {name!r}; a field's name holds no control characters")
    if _bytes_of(name, where) > NAME_BYTES_MAX:
        raise ValueError(f"{where} has a field whose name is longer than {NAME_BYTES_MAX} bytes")


@lru_cache(maxsize=4096)
def _is_plain(name: str) -> bool:
    """Fit for a field's name at first sight. The same few names come with every document."""
    return name.isascii() and name.isidentifier() and len(name) <= NAME_BYTES_MAX and not name.startswith("__")


@lru_cache(maxsize=512)
def _are_plain(names: tuple[object, ...]) -> bool:
    """All of a document's names at once: its kin have the same."""
    return all(type(name) is str and _is_plain(name) for name in names)


def expiry(data: Mapping[str, Any]) -> float | None:
    """When the document is gone, in unix seconds; None if it stays."""
    expires_at = data.get("expires_at")
    return expires_at.timestamp() if isinstance(expires_at, datetime) else None


def is_expired(data: Mapping[str, Any], now: float) -> bool:
    expires_at = expiry(data)
    return expires_at is not None and expires_at <= now


def in_utc(moment: datetime) -> datetime:
    """The same moment as every store gives it back."""
    return moment.astimezone(UTC)


def _check_segments(path: str) -> list[str]:
    segments = path.split("/")
    for segment in segments:
        if segment in ("", ".", "..") or "\0" in segment or (segment.startswith("__") and segment.endswith("__")):
            raise ValueError(f"{path!r} has the segment {segment!r}; not allowed: empty, '.', '..', __…__, NUL")
        if _bytes_of(segment, "a path") > NAME_BYTES_MAX:
            raise ValueError(f"a segment of {path[:60]!r}… is longer than {NAME_BYTES_MAX} bytes")
    return segments


def _check_value(value: Any, where: str, depth: int) -> None:
    match value:
        case dict():
            _check_members(value, where, depth)
        case list() | tuple():
            _check_items(value, where, depth)
        case None | bool() | bytes():
            return
        case str():
            _bytes_of(value, where)
        case int():
            if not INT64_MIN <= value <= INT64_MAX:
                raise ValueError(f"{where} holds {value}, which does not fit in 64 bits; store it as text")
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{where} holds {value}, which is no JSON number")
        case datetime():
            _check_moment(value, where)
        case _:
            kind = type(value).__name__
            raise ValueError(f"{where} holds a {kind}; a document holds JSON, datetimes with a timezone and bytes")


def _check_members(value: Json, where: str, depth: int) -> None:
    """Most members are seen to be fit at once; only the others are looked at more closely."""
    _check_depth(where, depth)
    if not _are_plain(tuple(value)):
        for name in value:
            check_name(name, where)
    for name, member in value.items():
        kind = type(member)
        if kind is str:
            if not member.isascii():
                _check_value(member, name, depth - 1)
        elif kind is int:
            if not INT64_MIN <= member <= INT64_MAX:
                _check_value(member, name, depth - 1)
        elif kind not in PLAIN_KINDS:
            _check_value(member, name, depth - 1)


def _check_items(value: Sequence[Any], where: str, depth: int) -> None:
    _check_depth(where, depth)
    for member in value:
        kind = type(member)
        if kind is dict:
            _check_members(member, where, depth - 1)
        elif kind is not str or not member.isascii():
            # Firestore has no array in an array; the map that stands in for it costs a level.
            _check_value(member, where, depth - 2 if isinstance(member, list | tuple) else depth - 1)


def _check_depth(where: str, depth: int) -> None:
    if depth <= 0:
        raise ValueError(f"{where} lies deeper than {DEPTH_MAX} levels; store it as JSON text")


def _check_moment(value: datetime, where: str) -> None:
    if value.tzinfo is None:
        raise ValueError(f"{where} is a datetime without a timezone; use datetime.now(UTC)")
    try:
        in_utc(value)
    except OverflowError:
        raise ValueError(f"{where} is a datetime outside the years 1 to 9999 in UTC") from None


def _check_amounts(path: str, amounts: Mapping[str, int], fields: Json) -> None:
    if not amounts:
        raise ValueError(f"an increment of {path} names no amount; name at least one")
    both = set(amounts) & set(fields)
    if both:
        raise ValueError(f"an increment of {path} both adds to and sets {sorted(both)}; do one of the two")
    for name, amount in amounts.items():
        check_name(name, path)
        if not isinstance(amount, int) or isinstance(amount, bool) or not INT64_MIN <= amount <= INT64_MAX:
            raise ValueError(f"an increment of {path} adds {amount!r} to {name!r}; amounts are integers of 64 bits")


def _bytes_of(text: str, where: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{where} holds half of a surrogate pair, which UTF-8 cannot carry; replace it") from None
