"""What Claude Code asks besides answers: which models there are, and whether anybody is there (requests as of 2.1.329)."""

import pytest
import requests
from claude_cli import pinned_version
from house import Served

QUICK_S = 3  # Claude Code waits no longer for the list


def discover(gateway: Served, credential: dict[str, str]) -> requests.Response:
    headers = {"user-agent": f"claude-code/{pinned_version()}", "anthropic-version": "2023-06-01", **credential}
    return requests.get(f"{gateway.url}/v1/models?limit=1000", headers=headers, timeout=QUICK_S, allow_redirects=False)


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "both"])
def test_models_are_discovered(gateway: Served, header: str) -> None:
    """CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY: every model of Claude's has an id that says so, and a name for the picker;
    the CLI passes over the others."""
    both = {"authorization": f"Bearer {gateway.key}", "x-api-key": gateway.key}
    answer = discover(gateway, both if header == "both" else {header: both[header]})
    assert answer.status_code == 200
    rows = answer.json()["data"]
    assert "claude-opus-5-5" in [row["id"] for row in rows]
    assert all(row["display_name"].startswith("Claude") for row in rows if "claude" in row["id"])
    assert "gemini-3.8-flash" in [row["id"] for row in rows]
    assert answer.json()["has_more"] is False


def test_discovery_wants_a_key(gateway: Served) -> None:
    """The list is no public information, and the refusal is final."""
    answer = discover(gateway, {})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (401, "false")


@pytest.mark.parametrize("path", ["/api/hello", "/", "/team/ferrets/api/hello"])
def test_claude_codes_probe_needs_no_key(gateway: Served, path: str) -> None:
    """HEAD /api/hello, and HEAD / of older ones, come without a credential."""
    answer = requests.head(gateway.url + path, timeout=QUICK_S)
    assert (answer.status_code, answer.content) == (200, b"")
