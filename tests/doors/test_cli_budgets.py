"""`budget …` and what goes with it: caps made with projects and keys, and one person's records."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_desk import START, CommandLine

from gateway.doors.cli import cli
from gateway.store import open_store


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    """With a project."""
    opened = CommandLine(tmp_path)
    opened.json("project", "create", "acme")
    return opened


def test_a_budget_is_set_shown_changed_and_deleted(line: CommandLine) -> None:
    """Each answer in JSON is the admin object."""
    made = line.json(
        "budget", "set", "acme-day", "--scope", "project:acme", "--amount", "20/day", "--mode", "strict", "--alerts", "0.9,1",
        "--on-store-error", "closed",
    )  # fmt: skip
    assert made == {
        "id": "acme-day", "scope": {"type": "project", "id": "acme"}, "unit": "usd", "amount": "20", "period": "day",
        "mode": "strict", "on_store_error": "closed", "alerts": [0.9, 1.0], "pooled": False, "raise": None,
        "created_at": "2026-11-18T11:06:40Z", "updated_at": "2026-11-18T11:06:40Z",
    }  # fmt: skip
    assert line.json("budget", "show", "acme-day") == made
    assert line.json("budget", "list") == {"data": [made], "next_cursor": None}
    changed = line.json("budget", "set", "acme-day", "--amount", "25", "--unset", "mode")
    assert (changed["amount"], changed["period"], changed["mode"]) == ("25", "day", "balanced")
    assert line.json("budget", "delete", "acme-day") == {"id": "acme-day", "deleted": True}
    assert "there is no budgets/acme-day" in line.refusal("budget", "delete", "acme-day")


def test_a_budget_without_a_name_gets_one(line: CommandLine) -> None:
    """And an unlimited one says so."""
    made = line.json("budget", "set", "--scope", "organization", "--amount", "unlimited")
    assert made["id"].startswith("bud_") and made["amount"] is None and made["scope"] == {"type": "organization", "id": None}
    assert "unlimited" in line.run("budget", "list").stdout


def test_a_raise_ends_by_itself_or_early(line: CommandLine) -> None:
    """So much more, until then."""
    line.json("budget", "set", "b1", "--scope", "project:acme", "--amount", "20/day")
    raised = line.json("budget", "raise", "b1", "--by", "5.50", "--until", "7d")
    assert raised["raise"] == {"amount": "5.50", "until": "2026-11-25T11:06:40Z"}
    assert line.json("budget", "state", "b1")["limit"] == "25.50"
    assert line.json("budget", "set", "b1", "--unset", "raise")["raise"] is None


def test_a_project_is_made_with_its_budget(line: CommandLine) -> None:
    """In one word, and not without it."""
    made = line.json("project", "create", "beta", "--budget", "500/month")
    budget = line.json("budget", "show", made["budgets"][0])
    assert (budget["scope"], budget["amount"], budget["period"]) == ({"type": "project", "id": "beta"}, "500", "month")
    assert "period: should be one of" in line.refusal("project", "create", "gamma", "--budget", "500/decade")
    assert "there is no projects/gamma" in line.refusal("project", "show", "gamma")


def test_a_key_is_issued_with_its_limits(line: CommandLine) -> None:
    """Each is a budget of the key."""
    made = line.json("key", "create", "--project", "acme", "--max-parallel", "4", "--rpm", "60", "--tpm", "100000")
    budgets = [line.json("budget", "show", budget_id) for budget_id in made["budgets"]]
    assert {(one["unit"], one["amount"]) for one in budgets} == {("parallel", "4"), ("requests", "60"), ("tokens", "100000")}


def test_a_test_alert_says_what_became_of_it(line: CommandLine) -> None:
    """Without a channel nothing is delivered, and nothing is claimed."""
    line.json("budget", "set", "b1", "--scope", "project:acme", "--amount", "5")
    assert line.json("budget", "test-alert", "b1") == {"id": "b1", "data": []}
    assert "there is no budgets/b2" in line.refusal("budget", "test-alert", "b2")


@pytest.mark.parametrize(
    "words",
    [
        ["set"],
        ["set", "b1"],
        ["set", "--scope", "team:x", "--amount", "5"],
        ["set", "--scope", "project:acme", "--amount", "/day"],
        ["set", "--scope", "project:acme", "--amount", "5/day", "--period", "week"],
        ["set", "--scope", "project:acme", "--amount", "5", "--alerts", "half"],
        ["raise", "b1", "--by", "5"],
    ],
)
def test_wrong_usage_exits_2(line: CommandLine, words: list[str]) -> None:
    """Nothing is made."""
    result = line.run("budget", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert line.json("budget", "list")["data"] == []


def test_one_persons_records_are_exported_and_erased(line: CommandLine) -> None:
    """On paper first, for whoever asks for both."""
    store = open_store(line.store_url, now=line.now)
    document = {
        "request_id": "req_1", "at": datetime.fromtimestamp(START - 60, UTC), "project": "acme", "user": "ana@example.com",
        "key_id": "key_1", "model": "claude-haiku-4-5", "status": 200, "cost_nanodollars": 5, "allowance_ids": [],
    }  # fmt: skip
    store.create("projects/acme/usage/req_1", document)
    store.close()
    exported = json.loads(line.run("usage", "export", "--user", "Ana@example.com", "--format", "json").stdout)
    assert [record["id"] for record in exported["data"]] == ["req_1"]
    assert line.json("usage", "erase", "--user", "ana@example.com")["erased"] == 1
    assert line.json("usage", "export", "--user", "ana@example.com")["data"] == []


def test_the_words_are_those_of_the_admin_api() -> None:
    """`budget set|list|show|state|raise|delete|test-alert`."""
    budget = cli.commands["budget"]
    assert set(budget.commands) == {"set", "list", "show", "state", "raise", "delete", "test-alert"}  # type: ignore[attr-defined]


def test_the_doctor_sees_a_scheduler_that_cannot_be_let_in(line: CommandLine) -> None:
    """Its token is made for an address that the settings do not name."""
    line.environment["GATEWAY_SWEEP_EMAIL"] = "scheduler@claude-prod.iam.gserviceaccount.com"
    findings = json.loads(line.run("doctor", "--format", "json").stdout)["data"]
    assert any("GATEWAY_SWEEP_EMAIL" in finding["words"] and finding["state"] == "warn" for finding in findings)
