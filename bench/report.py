"""A result as Markdown: the full tables for docs/performance.md and a short one for the README, between marks that stay."""

import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.cold import GATEWAY_IMPORT
from bench.measures import MEASURES

MARK = re.compile(r"(<!-- bench:(?P<kind>full|short) -->\n).*?(<!-- /bench -->)", re.DOTALL)
Row = Sequence[str]


def render_full(result: dict[str, Any]) -> str:
    """Every table, with what it was measured on."""
    parts = [
        render_facts(result),
        "### Plain calls\n\n" + render_plain(result),
        "### Streams\n\n" + render_streams(result),
        "### Against direct and peers\n\n" + render_ratios(result),
        "### Cold start\n\n" + render_cold(result),
        f"### What `{GATEWAY_IMPORT}` imports, by package\n\n" + render_imports(result),
    ]
    return "\n\n".join(part for part in parts if not part.endswith("\n\n")) + "\n"


def render_short(result: dict[str, Any]) -> str:
    return render_ratios(result) + "\n\n" + render_facts(result, short=True) + "\n"


def render_facts(result: dict[str, Any], *, short: bool = False) -> str:
    machine, versions, settings = result["machine"], result["versions"], result["settings"]
    measured = (
        f"Measured {result['at'][:10]} at commit `{result['commit']}` on {machine['cores']} cores of {machine['model']} "
        f"({machine['kernel']}), Python {versions['python']}; one core for the gateway, "
        f"{rounds_of(result)} rounds in turns, medians (least–most)."
    )
    if short:
        return measured
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if name not in ("python", "gateway"))
    peers = ", ".join(f"{name} {facts['version']}" for name, facts in result["targets"].items() if "version" in facts)
    facts = [measured, f"Libraries: {listed}. Fake upstream and load client: {settings['tools']}."]
    facts += [f"Peers: {peers}."] if peers else []
    facts += [f"Cores busy with other things meanwhile: {busy_elsewhere(result)}."]
    return "\n".join([*facts, *(f"- {first_line(note)}" for note in result["notes"])])


def render_plain(result: dict[str, Any]) -> str:
    heads = ("load", "target", "calls/s", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms", "CPU ms/call", "PSS MB", "errors")
    metrics = ("rps", "p50_ms", "p99_ms", "added_p50_ms", "added_p99_ms", "cpu_ms_per_call", "pss_mb", "errors")
    return table(heads, rows_of(result, metrics, stream=False))


def render_streams(result: dict[str, Any]) -> str:
    heads = ("load", "target", "events/s", "first byte p50 ms", "lag p50 ms", "lag p99 ms", "duration p50 ms", "longest ms",
             "CPU ms/1,000 events", "RSS MB", "errors")  # fmt: skip
    metrics = ("events_per_s", "first_byte_p50_ms", "lag_p50_ms", "lag_p99_ms", "duration_p50_ms", "duration_max_ms",
               "cpu_ms_per_1000_events", "rss_mb", "errors")  # fmt: skip
    return table(heads, rows_of(result, metrics, stream=True))


def rows_of(result: dict[str, Any], metrics: Sequence[str], *, stream: bool) -> Iterable[Row]:
    for measure in MEASURES:
        targets = result["summary"].get(measure.name, {}) if measure.load.stream == stream else {}
        for target, seen in targets.items():
            yield (measure.title, target, *(cell(seen.get(metric)) for metric in metrics))


def render_ratios(result: dict[str, Any]) -> str:
    """Each gateway against each peer of the same run."""
    ours = [name for name in result["targets"] if "/" in name]
    peers = [name for name in result["targets"] if "/" not in name]
    wanted = (
        ("c1", "added_p50_ms", "added latency, p50, ms", False),
        ("c32", "rps", "calls/s, 1.4 KB", True),
        ("c32-large", "rps", "calls/s, 108 KB", True),
        ("s200", "cpu_ms_per_1000_events", "CPU per 1,000 events, ms", False),
    )
    rows: list[Row] = []
    for measure, metric, title, more_is_better in wanted:
        seen = result["summary"].get(measure, {})
        for mine in ours:
            if metric in seen.get(mine, {}):
                value, direct = seen[mine][metric], seen.get("direct", {}).get(metric) if more_is_better else None
                ratios = (ratio(value, seen.get(peer, {}).get(metric), more_is_better) for peer in peers)
                rows.append((title, mine, cell(value), cell(direct), *ratios))
    heads = ("what", "gateway", "value", "direct (the tools' ceiling)", *(f"times better than {peer}" for peer in peers))
    return table(heads, rows)


def ratio(mine: dict[str, float], theirs: dict[str, float] | None, more_is_better: bool) -> str:
    if theirs is None or not mine["median"] or not theirs["median"]:
        return "–"
    times = mine["median"] / theirs["median"] if more_is_better else theirs["median"] / mine["median"]
    return f"{times:.3g}"


def render_cold(result: dict[str, Any]) -> str:
    """Medians of the runs, with and without bytecode; what answered something else than 200 at first is told."""
    seen: dict[tuple[str, str], dict[bool, list[float]]] = {}
    for row in result["cold"]:
        for metric, value in row["values"].items():
            seen.setdefault((row["target"], metric), {}).setdefault(row["compiled"], []).append(value)
    names = {"open_ms": "port open", "first_answer_ms": "first proxied 200", "refused": "refusals first", "import_ms": "imported"}
    rows = [(target, names[metric], span(runs.get(True)), span(runs.get(False)))
            for (target, metric), runs in seen.items() if metric != "refused" or any(map(any, runs.values()))]  # fmt: skip
    return table(("what", "until", "ms, with bytecode", "ms, without"), rows)


def render_imports(result: dict[str, Any]) -> str:
    rows = [(row["package"], str(row["ms"]), str(row["modules"])) for row in result["imports"].get(GATEWAY_IMPORT, [])]
    return table(("package", "ms", "modules"), rows)


def table(heads: Row, rows: Iterable[Row]) -> str:
    lines = [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in (" | ".join(heads), "|".join(["---"] * len(heads)), *lines)) if lines else ""


def cell(seen: dict[str, float] | None) -> str:
    if seen is None:
        return "–"
    if seen["max"] == seen["min"]:
        return number(seen["median"])
    return f"{number(seen['median'])} ({number(seen['min'])}–{number(seen['max'])})"


def span(values: Sequence[float] | None) -> str:
    return "–" if not values else cell({"median": statistics.median(values), "min": min(values), "max": max(values)})


def number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def rounds_of(result: dict[str, Any]) -> int:
    return max((row["round"] for row in result["rounds"]), default=0)


def busy_elsewhere(result: dict[str, Any]) -> str:
    seen = [row["values"]["foreign_cores"] for row in result["rounds"]]
    return span(seen) if seen else "unknown"


def first_line(text: str) -> str:
    return text.strip().splitlines()[0]


def fill(path: Path, result: dict[str, Any]) -> None:
    """Writes the tables between `<!-- bench:full -->` (or `short`) and `<!-- /bench -->`. ValueError if there are no marks."""
    text = path.read_text()
    if not MARK.search(text):
        raise ValueError(f"{path} has no place for the table: put <!-- bench:full --> and <!-- /bench --> where it should stand")
    renders = {"full": render_full, "short": render_short}
    path.write_text(MARK.sub(lambda found: found[1] + renders[found["kind"]](result) + found[3], text))
