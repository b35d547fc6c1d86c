"""The real Claude Code CLI against a whole gateway, in both of its modes: the few runs that every `make test` can afford."""

import subprocess
from pathlib import Path

import pytest
from claude_cli import MODES, Cli, pinned_version
from house import Served
from traffic import betas, cost_nanodollars, inference, oldest_first, refused, statuses

from gateway.canonical.store import Put

DIALECTS = {"messages": "anthropic", "vertex": "vertex", "vertex without /v1": "vertex"}
VERTEX_BETAS = {
    "claude-code-20250219",
    "effort-2025-11-24",
    "interleaved-thinking-2025-05-14",
    "thinking-token-count-2026-05-13",
    "tool-search-tool-2025-10-19",
}
PER_CALL = {"request_id", "at", "expires_at", "latency_ms", "ttft_ms", "ms_per_output_token", "upstream_request_id"}
PER_MODE = {"dialect", "dropped", "session_id", "attempts", "tokens", "cost_nanodollars"}


def test_the_installed_cli_is_the_pinned_one(claude_code: Path, tmp_path: Path) -> None:
    """An unpinned install under an old Node would silently take an old version."""
    done = subprocess.run([claude_code, "--version"], env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=30)
    assert done.stdout.split()[0] == pinned_version()


@pytest.mark.parametrize("mode", MODES)
def test_a_tool_round_trip_needs_no_retry(claude: Cli, gateway: Served, mode: str) -> None:
    """Question, tool call, result, answer: two model calls, each answered 200 at the first try, and priced as the CLI does."""
    said = claude.run("run: echo tollgate-$((6*7))", "--allowedTools", "Bash", mode=mode)
    assert (said.code, said.result["num_turns"]) == (0, 2), said
    assert "tollgate-42" in said.text
    assert statuses(gateway) == [200, 200]
    records = oldest_first(gateway)
    assert [(r["status"], r["completeness"], len(r["attempts"])) for r in records] == [(200, "final", 1)] * 2
    assert {(r["dialect"], r["session_id"], r["stream"]) for r in records} == {(DIALECTS[mode], said.session, True)}
    assert cost_nanodollars(gateway) == said.cost_nanodollars > 0


def test_both_modes_look_the_same_from_upstream_and_in_the_books(claude: Cli, gateway: Served) -> None:
    """The same words, model, betas and usage, whichever way Claude Code was pointed at the gateway."""
    by_mode = {mode: claude.run("Say hello to the ferret", mode=mode) for mode in ("messages", "vertex")}
    assert all("Say hello to the ferret" in said.text for said in by_mode.values()), by_mode
    first, second = inference(gateway)
    assert first.path == second.path
    assert betas(first) == VERTEX_BETAS
    assert betas(second) == VERTEX_BETAS | {"web-search-2025-03-05"}
    one, other = oldest_first(gateway)
    assert (one["dialect"], other["dialect"]) == ("anthropic", "vertex")
    assert (one["session_id"], other["session_id"]) == tuple(said.session for said in by_mode.values())
    same = one.keys() - PER_CALL - PER_MODE
    assert {name: one[name] for name in same} == {name: other[name] for name in same}
    assert one["tokens"]["output"] == other["tokens"]["output"] > 0
    assert one["cost_nanodollars"] > 0 < other["cost_nanodollars"]


def test_a_revoked_key_is_told_in_one_request(claude: Cli, gateway: Served) -> None:
    """Claude Code shows the gateway's own sentence, at once; a bare 401 would make it retry for minutes."""
    revoked = gateway.add_key(revoked_at="2026-01-01T00:00:00Z")
    said = claude.run("Hello", ANTHROPIC_AUTH_TOKEN=revoked)
    assert said.code == 1
    assert "401 this gateway key is missing, unknown, expired or revoked" in said.text
    assert [(line["status"], line["error_type"]) for line in refused(gateway)] == [(401, "authentication_error")]
    assert (inference(gateway), gateway.records()) == ([], [])


def test_a_model_that_the_key_may_not_use_is_told_quickly(claude: Cli, gateway: Served) -> None:
    """404: Claude Code asks once more, unstreamed, then says that the model is not to be had; it is no login fault."""
    key = gateway.add_key(allowed_models=["claude-haiku-*"])
    said = claude.run("Hello", ANTHROPIC_AUTH_TOKEN=key)
    assert said.code == 1
    assert "issue with the selected model (claude-opus-5-5)" in said.text
    assert [line["status"] for line in refused(gateway)] == [404, 404]
    assert inference(gateway) == []


def test_a_refusal_that_forbids_retries_is_shown_at_once(claude: Cli, gateway: Served) -> None:
    """429 with x-should-retry: false, as budgets refuse: one request, and the message."""
    said = claude.run("Hello [sandbox: status=429 should_retry=false message='the ferret fund is empty']")
    assert said.code == 1
    assert "Request rejected (429) · the ferret fund is empty" in said.text
    assert statuses(gateway) == [429]


@pytest.mark.parametrize("mode", ["messages", "vertex"])
def test_an_exhausted_budget_is_shown_and_not_asked_again(claude: Cli, gateway: Served, mode: str) -> None:
    """The gateway's own sentence with the project's words, after one request for a model; nothing goes upstream."""
    budget = {"scope": {"type": "project", "id": "demo"}, "unit": "usd", "amount": "0", "period": "month", "mode": "balanced"}
    key = gateway.add_key(project_fields={"budget_message": "ask #ai-spend"})
    gateway.store.commit([Put("budgets/team", budget)])
    said = claude.run("Hello", mode=mode, ANTHROPIC_AUTH_TOKEN=key)
    assert said.code == 1
    assert "spend limit reached" in said.text and "budget team" in said.text and "ask #ai-spend" in said.text
    assert [(line["status"], line["error_type"]) for line in refused(gateway)] == [(429, "billing_error")]
    assert (inference(gateway), gateway.records()) == ([], [])
