"""What a stream costs in memory while nothing happens in it: the gateway's RSS with more and more silent streams open."""

import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from bench.loads import Load
from bench.processes import leashed, rss_mb
from bench.targets import Deployment, Target, deployed

HELD = (0, 100, 500, 1000)
SILENT = Load(stream=True, events=2, interval_ms=5000)
RAMP_S = 1.0
LOOK_AFTER_S = 3.5  # every stream has had its first event by then, none its second
END_LIMIT_S = 30.0


def idle_memory(deployment: Deployment) -> dict[str, Any]:
    """Rows of `streams` held open and `rss_mb` with them, in one fresh process, and what 100 streams add."""
    with deployed(deployment) as target:
        rows = [{"streams": count, "rss_mb": round(rss_while_held(count, target, deployment), 1)} for count in HELD]
    return {"held": rows, "mb_per_100": round(100 * slope([(row["streams"], row["rss_mb"]) for row in rows]), 2)}


def rss_while_held(count: int, target: Target, deployment: Deployment) -> float:
    """RuntimeError if not every stream came to its end."""
    if not count:
        return rss_mb(target.pids)
    site = deployment.site
    head, body = SILENT.write(site.folder, target.credential, f"idle-{target.name.replace('/', '-')}")
    options = [f"port={target.port}", f"path={target.path}", f"head={head}", f"body={body}", f"connections={count}",
               f"ramp={RAMP_S:g}", f"limit={END_LIMIT_S:g}"]  # fmt: skip
    command = [*site.tools.load, "stream", *options]
    client = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=leashed(site.cores.tools))
    try:
        time.sleep(LOOK_AFTER_S)
        seen = rss_mb(target.pids)
        words, _ = client.communicate(timeout=END_LIMIT_S + 10)
    finally:
        client.kill()
        client.wait()
    if (finished := json.loads(words)["finished"]) != count:
        raise RuntimeError(f"{count - finished} of {count} silent streams of {target.name} did not end well; look at its log")
    return seen


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the straight line that lies nearest to the points; 0 if they all stand on one spot."""
    middle_x, middle_y = (sum(point[axis] for point in points) / max(1, len(points)) for axis in (0, 1))
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
