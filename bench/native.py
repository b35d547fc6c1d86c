"""The tools that must be fast: upstream.c, load.c and, if asked for, tls.c; compiled at first use and kept in the user's cache.

Without a C compiler their Python twins, upstream.py and load.py, take over; their ceiling lies near the gateway's own, so
that throughput measured with them says little.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
COMPILE_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Tools:
    """Commands to which options are added; both understand the same ones in either language."""

    upstream: tuple[str, ...]
    load: tuple[str, ...]
    language: str


def prepare_tools() -> Tools:
    """Compiles what is not compiled yet. RuntimeError with the compiler's words if it fails."""
    compiler = find_compiler()
    if compiler is None:
        return python_tools()
    upstream, load = (compile_once(compiler, HERE / name) for name in ("upstream.c", "load.c"))
    return Tools((str(upstream),), (str(load),), "C")


def find_compiler() -> str | None:
    if sys.platform != "linux":
        return None
    return shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")


def python_tools() -> Tools:
    return Tools((sys.executable, "-m", "bench.upstream"), (sys.executable, "-m", "bench.load"), "Python")


def compile_once(compiler: str, source: Path, *libraries: str) -> Path:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    binary = cache_folder() / f"bench-{source.stem}-{digest}"
    if not binary.exists():
        making = binary.with_suffix(f".{os.getpid()}.making")
        command = [compiler, "-O2", "-std=gnu11", "-o", str(making), str(source), *libraries]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{source.name} does not compile with {compiler}; set CC to another:\n{done.stderr[-2000:]}")
        making.replace(binary)
    return binary


def cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tollgate"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir())
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())
