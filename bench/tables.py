"""Tables in Markdown, and figures as they stand in their cells: the median, with the least and the most."""

import statistics
from collections.abc import Iterable, Sequence

from bench.aims import divided

Row = Sequence[str]


def table(heads: Row, rows: Iterable[Row]) -> str:
    lines = [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in (" | ".join(heads), "|".join(["---"] * len(heads)), *lines)) if lines else ""


def cell(seen: dict[str, float] | None) -> str:
    if seen is None:
        return "–"
    if seen["max"] == seen["min"]:
        return number(seen["median"])
    return f"{number(seen['median'])} ({number(seen['min'])}–{number(seen['max'])})"


def span(values: Sequence[float] | None) -> str:
    return "–" if not values else cell({"median": statistics.median(values), "min": min(values), "max": max(values)})


def number(value: float) -> str:
    if abs(value) >= 100 or abs(value) < 0.0005:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def ratio(mine: dict[str, float], theirs: dict[str, float] | None, more_is_better: bool) -> str:
    if theirs is None or not mine["median"] or not theirs["median"]:
        return "–"
    times = mine["median"] / theirs["median"] if more_is_better else theirs["median"] / mine["median"]
    return f"{times:.3g}"


def against(mine: dict[str, float] | None, theirs: dict[str, float] | None) -> str:
    value = divided(mine["median"] if mine else None, theirs["median"] if theirs else None)
    return "–" if value is None else f"{value:.2f} ×"
