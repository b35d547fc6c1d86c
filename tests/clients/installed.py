"""The real clients that install.sh fetched, in the versions that their package.json pins."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

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


CLAUDE_CODE = Client("claude-code", "@anthropic-ai/claude-code", FOLDER, "claude")
CODEX = Client("codex", "@openai/codex", FOLDER / "codex", "codex")
