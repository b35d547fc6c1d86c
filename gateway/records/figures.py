"""The figures that are summed up over calls, read from one usage document."""

from collections.abc import Mapping
from typing import Any

from gateway.canonical.store import Json

TOKEN_CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "thinking")
FIGURES = (
    "requests",
    "errors",
    *(f"{name}_tokens" for name in TOKEN_CLASSES),
    "searches",
    "cost_nanodollars",
    "partial_requests",
    "partial_cost_nanodollars",
    "estimated_requests",
    "estimated_cost_nanodollars",
    "unpriced_requests",
    "unpriced_cost_nanodollars",
    "cache_hits",
    "saved_nanodollars",
)
"""What a rollup counts. A cost that is not the provider's final figure, or guessed for want of a price, is in
`cost_nanodollars` and told apart beside it; what hits of the cache saved is not in it."""


class Figures:
    """Sums of `FIGURES` over calls: integers all of them."""

    __slots__ = ("values",)

    def __init__(self, values: Mapping[str, int] | None = None) -> None:
        given = values or {}
        self.values = {name: given.get(name, 0) for name in FIGURES}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Figures) and self.values == other.values

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, document: Json) -> None:
        """One call's."""
        values, cost = self.values, document["cost_nanodollars"]
        values["requests"] += 1
        values["errors"] += document["status"] >= 400
        for name in TOKEN_CLASSES:
            values[f"{name}_tokens"] += document["tokens"].get(name, 0)
        values["searches"] += document["searches"]
        values["cost_nanodollars"] += cost
        values["cache_hits"] += document.get("cache") == "hit"
        values["saved_nanodollars"] += document.get("saved_nanodollars", 0)
        for kind in _kinds_not_final(document):
            values[f"{kind}_requests"] += 1
            values[f"{kind}_cost_nanodollars"] += cost

    def add_all(self, others: Mapping[str, int]) -> None:
        for name in FIGURES:
            self.values[name] += others.get(name, 0)

    def render(self) -> dict[str, int]:
        """Without those that are nought."""
        return {name: value for name, value in self.values.items() if value}


def _kinds_not_final(document: Json) -> list[Any]:
    kinds = [document["completeness"]] if document["completeness"] in ("partial", "estimated") else []
    return kinds if document.get("price_known", True) else [*kinds, "unpriced"]
