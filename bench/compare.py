"""Two results side by side: the ratio of every metric, and whether it is more than noise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MORE_IS_BETTER = {"rps", "events_per_s", "complete"}
NOT_COMPARED = {"foreign_cores", "stolen_share", "cpu_share"}
# Repeats of one target on a shared machine differ by this much although nothing changed.
NOISE_FLOOR = 0.10


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric before and after. `ratio` is after / before."""

    measure: str
    target: str
    metric: str
    before: dict[str, float]
    after: dict[str, float]

    @property
    def ratio(self) -> float:
        before, after = self.before["median"], self.after["median"]
        return after / before if before else (1.0 if after == before else float("inf"))

    @property
    def verdict(self) -> str:
        """`noise` unless the ranges lie apart and the medians differ by more than NOISE_FLOOR."""
        apart = self.before["max"] < self.after["min"] or self.after["max"] < self.before["min"]
        if not apart or abs(self.ratio - 1) < NOISE_FLOOR:
            return "noise"
        if min(self.before["n"], self.after["n"]) < 3:
            return "unsure: fewer than 3 rounds"
        return "better" if (self.ratio > 1) == (self.metric in MORE_IS_BETTER) else "worse"


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    """Every metric that both results have."""
    return list(_differences(before["summary"], after["summary"]))


def _differences(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    for measure, targets in before.items():
        for target, metrics in targets.items():
            found = after.get(measure, {}).get(target, {})
            for metric, seen in metrics.items():
                if metric in found and metric not in NOT_COMPARED:
                    yield Difference(measure, target, metric, seen, found[metric])


def render_differences(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Lines for a terminal: what was measured where, then one line per metric."""
    lines = [f"A {before['commit']} {before['at']}", f"B {after['commit']} {after['at']}"]
    if before["machine"] != after["machine"]:
        lines.append("measured on different machines: only ratios within one result mean anything")
    lines.append(f"{'measure':<12} {'target':<24} {'metric':<24} {'A':>10} {'B':>10} {'B/A':>7}  verdict")
    for one in compare(before, after):
        name = f"{one.measure:<12} {one.target:<24} {one.metric:<24}"
        lines.append(f"{name} {one.before['median']:>10.4g} {one.after['median']:>10.4g} {one.ratio:>7.2f}  {one.verdict}")
    return "\n".join(lines)
