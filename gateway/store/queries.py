"""A query, checked and with its cursor read: what it asks for, which documents match, and in which order they come.

Order and comparison are Firestore's (https://cloud.google.com/firestore/docs/concepts/data-types, read 2026-11-20):
null < booleans < numbers < datetimes < text by UTF-8 bytes < bytes < arrays < vectors < maps; a comparison matches values of its
own kind alone; a document without the field neither matches nor is listed when ordered by it.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, get_args

import msgspec

from gateway.canonical.store import Document, Json, Operator, Page, Vector
from gateway.store.documents import check_collection_path, check_data, check_document_path, check_name

RANGES = {"<", "<=", ">", ">="}
IN_VALUES_MAX = 30
LIMIT_MAX = 10_000

Condition = tuple[str, Operator, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """`after` is the last document of the page before: its value of `order_by`, and its path."""

    collection: str
    where: tuple[Condition, ...]
    order_by: str | None
    descending: bool
    limit: int
    group: bool
    after: tuple[Any, str] | None = None

    @property
    def matches_nothing(self) -> bool:
        """One of no values is asked for, which Firestore would call an error."""
        return any(operator == "in" and not value for _, operator, value in self.where)


def parse_query(
    collection: str,
    *,
    where: Sequence[Condition],
    order_by: str | None,
    descending: bool,
    limit: int,
    cursor: str | None,
    group: bool,
) -> Query:
    """ValueError, with what would be right, for a query that some store could not answer."""
    check_collection_path(collection, group=group)
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit={limit} should lie between 1 and {LIMIT_MAX}")
    for condition in where:
        _check_condition(*condition)
    ranged = {name for name, operator, _ in where if operator in RANGES}
    if len(ranged) > 1:
        raise ValueError(f"ranges over {sorted(ranged)} at once need an index of their own; range over one field")
    order_by = order_by or next(iter(ranged), None)
    if ranged and order_by not in ranged:
        raise ValueError(f"a range over {sorted(ranged)} must be ordered by that field, not by {order_by!r}")
    if order_by is not None:
        check_name(order_by, "order_by")
    elif descending:
        raise ValueError("descending by path needs an index that Firestore does not keep; name a field in order_by")
    query = Query(collection, tuple(where), order_by, descending, limit, group)
    return query if cursor is None else _resumed(query, cursor)


def render_cursor(query: Query, data: Json, path: str) -> str:
    """The cursor after this document, bound to this query (its limit aside)."""
    value = data[query.order_by] if query.order_by else None
    return base64.urlsafe_b64encode(msgspec.msgpack.encode([_fingerprint(query), value, path])).decode().rstrip("=")


def render_page(query: Query, found: list[Document]) -> Page:
    """From the first `limit` + 1 documents beyond the cursor: the one too many tells that there is a next page."""
    documents = found[: query.limit]
    last = documents[-1] if len(found) > query.limit else None
    return Page(documents, render_cursor(query, last.data, last.path) if last else None)


def matches(query: Query, data: Json) -> bool:
    """Whether a document belongs to the answer, expiry and cursor aside."""
    if query.order_by is not None and query.order_by not in data:
        return False
    return all(name in data and _MATCH[operator](data[name], value) for name, operator, value in query.where)


def sort_key(value: Any) -> tuple[Any, ...]:
    """Orders any two values of documents."""
    match value:
        case None:
            return (0,)
        case bool():
            return (1, value)
        case int() | float():
            return (2, value)
        case datetime():
            return (3, value)
        case str():
            return (4, value.encode())
        case bytes():
            return (5, value)
        case list() | tuple():
            return (6, tuple(sort_key(member) for member in value))
        case Vector():
            return (7, len(value.values), value.values)
        case _:
            return (8, tuple(sorted((name.encode(), sort_key(member)) for name, member in value.items())))


def _same_kind(held: Any, asked: Any) -> bool:
    kind_of_held, kind_of_asked = sort_key(held)[0], sort_key(asked)[0]
    return bool(kind_of_held == kind_of_asked)


def _contains(held: Any, asked: Any) -> bool:
    return isinstance(held, list) and any(sort_key(one) == sort_key(asked) for one in held)


_MATCH: dict[Operator, Callable[[Any, Any], bool]] = {
    "==": lambda held, asked: sort_key(held) == sort_key(asked),
    "<": lambda held, asked: _same_kind(held, asked) and sort_key(held) < sort_key(asked),
    "<=": lambda held, asked: _same_kind(held, asked) and sort_key(held) <= sort_key(asked),
    ">": lambda held, asked: _same_kind(held, asked) and sort_key(held) > sort_key(asked),
    ">=": lambda held, asked: _same_kind(held, asked) and sort_key(held) >= sort_key(asked),
    "in": lambda held, asked: any(sort_key(held) == sort_key(one) for one in asked),
    "array_contains": _contains,
}


def _check_condition(name: str, operator: Operator, value: Any) -> None:
    check_name(name, "where")
    if operator not in get_args(Operator):
        raise ValueError(f"where {name} {operator!r}: the operators are {', '.join(get_args(Operator))}")
    if operator == "in":
        if not isinstance(value, list | tuple) or len(value) > IN_VALUES_MAX:
            raise ValueError(f"where {name} in …: give a list of at most {IN_VALUES_MAX} values; ask again for more")
        values = list(value)
    else:
        values = [value]
    for one in values:
        if isinstance(one, dict | list | tuple) or (one is None and operator != "=="):
            raise ValueError(f"where {name} {operator} {one!r}: compare with text, number, boolean, datetime or bytes")
    check_data({name: values})


def _fingerprint(query: Query) -> bytes:
    asked = [query.collection, query.where, query.order_by, query.descending, query.group]
    return hashlib.blake2b(msgspec.msgpack.encode(asked), digest_size=8).digest()


def _resumed(query: Query, cursor: str) -> Query:
    try:
        fingerprint, value, path = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        check_data({"value": value})
        check_document_path(path)
    except (ValueError, TypeError, AttributeError, msgspec.DecodeError):
        raise ValueError("the cursor is none of ours; start without one") from None
    if fingerprint != _fingerprint(query):
        raise ValueError("the cursor belongs to another query; repeat the query it came from, or start without one")
    return replace(query, after=(value, path))
