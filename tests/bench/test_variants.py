"""A variant of a target is measured only if it does what it is measured for, and stands beside the gateway without it."""

import os
import sys
from typing import Any

import pytest

from bench.aims import AIMS
from bench.native import prepare_tools
from bench.report import render_aims, render_full
from bench.run import OTHER_STORES, STORES, Options, run
from bench.seeds import CONFIGS
from bench.turns import MEASURES_IN_TURNS, VARIANTS_IN_TURNS
from gateway.routing.config import parse_config

TOO_SMALL = sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2
on_two_cores = pytest.mark.skipif(TOO_SMALL, reason="the bench needs Linux and two cores")


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    """One short round of plain calls."""
    options = Options(
        quick=True, rounds=1, cold_runs=0, stores=("sqlite", "sqlite+config", "sqlite+cache"), only=("c32", "turns")
    )
    return run(options, prepare_tools())


@pytest.mark.full
@on_two_cores
@pytest.mark.parametrize("variant", ["config", "cache"])
def test_a_variant_answers_as_often_as_it_is_asked(result: dict[str, Any], variant: str) -> None:
    """Without errors; what did not follow its config, or did not answer from its cache, would have been left out."""
    assert result["notes"] == []
    assert result["summary"]["c32"][f"gateway/sqlite+{variant}"]["errors"]["max"] == 0


@pytest.mark.full
@on_two_cores
def test_what_the_cache_answers_does_not_go_upstream(result: dict[str, Any]) -> None:
    """Not one of the calls that were measured."""
    assert result["summary"]["c32"]["gateway/sqlite+cache"]["upstream_calls"]["max"] == 0


@pytest.mark.full
@on_two_cores
def test_variants_stand_in_tables_of_their_own(result: dict[str, Any]) -> None:
    """Beside the gateway without them, and among the aims."""
    tables = render_full(result)
    assert "### With a config of two targets and without" in tables and "### Answers from the cache" in tables
    plain, _, rest = tables.partition("### In short turns")
    assert "+config" not in plain and "+cache" not in plain and "| gateway/sqlite+config |" in rest
    measured = [row for row in render_aims(result).splitlines() if "config of two targets" in row or "went upstream" in row]
    assert len(measured) == 2 and not any("not measured" in row for row in measured)


@pytest.mark.parametrize(
    ("ratios", "met"), [([0.95], True), ([0.94], False), ([0.5, 1.01, 1.02], True), ([0.9, 0.9, 2.0], False)]
)
def test_a_config_may_cost_five_calls_in_a_hundred(ratios: list[float], met: bool) -> None:
    """And more is told as missed; a faster one is none. One turn out of the common decides nothing."""
    aim = next(aim for aim in AIMS if "config of two targets" in aim.title)
    value = aim.figure({"turns": [{"measure": "turns-stream", "target": "gateway/sqlite+config", "ratios": ratios}]})
    assert value is not None and aim.met(value) == met


def test_what_was_not_measured_in_turns_is_told_so() -> None:
    """A result without turns, of an older version or a shorter run, has no figure for them."""
    rows = [{"measure": measure.name, "target": f"gateway/sqlite+{each}", "ratios": [1.0]}
            for measure in MEASURES_IN_TURNS for each in VARIANTS_IN_TURNS]  # fmt: skip
    measured = [aim for aim in AIMS if aim.figure({"summary": {}, "cold": [], "turns": rows}) == 1.0]
    assert len(measured) == len(rows) and all(aim.figure({"summary": {}}) is None for aim in measured)


def test_the_seeded_configs_are_ones_that_the_gateway_takes() -> None:
    """And every store that has one may be asked for."""
    for name, config in CONFIGS.items():
        parse_config(config)
        assert f"sqlite+{name}" in STORES and f"firestore+{name}" in OTHER_STORES
