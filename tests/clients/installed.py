"""The real clients that install.sh fetched, in the versions that their package.json pins."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUN_S_MAX = 60
FOLDER = Path(__file__).parent


class ClientMissing(Exception):
    """A client is not installed; says how to get it."""


@dataclass(frozen=True)
class Client:
    """`folder` holds its package.json and package-lock.json, `binary` is its name on disk."""

    name: str
    package: str
    folder: Path
    binary: str

    def pinned_version(self) -> str:
        version: str = json.loads((self.folder / "package.json").read_text())["dependencies"][self.package]
        return version

    def find(self) -> Path:
        """The binary. ClientMissing if it was not fetched."""
        root = Path(os.environ.get("TOLLGATE_CLIENTS") or Path.home() / ".cache" / "tollgate-clients")
        binary = root / f"{self.name}-{self.pinned_version()}" / self.binary
        if not os.access(binary, os.X_OK):
            raise ClientMissing(f"{self.package} {self.pinned_version()} is not at {binary}; run `make clients`")
        return binary


def run_alone(
    binary: Path, arguments: Sequence[str], home: Path, stranger: str, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """A headless run at home: nothing of the developer's own settings gets in, and whatever leaves this machine goes to
    `stranger`, a proxy."""
    own = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "HTTPS_PROXY": stranger, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [binary, *arguments],
        env={**own, **environment},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S_MAX,
        check=False,
    )


CLAUDE_CODE = Client("claude-code", "@anthropic-ai/claude-code", FOLDER, "claude")
CODEX = Client("codex", "@openai/codex", FOLDER / "codex", "codex")
