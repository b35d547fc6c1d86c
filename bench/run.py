"""One run: everything started, measured in turns for several rounds, stopped; the result as one JSON document."""

import json
import resource
import statistics
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.cold import IMPORT_ROWS, cold_start, import_modules, import_times
from bench.idle import idle_memory
from bench.machine import describe_commit, describe_machine, describe_versions
from bench.measures import Measure, chosen, fits, take
from bench.native import Tools
from bench.stage import make_deployments, say, site_running, start_gateways, start_peers
from bench.targets import Deployment, Site, Target
from bench.turns import MEASURES_IN_TURNS, TURNS, TURNS_QUICK, pairs, take_turns

SCHEMA = 2
OPEN_FILES = 16_384
STORES = ("sqlite", "firestore", "sqlite+budgets", "sqlite+config", "sqlite+cache", "sqlite+tls")
# One measure that fails is told; it must not cost what was measured before.
FAULTS = (RuntimeError, OSError, subprocess.SubprocessError, ValueError)
QUICK_STORES = ("sqlite", "firestore")
OTHER_STORES = ("firestore+budgets", "firestore+config", "firestore+cache", "firestore+tls")


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller asked for. `budget_s` bounds the rounds: no new one begins that would not fit."""

    quick: bool = False
    rounds: int = 5
    cold_runs: int = 5
    servers: tuple[str, ...] = ("gateway",)
    stores: tuple[str, ...] = STORES
    peers: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    budget_s: float = 480.0

    def wants(self, measure: str) -> bool:
        return not self.only or measure in self.only


@dataclass(slots=True)
class Result:
    """Filled while the run goes on, so that an interrupted run can still be written down."""

    document: dict[str, Any]
    rounds: list[dict[str, Any]] = field(default_factory=list)
    cold: list[dict[str, Any]] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.document["notes"].append(text)

    def finish(self) -> dict[str, Any]:
        return {**self.document, "summary": summarize(self.rounds), "rounds": self.rounds, "cold": self.cold}


def run(options: Options, tools: Tools) -> dict[str, Any]:
    """Measures and returns the whole result. KeyboardInterrupt keeps what was measured so far."""
    raise_open_files()
    result = Result(first_facts(options, tools))
    with ExitStack() as stack:
        site = site_running(tools, options.stores, stack, result.note)
        deployments = make_deployments(options.servers, options.stores, site, stack, result.note)
        try:
            measure_alone(options, deployments, site, result)
            targets = start_all(options, deployments, site, stack, result)
            measure_rounds(options, targets, site, result)
            if options.wants("turns"):
                measure_in_turns(options, targets, site, result)
        except KeyboardInterrupt:
            result.note("interrupted: what follows is incomplete")
    return result.finish()


def first_facts(options: Options, tools: Tools) -> dict[str, Any]:
    notes = []
    if tools.language != "C":
        notes.append(
            "no C compiler: the fake upstream and the load client are Python, their ceiling is near the gateway's own, and "
            "throughput is understated; install cc and run again"
        )
    return {
        "schema": SCHEMA,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": describe_commit(),
        "machine": describe_machine(),
        "versions": describe_versions(),
        "settings": {**asdict(options), "tools": tools.language},
        "targets": {},
        "imports": {},
        "idle": {},
        "turns": [],
        "notes": notes,
    }


def measure_alone(options: Options, deployments: Sequence[Deployment], site: Site, result: Result) -> None:
    """What needs a process of its own and a quiet machine; before anything else runs."""
    plain = [deployment for deployment in deployments if "+" not in deployment.name]
    if options.wants("cold"):
        measure_cold(options, plain, site, result)
    if options.wants("idle") and not options.quick:
        for deployment in plain:
            say(f"idle streams of {deployment.name}")
            try:
                result.document["idle"][deployment.name] = idle_memory(deployment)
            except FAULTS as error:
                result.note(f"idle streams of {deployment.name} failed: {error}")


def start_all(options: Options, deployments: Sequence[Deployment], site: Site, stack: ExitStack, result: Result) -> list[Target]:
    """Everything at once, so that rounds can alternate."""
    targets = start_gateways(deployments, site, stack, result.note)
    commands = {deployment.name: {"command": list(deployment.server.command)} for deployment in deployments}
    result.document["targets"] = {target.name: commands[target.name] for target in targets if target.is_gateway}
    for target, facts in start_peers(options.peers, site, stack, result.note):
        targets.append(target)
        result.document["targets"][target.name] = {"version": facts["version"]}
        result.cold.append({"target": target.name, "compiled": True, "values": facts["start"]})
        result.note(f"{target.name}: {target.note}")
    return targets


def measure_cold(options: Options, deployments: Sequence[Deployment], site: Site, result: Result) -> None:
    for deployment in deployments if options.cold_runs else ():
        cold_start(deployment, compiled=True)  # leaves bytecode behind, and the files in memory
    for number in range(options.cold_runs):
        say(f"cold start {number + 1} of {options.cold_runs}")
        for compiled in (True, False):
            if not compiled and options.quick and number:
                continue
            for deployment in deployments:
                values = cold_start(deployment, compiled=compiled)
                result.cold.append({"target": deployment.name, "compiled": compiled, "values": values})
            for row, ms in import_times(site.cores, compiled=compiled).items():
                result.cold.append({"target": row, "compiled": compiled, "values": {"import_ms": ms}})
    result.document["imports"] = {row: import_modules(code, site.cores) for row, code in IMPORT_ROWS.items()}


def measure_rounds(options: Options, targets: Sequence[Target], site: Site, result: Result) -> None:
    """Each measure goes from target to target, in turned order every other round."""
    measures = [measure for measure in chosen(options.quick) if options.wants(measure.name)]
    began = time.monotonic()
    for number in range(options.rounds):
        spent = time.monotonic() - began
        if number and spent + spent / number > options.budget_s:
            result.document["notes"].append(f"{number} of {options.rounds} rounds, for want of time")
            break
        for measure in measures:
            for target in targets if number % 2 == 0 else list(reversed(targets)):
                if fits(measure, target):
                    one_run(number, measure, target, site, result)
    result.document["settings"]["seconds"] = round(time.monotonic() - began, 1)


def measure_in_turns(options: Options, targets: Sequence[Target], site: Site, result: Result) -> None:
    for plain, varied in pairs(targets):
        for measure in MEASURES_IN_TURNS:
            say(f"in turns: {measure.title} {varied.name}")
            try:
                ratios = take_turns(measure, plain, varied, site, TURNS_QUICK if options.quick else TURNS)
            except FAULTS as error:
                result.note(f"{measure.title} {varied.name}, in turns, failed: {error}")
                continue
            result.document["turns"].append({"measure": measure.name, "target": varied.name, "ratios": ratios})


def one_run(number: int, measure: Measure, target: Target, site: Site, result: Result) -> None:
    say(f"round {number + 1}: {measure.name} {target.name}")
    try:
        values = take(measure, target, site)
    except FAULTS as error:
        result.note(f"round {number + 1}: {measure.name} {target.name} failed: {error}")
        return
    result.rounds.append({"round": number + 1, "measure": measure.name, "target": target.name, "values": values})


def summarize(rounds: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """measure → target → metric → median, min, max, n. `added_*` is against direct in the same round."""
    seen: dict[tuple[str, str, str], list[float]] = {}
    direct = {(row["round"], row["measure"]): row["values"] for row in rounds if row["target"] == "direct"}
    for row in rounds:
        values = row["values"] | added(row, direct.get((row["round"], row["measure"]), {}))
        for metric, value in values.items():
            if value is not None:
                seen.setdefault((row["measure"], row["target"], metric), []).append(value)
    summary: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for (measure, target, metric), values in seen.items():
        summary.setdefault(measure, {}).setdefault(target, {})[metric] = spread(values)
    return summary


def added(row: dict[str, Any], direct: dict[str, Any]) -> dict[str, float]:
    if row["target"].startswith("direct"):
        return {}
    pairs = {name: (row["values"].get(name), direct.get(name)) for name in ("p50_ms", "p99_ms")}
    return {f"added_{name}": mine - theirs for name, (mine, theirs) in pairs.items() if mine is not None and theirs is not None}


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def raise_open_files() -> None:
    """1,500 streams are 3,000 sockets in the gateway; children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def write_result(document: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")
