"""Searches for the nearest vectors: what is asked, checked alike for every store, and the arithmetic for those that have none."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.canonical.store import Json, Vector
from gateway.store.documents import check_collection_path, check_data, check_name, check_vector
from gateway.store.queries import sort_key

LIMIT_MAX = 1_000  # Firestore's own (vector search guide, 2026-11-20)
DIGITS = 6  # what two stores agree on: they add up in another order


@dataclass(frozen=True, slots=True)
class Search:
    """`where`: fields and the values that they must equal. `similarity_min` is a cosine."""

    collection: str
    field: str
    vector: Vector
    where: Mapping[str, Any]
    limit: int
    similarity_min: float


def parse_search(
    collection: str, field: str, vector: Vector, *, where: Mapping[str, Any], limit: int, similarity_min: float
) -> Search:
    """ValueError, with what would be right, for a search that some store could not answer."""
    check_collection_path(collection)
    check_name(field, "nearest")
    check_vector(vector, "nearest")
    if not any(vector.values):
        raise ValueError("nearest: a vector of zeros has no direction; embed a text that says something")
    if not 1 <= limit <= LIMIT_MAX:
        raise ValueError(f"limit={limit} should lie between 1 and {LIMIT_MAX}")
    if not -1.0 <= similarity_min <= 1.0:
        raise ValueError(f"similarity_min={similarity_min} should lie between -1 and 1")
    for name, value in where.items():
        if isinstance(value, dict | list | tuple | Vector):
            raise ValueError(f"where {name} == {value!r}: compare with text, number, boolean, datetime or bytes")
    check_data(dict(where))
    return Search(collection, field, vector, where, limit, similarity_min)


def matches(search: Search, data: Json) -> bool:
    """Whether a document belongs to those that are compared."""
    return all(name in data and sort_key(data[name]) == sort_key(value) for name, value in search.where.items())


def similarity(search: Search, data: Json) -> float | None:
    """The cosine between what is asked for and what the document holds; None where it holds nothing to compare."""
    held = data.get(search.field)
    if not isinstance(held, Vector) or len(held.values) != len(search.vector.values):
        return None
    return cosine(search.vector.values, held.values)


def cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float | None:
    """Of the angle between two vectors of the same length, by the law of cosines: `dist` and `hypot` take all the numbers at
    once. None if one of them has no direction, or numbers too large to tell."""
    length, width = math.hypot(*one), math.hypot(*other)
    distance = math.dist(one, other)
    if not length or not width or not math.isfinite(length * width * distance):
        return None
    # Of the scaled sides, which stay near 1: their squares lose no digits where the vectors are alike.
    return shown((length / width + width / length - distance / length * (distance / width)) / 2)


def shown(value: float) -> float:
    """A similarity as it is told."""
    return max(-1.0, min(1.0, round(value, DIGITS)))
