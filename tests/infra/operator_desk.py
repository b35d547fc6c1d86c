"""An operator's machine for tests: runs infra's scripts with an environment in which nothing of this one is left."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

PLACE = ("demo-project", "europe-west1")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended."""

    code: int
    said: str
    complained: str


@dataclass
class Desk:
    """An operator's machine: runs the scripts of `checkout` with `environment` and nothing else of ours."""

    checkout: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, script: str, *arguments: str, typed: str = "", **environment: str) -> Ended:
        ended = subprocess.run(
            [str(self.checkout / "infra" / script), *arguments], input=typed, cwd=self.checkout, capture_output=True, text=True,
            env={**self.environment, **environment}, timeout=300,
        )  # fmt: skip
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def succeed(self, script: str, *arguments: str, **more: str) -> Ended:
        ended = self.run(script, *arguments, **more)
        assert ended.code == 0, ended.said + ended.complained
        return ended


@dataclass
class StandIn(Desk):
    """Where gcloud is a stand-in that writes down what changes something."""

    folder: Path = Path()

    def changes(self) -> list[str]:
        """The commands that changed something, in their order."""
        log = self.folder / "changes.txt"
        return log.read_text().splitlines() if log.exists() else []


def plain_environment(folder: Path) -> dict[str, str]:
    """An operator's, with this Python and without this machine's credentials, store or way out: doctor finds nothing, at once."""
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} -E "$@"\n')
    (folder / "bin" / "python3").chmod(0o755)
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    nowhere = {
        "https_proxy": "http://127.0.0.1:1",
        "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1",
        "GCE_METADATA_HOST": "127.0.0.1:1",
        "NO_GCE_CHECK": "true",
    }
    return {**kept, **nowhere, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PAUSE_S": "1"}
