"""The command line: the admin object as JSON, one sentence for a refusal, and nothing touched that need not be."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from cli_desk import START, CommandLine
from click.testing import CliRunner

from gateway.administration.provider_tests import ProbeResult
from gateway.callers.identify import Callers
from gateway.canonical.errors import Unauthenticated
from gateway.canonical.steps import run_blocking
from gateway.credentials.access_token import TokenError
from gateway.doors.cli import cli
from gateway.doors.cli.settings_page import COMMAND, render_page
from gateway.providers.provider import Provider
from gateway.settings import SETTINGS
from gateway.store import open_store

DOCS = Path(__file__).parents[2] / "docs"
KEY = f"gw-{'a' * 43}"


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


@pytest.fixture
def acme(line: CommandLine) -> CommandLine:
    """With a project to work in."""
    line.json("project", "create", "acme")
    return line


def commands() -> list[list[str]]:
    """Every command of this room, by its words; `serve` joins them when a process is started."""
    words: list[list[str]] = []
    for name, command in cli.commands.items():
        if isinstance(command, click.Group):
            words += [[name, each] for each in command.commands]
        elif command.callback and command.callback.__module__.startswith("gateway.doors.cli"):
            words.append([name])
    return words


def write_usage(
    line: CommandLine, request_id: str, *, model: str = "claude-haiku-4-5", cost: int, at: float = START - 60, **more: Any
) -> None:
    """What the command line reads of a usage document, as answering writes it."""
    store = open_store(line.store_url, now=line.now)
    tokens = {"input": 5, "output": 2, "cache_read": 0, "cache_write_5m": 0, "cache_write_1h": 0, "thinking": 0}
    document = {
        "request_id": request_id, "at": datetime.fromtimestamp(at, UTC), "project": "acme", "key_id": "key_1", "user": None,
        "model": model, "asked_model": model, "provider": "vertex", "session_id": None, "agent_id": None, "status": 200,
        "tokens": tokens, "searches": 0, "cost_nanodollars": cost, "completeness": "final", "price_known": True,
        **more,
    }  # fmt: skip
    store.create(f"projects/acme/usage/{request_id}", document)
    store.close()


def test_help_and_settings_touch_nothing(line: CommandLine) -> None:
    """No settings are read, and no folder appears."""
    for words in (
        [],
        ["settings"],
        ["settings", "--format", "markdown"],
        ["--version"],
        *([*each, "--help"] for each in commands()),
    ):
        assert line.run(*words).exit_code in (0, 2)
    assert line.opened == 0
    assert list(line.folder.iterdir()) == []


def test_every_command_can_answer_in_json_and_says_what_it_does() -> None:
    """`--format table|json`, and a line of help."""
    for words in commands():
        said = CliRunner().invoke(cli, [*words, "--help"]).output
        assert "--format [table|json" in said, words
        assert said.splitlines()[2].strip(), words


def test_a_project_is_made_shown_changed_and_deleted(line: CommandLine) -> None:
    """Each answer in JSON is the admin object."""
    made = line.json(
        "project", "create", "acme", "--name", "Acme", "--provider", "vertex-prod", "--allow-model", "claude-*",
        "--metadata", "team=core", "--metadata", "url=a=b", "--budget-message", "ask #ai-spend",
    )  # fmt: skip
    assert made.pop("warnings")
    assert made == {
        "id": "acme",
        "name": "Acme",
        "providers": ["vertex-prod"],
        "allowed_models": ["claude-*"],
        "metadata": {"team": "core", "url": "a=b"},
        "budget_message": "ask #ai-spend",
        "config": None,
        "created_at": "2026-11-18T11:06:40Z",
        "updated_at": "2026-11-18T11:06:40Z",
    }
    assert line.json("project", "show", "acme") == made
    assert line.json("project", "list") == {"data": [made], "next_cursor": None}
    changed = line.json("project", "update", "acme", "--unset", "providers", "--name", "Acme Inc")
    assert (changed["providers"], changed["name"], changed["allowed_models"]) == (None, "Acme Inc", ["claude-*"])
    assert line.json("project", "delete", "acme") == {"id": "acme", "deleted": True}
    assert "there is no projects/acme" in line.refusal("project", "delete", "acme")


def test_refusals_exit_1_and_wrong_usage_exits_2(acme: CommandLine) -> None:
    """Scripts tell the two apart; the sentence is on stderr, so that stdout can be piped."""
    assert "projects/acme exists already" in acme.refusal("project", "create", "acme")
    for listing in (["project", "list"], ["key", "list"], ["provider", "list"], ["audit", "list"], ["usage", "records"]):
        assert "cursor: " in acme.refusal(*listing, "--cursor", "nonsense")
    wrong = [
        ["nonsense"],
        ["key", "create"],
        ["project", "create"],
        ["project", "update", "acme"],
        ["project", "list", "--limit", "0"],
        ["project", "create", "beta", "--budget", "/month"],
    ]
    for words in wrong:
        result = acme.run(*words)
        assert (result.exit_code, result.stdout) == (2, "")


def test_wrong_settings_are_told_as_a_sentence(line: CommandLine) -> None:
    """No traceback."""
    line.environment["GATEWAY_COLOUR"] = "red"
    assert "GATEWAY_COLOUR is no setting" in line.refusal("project", "list")


def test_a_store_that_cannot_be_opened_is_told_as_a_sentence(line: CommandLine) -> None:
    """No traceback."""
    (line.folder / "store").write_text("a file where the store's folder should be")
    assert "doctor" in line.refusal("project", "list")


def test_a_key_made_here_is_accepted_by_the_gateway_until_it_is_revoked(acme: CommandLine) -> None:
    """From `key create` to the hot path and back, through rotation."""
    made = acme.json("key", "create", "--project", "acme", "--user", "Ana@Example.com", "--group", "eng", "--expires", "30d")
    store = open_store(acme.store_url, now=acme.now)
    callers = Callers(store, refresh_s=60, now=acme.now, clock=acme.now)
    assert run_blocking(callers.identify({"x-api-key": made["key"]})).user == "ana@example.com"
    rotated = acme.json("key", "rotate", made["id"], "--grace", "1h")
    acme.seconds += 1800
    for key in (made["key"], rotated["key"]):
        assert run_blocking(callers.identify({"x-api-key": key})).key_id == made["id"]
    acme.seconds += 1801
    with pytest.raises(Unauthenticated):
        run_blocking(callers.identify({"x-api-key": made["key"]}))
    assert acme.json("key", "revoke", made["id"])["state"] == "revoked"
    acme.seconds += 61
    with pytest.raises(Unauthenticated):
        run_blocking(callers.identify({"x-api-key": rotated["key"]}))
    store.close()


def test_a_key_is_shown_once(acme: CommandLine) -> None:
    """In the table too, with a word of warning beside it."""
    result = acme.run("key", "create", "--project", "acme")
    key = next(line.split()[1] for line in result.stdout.splitlines() if line.startswith("key "))
    key_id = acme.json("key", "list")["data"][0]["id"]
    assert key.startswith("gw-") and "not shown again" in result.stderr
    for words in (["key", "list"], ["key", "show", key_id], ["audit", "list"], ["key", "update", key_id, "--name", "ci"]):
        result = acme.run(*words)
        assert result.exit_code == 0 and key not in result.output
    acme.json("key", "delete", key_id)
    assert acme.json("key", "list")["data"] == []


def test_a_file_is_named_from_the_root(line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway need not be started where the command was given."""
    monkeypatch.chdir(line.folder)
    made = line.json("provider", "add", "vertex-prod", "--credential", "file:service-account.json", "--location", "eu")
    assert made["credential"] == f"file:{line.folder}/service-account.json"
    assert line.json("provider", "update", "vertex-prod", "--model", "fast=claude-haiku-4-5")["models"] == {
        "fast": "claude-haiku-4-5"
    }
    assert [row["id"] for row in line.json("provider", "list")["data"]] == ["vertex-prod"]
    assert line.json("provider", "delete", "vertex-prod")["deleted"]


