"""The real Codex CLI as a test drives it: headless, with a home of its own, and nobody to talk to but the gateway."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installed import run_alone

CONFIG = """
model_provider = "tollgate"
check_for_update_on_startup = false
[analytics]
enabled = false
[feedback]
enabled = false
[features]
plugins = false
[model_providers.tollgate]
name = "Tollgate"
base_url = "{url}/v1"
env_key = "TOLLGATE_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = {stream_retries}
"""


@dataclass(frozen=True)
class Said:
    """What one run of the CLI said: `events` are the lines of its `--json`."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    def items(self, kind: str) -> list[dict[str, Any]]:
        """Whole items of a turn, such as `agent_message`, `reasoning`, `command_execution`."""
        done = [event["item"] for event in self.events if event["type"] == "item.completed"]
        return [item for item in done if item["type"] == kind]

    @property
    def text(self) -> str:
        return "\n".join(item["text"] for item in self.items("agent_message"))

    @property
    def thread(self) -> str:
        return str(next(event["thread_id"] for event in self.events if event["type"] == "thread.started"))

    @property
    def usage(self) -> dict[str, int]:
        found: dict[str, int] = next(event["usage"] for event in self.events if event["type"] == "turn.completed")
        return found

    @property
    def failure(self) -> str:
        return "\n".join(event["error"]["message"] for event in self.events if event["type"] == "turn.failed")


@dataclass(frozen=True)
class Codex:
    """The CLI set up for one gateway. `stranger` is a proxy that no request should reach: see `outside` in conftest."""

    binary: Path
    url: str
    key: str
    home: Path
    stranger: str
    project: str

    def run(self, prompt: str, *, model: str, resume: str | None = None, stream_retries: int = 0) -> Said:
        """One headless turn, in a thread of its own or in the one to `resume`; commands run without asking."""
        (self.home / ".codex").mkdir(parents=True, exist_ok=True)
        (self.home / ".codex" / "config.toml").write_text(CONFIG.format(url=self.url, stream_retries=stream_retries))
        options = ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--model", model]
        command = ["exec", *options, *(("resume", resume) if resume else ()), prompt]
        environment = {"CODEX_HOME": str(self.home / ".codex"), "TOLLGATE_KEY": self.key, "HTTP_PROXY": self.stranger}
        done = run_alone(self.binary, command, self.home, self.stranger, environment)
        return Said(done.returncode, done.stdout, done.stderr)
