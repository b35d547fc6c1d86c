"""A provider of each kind, set up and tried out on the command line."""

from pathlib import Path

import pytest
from cli_desk import CommandLine


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


KINDS = {
    "anthropic": ("--model", "fast=claude-haiku-4-5"),
    "bedrock": ("--location", "us-east-1", "--location", "eu"),
    "google-claude": ("--workspace-id", "wrkspc_01ABC", "--project-id", "claude-prod"),
    "openai": ("--base-url", "https://llm.example/api/v1", "--model", "llama=Llama-5"),
    "gemini": ("--allow-model", "gemini-3*"),
    "vertex": ("--request-type", "dedicated", "--quota-project-id", "claude-quota"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_of_every_kind_is_set_up_and_tried_out(line: CommandLine, kind: str) -> None:
    """Its own fields are shown again; a test asks for models that such a provider has."""
    made = line.json("provider", "add", "fresh", "--kind", kind, "--credential", "env:SOME_KEY", *KINDS[kind])
    assert made["kind"] == kind
    shown = {str(value) for value in made.values()} | {str(value) for value in made["locations"]} | {
        f"{alias}={name}" for alias, name in made["models"].items()
    } | set(made["allowed_models"] or ())  # fmt: skip
    assert set(KINDS[kind][1::2]) <= shown
    report = line.json("provider", "test", "fresh")
    assert report["state"] == "ok", report
    assert len(report["data"]) > 1


def test_what_only_a_kind_wants_can_be_taken_back(line: CommandLine) -> None:
    """Like every other field."""
    line.json("provider", "add", "fresh", "--credential", "adc", "--request-type", "shared")
    assert line.json("provider", "update", "fresh", "--unset", "request_type")["request_type"] is None


def test_a_server_whose_models_nobody_knows_is_not_guessed_at(line: CommandLine) -> None:
    """The operator says what to ask it for."""
    line.json("provider", "add", "fresh", "--kind", "openai", "--credential", "env:KEY", "--base-url", "https://llm.example/v1")
    report = line.json("provider", "test", "fresh")
    assert report["state"] == "warn"
    assert report["data"][-1]["mend"] == "name one with --model, or give the provider models"
    assert line.json("provider", "test", "fresh", "--model", "Llama-5")["state"] == "ok"


def test_a_path_that_would_be_lost_is_refused(line: CommandLine) -> None:
    """Only OpenAI-compatible servers begin somewhere below their host."""
    words = ("provider", "add", "fresh", "--credential", "env:KEY", "--base-url", "https://proxy.example/v1")
    assert "without a path" in line.refusal(*words, "--kind", "anthropic")
    assert line.json(*words, "--kind", "openai")["base_url"] == "https://proxy.example/v1"


def test_a_host_that_the_settings_allow_needs_no_warning(line: CommandLine) -> None:
    """GATEWAY_ALLOW_PRIVATE_UPSTREAMS is known here as it is to the admin API."""
    words = ("provider", "add", "fresh", "--credential", "adc", "--base-url", "https://vertex.example:8443")
    assert "GATEWAY_ALLOW_PRIVATE_UPSTREAMS" in line.json(*words)["warnings"][0]
    line.json("provider", "delete", "fresh")
    line.environment["GATEWAY_ALLOW_PRIVATE_UPSTREAMS"] = "other.example:443, Vertex.example:8443"
    assert "warnings" not in line.json(*words)
