"""The admin API against its own description: schemathesis asks whatever the description allows, and what it forbids."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from admin_desk import ADMIN_KEY, AdminDesk, served_door

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# Which locations, hosts and project ids fit depends on the kind of provider, and no schema of all kinds can say so.
CONFIG = """
[[operations]]
include-path = ["/providers", "/providers/{id}", "/configs", "/configs/{id}"]
checks.positive_data_acceptance.enabled = false

# Where a project was made before, its id takes the place of a body that was to be wrong, which then is right.
[[operations]]
include-path = "/providers/{id}"
include-method = "PATCH"
phases.stateful.checks.negative_data_rejection.enabled = false
"""


def examine(folder: Path, *, examples: int, phases: str) -> subprocess.CompletedProcess[str]:
    """Runs it against a door of its own, the same examples each time."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG)
    desk = AdminDesk(folder)
    desk.good("POST", "/projects", {"id": "acme"})
    with served_door(desk.door) as url:
        command = [
            str(SCHEMATHESIS), f"--config-file={config}", "run", f"{url}/admin/v1/openapi.json", "-H",
            f"Authorization: Bearer {ADMIN_KEY}", f"--max-examples={examples}", f"--phases={phases}", "--no-color",
            "--generation-deterministic",
        ]  # fmt: skip
        environment = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=540)


def test_the_description_holds(tmp_path: Path) -> None:
    """No server error, no undocumented status or shape; what is allowed is taken, what is forbidden is refused."""
    examined = examine(tmp_path, examples=2, phases="examples,fuzzing")
    assert examined.returncode == 0, examined.stdout[-6_000:] + examined.stderr[-1_000:]
    assert "Tested: 46" in examined.stdout


@pytest.mark.full
def test_the_description_holds_at_length(tmp_path: Path) -> None:
    """Every boundary of every field, and objects that are made, changed and deleted in any order."""
    examined = examine(tmp_path, examples=60, phases="examples,coverage,fuzzing,stateful")
    assert examined.returncode == 0, examined.stdout[-6_000:] + examined.stderr[-1_000:]
