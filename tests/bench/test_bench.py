"""The bench's tools tell the truth on tiny loads; what they measure is not judged here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.compare import Difference, compare, render_differences
from bench.loads import LARGE_BYTES, SMALL_BYTES, Load
from bench.native import prepare_tools, python_tools
from bench.processes import Cores
from bench.report import fill, render_full
from bench.run import Options, run, summarize
from bench.soak import Soak, soak
from bench.targets import Site, upstream_running

TOO_SMALL = sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2
pytestmark = pytest.mark.skipif(TOO_SMALL, reason="the bench needs Linux and two cores")
STREAM = Load(stream=True, events=5, interval_ms=2)


@pytest.fixture(scope="module", params=["C", "Python"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running fake upstream, in either language."""
    tools = prepare_tools() if request.param == "C" else python_tools()
    if tools.language != request.param:
        pytest.skip("no C compiler; set CC to one")
    folder = tmp_path_factory.mktemp("bench")
    with upstream_running(tools, Cores.of_this_machine(), folder) as port:
        yield Site(folder, Cores.of_this_machine(), tools, port)


def run_load(site: Site, mode: str, load: Load, **options: Any) -> dict[str, Any]:
    head, body = load.write(site.folder, (), "test")
    named = {"port": site.upstream, "head": head, "body": body, **options}
    command = [*site.tools.load, mode, *(f"{name}={value}" for name, value in named.items())]
    seen: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout)
    return seen


def test_plain_calls_are_counted_and_timed(site: Site) -> None:
    """A closed loop reports calls that finished, their latency and no errors."""
    seen = run_load(site, "json", Load(), connections=4, warmup=0.05, seconds=0.2)
    assert seen["finished"] > 20
    assert 0 < seen["latency_ms"]["p50"] <= seen["latency_ms"]["p99"] <= seen["latency_ms"]["max"]
    assert sum(seen["errors"].values()) == 0


def test_streams_arrive_whole_and_paced(site: Site) -> None:
    """Every stamp of every stream is found, and a stream lasts as long as its events were spaced."""
    seen = run_load(site, "stream", STREAM, connections=6, repeat=2)
    assert (seen["finished"], seen["events"]) == (12, 60)
    assert 8 <= seen["duration_ms"]["p50"] < 500
    assert 0 <= seen["event_lag_ms"]["p50"] < 100
    assert sum(seen["errors"].values()) == 0


@pytest.mark.parametrize(("fault", "error"), [("cut", "broken"), ("reset", "reset"), ("refuse", "refused"), ("slow", None)])
def test_faults_are_told_apart(site: Site, fault: str, error: str | None) -> None:
    """The load client names what the upstream did wrong, and does not take half an answer for a whole one."""
    seen = run_load(site, "stream", Load(stream=True, events=6, interval_ms=2, fault=fault), connections=3)
    assert {name: count for name, count in seen["errors"].items() if count} == ({error: 3} if error else {})
    assert seen["answered"] == 3
    assert seen["finished"] == (0 if error else 3)


def test_a_client_that_hangs_up_is_no_error(site: Site) -> None:
    """With abort_after the client leaves after that many events, and is counted apart."""
    seen = run_load(site, "stream", STREAM, connections=2, abort_after=2)
    assert (seen["aborted"], seen["finished"], sum(seen["errors"].values())) == (2, 0, 0)


def test_a_dead_server_is_reported_and_ends(site: Site) -> None:
    """Nobody listening means errors in the report, not a hang."""
    seen = run_load(site, "json", Load(), port=1, connections=2, seconds=0.2)
    assert seen["errors"]["unreachable"] >= 2
    assert seen["finished"] == 0


def test_a_failing_compiler_falls_to_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that fails is named, with what to do."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", shutil.which("false") or "false")
    with pytest.raises(RuntimeError, match=r"upstream\.c does not compile with .*set CC"):
        prepare_tools()


def test_prompts_have_their_stated_sizes() -> None:
    """1.4 KB and 108 KB, as the tables say; the large one has tools, system blocks and 61 messages."""
    assert abs(len(Load().body()) - SMALL_BYTES) < 100
    large = Load(large=True).body()
    assert abs(len(large) - LARGE_BYTES) < 3_000
    assert (len(json.loads(large)["messages"]), len(json.loads(large)["tools"])) == (61, 24)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """The smallest whole run: one gateway with and without TLS to its upstream, three short measures."""
    options = Options(quick=True, rounds=1, cold_runs=1, stores=("sqlite", "sqlite+tls"), only=("c1", "c32", "burst", "cold"))
    return run(options, prepare_tools())


@pytest.mark.full
def test_a_run_measures_the_gateway_beside_direct(result: dict[str, Any]) -> None:
    """The full path answers without errors, and says what it added and what it cost."""
    seen = result["summary"]["c1"]
    assert set(seen) == {"direct", "gateway/sqlite"}
    assert seen["gateway/sqlite"]["errors"]["max"] == 0
    assert seen["gateway/sqlite"]["added_p50_ms"]["median"] > 0
    assert seen["gateway/sqlite"]["rps"]["median"] < seen["direct"]["rps"]["median"]
    assert result["summary"]["burst"]["gateway/sqlite"]["complete"]["median"] == 320


@pytest.mark.full
def test_calls_that_end_together_share_commits(result: dict[str, Any]) -> None:
    """A lone caller pays one commit a call; 32 at once pay fewer, and the table says how many."""
    alone, crowd = (result["summary"][name]["gateway/sqlite"]["commits_per_1000_calls"]["median"] for name in ("c1", "c32"))
    assert 0 < crowd < alone <= 1000
    assert "### Commits to the store" in render_full(result)


