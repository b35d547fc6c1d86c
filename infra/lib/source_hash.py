"""Prints twelve characters that change whenever anything changes that the image is built from: its tag."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FILES = ("Dockerfile", "LICENSE", "requirements.txt")
FOLDERS = ("gateway",)


def sources(root: Path) -> Iterator[Path]:
    """What .dockerignore lets through, in a stable order."""
    yield from (root / name for name in FILES)
    for folder in FOLDERS:
        yield from sorted(p for p in (root / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def hash_of(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sources(root):
        digest.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    sys.stdout.write(hash_of(ROOT) + "\n")
