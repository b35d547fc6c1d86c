"""The real Claude Code CLI with routing configs: the settings of Portkey's two guides, with only base URL and key changed, and
providers that fail behind a config.

Source: Portkey, "Claude Code with Google Vertex AI", in its form with virtual keys and in its present one, read 2026-11-20.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from claude_cli import Cli, Said
from routing_house import Routed, routed
from traffic import oldest_first

from gateway.canonical.store import Json, Update
from gateway.sandbox import Fault

pytestmark = pytest.mark.full
BOTH = ("messages", "vertex")
ANSWER = "a pretend Claude that lives on your own machine"
RETIRED = "claude-3-7-sonnet@20250219"  # Vertex AI serves it no more: the provider says what stands in for it
RETRY = {"attempts": 3, "on_status_codes": [429, 500, 502, 503]}
FALLBACK = {"strategy": {"mode": "fallback"}, "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}]}
CONFIGS: dict[str, Json] = {
    "with-virtual-keys": {
        "strategy": {"mode": "fallback"},
        "targets": [{"virtual_key": "vertex-virtual-key"}, {"virtual_key": "anthropic-virtual-key"}],
        "cache": {"mode": "simple"},
        "retry": RETRY,
    },
    "one-virtual-key": {
        "virtual_key": "vertex-virtual-key",
        "override_params": {"model": RETIRED},
        "cache": {"mode": "simple"},
        "retry": RETRY,
    },
    "complete": {**FALLBACK, "cache": {"mode": "simple"}, "retry": RETRY, "forward_headers": ["anthropic-beta"]},
}
INLINE = json.dumps({"provider": "@vertex-prod", "forward_headers": ["anthropic-beta"]})
VIRTUAL_KEY = "x-portkey-provider: vertex-ai\nx-portkey-virtual-key: vertex-virtual-key"
HEADERS: dict[str, tuple[str, str, str, Json]] = {
    # mode, the headers after the key, the provider that is asked, what the usage document says besides
    "a provider": ("messages", "x-portkey-provider: @vertex-prod", "vertex-prod", {}),
    "a config's id": ("messages", "x-portkey-config: complete", "vertex-prod", {}),
    "an inline config": ("messages", f"x-portkey-config: {INLINE}", "vertex-prod", {}),
    "a trace": ("messages", "x-portkey-provider: @vertex-prod\nx-portkey-trace-id: claude-code-session-123", "vertex-prod",
                {"trace_id": "claude-code-session-123"}),
    "config and trace": ("messages", "x-portkey-config: complete\nx-portkey-trace-id: my-project", "vertex-prod",
                         {"trace_id": "my-project"}),
    "a virtual key": ("vertex", VIRTUAL_KEY, "vertex-virtual-key", {}),
    "a config of one virtual key": ("vertex", "x-portkey-config: one-virtual-key", "vertex-virtual-key", {}),
    "metadata": ("vertex", VIRTUAL_KEY + '\nx-portkey-metadata: {"_user": "john.doe", "team": "engineering"}',
                 "vertex-virtual-key", {"metadata": {"_user": "john.doe", "team": "engineering"}}),
    "config and metadata": ("vertex", "x-portkey-config: with-virtual-keys\n"
                            'x-portkey-metadata: {"_user": "john.doe", "project": "backend-api"}', "vertex-virtual-key",
                            {"metadata": {"_user": "john.doe", "project": "backend-api"}}),
}  # fmt: skip


@pytest.fixture
def router(tmp_path: Path, sandbox_key: Path) -> Iterator[Routed]:
    with routed(tmp_path, sandbox_key) as made:
        for name, config in CONFIGS.items():
            made.put(name, config)
        stands_in = {"models": {RETIRED: "claude-sonnet-4-5@20250929"}}
        made.gateway.store.commit([Update("providers/vertex-virtual-key", stands_in)])
        made.gateway.house.directory.forget()
        yield made


@pytest.fixture
def claude(claude_code: Path, router: Routed, tmp_path: Path, outside: str) -> Cli:
    return Cli(claude_code, router.gateway.url, router.gateway.key, tmp_path / "home", outside)


def settings(mode: str, claude: Cli, headers: str) -> dict[str, Any]:
    """As the guides print them, with the gateway's address and a key of its own. Claude Code 2.1.329 wants a project besides
    in its Vertex mode."""
    custom = f"x-portkey-api-key: {claude.key}\n{headers}"
    if mode == "vertex":
        return {
            "env": {
                "ANTHROPIC_VERTEX_BASE_URL": f"{claude.url}/v1",
                "ANTHROPIC_CUSTOM_HEADERS": custom,
                "ANTHROPIC_MODEL": RETIRED,
                "CLAUDE_CODE_SKIP_VERTEX_AUTH": 1,
                "CLAUDE_CODE_USE_VERTEX": 1,
                "ANTHROPIC_VERTEX_PROJECT_ID": "any",
            }
        }
    return {
        "env": {
            "ANTHROPIC_BASE_URL": claude.url,
            "ANTHROPIC_AUTH_TOKEN": claude.key,
            "ANTHROPIC_CUSTOM_HEADERS": custom,
            "ANTHROPIC_DEFAULT_SONNET_MODEL": "claude-sonnet-4-20250514",
            "ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-opus-4-20250514",
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": "claude-haiku-4-20250514",
        },
        "model": "claude-sonnet-4-20250514",
    }


@pytest.mark.parametrize("name", HEADERS)
def test_the_settings_of_the_guides_work_as_written(claude: Cli, router: Routed, name: str) -> None:
    """Claude Code gets its answer at the first try, from the provider that is meant; what the headers say is in the books."""
    mode, headers, provider, written = HEADERS[name]
    said = claude.run_as_set("Hello", settings(mode, claude, headers))
    assert ANSWER in said.text, said
    records = router.gateway.records()
    assert [(record["provider"], record["status"], len(record["attempts"])) for record in records] == [(provider, 200, 1)]
    assert {name: records[0][name] for name in written} == written


FAILING = {
    **FALLBACK,
    "targets": [*FALLBACK["targets"], {"provider": "@bedrock-prod"}],  # type: ignore[misc]
    "forward_headers": ["anthropic-beta"],
}


def run(claude: Cli, router: Routed, mode: str, config: Json, prompt: str = "Hello", *options: str) -> tuple[Said, list[Json]]:
    """A session with a key that has the config; what it said, and the usage documents, oldest first."""
    key = router.key(router.put("attached", config))
    said = claude.run(prompt, *options, mode=mode, ANTHROPIC_AUTH_TOKEN=key)
    return said, oldest_first(router.gateway)


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("status", [429, 529])
def test_a_target_that_always_fails_is_not_noticed(claude: Cli, router: Routed, mode: str, status: int) -> None:
    """Claude Code gets its answer at its first request: one usage document with two attempts, priced as Claude Code does."""
    router.script("inference", Fault(status=status, times=0))
    said, (record,) = run(claude, router, mode, FAILING)
    assert ANSWER in said.text, said
    assert [(each["provider"], each["status"]) for each in record["attempts"]] == [
        ("vertex-prod", status), ("anthropic-prod", 200),
    ]  # fmt: skip
    assert (record["provider"], record["session_id"]) == ("anthropic-prod", said.session)
    assert record["cost_nanodollars"] == said.cost_nanodollars > 0


@pytest.mark.parametrize("mode", BOTH)
def test_a_provider_that_goes_away_in_a_session_is_not_noticed(claude: Cli, router: Routed, mode: str) -> None:
    """Tool calls and what was thought go on at the other."""
    model = ("--model", "claude-sonnet-4-6")
    first, _ = run(claude, router, mode, FAILING, "run: echo ferret-$((1+1))", "--allowedTools", "Bash", *model)
    router.script("inference", Fault(status=529, times=0))
    second, records = run(claude, router, mode, FAILING, "think about what you did", "--resume", first.session, *model)
    assert (first.code, second.code) == (0, 0), second
    assert "think about what you did" in second.text
    assert [record["provider"] for record in records] == ["vertex-prod", "vertex-prod", "anthropic-prod"]
    assert {record["status"] for record in records} == {200}


@pytest.mark.parametrize("mode", BOTH)
def test_a_model_that_a_region_does_not_serve_is_had_elsewhere(claude: Cli, router: Routed, mode: str) -> None:
    """Claude Code's own default is not everywhere: the config's next target has it, and the next call goes there at once."""
    said, (record,) = run(claude, router, mode, FAILING)
    assert ANSWER in said.text, said
    assert [each["status"] for each in record["attempts"]] == [404, 200] and record["provider"] == "anthropic-prod"
    again, records = run(claude, router, mode, FAILING)
    assert ANSWER in again.text and [each["status"] for each in records[1]["attempts"]] == [200]


@pytest.mark.parametrize("mode", BOTH)
def test_a_residency_and_its_ladder_hold_for_all_that_claude_code_asks(claude: Cli, router: Routed, mode: str) -> None:
    """Calls and counts: full regions are passed over at once, and nothing leaves the jurisdiction, whatever the client's own
    region says."""
    ladder = {"provider": "@vertex-ladder", "locations": ["europe-west1", "eu", "global"], "residency": ["eu"]}
    router.script("inference", Fault(status=429))
    said, (record,) = run(claude, router, mode, ladder)
    assert ANSWER in said.text, said
    assert [(each["location"], each["status"]) for each in record["attempts"]] == [("europe-west1", 429), ("eu", 200)]
    counted, _ = run(claude, router, mode, ladder, "/context")
    assert "Context Usage" in counted.text
    assert set(router.calls()) == {"europe-west1", "eu"}


@pytest.mark.parametrize("mode", BOTH)
def test_what_a_config_makes_impossible_is_told_in_one_sentence(claude: Cli, router: Routed, mode: str) -> None:
    """A header that names no config: no retries, no login."""
    said = claude.run("Hello", mode=mode, ANTHROPIC_CUSTOM_HEADERS="x-portkey-config: nothing-there")
    assert said.code == 1 and "there is no config" in said.text, said
    assert router.calls() == []
