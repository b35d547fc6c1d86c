"""The soak: streams by the thousand with disconnects and faults mixed in; memory must not grow, every call be recorded."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.idle import slope
from bench.loads import Load
from bench.machine import describe_commit, describe_machine, describe_versions
from bench.native import Tools
from bench.processes import Cores, cpu_s, leashed, pss_mb, rss_mb
from bench.run import raise_open_files
from bench.seeds import count_records
from bench.targets import SERVERS, Deployment, Site, Target, deploy, deployed, upstream_running

WAVE_S = 20.0
# Streams begun per second, light enough to leave a machine to its other work: an hour holds 43,200.
RATE = 12.0
STREAM_LIMIT_S = 30.0
STREAMS_MIN = 10_000
SLOPE_MINUTES_MIN = 5.0  # a slope of less says nothing about an hour
MINUTES_SHOWN = (1, 2, 5, 10, 15, 20, 30, 40, 50, 60)
# The first waves fill pools, caches and thread stacks; growth is counted from here on.
SETTLED_SHARE = 0.25
GROWTH_MAX_MB = 16.0
GROWTH_MAX_SHARE = 0.10
RECORDS_WAIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Part:
    """A share of every wave: so many connections that stream, hang up, or meet a fault, again and again."""

    name: str
    load: Load
    connections: int
    abort_after: int = 0


def paced(fault: str = "") -> Load:
    return Load(stream=True, events=20, interval_ms=20, fault=fault)


PARTS = (
    Part("streams", paced(), 40),
    Part("long streams", Load(stream=True, events=200, interval_ms=20), 10),
    Part("clients that hang up", paced(), 10, abort_after=5),
    Part("cut by the upstream", paced("cut"), 6),
    Part("reset by the upstream", paced("reset"), 6),
    Part("slow to begin", paced("slow"), 4),
    Part("refused by the upstream", paced("refuse"), 2),
    Part("large prompts", Load(large=True, stream=True, events=20, interval_ms=20), 4),
)


@dataclass(slots=True)
class Soak:
    """What was seen so far. `waves` is one row per part and wave, `memory` one per wave."""

    waves: list[dict[str, Any]] = field(default_factory=list)
    memory: list[dict[str, float]] = field(default_factory=list)
    records: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    interrupted: bool = False

    def total(self, name: str) -> int:
        return sum(int(wave[name]) for wave in self.waves)

    @property
    def admitted(self) -> int:
        """Calls that the gateway took: those it answered, except with its own 401, 413 and 529."""
        own = sum(wave["statuses"].get(status, 0) for wave in self.waves for status in ("401", "413", "529"))
        return self.total("answered") - int(own)

    @property
    def growth_mb(self) -> float:
        """The last quarter's mean RSS above that of the quarter after settling."""
        seen = [row["rss_mb"] for row in self.memory]
        seen = seen[int(len(seen) * SETTLED_SHARE) :]
        share = max(1, len(seen) // 4)
        return sum(seen[-share:]) / share - sum(seen[:share]) / share if seen else 0.0

    @property
    def slope_mb_per_hour(self) -> float:
        """Of the line through the RSS after settling."""
        settled = self.memory[int(len(self.memory) * SETTLED_SHARE) :]
        return 60 * slope([(row["minute"], row["rss_mb"]) for row in settled])

    def faults(self, streams_min: int) -> list[str]:
        """What must not be; empty if the soak was passed."""
        told = ["interrupted before its time"] if self.interrupted else []
        settled = self.memory[int(len(self.memory) * SETTLED_SHARE)]["rss_mb"] if self.memory else 0.0
        if self.growth_mb > max(GROWTH_MAX_MB, settled * GROWTH_MAX_SHARE):
            told.append(f"memory grew by {self.growth_mb:.1f} MB from {settled:.0f} MB")
        lowest, highest = self.admitted, self.admitted + self.total("no_answer")
        if not lowest <= self.records <= highest:
            told.append(f"{self.records} records for {lowest} admitted calls ({highest - lowest} more got no answer)")
        if self.admitted < streams_min:
            told.append(f"only {self.admitted} streams, {streams_min} were wanted; give it more minutes")
        well = [wave for wave in self.waves if wave["part"] in ("streams", "long streams", "large prompts", "slow to begin")]
        if broken := sum(sum(wave["errors"].values()) for wave in well):
            statuses = sorted({status for wave in well for status in wave["statuses"]} - {"200"})
            named = f" (statuses {', '.join(statuses)})" if statuses else ""
            told.append(f"{broken} streams failed that nobody had disturbed{named}")
        return told


def soak(
    minutes: float, tools: Tools, *, server: str = "gateway", streams_min: int = STREAMS_MIN, rate: float = RATE
) -> dict[str, Any]:
    """Runs waves until the time is up, then counts records; the result with `faults`, empty when passed. `rate` is streams begun
    per second in all; 0 = each connection asks again at once. An interrupted soak is told as far as it went."""
    raise_open_files()
    cores, seen = Cores.of_this_machine(), Soak()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-soak-")))
        site = Site(folder, cores, tools, stack.enter_context(upstream_running(tools, cores, folder)))
        deployment = deploy(SERVERS[server], "sqlite", site, None)
        with deployed(deployment) as target:
            before = count_records(deployment.store_url)
            run_waves(minutes, rate, target, site, seen)
            seen.records = settled_records(deployment, before, seen.admitted)
    return result_of(minutes, rate, seen, streams_min)


def run_waves(minutes: float, rate: float, target: Target, site: Site, seen: Soak) -> None:
    began, cpu_before = time.monotonic(), cpu_s(target.pids)
    try:
        while (left := began + minutes * 60 - time.monotonic()) > 1:
            one_wave(min(WAVE_S, left), rate, target, site, seen)
            memory = {"rss_mb": round(rss_mb(target.pids), 1), "pss_mb": round(pss_mb(target.pids), 1)}
            seen.memory.append({"minute": round((time.monotonic() - began) / 60, 2), **memory})
            print(f"  {seen.admitted:,} streams, {memory['rss_mb']:.0f} MB", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        seen.interrupted = True
    seen.cpu_s, seen.wall_s = cpu_s(target.pids) - cpu_before, time.monotonic() - began


def one_wave(seconds: float, rate: float, target: Target, site: Site, seen: Soak) -> None:
    """All parts at once, each its own load client; each has its share of the rate."""
    clients = [(part, start_part(part, seconds, rate, target, site)) for part in PARTS]
    try:
        for part, client in clients:
            words, _ = client.communicate(timeout=seconds + STREAM_LIMIT_S + 10)
            seen.waves.append({"part": part.name, **json.loads(words)})
    finally:
        for _, client in clients:
            if client.poll() is None:
                client.kill()
                client.wait()


def start_part(part: Part, seconds: float, rate: float, target: Target, site: Site) -> "subprocess.Popen[bytes]":
    head, body = part.load.write(site.folder, target.credential, f"soak-{target.name.replace('/', '-')}")
    share = rate * part.connections / sum(other.connections for other in PARTS)
    options = [f"port={target.port}", f"path={target.path}", f"head={head}", f"body={body}", f"connections={part.connections}",
               f"seconds={seconds:g}", f"rate={share:g}", f"limit={STREAM_LIMIT_S:g}",
               f"abort_after={part.abort_after}"]  # fmt: skip
    command = [*site.tools.load, "stream", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=leashed(site.cores.tools))


def settled_records(deployment: Deployment, before: int, wanted: int) -> int:
    """Records of this soak; calls whose client hung up may be written a moment later."""
    until = time.monotonic() + RECORDS_WAIT_S
    while (found := count_records(deployment.store_url) - before) < wanted and time.monotonic() < until:
        time.sleep(0.5)
    return found


def result_of(minutes: float, rate: float, seen: Soak, streams_min: int) -> dict[str, Any]:
    facts = {"answered", "no_answer", "aborted", "events"}
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": describe_commit(),
        "machine": describe_machine(),
        "versions": describe_versions(),
        "minutes": minutes,
        "rate": rate,
        "parts": [{**asdict(part), "load": part.load.name} for part in PARTS],
        **{name: seen.total(name) for name in sorted(facts)},
        "admitted": seen.admitted,
        "records": seen.records,
        "growth_mb": round(seen.growth_mb, 1),
        "slope_mb_per_hour": round(seen.slope_mb_per_hour, 2),
        "cpu_share": round(seen.cpu_s / max(0.001, seen.wall_s), 3),
        "memory": seen.memory,
        "waves": seen.waves,
        "faults": seen.faults(streams_min),
    }


def render_soak(result: dict[str, Any]) -> str:
    memory: Sequence[dict[str, float]] = result["memory"]
    lines = [
        f"{result['admitted']:,} streams in {result['minutes']:g} minutes with {result['events']:,} events; "
        f"{result['aborted']:,} of their clients hung up",
        f"records: {result['records']:,} for {result['admitted']:,} admitted calls",
        f"RSS by minute: {', '.join(rss_by_minute(memory))} MB; growth after settling {result['growth_mb']:+.1f} MB"
        + (f", slope {result['slope_mb_per_hour']:+.2f} MB an hour" if result["minutes"] >= SLOPE_MINUTES_MIN else ""),
        f"CPU: {100 * result['cpu_share']:.0f} % of a core",
    ]
    return "\n".join([*lines, *(f"FAULT: {fault}" for fault in result["faults"])])


def rss_by_minute(memory: Sequence[dict[str, float]]) -> list[str]:
    """`minute: MB` at some minutes and at the end."""
    shown = [row for row in memory if any(row["minute"] - WAVE_S / 60 < minute <= row["minute"] for minute in MINUTES_SHOWN)]
    rows = shown if memory[-1:] == shown[-1:] else [*shown, *memory[-1:]]
    return [f"{row['minute']:.0f}: {row['rss_mb']:.0f}" for row in rows]
