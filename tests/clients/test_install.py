"""`make clients`: fetches exactly what is pinned, or says why not."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from claude_cli import FOLDER, PACKAGE, pinned_version


@pytest.fixture
def without_npm(tmp_path: Path) -> dict[str, str]:
    """An environment in which there is no npm, and no other way to the network."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "sed", "cut"):
        (tools / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is missing"))
    return {"PATH": str(tools), "HOME": str(tmp_path)}


def install(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(FOLDER / "install.sh")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_missing_npm_is_told(without_npm: dict[str, str]) -> None:
    """What is missing, and what to do."""
    done = install(without_npm)
    assert done.returncode == 1
    assert "npm is missing" in done.stderr
    assert "install Node.js" in done.stderr


def test_what_is_there_is_not_fetched_again(claude_code: Path, without_npm: dict[str, str]) -> None:
    """The second `make clients` needs neither npm nor network, and prints where the binary is."""
    root = os.fspath(claude_code.parents[1])
    done = install({**without_npm, "TOLLGATE_CLIENTS": root})
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(claude_code), "")


def test_every_package_is_pinned_by_its_hash() -> None:
    """One exact version, the same for the binaries of all platforms; whence they come is npm's own setting."""
    text = (FOLDER / "package-lock.json").read_text()
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert {name.partition(PACKAGE)[0] for name in packages} == {"node_modules/"}
    assert {package["version"] for package in packages.values()} == {pinned_version()}
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert "http" not in text
