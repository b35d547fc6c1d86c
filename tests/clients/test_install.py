"""`make clients`: fetches exactly what is pinned, or says why not."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from installed import CLAUDE_CODE, CODEX, FOLDER, Client

every_client = pytest.mark.parametrize("client", [CLAUDE_CODE, CODEX], ids=lambda client: client.name)


@pytest.fixture
def without_npm(tmp_path: Path) -> dict[str, str]:
    """An environment in which there is no npm, and no other way to the network."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "sed", "cut"):
        (tools / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is missing"))
    return {"PATH": str(tools), "HOME": str(tmp_path)}


def install(environment: dict[str, str], client: Client) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(FOLDER / "install.sh"), client.name]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@every_client
def test_a_missing_npm_is_told(without_npm: dict[str, str], client: Client) -> None:
    """What is missing, and what to do."""
    done = install(without_npm, client)
    assert done.returncode == 1
    assert "npm is missing" in done.stderr
    assert "install Node.js" in done.stderr


@pytest.mark.parametrize(("client", "fixture"), [(CLAUDE_CODE, "claude_code"), (CODEX, "codex_binary")], ids=["claude", "codex"])
def test_what_is_there_is_not_fetched_again(
    request: pytest.FixtureRequest, without_npm: dict[str, str], client: Client, fixture: str
) -> None:
    """The second `make clients` needs neither npm nor network, and prints where the binary is."""
    binary: Path = request.getfixturevalue(fixture)
    done = install({**without_npm, "TOLLGATE_CLIENTS": os.fspath(binary.parents[1])}, client)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(binary), "")


@every_client
def test_every_package_is_pinned_by_its_hash(client: Client) -> None:
    """One exact version, the same for the binaries of all platforms; whence they come is npm's own setting."""
    text = (client.folder / "package-lock.json").read_text()
    packages = {name: package for name, package in json.loads(text)["packages"].items() if name}
    assert {name.partition(client.package)[0] for name in packages} == {"node_modules/"}
    # Codex tells its platforms apart by the end of the version, not by the name of the package.
    assert {re.match(r"[0-9.]+", package["version"])[0] for package in packages.values()} == {client.pinned_version()}  # type: ignore[index]
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
    assert "http" not in text
