"""`usage reconcile` on the command line: drift, mending, and Google's bill."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_desk import START, CommandLine

from gateway.store import open_store

BILL = (
    "service.description,sku.description,usage_start_time,cost,credits\n"
    "Vertex AI,Claude Haiku 4.5 Input Tokens - Global,2026-11-17 08:00:00 UTC,2.0,-0.5\n"
    "Cloud Run,CPU Allocation Time,2026-11-17 08:00:00 UTC,0.25,\n"
)


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    """With one call of yesterday that no sum holds."""
    command = CommandLine(tmp_path)
    command.json("project", "create", "acme")
    store = open_store(command.store_url, now=command.now)
    fields = {
        "request_id": "r1", "project": "acme", "at": datetime.fromtimestamp(START - 86_400, UTC), "model": "claude-haiku-4-5",
        "asked_model": "haiku", "user": "ana", "key_id": "key_1", "provider": "vertex", "status": 200, "tokens": {"input": 9},
        "searches": 0, "cost_nanodollars": 1_500_000_000, "completeness": "final",
    }  # fmt: skip
    store.create("projects/acme/usage/r1", fields)
    store.close()
    return command


def test_drift_is_shown_and_mended(line: CommandLine) -> None:
    """As a table, a sentence, and JSON; after mending there is none."""
    shown = line.run("usage", "reconcile")
    assert shown.exit_code == 0
    assert "1 calls, 1 sums differ, drift $-1.50; days mended: 0" in shown.stdout and "ana" in shown.stdout
    assert line.json("usage", "reconcile", "--fix", "--project", "acme")["days_mended"] == 1
    assert "0 sums differ, drift $0.00" in line.run("usage", "reconcile").stdout
    assert line.json("usage", "report", "--from-sums")["totals"]["cost_usd"] == "1.50"


def test_the_bill_is_held_against_the_records(line: CommandLine, tmp_path: Path) -> None:
    """With its own days; what is no model's is told apart."""
    export = tmp_path / "bill.csv"
    export.write_text(BILL)
    table = line.run("usage", "reconcile", "--billing-export", str(export))
    assert "claude-haiku-4-5" in table.stdout and "total" in table.stdout and "no model of the catalog: 1" in table.stderr
    totals = line.json("usage", "reconcile", "--billing-export", str(export))["totals"]
    assert (totals["cost_usd"], totals["billed_usd"], totals["drift_usd"]) == ("1.50", "2.00", "0.50")


def test_a_bill_that_cannot_be_read_is_refused(line: CommandLine, tmp_path: Path) -> None:
    """In a sentence; options that contradict it are wrong usage."""
    export = tmp_path / "bill.csv"
    export.write_bytes(b"\xff\xfe\x00")
    assert "no UTF-8 text" in line.refusal("usage", "reconcile", "--billing-export", str(export))
    assert line.run("usage", "reconcile", "--billing-export", str(export), "--fix").exit_code == 2
