"""The measures: one row each. `take` runs one of them against one target and returns plain numbers."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.loads import Load
from bench.processes import MemoryWatch, cpu_s, leashed, machine_busy_s, pss_mb, tree
from bench.targets import Site, Target, count_commits, count_upstream

STREAM_LIMIT_S = 40.0
CALL_LIMIT_S = 60.0
Values = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Measure:
    """`seconds` of closed loop for plain calls; `repeat` streams on each connection, begun all at once."""

    name: str
    title: str
    load: Load
    connections: int
    seconds: float = 0.0
    repeat: int = 1
    quick: bool = True

    def shortened(self) -> "Measure":
        return Measure(self.name, self.title, self.load, self.connections, min(self.seconds, 0.8), min(self.repeat, 10))


PACED = Load(stream=True, events=100, interval_ms=20)
MEASURES = (
    Measure("c1", "1 connection, 1.4 KB", Load(), 1, 2.0),
    Measure("c32", "32 connections, 1.4 KB", Load(), 32, 2.5),
    Measure("c128", "128 connections, 1.4 KB", Load(), 128, 2.5, quick=False),
    Measure("c1-large", "1 connection, 108 KB like Claude Code's", Load(large=True), 1, 2.0, quick=False),
    Measure("c32-large", "32 connections, 108 KB", Load(large=True), 32, 2.5),
    Measure("c128-large", "128 connections, 108 KB", Load(large=True), 128, 2.5, quick=False),
    Measure("burst", "32 streams, each 100 events at once", Load(stream=True, events=100), 32, repeat=20),
    Measure("s200", "200 streams, 50 events/s each", PACED, 200),
    Measure("s400", "400 streams, 50 events/s each", PACED, 400, quick=False),
    Measure("s800", "800 streams, 50 events/s each", PACED, 800, quick=False),
    Measure("s1000", "1,000 streams, 50 events/s each", PACED, 1000, quick=False),
    Measure("s1500", "1,500 streams, 50 events/s each", PACED, 1500, quick=False),
)

# A variant of a target answers one question, so that it need not run everything.
VARIANT_MEASURES = {
    "budgets": ("c1", "c32", "c128", "s200"),
    "config": ("c1", "c32", "c32-large", "s200"),
    "cache": ("c1", "c32"),
    "tls": ("c32", "s200"),
}


def chosen(quick: bool) -> list[Measure]:
    return [measure.shortened() for measure in MEASURES if measure.quick] if quick else list(MEASURES)


def fits(measure: Measure, target: Target) -> bool:
    """Some peers need minutes for what others do in two seconds, or cannot stream at all."""
    if target.variant and measure.name not in VARIANT_MEASURES[target.variant]:
        return False
    return not measure.load.stream or measure.connections <= target.streams_max


def take(measure: Measure, target: Target, site: Site) -> Values:
    """One run of one measure. RuntimeError if the load client itself fails."""
    pids = target.pids
    watch = MemoryWatch(pids)
    commits_before, asked_before = count_commits(target), count_upstream(site)
    cpu_before, ours_before, (busy_before, stolen_before) = cpu_s(pids), cpu_s(tree(os.getpid())), machine_busy_s()
    with watch.watching():
        seen = run_load(load_arguments(measure, target, site), site)
    cpu, ours, (busy, stolen) = cpu_s(pids) - cpu_before, cpu_s(tree(os.getpid())) - ours_before, machine_busy_s()
    wall_s = max(seen["seconds"], 0.001)
    values = stream_values(seen, cpu) if measure.load.stream else plain_values(seen, cpu)
    return values | {
        "commits_per_1000_calls": commits_per_1000(commits_before, count_commits(target)),
        "errors": float(sum(seen["errors"].values())),
        "upstream_calls": float(count_upstream(site) - asked_before) if target.variant == "cache" else None,
        "cpu_share": cpu / wall_s if pids else None,
        "rss_mb": watch.peak_mb if pids else None,
        "pss_mb": pss_mb(pids) if pids else None,
        "foreign_cores": max(0.0, busy - busy_before - ours) / wall_s,
        "stolen_share": (stolen - stolen_before) / wall_s,
    }


def load_arguments(measure: Measure, target: Target, site: Site) -> list[str]:
    head, body = measure.load.write(site.folder, target.credential, target.name.replace("/", "-"))
    common = [f"port={target.port}", f"path={target.path}", f"head={head}", f"body={body}", f"connections={measure.connections}"]
    if measure.load.stream:
        return ["stream", *common, f"repeat={measure.repeat}", f"limit={STREAM_LIMIT_S:g}"]
    return ["json", *common, f"warmup={min(0.5, measure.seconds / 3):g}", f"seconds={measure.seconds:g}"]


def run_load(arguments: Sequence[str], site: Site) -> dict[str, Any]:
    command = [*site.tools.load, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=CALL_LIMIT_S, check=False, preexec_fn=leashed(site.cores.tools)
    )
    if done.returncode != 0:
        raise RuntimeError(f"the load client failed: {done.stderr[-500:]}\n{' '.join(command)}")
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def commits_per_1000(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Commits to the store for each 1,000 usage records written between two looks at `count_commits`."""
    if before is None or after is None or after[1] <= before[1]:
        return None
    return (after[0] - before[0]) * 1000 / (after[1] - before[1])


def plain_values(seen: dict[str, Any], cpu: float) -> Values:
    latency = seen["latency_ms"] or {}
    return {
        "rps": seen["per_second"],
        "p50_ms": latency.get("p50"),
        "p99_ms": latency.get("p99"),
        "cpu_ms_per_call": cpu * 1000 / max(1, seen["finished_all"]) if cpu else None,
    }


def stream_values(seen: dict[str, Any], cpu: float) -> Values:
    first, lag, duration = (seen[name] or {} for name in ("first_byte_ms", "event_lag_ms", "duration_ms"))
    return {
        "events_per_s": seen["events_per_second"],
        "first_byte_p50_ms": first.get("p50"),
        "first_byte_p99_ms": first.get("p99"),
        "lag_p50_ms": lag.get("p50"),
        "lag_p99_ms": lag.get("p99"),
        "duration_p50_ms": duration.get("p50"),
        "duration_max_ms": duration.get("max"),
        "cpu_ms_per_1000_events": cpu * 1e6 / seen["events"] if cpu and seen["events"] else None,
        "complete": float(seen["finished"]),
    }