def test_an_inline_key_is_refused_with_the_mend(line: CommandLine) -> None:
    """And not repeated."""
    told = line.refusal("provider", "add", "vertex-prod", "--credential", '{"private_key": "TOPSECRET"}')
    assert "put it in a file and pass file:PATH" in told and "TOPSECRET" not in told


def test_provider_test_fails_with_what_mends_it(line: CommandLine) -> None:
    """Exit 1 if something does not work, 0 if all does or only quota or a location is missing."""
    line.json("provider", "add", "vertex-prod", "--credential", "adc")
    assert line.json("provider", "test", "vertex-prod")["state"] == "ok"
    line.answers[("claude-haiku-4-5@20251001", "global")] = ProbeResult(403, "Permission denied")
    result = line.run("provider", "test", "vertex-prod", "--model", "claude-haiku-4-5")
    assert result.exit_code == 1
    assert "gcloud projects add-iam-policy-binding claude-prod" in result.stdout and "roles/aiplatform.user" in result.stdout


def test_usage_is_reported_as_table_json_and_csv(acme: CommandLine) -> None:
    """The same figures; the table ends with their total."""
    write_usage(acme, "req_1", cost=1_500_000_000)
    write_usage(acme, "req_2", cost=2_000_000, model="claude-opus-5-5", at=START - 86_400)
    words = ("usage", "report", "--group-by", "model,day", "--since", "7d")
    report = acme.json(*words)
    assert report["totals"]["cost_usd"] == "1.502"
    assert [row["model"] for row in report["data"]] == ["claude-opus-5-5", "claude-haiku-4-5"]
    rows = list(csv.DictReader(io.StringIO(acme.run(*words, "--format", "csv").stdout)))
    assert [(row["day"], row["cost_nanodollars"]) for row in rows] == [("2026-11-17", "2000000"), ("2026-11-18", "1500000000")]
    assert acme.run(*words).stdout.splitlines()[-1].split() == ["total", "-", "2", "0", "10", "4", "0", "1.502"]
    assert acme.json("usage", "report", "--model", "claude-opus-5-5")["totals"]["requests"] == 1


