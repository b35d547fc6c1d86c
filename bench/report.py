"""A result as Markdown: the full tables for docs/performance.md and a short one for the README, between marks that stay."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.aims import AIMS, start_above_lean
from bench.cold import GATEWAY_IMPORT
from bench.measures import MEASURES, VARIANT_MEASURES
from bench.tables import Row, against, cell, number, ratio, span, table
from bench.turns import MEASURES_IN_TURNS, spread_of

MARK = re.compile(r"(<!-- bench:(?P<kind>full|short|aims) -->\n).*?(<!-- /bench -->)", re.DOTALL)
TLS_PLAIN_METRICS = ("rps", "p99_ms", "cpu_ms_per_call")
TLS_STREAM_METRICS = ("events_per_s", "lag_p99_ms", "cpu_ms_per_1000_events")


def render_full(result: dict[str, Any]) -> str:
    """Every table, with what it was measured on."""
    parts = [
        render_facts(result),
        "### Plain calls\n\n" + render_plain(result),
        "### Streams\n\n" + render_streams(result),
        "### Against direct and peers\n\n" + render_ratios(result),
        "### TLS to the upstream\n\n" + render_tls(result),
        "### In short turns\n\n" + render_turns(result),
        "### With budgets and without\n\n" + render_variant(result, "budgets", "three budgets"),
        "### With a config of two targets and without\n\n" + render_variant(result, "config", "two targets"),
        "### Answers from the cache\n\n" + render_cache(result),
        "### Commits to the store\n\n" + render_commits(result),
        "### Memory of idle streams\n\n" + render_idle(result),
        "### Cold start\n\n" + render_cold(result),
        f"### What `{GATEWAY_IMPORT}` imports, by package\n\n" + render_imports(result),
    ]
    return "\n\n".join(part for part in parts if not part.endswith("\n\n")) + "\n"


def render_aims(result: dict[str, Any]) -> str:
    """Every aim, what was measured, and whether that meets it."""
    rows: list[Row] = []
    for aim in AIMS:
        value = aim.figure(result)
        met = "not measured" if value is None else "yes" if aim.met(value) else "no"
        shown = "–" if value is None else f"{number(value)} {aim.unit}".strip()
        rows.append((aim.title, f"{aim.comparison} {aim.limit:,g} {aim.unit}".strip(), shown, met))
    return table(("what", "aim", "measured", "met"), rows) + f"\n\n{measured_at(result)}\n"


def render_short(result: dict[str, Any]) -> str:
    return render_ratios(result) + "\n\n" + render_facts(result, short=True) + "\n"


def render_facts(result: dict[str, Any], *, short: bool = False) -> str:
    versions, settings = result["versions"], result["settings"]
    if short:
        return measured_at(result)
    listed = ", ".join(f"{name} {version}" for name, version in versions.items() if name not in ("python", "gateway"))
    peers = ", ".join(f"{name} {facts['version']}" for name, facts in result["targets"].items() if "version" in facts)
    facts = [measured_at(result), f"Libraries: {listed}. Fake upstream and load client: {settings['tools']}."]
    facts += [f"Peers: {peers}."] if peers else []
    facts += [f"Cores busy with other things meanwhile: {busy_elsewhere(result)}."]
    return "\n".join([*facts, *(f"- {first_line(note)}" for note in result["notes"])])


def measured_at(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"Measured {result['at'][:10]} at commit `{result['commit']}` on {machine['cores']} cores of {machine['model']} "
        f"({machine['kernel']}), Python {result['versions']['python']}; one core for the gateway, "
        f"{rounds_of(result)} rounds in turns, medians (least–most)."
    )


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
            if "+" in target:
                continue
            yield (measure.title, target, *(cell(seen.get(metric)) for metric in metrics))


def render_ratios(result: dict[str, Any]) -> str:
    """Each gateway against each peer of the same run."""
    ours = [name for name in result["targets"] if "/" in name and "+" not in name]
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


def render_tls(result: dict[str, Any]) -> str:
    """The same loads with TLS to the upstream and without; CPU is the gateway's."""
    rows: list[Row] = []
    for measure in (measure for measure in MEASURES if measure.name in VARIANT_MEASURES["tls"]):
        seen = result["summary"].get(measure.name, {})
        per_s, wait, cpu = TLS_STREAM_METRICS if measure.load.stream else TLS_PLAIN_METRICS
        for target in (name for name in seen if name.endswith("+tls")):
            plain, tls = seen.get(target.removesuffix("+tls"), {}), seen[target]
            rows.append((measure.title, target.removesuffix("+tls"), *(cell(side.get(metric)) for metric in (per_s, wait, cpu)
                         for side in (plain, tls)), against(tls.get(cpu), plain.get(cpu))))  # fmt: skip
    heads = ("load", "target", "calls or events/s, plain", "with TLS", "p99 or lag p99 ms, plain", "with TLS",
             "CPU ms/call or 1,000 events, plain", "with TLS", "TLS against plain")  # fmt: skip
    return table(heads, rows)


def render_variant(result: dict[str, Any], variant: str, words: str) -> str:
    """A variant beside the same gateway without it."""
    rows: list[Row] = []
    for measure in (measure for measure in MEASURES if measure.name in VARIANT_MEASURES[variant]):
        seen = result["summary"].get(measure.name, {})
        per_s, cpu = ("events_per_s", "cpu_ms_per_1000_events") if measure.load.stream else ("rps", "cpu_ms_per_call")
        for target in (name for name in seen if name.endswith(f"+{variant}")):
            plain, varied = seen.get(target.removesuffix(f"+{variant}"), {}), seen[target]
            rows.append((measure.title, target.removesuffix(f"+{variant}"), *(cell(side.get(metric)) for metric in (per_s, cpu)
                         for side in (plain, varied)), against(varied.get(per_s), plain.get(per_s))))  # fmt: skip
    heads = ("load", "target", "calls or events/s, none", words, "CPU ms/call or 1,000 events, none", words,
             f"rate with {words} against none")  # fmt: skip
    return table(heads, rows)


