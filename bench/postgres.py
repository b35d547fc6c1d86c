"""A private PostgreSQL for a peer that needs one: in a folder of its own, on loopback, gone with the run."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.processes import free_port, leashed, stop

INSTALLED = Path("/usr/lib/postgresql")
READY_TIMEOUT_S = 30.0
USER = "bench"
ORDINARY_USERS = ("postgres", "nobody")


class PostgresMissing(Exception):
    """No PostgreSQL here, or none that starts; says what to do."""


@contextmanager
def postgres_running(core: int) -> Iterator[str]:
    """The URL of an empty database. Durable as installed: fsync and synchronous commits stay on, as in production."""
    programs, account = find_programs(), ordinary_account()
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    with tempfile.TemporaryDirectory(prefix="tollgate-postgres-") as name:
        data = Path(name)
        if account:  # it runs as another user, and must own its folder
            os.chown(data, account.pw_uid, account.pw_gid)
        make_cluster(programs, data, identity)
        yield from serve(programs, data, core, identity)


def make_cluster(programs: Path, data: Path, identity: Mapping[str, Any]) -> None:
    make = [str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", USER, "--no-sync"]
    made = subprocess.run(make, capture_output=True, text=True, cwd="/", timeout=60, check=False, **identity)
    if made.returncode != 0:
        raise PostgresMissing(f"initdb failed: {made.stderr.strip()[-300:]}")


def serve(programs: Path, data: Path, core: int, identity: Mapping[str, Any]) -> Iterator[str]:
    port, log = free_port(), data / "bench.log"
    command = [str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    with log.open("ab") as words:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd="/",
            start_new_session=True,
            preexec_fn=leashed(core),
            **identity,
        )
    try:
        wait_ready(process, log)
        yield f"postgres://{USER}@127.0.0.1:{port}/postgres"
    finally:
        stop(process)


def find_programs() -> Path:
    """The folder of `postgres` and `initdb`, the newest version first."""
    on_path = shutil.which("initdb")
    folders = sorted(INSTALLED.glob("*/bin"), key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0), reverse=True)
    for folder in [*([Path(on_path).parent] if on_path else []), *folders]:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise PostgresMissing("there is no PostgreSQL; install the package `postgresql`")


def ordinary_account() -> pwd.struct_passwd | None:
    """Whom it runs as if we are root, whom PostgreSQL refuses; None if we are somebody ordinary already."""
    if os.geteuid() != 0:
        return None
    known = {account.pw_name: account for account in pwd.getpwall()}
    for name in ORDINARY_USERS:
        if name in known:
            return known[name]
    raise PostgresMissing("PostgreSQL does not run as root, and there is no user postgres or nobody; run the bench as yourself")


def wait_ready(process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + READY_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        if "database system is ready to accept connections" in log.read_text(errors="replace"):
            return
        time.sleep(0.05)
    raise PostgresMissing(f"PostgreSQL did not start: {log.read_text(errors='replace').strip()[-300:]}")
