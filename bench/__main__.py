"""`python -m bench`: a run, a comparison of two, a soak, what crossing costs, or the tables of a run written into documents."""

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from bench import crossing
from bench.compare import render_differences
from bench.measures import MEASURES
from bench.native import Tools, prepare_tools
from bench.peers import PEERS
from bench.report import fill, render_aims, render_full
from bench.run import OTHER_STORES, QUICK_STORES, STORES, Options, run, write_result
from bench.soak import RATE, STREAMS_MIN, render_soak, soak
from bench.targets import SERVERS

RESULTS = Path(__file__).parent / "results"
ROUNDS_S = 480.0
ROUNDS_WITH_PEERS_S = 900.0
QUICK_ROUNDS_S = 42.0


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, interrupt)
    options = parse(arguments)
    if options.compare:
        print(render_differences(*(read_result(path) for path in options.compare)))
        return 0
    if options.what == "table":
        return write_tables(options.files, options.soak)
    if options.what == "crossing":
        print(crossing.render(crossing.measure()))
        return 0
    tools = prepare_tools()
    if tools.language != "C":
        print("no C compiler found (set CC): Python tools take over, and their own ceiling limits what is seen", file=sys.stderr)
    return run_soak(options, tools) if options.what == "soak" else run_bench(options, tools)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="run", choices=("run", "soak", "table", "crossing"))
    parser.add_argument("files", nargs="*", type=Path, help="for table: a result, then documents with <!-- bench:… --> marks")
    parser.add_argument("--quick", action="store_true", help="at most a minute; ratios only roughly right")
    parser.add_argument("--peers", default="", help=f"of {', '.join(PEERS)}; with commas or spaces between")
    parser.add_argument("--servers", default="gateway", help=f"ways of serving, of {', '.join(SERVERS)}")
    parser.add_argument("--stores", default="", help=f"default {', '.join(STORES)}; others {', '.join(OTHER_STORES)}")
    parser.add_argument("--only", default="", help=f"measures, of cold, idle, turns, {', '.join(m.name for m in MEASURES)}")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--cold-runs", type=int)
    parser.add_argument("--minutes", type=float, default=60.0, help="for soak")
    parser.add_argument("--rate", type=float, default=RATE, help="for soak: streams begun per second; 0 = as fast as it goes")
    parser.add_argument("--streams-min", type=int, default=STREAMS_MIN, help="for soak: fewer in all count as a fault")
    parser.add_argument("--out", type=Path, help="the JSON result; default bench/results/TIME-COMMIT.json")
    parser.add_argument("--soak", type=Path, help="for table: the JSON of a soak, for its row among the aims")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A.json", "B.json"))
    options = parser.parse_intermixed_args(arguments)
    measures = ["cold", "idle", "turns", *(measure.name for measure in MEASURES)]
    for name, known in (("peers", PEERS), ("servers", SERVERS), ("stores", STORES + OTHER_STORES), ("only", measures)):
        setattr(options, name, words(getattr(options, name)))
        if unknown := set(getattr(options, name)) - set(known):
            parser.error(f"--{name}: {', '.join(sorted(unknown))} is not known; there are {', '.join(known)}")
    return options


def words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def run_bench(options: argparse.Namespace, tools: Tools) -> int:
    chosen = Options(
        quick=options.quick,
        rounds=options.rounds or (2 if options.quick else 5),
        cold_runs=options.cold_runs if options.cold_runs is not None else (1 if options.quick else 5),
        servers=options.servers,
        stores=options.stores or (QUICK_STORES if options.quick else STORES),
        peers=options.peers,
        only=options.only,
        budget_s=rounds_budget_s(options),
    )
    result = run(chosen, tools)
    path = options.out or RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{result['commit']}.json"
    write_result(result, path)
    print(render_aims(result) + "\n" + render_full(result))
    print(f"kept in {path}", file=sys.stderr)
    return 0


def rounds_budget_s(options: argparse.Namespace) -> float:
    """With all peers, cold starts and idle streams a whole run stays below twenty minutes."""
    if options.quick:
        return QUICK_ROUNDS_S * (1 + len(options.peers))
    return ROUNDS_WITH_PEERS_S if options.peers else ROUNDS_S


def run_soak(options: argparse.Namespace, tools: Tools) -> int:
    result = soak(options.minutes, tools, server=options.servers[0], streams_min=options.streams_min, rate=options.rate)
    write_result(result, options.out or RESULTS / f"soak-{time.strftime('%Y%m%d-%H%M%S')}-{result['commit']}.json")
    print(render_soak(result))
    return 1 if result["faults"] else 0


def write_tables(files: list[Path], soaked: Path | None) -> int:
    if not files:
        print("name a result: python -m bench table RESULT.json [--soak SOAK.json] [docs/performance.md]", file=sys.stderr)
        return 2
    result = read_result(files[0]) | ({"soak": read_result(soaked)} if soaked else {})
    for document in files[1:]:
        fill(document, result)
    if not files[1:]:
        print(render_aims(result) + "\n" + render_full(result))
    return 0


def read_result(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: every process that was started is stopped."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeError, ValueError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