@pytest.mark.full
def test_tls_to_the_upstream_is_a_row_of_its_own(result: dict[str, Any]) -> None:
    """The gateway trusts the run's own certificate; the pair stands beside plain, and nowhere else."""
    seen = result["summary"]["c32"]
    if "gateway/sqlite+tls" not in seen:
        pytest.skip(str(result["notes"]))
    assert seen["gateway/sqlite+tls"]["errors"]["max"] == seen["direct+tls"]["errors"]["max"] == 0
    tables = render_full(result)
    assert tables.count("+tls") == 0
    assert "### TLS to the upstream" in tables


@pytest.mark.full
def test_a_run_knows_cold_starts_and_imports(result: dict[str, Any]) -> None:
    """Process start to first answer, with and without bytecode, and the imports by package."""
    starts = {row["compiled"]: row["values"]["first_answer_ms"] for row in result["cold"] if row["target"] == "gateway/sqlite"}
    assert set(starts) == {True, False}
    assert result["imports"]["gateway.serve"]


@pytest.mark.full
def test_tables_go_between_their_marks(result: dict[str, Any], tmp_path: Path) -> None:
    """A document keeps its words, and gets the tables anew each time."""
    page = tmp_path / "performance.md"
    page.write_text("# Words\n\n<!-- bench:full -->\nold\n<!-- /bench -->\n\nmore words\n")
    fill(page, result)
    once = page.read_text()
    fill(page, result)
    assert page.read_text() == once
    assert once.startswith("# Words") and once.endswith("more words\n") and "gateway/sqlite" in once and "old\n" not in once


@pytest.mark.full
def test_a_document_without_marks_is_refused(result: dict[str, Any], tmp_path: Path) -> None:
    """Nothing is overwritten where no place was made."""
    (tmp_path / "page.md").write_text("words")
    with pytest.raises(ValueError, match="no place for the table"):
        fill(tmp_path / "page.md", result)


@pytest.mark.full
def test_a_result_compared_with_itself_is_noise(result: dict[str, Any]) -> None:
    """No change is ever seen where there is none."""
    assert {difference.verdict for difference in compare(result, result)} == {"noise"}
    assert "gateway/sqlite" in render_differences(result, result)
    assert "calls/s" in render_full(result)


@pytest.mark.parametrize(
    ("metric", "before", "after", "verdict"),
    [
        ("rps", (100, 95, 105), (150, 140, 160), "better"),
        ("p50_ms", (1.0, 0.9, 1.1), (2.0, 1.8, 2.2), "worse"),
        ("rps", (100, 80, 150), (150, 140, 160), "noise"),
        ("rps", (100, 99, 101), (104, 103, 105), "noise"),
    ],
)
def test_a_change_is_judged_by_its_spread(metric: str, before: Any, after: Any, verdict: str) -> None:
    """Only ranges that lie apart by more than the noise of such machines count."""
    sides = [{"median": m, "min": low, "max": high, "n": 5} for m, low, high in (before, after)]
    assert Difference("c1", "gateway", metric, *sides).verdict == verdict


def test_added_latency_is_against_direct_of_the_same_round() -> None:
    """Rounds are compared within themselves, so that a slow moment of the machine cancels out."""
    rows = [
        {"round": number, "measure": "c1", "target": target, "values": {"p50_ms": value}}
        for number, (direct, gateway) in enumerate([(0.02, 1.02), (0.5, 1.6)])
        for target, value in (("direct", direct), ("gateway/sqlite", gateway))
    ]
    assert summarize(rows)["c1"]["gateway/sqlite"]["added_p50_ms"]["median"] == pytest.approx(1.05)


@pytest.mark.full
def test_a_short_soak_records_every_call() -> None:
    """Disconnects and faults included: as many records as calls that were admitted, nobody else's stream disturbed."""
    seen = soak(0.05, prepare_tools(), streams_min=50, rate=0)
    assert seen["faults"] == []
    assert seen["records"] >= seen["admitted"] > 50
    assert seen["aborted"] > 0


def test_a_rate_bounds_what_is_begun(site: Site) -> None:
    """At most so many streams a second, evenly, whether they end well or not: an hour's soak leaves the machine to others."""
    for fault in ("", "refuse"):
        load = Load(stream=True, events=2, interval_ms=1, fault=fault)
        seen = run_load(site, "stream", load, connections=8, seconds=1, rate=20, limit=5)
        assert 15 <= seen["answered"] <= 21
        assert seen["seconds"] > 0.7


def test_growing_memory_fails_the_soak() -> None:
    """RSS that rises all the time is told, RSS that settles is not."""
    wave = {"answered": 10, "no_answer": 0, "statuses": {}, "part": "streams", "errors": {}}
    rising = Soak([wave], [{"rss_mb": 100.0 + 5 * n} for n in range(20)], records=10)
    settled = Soak([wave], [{"rss_mb": 100.0 + min(n, 3)} for n in range(20)], records=10)
    assert any("memory grew" in fault for fault in rising.faults(1))
    assert settled.faults(1) == []


def test_a_missing_record_fails_the_soak() -> None:
    """One admitted call without its usage document is a fault."""
    wave = {"answered": 10, "no_answer": 0, "statuses": {"200": 9}, "part": "streams", "errors": {}}
    assert any("records" in fault for fault in Soak([wave], [{"rss_mb": 1.0}], records=9).faults(1))
