"""The real Claude Code CLI as a test drives it: headless, with a home of its own, and nobody to talk to but the gateway."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PACKAGE = "@anthropic-ai/claude-code"
RUN_S_MAX = 60


class ClientMissing(Exception):
    """The CLI is not installed; says how to get it."""


def pinned_version() -> str:
    version: str = json.loads((FOLDER / "package.json").read_text())["dependencies"][PACKAGE]
    return version


def find() -> Path:
    """The binary that install.sh fetched."""
    root = Path(os.environ.get("TOLLGATE_CLIENTS") or Path.home() / ".cache" / "tollgate-clients")
    binary = root / f"claude-code-{pinned_version()}" / "claude"
    if not os.access(binary, os.X_OK):
        raise ClientMissing(f"Claude Code {pinned_version()} is not at {binary}; run `make clients`")
    return binary


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
        self.home.mkdir(exist_ok=True)
        done = subprocess.run(
            [self.binary, "-p", prompt, "--output-format", "json", *options],
            env={**self._environment(), **MODES[mode](self.url), **environment},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_S_MAX,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def _environment(self) -> dict[str, str]:
        """Nothing of the developer's own settings gets in."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
            "LANG": "C.UTF-8",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "ANTHROPIC_AUTH_TOKEN": self.key,
            "HTTPS_PROXY": self.stranger,
            "NO_PROXY": "127.0.0.1",
        }


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
