"""The real Codex CLI against a whole gateway: the Responses API in, every chat format out."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from codex_cli import Codex
from everywhere import MODELS
from house import Served
from installed import CODEX

from gateway.canonical.store import Json, Put
from gateway.sandbox import Fault

pytestmark = pytest.mark.full
RUN = 'use the tool exec_command with {"cmd":"echo tollgate-$((6*7))"}'
SERVICES = {"vertex": "inference", "aws": "bedrock", "oai": "openai", "vertex-gemini": "gemini"}
every_provider = pytest.mark.parametrize("provider", MODELS)


def records(gateway: Served, codex: Codex) -> list[Json]:
    """Usage documents, oldest first."""
    return sorted(gateway.records(codex.project), key=lambda record: record["at"])


def test_the_installed_cli_is_the_pinned_one(codex_binary: Path, tmp_path: Path) -> None:
    """As its package.json says."""
    done = subprocess.run([codex_binary, "--version"], env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=30)
    assert done.stdout.split()[-1] == CODEX.pinned_version()


@every_provider
def test_a_command_is_run_and_its_output_read(codex: Codex, everywhere: Served, provider: str) -> None:
    """Question, call, output, answer: two model calls at every kind of provider, each answered at the first try, and metered
    as the CLI does."""
    said = codex.run(RUN, model=MODELS[provider])
    assert (said.code, said.failure) == (0, ""), said
    (command,) = said.items("command_execution")
    assert (command["aggregated_output"], command["exit_code"]) == ("tollgate-42\n", 0)
    assert "tollgate-42" in said.text
    written = records(everywhere, codex)
    assert [(r["status"], r["completeness"], len(r["attempts"])) for r in written] == [(200, "final", 1)] * 2
    assert {(r["dialect"], r["stream"]) for r in written} == {("openai-responses", True)}
    tokens = [record["tokens"] for record in written]
    assert said.usage["output_tokens"] == sum(each["output"] for each in tokens)
    assert said.usage["cached_input_tokens"] == sum(each["cache_read"] for each in tokens)
    prompt = sum(each["input"] + each["cache_read"] + each["cache_write_5m"] + each["cache_write_1h"] for each in tokens)
    assert said.usage["input_tokens"] == prompt
    assert all(record["cost_nanodollars"] > 0 for record in written)


@pytest.mark.parametrize("provider", ["vertex", "vertex-gemini", "oai"])
def test_a_thread_goes_on_in_another_process(codex: Codex, provider: str) -> None:
    """Everything is in the request: thinking, calls and their outputs go round through the client's own memory."""
    first = codex.run(RUN, model=MODELS[provider])
    then = codex.run("Say hello to the ferret", model=MODELS[provider], resume=first.thread)
    assert (then.code, then.failure, then.thread) == (0, "", first.thread), then
    assert "Say hello to the ferret" in then.text


@pytest.mark.parametrize(("before", "after"), [("vertex", "vertex-gemini"), ("vertex-gemini", "oai"), ("oai", "aws")])
def test_a_thread_may_change_its_model(codex: Codex, before: str, after: str) -> None:
    """Thinking that another vendor signed is left behind, and nobody is refused for it."""
    first = codex.run(RUN, model=MODELS[before])
    then = codex.run("Say hello to the ferret", model=MODELS[after], resume=first.thread)
    assert (then.code, then.failure) == (0, ""), then
    assert "Say hello to the ferret" in then.text


@pytest.mark.parametrize("provider", ["vertex", "oai"])
def test_a_tool_in_a_namespace_is_called_by_its_own_name(codex: Codex, provider: str) -> None:
    """Whatever the model called it: Codex finds its tool, which finds fault with the id."""
    said = codex.run('use the tool multi_agent_v1__close_agent with {"target":"nobody"}', model=MODELS[provider])
    assert said.code == 0, said
    assert "invalid agent id nobody" in said.text


@every_provider
def test_thinking_is_shown_where_the_model_shows_it(codex: Codex, provider: str) -> None:
    """As reasoning, in Codex's own place for it."""
    said = codex.run("Say hello to the ferret", model=MODELS[provider])
    shown = [item["text"] for item in said.items("reasoning")]
    assert bool(shown) == (provider != "oai"), said
    assert all("sandbox" in text for text in shown)


@pytest.mark.parametrize("provider", SERVICES)
def test_a_broken_stream_is_asked_for_again(codex: Codex, everywhere: Served, provider: str) -> None:
    """The gateway breaks it off as its provider did, so that Codex notices, and tries again by itself."""
    everywhere.sandbox.script(Fault(cut="rst", at=4), on=SERVICES[provider])
    said = codex.run("Say hello to the ferret", model=MODELS[provider], stream_retries=1)
    assert said.code == 0, said
    assert "Say hello to the ferret" in said.text
    assert [record["completeness"] for record in records(everywhere, codex)][-1] == "final"
    assert len(records(everywhere, codex)) == 2


def test_an_exhausted_budget_is_told_at_once(codex: Codex, everywhere: Served) -> None:
    """And not asked again: Codex would wait for a `retry-after` of weeks."""
    scope = {"type": "project", "id": codex.project}
    budget = {"scope": scope, "unit": "usd", "amount": "0", "period": "month", "mode": "balanced"}
    everywhere.store.commit([Put(f"budgets/{codex.project}", budget)])
    everywhere.house.ledger.directory.forget()
    said = codex.run("Hello", model=MODELS["vertex"], stream_retries=3)
    assert said.code == 1
    assert "quota" in said.failure.lower(), said
    assert records(everywhere, codex) == []


def test_a_key_that_is_none_is_told(codex: Codex) -> None:
    """401, in the gateway's words."""
    stranger = replace(codex, key="gw-" + "x" * 43)
    said = stranger.run("Hello", model=MODELS["vertex"])
    assert said.code == 1
    assert "missing, unknown, expired or revoked" in said.failure
