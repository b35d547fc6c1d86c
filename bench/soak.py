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

from bench.loads import Load
from bench.machine import describe_commit, describe_machine, describe_versions
from bench.native import Tools
from bench.processes import Cores, leashed, pss_mb, rss_mb
from bench.run import raise_open_files
from bench.targets import SERVERS, Deployment, Site, Target, count_records, deploy, deployed, upstream_running

WAVE_S = 20.0
STREAM_LIMIT_S = 30.0
STREAMS_MIN = 10_000
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

    def faults(self, streams_min: int) -> list[str]:
        """What must not be; empty if the soak was passed."""
        told = []
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


def soak(minutes: float, tools: Tools, *, server: str = "gateway", streams_min: int = STREAMS_MIN) -> dict[str, Any]:
    """Runs waves until the time is up, then counts records; the result with `faults`, empty when passed."""
    raise_open_files()
    cores, seen = Cores.of_this_machine(), Soak()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollgate-soak-")))
        site = Site(folder, cores, tools, stack.enter_context(upstream_running(tools, cores, folder)))
        deployment = deploy(SERVERS[server], "sqlite", site, None)
        with deployed(deployment) as target:
            before = count_records(deployment.store_url)
            until = time.monotonic() + minutes * 60
            while (left := until - time.monotonic()) > 1:
                one_wave(min(WAVE_S, left), target, site, seen)
            seen.records = settled_records(deployment, before, seen.admitted)
    return result_of(minutes, seen, streams_min)


def one_wave(seconds: float, target: Target, site: Site, seen: Soak) -> None:
    """All parts at once, each its own load client."""
    clients = [(part, start_part(part, seconds, target, site)) for part in PARTS]
    try:
        for part, client in clients:
            words, _ = client.communicate(timeout=seconds + STREAM_LIMIT_S + 10)
            seen.waves.append({"part": part.name, **json.loads(words)})
    finally:
        for _, client in clients:
            if client.poll() is None:
                client.kill()
                client.wait()
    pids = target.pids
    seen.memory.append({"rss_mb": round(rss_mb(pids), 1), "pss_mb": round(pss_mb(pids), 1)})
    print(f"  {seen.admitted:,} streams, {seen.memory[-1]['rss_mb']:.0f} MB", file=sys.stderr, flush=True)


def start_part(part: Part, seconds: float, target: Target, site: Site) -> "subprocess.Popen[bytes]":
    head, body = part.load.write(site.folder, target.credential, f"soak-{target.name.replace('/', '-')}")
    options = [f"port={target.port}", f"path={target.path}", f"head={head}", f"body={body}", f"connections={part.connections}",
               f"seconds={seconds:g}", f"limit={STREAM_LIMIT_S:g}", f"abort_after={part.abort_after}"]  # fmt: skip
    command = [*site.tools.load, "stream", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=leashed(site.cores.tools))


def settled_records(deployment: Deployment, before: int, wanted: int) -> int:
    """Records of this soak; calls whose client hung up may be written a moment later."""
    until = time.monotonic() + RECORDS_WAIT_S
    while (found := count_records(deployment.store_url) - before) < wanted and time.monotonic() < until:
        time.sleep(0.5)
    return found


def result_of(minutes: float, seen: Soak, streams_min: int) -> dict[str, Any]:
    facts = {"answered", "no_answer", "aborted", "events"}
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": describe_commit(),
        "machine": describe_machine(),
        "versions": describe_versions(),
        "minutes": minutes,
        "parts": [{**asdict(part), "load": part.load.name} for part in PARTS],
        **{name: seen.total(name) for name in sorted(facts)},
        "admitted": seen.admitted,
        "records": seen.records,
        "growth_mb": round(seen.growth_mb, 1),
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
        f"RSS: {memory[0]['rss_mb']:.0f} MB after the first wave, {memory[-1]['rss_mb']:.0f} MB at the end, "
        f"growth after settling {result['growth_mb']:+.1f} MB",
    ]
    return "\n".join([*lines, *(f"FAULT: {fault}" for fault in result["faults"])])
