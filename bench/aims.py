"""What this gateway aims at, as rows that read their figure from a result: a table nobody can flatter by hand."""

import operator
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.cold import LEAN_IMPORT
from bench.turns import find_turns

GATEWAY = "gateway/sqlite"
FIRESTORE = "gateway/firestore"
STREAM_MS = 1980.0  # 100 events, 20 ms apart, undisturbed
COMPARISONS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt, "=": operator.eq}
Figure = Callable[[dict[str, Any]], float | None]


@dataclass(frozen=True, slots=True)
class Aim:
    """One row: `figure` compared with `limit`, both in `unit`."""

    title: str
    figure: Figure
    comparison: str
    limit: float
    unit: str = ""

    def met(self, value: float) -> bool:
        return bool(COMPARISONS[self.comparison](value, self.limit))


def median(result: dict[str, Any], measure: str, target: str, metric: str) -> float | None:
    """None if it was not measured."""
    seen = result["summary"].get(measure, {}).get(target, {}).get(metric)
    return float(seen["median"]) if seen else None


def of(measure: str, metric: str, target: str = GATEWAY) -> Figure:
    return lambda result: median(result, measure, target, metric)


def times(measure: str, metric: str, above: str, below: str) -> Figure:
    """How many times the one target's figure is the other's."""
    return lambda result: divided(median(result, measure, above, metric), median(result, measure, below, metric))


def in_turns(measure: str, variant: str) -> Figure:
    """A variant's rate against the one without it, measured in short turns."""

    def ratio(result: dict[str, Any]) -> float | None:
        seen = find_turns(result, measure, f"{GATEWAY}+{variant}")
        return seen["median"] if seen else None

    return ratio


def divided(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def more_percent(figure: Figure) -> Figure:
    """A ratio as percent above one."""

    def percent(result: dict[str, Any]) -> float | None:
        value = figure(result)
        return None if value is None else (value - 1) * 100

    return percent


def longer_than_paced(result: dict[str, Any]) -> float | None:
    return divided(median(result, "s1000", GATEWAY, "duration_p50_ms"), STREAM_MS)


def start_ms(result: dict[str, Any], target: str, metric: str = "first_answer_ms", *, compiled: bool = True) -> float | None:
    """The median of the cold starts."""
    values = [row["values"][metric] for row in result["cold"]
              if (row["target"], row["compiled"]) == (target, compiled) and metric in row["values"]]  # fmt: skip
    return statistics.median(values) if values else None


def start_above_lean(result: dict[str, Any], target: str = GATEWAY, *, compiled: bool = True) -> float | None:
    """Milliseconds from process start to the first proxied answer, less those of the lean imports alone."""
    whole, lean = (start_ms(result, *what, compiled=compiled) for what in ((target,), (LEAN_IMPORT, "import_ms")))
    return None if whole is None or lean is None else whole - lean


def start_against_litellm(result: dict[str, Any]) -> float | None:
    return divided(start_ms(result, "litellm"), start_ms(result, GATEWAY))


def soaked(name: str) -> Figure:
    return lambda result: float(value) if (value := result.get("soak", {}).get(name)) is not None else None


def soak_faults(result: dict[str, Any]) -> float | None:
    return float(len(result["soak"]["faults"])) if "soak" in result else None


AIMS = (
    Aim("fake upstream and load client alone, against the gateway, 32 connections",
        times("c32", "rps", "direct", GATEWAY), "≥", 10, "×"),
    Aim("calls/s against LiteLLM, 32 connections", times("c32", "rps", GATEWAY, "litellm"), "≥", 25, "×"),
    Aim("calls/s against Portkey, 32 connections", times("c32", "rps", GATEWAY, "portkey"), "≥", 3, "×"),
    Aim("calls/s against `claude gateway` with its spend limits, 32 connections",
        times("c32", "rps", GATEWAY, "claude"), "≥", 2.5, "×"),
    Aim("added latency, p50, 1 connection", of("c1", "added_p50_ms"), "≤", 1.5, "ms"),
    Aim("CPU per 1,000 events: LiteLLM's against ours, 200 streams",
        times("s200", "cpu_ms_per_1000_events", "litellm", GATEWAY), "≥", 6, "×"),
    Aim("event lag, p99, 400 streams", of("s400", "lag_p99_ms"), "<", 150, "ms"),
    Aim("errors, 1,000 streams begun in one instant", of("s1000", "errors"), "=", 0),
    Aim("longer than undisturbed, p50, the same 1,000 streams", more_percent(longer_than_paced), "≤", 10, "%"),
    Aim("RSS, the same 1,000 streams", of("s1000", "rss_mb"), "<", 200, "MB"),
    Aim("cold start: LiteLLM's against ours", start_against_litellm, "≥", 10, "×"),
    Aim("cold start above the lean imports", start_above_lean, "≤", 100, "ms"),
    Aim("more CPU a call with Firestore than with SQLite, 32 connections",
        more_percent(times("c32", "cpu_ms_per_call", FIRESTORE, GATEWAY)), "≤", 25, "%"),
    Aim("throughput with three budgets, against none: turns like Claude Code's, 108 KB and a streamed answer",
        in_turns("turns-stream", "budgets"), "≥", 0.9, "×"),
    Aim("the same, 108 KB and a plain answer at once", in_turns("turns-large", "budgets"), "≥", 0.9, "×"),
    Aim("the same, 1.4 KB and a plain answer at once", in_turns("turns", "budgets"), "≥", 0.9, "×"),
    Aim("throughput with a config of two targets, against none: turns like Claude Code's, 108 KB and a streamed answer",
        in_turns("turns-stream", "config"), "≥", 0.95, "×"),
    Aim("the same, with a config, 108 KB and a plain answer at once", in_turns("turns-large", "config"), "≥", 0.95, "×"),
    Aim("the same, with a config, 1.4 KB and a plain answer at once", in_turns("turns", "config"), "≥", 0.95, "×"),
    Aim("added latency of an answer from the cache, p50, 1 connection",
        of("c1", "added_p50_ms", f"{GATEWAY}+cache"), "<", 3, "ms"),
    Aim("calls that went upstream nevertheless, 32 connections", of("c32", "upstream_calls", f"{GATEWAY}+cache"), "=", 0),
    Aim("minutes of the soak", soaked("minutes"), "≥", 60),
    Aim("streams in the soak", soaked("admitted"), "≥", 10_000),
    Aim("faults of the soak: growth, broken streams, missing records", soak_faults, "=", 0),
)  # fmt: skip
