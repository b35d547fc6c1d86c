"""Prints how well the ledger does: `python -m tests.simulation`, about a minute, the same figures every time."""

import logging
import statistics
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from invariants import Measures, measure, measure_span
from traffic_mix import MEAN_COST
from world import Setup, World

from gateway.canonical.money import format_dollars

SEEDS = range(1, 11)
PRICES = {"reads": 0.03e-5, "writes": 0.09e-5, "deletes": 0.01e-5}  # dollars each, Firestore regional (US), 2026-11
SPAN_S = (60.0, 240.0)


def worth(calls: int) -> str:
    return format_dollars(int(calls * MEAN_COST))


def at_the_end() -> None:
    print("100 open calls at once against a cap of so many mean calls, demand three times the cap; mean and worst of 10 worlds\n")
    print("| mode | instances | cap, calls | overshoot | used at the end | refused in vain | refused early | longest wait |")
    print("|---|---|---|---|---|---|---|---|")
    for mode, calls in (("balanced", 1000), ("balanced", 5000), ("strict", 1000), ("strict", 10_000)):
        for instances in (1, 4, 20):
            run_s = 300.0 if calls == 1000 else calls / 10 * 1.3
            seeds = SEEDS if calls == 1000 else range(1, 4)
            fields = (("mode", mode),)
            worlds = [
                World(Setup(seed=seed, instances=instances, calls_per_s=10, open_s=10, run_s=run_s, limit=worth(calls), fields=fields))
                for seed in seeds
            ]
            print(f"| {mode} | {instances} | {calls:,} | " + row([_lived(world) for world in worlds]))


def _lived(world: World) -> Measures:
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
    print("\nSteady flow far from the limit, one budget; operations per million calls beside the usage document\n")
    print("| calls/s | instances | calls open for | writes | reads | deletes | dollars | hottest period document |")
    print("|---|---|---|---|---|---|---|---|")
    for calls_per_s, instances, open_s in ((1.0, 1, 10.0), (10.0, 2, 10.0), (50.0, 4, 10.0), (50.0, 20, 10.0), (200.0, 20, 5.0)):
        setup = Setup(instances=instances, calls_per_s=calls_per_s, open_s=open_s, run_s=SPAN_S[1], limit=worth(10_000_000))
        print(f"| {calls_per_s:g} | {instances} | {open_s:g} s | " + _costs(World(setup)))


def per_minute() -> None:
    print("\nThe same for a limit of requests per minute, half as much again asked for\n")
    print("| limit | calls/s | instances | writes | reads | deletes | dollars | hottest period document |")
    print("|---|---|---|---|---|---|---|---|")
    for limit, calls_per_s, instances in ((60, 1.5, 2), (600, 15.0, 4), (600, 15.0, 20), (6000, 150.0, 20)):
        fields = (("unit", "requests"), ("period", "minute"))
        setup = Setup(instances=instances, calls_per_s=calls_per_s, open_s=3, run_s=SPAN_S[1], limit=str(limit), fields=fields)
        print(f"| {limit} | {calls_per_s:g} | {instances} | " + _costs(World(setup)))


def _costs(world: World) -> str:
    span = measure_span(world, *SPAN_S)
    million = {name: 1e6 * span.billed[name] / span.calls for name in PRICES}
    dollars = sum(million[name] * price for name, price in PRICES.items())
    hottest = max((rate for path, rate in span.writes_per_s.items() if path.count("/") == 3), default=0.0)
    counted = " | ".join(f"{million[name]:,.0f}" for name in PRICES_SHOWN)
    return f"{counted} | ${dollars:.2f} | {hottest:.2f} writes/s |"


PRICES_SHOWN = ("writes", "reads", "deletes")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    at_the_end()
    steady()
    per_minute()
