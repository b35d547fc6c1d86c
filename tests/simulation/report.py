"""Prints how well the ledger does and what it costs, as docs/costs.md has it; two minutes, the same figures every time:

PYTHONPATH=.:tests python tests/simulation/report.py
"""

import logging
import statistics
import sys
from dataclasses import replace

from invariants import Measures, measure, measure_span
from traffic_mix import MEAN_COST
from world import Setup, World

from gateway.canonical.money import format_dollars

SEEDS = range(1, 11)
PRICES = {"reads": 0.03e-5, "writes": 0.09e-5, "deletes": 0.01e-5}  # dollars each, Firestore regional (US), 2026-11
SPAN_S = (60.0, 240.0)
SHOWN = ("writes", "reads", "deletes")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def worth(calls: int) -> str:
    return format_dollars(int(calls * MEAN_COST))


def at_the_end() -> None:
    say("100 open calls at once against a cap of so many mean calls, demand three times the cap;")
    say("mean and worst of 10 worlds, of 3 for the larger caps\n")
    say("| mode | instances | cap, calls | overshoot | used at the end | refused in vain | refused early | longest wait |")
    say("|---|---|---|---|---|---|---|---|")
    for mode, calls in (("balanced", 1000), ("balanced", 5000), ("strict", 1000), ("strict", 10_000)):
        for instances in (1, 4, 20):
            run_s = 300.0 if calls == 1000 else calls / 10 * 1.3
            seeds = SEEDS if calls == 1000 else range(1, 4)
            setup = Setup(instances=instances, run_s=run_s, limit=worth(calls), fields=(("mode", mode),))
            say(f"| {mode} | {instances} | {calls:,} | " + row([_lived(replace(setup, seed=seed)) for seed in seeds]))


def _lived(setup: Setup) -> Measures:
    world = World(setup)
    world.run()
    return measure(world)


def row(found: list[Measures]) -> str:
    over = [one.overshoot for one in found]
    used = [one.utilisation for one in found]
    false = [one.false_refusals for one in found]
    early = [one.early_refusals for one in found]
    return (
        f"{statistics.mean(over):.2%} ({max(over):.2%}) | {statistics.mean(used):.1%} ({min(used):.1%}) | "
        f"{statistics.mean(false):.2%} ({max(false):.2%}) | {statistics.mean(early):.1%} ({max(early):.1%}) | "
        f"{max(one.longest_wait_s for one in found):.1f} s |"
    )


def steady() -> None:
    say("\nSteady flow far from the limit, one budget; operations per million calls beside the usage document\n")
    say("| calls/s | instances | calls open for | writes | reads | deletes | dollars | hottest period document |")
    say("|---|---|---|---|---|---|---|---|")
    flows = ((1.0, 1, 10.0), (10.0, 2, 10.0), (50.0, 4, 10.0), (50.0, 20, 10.0), (200.0, 20, 5.0), (1000.0, 20, 5.0))
    for calls_per_s, instances, open_s in flows:
        setup = Setup(instances=instances, calls_per_s=calls_per_s, open_s=open_s, run_s=SPAN_S[1], limit=worth(10_000_000))
        say(f"| {calls_per_s:g} | {instances} | {open_s:g} s | " + _costs(World(setup)))


def per_minute() -> None:
    say("\nThe same for a limit of requests per minute, half as much again asked for\n")
    say("| limit | calls/s | instances | writes | reads | deletes | dollars | hottest period document |")
    say("|---|---|---|---|---|---|---|---|")
    for limit, calls_per_s, instances in ((60, 1.5, 2), (600, 15.0, 4), (600, 15.0, 20), (6000, 150.0, 20)):
        fields = (("unit", "requests"), ("period", "minute"))
        setup = Setup(instances=instances, calls_per_s=calls_per_s, open_s=3, run_s=SPAN_S[1], limit=str(limit), fields=fields)
        say(f"| {limit} | {calls_per_s:g} | {instances} | " + _costs(World(setup)))


def _costs(world: World) -> str:
    span = measure_span(world, *SPAN_S)
    million = {name: 1e6 * span.billed[name] / span.calls for name in PRICES}
    dollars = sum(million[name] * price for name, price in PRICES.items())
    hottest = max((rate for path, rate in span.writes_per_s.items() if path.count("/") == 3), default=0.0)
    counted = " | ".join(f"{million[name]:,.0f}" for name in SHOWN)
    return f"{counted} | ${dollars:.2f} | {hottest:.2f} writes/s |"


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    at_the_end()
    steady()
    per_minute()