def render_turns(result: dict[str, Any]) -> str:
    """A variant's rate against that without it, turn by turn: median and quartiles."""
    rows: list[Row] = []
    for measure, row in ((measure, row) for measure in MEASURES_IN_TURNS for row in result.get("turns", ())):
        if row["measure"] == measure.name:
            rows.append((measure.title, row["target"], cell(spread_of(row["ratios"])), str(len(row["ratios"]))))
    return table(("load", "variant", "calls or events/s against those without it (quartiles)", "turns"), rows)


def render_cache(result: dict[str, Any]) -> str:
    """Hits beside calls that go upstream. `direct` is the fake upstream, which answers at once: what is added is all of ours."""
    metrics = ("rps", "p50_ms", "added_p50_ms", "cpu_ms_per_call")
    rows: list[Row] = []
    for measure in (measure for measure in MEASURES if measure.name in VARIANT_MEASURES["cache"]):
        seen = result["summary"].get(measure.name, {})
        for target in (name for name in seen if name.endswith("+cache")):
            plain, hits = seen.get(target.removesuffix("+cache"), {}), seen[target]
            rows.append((measure.title, target.removesuffix("+cache"), *(cell(side.get(metric)) for metric in metrics
                         for side in (plain, hits)), cell(hits.get("upstream_calls"))))  # fmt: skip
    cached = "from the cache"
    heads = ("load", "target", "calls/s, upstream", cached, "p50 ms, upstream", cached, "added p50 ms, upstream", cached,
             "CPU ms/call, upstream", cached, "misses")  # fmt: skip
    return table(heads, rows)


def render_commits(result: dict[str, Any]) -> str:
    """How many commits wrote the usage records of 1,000 calls: what finishes together is written together."""
    measures = [measure for measure in MEASURES if measure.name in ("c1", "c32", "c128")]
    rows: list[Row] = []
    for target in (name for name in result["targets"] if "/" in name and "+" not in name):
        seen = [result["summary"].get(measure.name, {}).get(target, {}).get("commits_per_1000_calls") for measure in measures]
        if any(seen):
            rows.append((target, *(cell(one) for one in seen)))
    return table(("commits per 1,000 calls", *(measure.title.partition(",")[0] for measure in measures)), rows)


def render_idle(result: dict[str, Any]) -> str:
    idle = result.get("idle", {})
    counts = [row["streams"] for row in next(iter(idle.values()))["held"]] if idle else []
    rows = []
    for target, seen in idle.items():
        rows.append((target, *(number(row["rss_mb"]) for row in seen["held"]), f"{seen['mb_per_100']:.2f}"))
    return table(("RSS in MB with", *(f"{count:,} idle streams" for count in counts), "MB per 100 more"), rows)


def render_cold(result: dict[str, Any]) -> str:
    """Medians of the runs, with and without bytecode; what answered something else than 200 at first is told."""
    seen: dict[tuple[str, str], dict[bool, list[float]]] = {}
    for row in result["cold"]:
        for metric, value in row["values"].items():
            seen.setdefault((row["target"], metric), {}).setdefault(row["compiled"], []).append(value)
    names = {"open_ms": "port open", "first_answer_ms": "first proxied 200", "refused": "refusals first", "import_ms": "imported"}
    rows: list[Row] = [(target, names[metric], span(runs.get(True)), span(runs.get(False)))
            for (target, metric), runs in seen.items() if metric != "refused" or any(map(any, runs.values()))]  # fmt: skip
    for target in sorted({target for target, metric in seen if metric == "first_answer_ms" and "/" in target}):
        above = [start_above_lean(result, target, compiled=compiled) for compiled in (True, False)]
        rows.append((target, "first proxied 200, above the lean imports", *("–" if ms is None else number(ms) for ms in above)))
    return table(("what", "until", "ms, with bytecode", "ms, without"), rows)


def render_imports(result: dict[str, Any]) -> str:
    rows = [(row["package"], str(row["ms"]), str(row["modules"])) for row in result["imports"].get(GATEWAY_IMPORT, [])]
    return table(("package", "ms", "modules"), rows)


def rounds_of(result: dict[str, Any]) -> int:
    return max((row["round"] for row in result["rounds"]), default=0)


def busy_elsewhere(result: dict[str, Any]) -> str:
    seen = [row["values"]["foreign_cores"] for row in result["rounds"]]
    return span(seen) if seen else "unknown"


def first_line(text: str) -> str:
    return text.strip().splitlines()[0]


def fill(path: Path, result: dict[str, Any]) -> None:
    """Writes the tables between `<!-- bench:full -->`, `aims` or `short`, and `<!-- /bench -->`; ValueError without marks."""
    text = path.read_text()
    if not MARK.search(text):
        raise ValueError(f"{path} has no place for the table: put <!-- bench:full --> and <!-- /bench --> where it should stand")
    renders = {"full": render_full, "short": render_short, "aims": render_aims}
    path.write_text(MARK.sub(lambda found: found[1] + renders[found["kind"]](result) + found[3], text))
