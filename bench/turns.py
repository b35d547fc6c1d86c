"""A variant and the gateway without it in short turns. A shared machine changes its speed by half from one minute to the next,
and hardly within a second: so their ratio is worked out turn by turn."""

import statistics
from collections.abc import Sequence
from typing import Any

from bench.loads import Load
from bench.measures import Measure, take
from bench.targets import Site, Target

TURNS, TURNS_QUICK = 15, 3
TURN_S = 0.6
MEASURES_IN_TURNS = (
    Measure("turns", "32 connections, 1.4 KB", Load(), 32, TURN_S),
    Measure("turns-large", "32 connections, 108 KB", Load(large=True), 32, TURN_S),
    Measure("turns-stream", "32 streams, 108 KB, 100 events at once", Load(large=True, stream=True, events=100), 32, repeat=4),
)
VARIANTS_IN_TURNS = ("budgets", "config")


def pairs(targets: Sequence[Target]) -> list[tuple[Target, Target]]:
    """Each variant that is measured in turns, behind the target without it."""
    by_name = {target.name: target for target in targets}
    varied = [target for target in targets if target.variant in VARIANTS_IN_TURNS]
    named = [(by_name.get(target.name.removesuffix(f"+{target.variant}")), target) for target in varied]
    return [(plain, target) for plain, target in named if plain is not None]


def take_turns(measure: Measure, plain: Target, varied: Target, site: Site, turns: int) -> list[float]:
    """The variant's calls or events per second against the plain one's, in each turn. A first one, for warming up, is not among
    them."""
    ratios, metric = [], "events_per_s" if measure.load.stream else "rps"
    for number in range(turns + 1):
        order = (plain, varied) if number % 2 else (varied, plain)
        rates = {target.name: rate_of(measure, target, site, metric) for target in order}
        ratios.append(rates[varied.name] / rates[plain.name])
    return ratios[1:]


def rate_of(measure: Measure, target: Target, site: Site, metric: str) -> float:
    """RuntimeError if a call of this turn failed: a refusal is quick, and must not look like an answer."""
    values = take(measure, target, site)
    rate = values[metric]
    if values["errors"] or not rate:
        raise RuntimeError(f"{values['errors']:g} calls to {target.name} failed")
    return rate


def spread_of(ratios: Sequence[float]) -> dict[str, float]:
    """The median and, as `min` and `max`, the quartiles: single turns say little."""
    low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
    return {"median": middle, "min": low, "max": high, "n": len(ratios)}


def find_turns(result: dict[str, Any], measure: str, target: str) -> dict[str, float] | None:
    """What `take_turns` saw, as `spread_of` has it; None if it was not measured."""
    seen = [row["ratios"] for row in result.get("turns", ()) if (row["measure"], row["target"]) == (measure, target)]
    return spread_of(seen[0]) if seen else None
