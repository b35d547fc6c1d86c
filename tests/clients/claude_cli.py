"""The real Claude Code CLI as a test drives it: headless, with a home of its own, and nobody to talk to but the gateway."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installed import CLAUDE_CODE, run_alone

pinned_version = CLAUDE_CODE.pinned_version


@dataclass(frozen=True)
class Said:
    """What one run of the CLI said. `result` is its JSON document, {} if it printed none."""

    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The last line that is one: `stream-json` prints many."""
        for line in reversed(self.stdout.splitlines()):
            if line.startswith("{") and (document := json.loads(line)).get("type") == "result":
                found: dict[str, Any] = document
                return found
        return {}

    @property
    def text(self) -> str:
        return str(self.result.get("result", ""))

    @property
    def session(self) -> str:
        return str(self.result["session_id"])

    @property
    def cost_nanodollars(self) -> int:
        """What the CLI itself reckons that the session cost."""
        return round(float(self.result["total_cost_usd"]) * 1e9)


@dataclass(frozen=True)
class Cli:
    """The CLI set up for one gateway. `stranger` is a proxy that no request should reach: see `outside` in conftest."""

    binary: Path
    url: str
    key: str
    home: Path
    stranger: str

    def run(self, prompt: str, *options: str, mode: str = "messages", **environment: str) -> Said:
        """One headless session; modes are those of MODES. Keywords are environment variables."""
        return self._run(prompt, options, {"ANTHROPIC_AUTH_TOKEN": self.key, **MODES[mode](self.url), **environment})

    def run_as_set(self, prompt: str, settings: dict[str, Any], *options: str) -> Said:
        """One headless session that knows of the gateway what `~/.claude/settings.json` says, and nothing else."""
        path = self.home / ".claude" / "settings.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
        return self._run(prompt, options, {})

    def _run(self, prompt: str, options: Sequence[str], environment: dict[str, str]) -> Said:
        self.home.mkdir(exist_ok=True)
        own = {
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }
        command = ["-p", prompt, "--output-format", "json", *options]
        done = run_alone(self.binary, command, self.home, self.stranger, {**own, **environment})
        return Said(done.returncode, done.stdout, done.stderr)


def _messages(url: str) -> dict[str, str]:
    return {"ANTHROPIC_BASE_URL": url}


def _vertex(url: str) -> dict[str, str]:
    return {
        "CLAUDE_CODE_USE_VERTEX": "1",
        "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
        "ANTHROPIC_VERTEX_BASE_URL": f"{url}/v1",
        "ANTHROPIC_VERTEX_PROJECT_ID": "the-client-guesses",
        "CLOUD_ML_REGION": "us-east5",
    }


def _vertex_without_v1(url: str) -> dict[str, str]:
    return {**_vertex(url), "ANTHROPIC_VERTEX_BASE_URL": url}


MODES = {"messages": _messages, "vertex": _vertex, "vertex without /v1": _vertex_without_v1}
