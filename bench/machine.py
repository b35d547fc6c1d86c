"""Where and with what a result was measured, so that nobody compares what cannot be compared."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway import VERSION

LIBRARIES = ("flask", "uvicorn", "uvloop", "gunicorn", "functions-framework", "httptools", "msgspec", "google-cloud-firestore")
ROOT = Path(__file__).parent.parent


def describe_machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "model": cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
    }


def describe_versions() -> dict[str, str]:
    versions = {"gateway": VERSION, "python": sys.version.split()[0]}
    for library in LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def describe_commit() -> str:
    """The commit, with `+changes` if the working tree differs from it; `unknown` outside of a checkout."""
    commit = git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    return commit + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