def test_what_the_cache_saved_stands_below_the_report(acme: CommandLine) -> None:
    """Calls answered again, and what they would have cost."""
    write_usage(acme, "req_1", cost=1_500_000)
    write_usage(acme, "req_2", cost=0, cache="hit", saved_nanodollars=1_500_000)
    told = acme.run("usage", "report").stderr
    assert "answered from the cache: 1, which saved 0.0015 USD" in told


def test_records_are_listed_and_shown(acme: CommandLine) -> None:
    """Newest first, and one by its request id."""
    write_usage(acme, "req_1", cost=1, at=START - 100)
    write_usage(acme, "req_2", cost=2)
    first = acme.json("usage", "records", "--limit", "1")
    assert [record["id"] for record in first["data"]] == ["req_2"]
    assert [record["id"] for record in acme.json("usage", "records", "--cursor", first["next_cursor"])["data"]] == ["req_1"]
    assert acme.json("usage", "show", "req_1")["cost_nanodollars"] == 1
    assert "there is no record" in acme.refusal("usage", "show", "req_9")


def test_models_and_prices_are_listed(line: CommandLine) -> None:
    """With the provider's own names, and this deployment's discount."""
    rows = {row["id"]: row for row in line.json("models")["data"]}
    assert rows["claude-haiku-4-5"]["upstream_model"] == "claude-haiku-4-5@20251001"
    full = {row["id"]: row for row in line.json("prices")["data"]}
    line.environment["GATEWAY_PRICE_MULTIPLIER"] = "0.5"
    half = {row["id"]: row for row in line.json("prices")["data"]}
    assert (full["claude-opus-4-6"]["input_usd"], half["claude-opus-4-6"]["input_usd"]) == ("5.00", "2.50")
    assert full.keys() == rows.keys()


@pytest.mark.parametrize("url", ["https://gw.example.com", "https://gw.example.com/", "https://gw.example.com/v1"])
def test_claude_code_gets_its_variables(line: CommandLine, url: str) -> None:
    """The base URL ends in /v1 in Vertex mode only (Claude Code 2.1.329)."""
    words = ("claude-code", "settings", "--key", KEY, "--url", url)
    assert line.json(*words) == {"env": {"ANTHROPIC_BASE_URL": "https://gw.example.com", "ANTHROPIC_AUTH_TOKEN": KEY}}
    assert line.json(*words, "--mode", "vertex")["env"] == {
        "CLAUDE_CODE_USE_VERTEX": "1",
        "ANTHROPIC_VERTEX_BASE_URL": "https://gw.example.com/v1",
        "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
        "ANTHROPIC_VERTEX_PROJECT_ID": "gateway",
        "CLOUD_ML_REGION": "global",
        "ANTHROPIC_AUTH_TOKEN": KEY,
    }
    assert line.json(*words, "--mode", "bedrock")["env"] == {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": "https://gw.example.com",
        "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
        "AWS_REGION": "us-east-1",
        "AWS_BEARER_TOKEN_BEDROCK": KEY,
    }
    assert f"export ANTHROPIC_AUTH_TOKEN={KEY}\n" in line.run(*words).stdout
    assert line.opened == 0


