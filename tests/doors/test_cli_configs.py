"""`config …`: stored, checked, explained, gone back to."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_desk import CommandLine

from gateway.providers.provider import Provider

CONFIG = {
    "strategy": {"mode": "fallback"},
    "targets": [
        {"name": "here", "provider": "@vertex", "locations": ["us-east5", "us"], "retry": {"attempts": 2}},
        {"provider": "@later"},
    ],
}
REQUEST = {"model": "claude-sonnet-4-6", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, from_environment=[Provider("vertex", "vertex", "adc", "claude-prod")])


def written(folder: Path, name: str, document: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(document))
    return str(path)


def test_a_config_is_put_shown_gone_back_to_and_deleted(line: CommandLine, tmp_path: Path) -> None:
    """Each answer in JSON is the admin object."""
    first, second = written(tmp_path, "1.json", CONFIG), written(tmp_path, "2.json", {"provider": "@vertex"})
    made = line.json("config", "put", "prod", first)
    assert (made["version"], made["config"]) == (1, CONFIG) and "no provider later" in made["warnings"][0]
    assert line.json("config", "put", "prod", second)["version"] == 2
    assert line.json("config", "rollback", "prod", "--version", "1")["config"] == CONFIG
    assert [row["version"] for row in line.json("config", "versions", "prod")["data"]] == [3, 2, 1]
    assert line.json("config", "list")["data"][0]["id"] == "prod"
    assert '"locations"' in line.run("config", "show", "prod").stdout
    assert line.json("config", "delete", "prod") == {"id": "prod", "deleted": True}


def test_a_faulty_config_is_refused_with_its_path(line: CommandLine, tmp_path: Path) -> None:
    """Without being stored."""
    faulty = written(tmp_path, "f.json", {"retry": {"attempts": 99}})
    assert "retry.attempts: expected" in line.refusal("config", "validate", faulty)
    assert "retry.attempts: expected" in line.refusal("config", "put", "prod", faulty)
    (tmp_path / "no.json").write_text("{")
    assert "is no JSON" in line.refusal("config", "validate", str(tmp_path / "no.json"))
    assert line.json("config", "list")["data"] == []


def test_a_request_is_explained_without_being_sent(line: CommandLine, tmp_path: Path) -> None:
    """Which targets, in which order, what leads from one to the next, and why."""
    config, request = written(tmp_path, "c.json", CONFIG), written(tmp_path, "r.json", REQUEST)
    told = line.json("config", "validate", config, "--explain", request)
    assert [(row["order"], row["name"], row["location"]) for row in told["data"]] == [(1, "here", "us-east5"), (2, "here", "us")]
    assert told["data"][0]["if_it_fails"].startswith("404, 429, 503, 529 → 2; ")
    assert any("targets[1]: left out: provider: @later" in reason for reason in told["reasons"])
    shown = line.run("config", "validate", config, "--explain", request).stdout
    assert "us-east5" in shown and "- here: claude-sonnet-4-6 at @vertex" in shown


def test_without_any_provider_the_sandbox_s_is_planned_with(tmp_path: Path) -> None:
    """As `serve` would bring it; who asks is told."""
    line = CommandLine(tmp_path)
    config, request = written(tmp_path, "c.json", CONFIG), written(tmp_path, "r.json", REQUEST)
    told = line.json("config", "validate", config, "--explain", request)
    assert [row["location"] for row in told["data"]] == ["us-east5", "us"]
    assert "no provider is configured here" in told["reasons"][0]


def test_an_explanation_counts_the_keys_own_labels_and_models(line: CommandLine, tmp_path: Path) -> None:
    """As a call with that key would."""
    conditions = [{"query": {"metadata.team": "core"}, "then": "core"}, {"query": {"metadata.tier": "gold"}, "then": "gold"}]
    config = written(tmp_path, "c.json", {
        "strategy": {"mode": "conditional", "conditions": conditions},
        "targets": [{"name": "core", "provider": "@vertex"}, {"name": "gold", "provider": "@vertex"}],
    })  # fmt: skip
    line.json("project", "create", "acme", "--allow-model", "claude-sonnet-*")
    key = line.json("key", "create", "--project", "acme", "--metadata", "team=core")["id"]
    request = written(tmp_path, "r.json", REQUEST)
    assert line.json("config", "validate", config, "--explain", request, "--key", key)["data"][0]["name"] == "core"
    headed = written(tmp_path, "h.json", {"headers": {"x-gateway-metadata": '{"tier": "gold"}'}, "body": REQUEST})
    assert line.json("config", "validate", config, "--explain", headed, "--project", "acme")["data"][0]["name"] == "gold"
    refused = line.json("config", "validate", config, "--explain", request, "--project", "acme")
    assert refused["status"] == 404 and "no condition" in refused["refusal"]
    forbidden = written(tmp_path, "o.json", {**REQUEST, "model": "claude-opus-4-6"})
    told = line.json("config", "validate", config, "--explain", forbidden, "--key", key)
    assert "is not available to this key" in told["refusal"]


def test_the_schema_is_printed(line: CommandLine) -> None:
    """For editors."""
    assert json.loads(line.run("config", "schema").stdout)["title"] == "Routing config"