def test_claude_code_settings_name_the_public_url(line: CommandLine) -> None:
    """As the operator set it; a text that is no key is refused without being repeated."""
    line.environment["GATEWAY_PUBLIC_URL"] = "https://gw.example.com"
    assert line.json("claude-code", "settings", "--key", KEY)["env"]["ANTHROPIC_BASE_URL"] == "https://gw.example.com"
    result = line.run("claude-code", "settings", "--key", "sk-ant-secret")
    assert result.exit_code == 2 and "sk-ant-secret" not in result.output


def test_the_doctor_finds_nothing_wrong_in_a_working_gateway(acme: CommandLine) -> None:
    """Every line ok, exit 0."""
    acme.json("key", "create", "--project", "acme")
    acme.json("provider", "add", "vertex-prod", "--credential", "adc")
    report = acme.json("doctor")
    assert report["state"] == "ok" and {finding["state"] for finding in report["data"]} == {"ok"}
    subjects = {finding["subject"].split()[0] for finding in report["data"]}
    assert subjects >= {"settings", "store", "catalog", "projects", "working", "provider", "clock"}


def test_the_doctor_names_what_fails_and_what_mends_it(line: CommandLine) -> None:
    """Exit 1; what is only missing is a warning."""
    line.from_environment = [Provider(id="vertex", kind="vertex", credential="adc")]
    line.accounts.broken["adc"] = TokenError("no_adc", "there are no credentials", "run gcloud auth application-default login")
    result = line.run("doctor")
    assert result.exit_code == 1
    assert "fail  provider vertex: credential: there are no credentials\n" in result.stdout
    assert "→ run gcloud auth application-default login" in result.stdout
    assert "warn  projects: there are none" in result.stdout and "`project create ID` makes one" in result.stdout


def test_the_doctor_examines_wrong_settings_too(line: CommandLine) -> None:
    """Every fault is a line."""
    line.environment |= {"GATEWAY_COLOUR": "red", "GATEWAY_DRAIN_S": "soon"}
    result = line.run("doctor", "--format", "json")
    assert result.exit_code == 1
    assert [finding["subject"] for finding in json.loads(result.stdout)["data"]] == ["settings"] * 2


def test_the_doctor_sees_a_store_that_is_away(line: CommandLine) -> None:
    """And still examines the providers that settings bring."""
    (line.folder / "store").write_text("a file where the store's folder should be")
    line.from_environment = [Provider(id="vertex", kind="vertex", credential="adc")]
    result = line.run("doctor")
    assert result.exit_code == 1
    assert "fail  store: sqlite:///" in result.stdout and "ok    provider vertex" in result.stdout


def test_the_doctor_hints_at_clocks_that_disagree(acme: CommandLine) -> None:
    """Google refuses assertions from a clock that is minutes off."""
    acme.seconds -= 300
    finding = next(finding for finding in acme.json("doctor")["data"] if finding["subject"] == "clock")
    assert finding["state"] == "warn" and "300 s" in finding["words"]


def test_changes_are_in_the_audit_under_the_operators_name(acme: CommandLine) -> None:
    """Of everything, or of one thing."""
    acme.json("key", "create", "--project", "acme")
    entries = acme.json("audit", "list")["data"]
    assert {(entry["who"], entry["action"]) for entry in entries} == {("cli:ana", "project.create"), ("cli:ana", "key.create")}
    assert [entry["action"] for entry in acme.json("audit", "list", "--target", "projects/acme")["data"]] == ["project.create"]


def test_the_settings_page_is_up_to_date() -> None:
    """docs/settings.md is what the table says today."""
    page = (DOCS / "settings.md").read_text()
    assert page == render_page(), f"run `{COMMAND}`"
    assert all(f"| `{setting.name}` |" in page for setting in SETTINGS)
