"""Cold starts: process start to first proxied answer, and what the imports cost, with and without compiled bytecode."""

import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import Any

from bench.loads import Load
from bench.processes import Cores, leashed, stop
from bench.targets import Deployment, Target, plain_environment

START_LIMIT_S = 60.0
LOOK_EVERY_S = 0.002
GATEWAY_IMPORT = "gateway.serve"
LEAN_IMPORT = "lean: flask, requests, google.auth"
IMPORT_ROWS = {
    LEAN_IMPORT: "import flask, requests, google.auth",
    GATEWAY_IMPORT: f"import {GATEWAY_IMPORT}",
    "main (Cloud Run function)": "import main",
}
TIMED = "import time; began = time.perf_counter(); {code}; print((time.perf_counter() - began) * 1000)"
LINE = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \|\s*(\S+)$", re.MULTILINE)


def cold_start(deployment: Deployment, *, compiled: bool) -> dict[str, float]:
    """Milliseconds from process start until the port is open, and until the first proxied 200; `refused` answers before it."""
    with tempfile.TemporaryDirectory(dir=deployment.site.folder) as empty:
        more = {} if compiled else {"PYTHONPYCACHEPREFIX": empty, "PYTHONDONTWRITEBYTECODE": "1"}
        began = time.monotonic()
        process, target = deployment.launch(**more)
        try:
            return watch_start(target, process, began)
        finally:
            stop(process)


def watch_start(target: Target, process: "subprocess.Popen[bytes]", began: float) -> dict[str, float]:
    """From the moment `began` on: milliseconds until the port is open and until the first 200, and refusals before it."""
    connection, opened = connect(target, process, began)
    answered, refused = first_answer(connection, target), 0
    while answered is None:
        if time.monotonic() > began + START_LIMIT_S:
            raise RuntimeError(f"{target.name} only refuses, for {START_LIMIT_S:g} s; run it by hand to see why")
        refused += 1
        connection, _ = connect(target, process, began)
        answered = first_answer(connection, target)
    return {"open_ms": (opened - began) * 1000, "first_answer_ms": (answered - began) * 1000, "refused": refused}


def connect(target: Target, process: "subprocess.Popen[bytes]", began: float) -> tuple[socket.socket, float]:
    while time.monotonic() < began + START_LIMIT_S and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", target.port), timeout=START_LIMIT_S), time.monotonic()
        except OSError:
            time.sleep(LOOK_EVERY_S)
    what = "did not begin to serve in time" if process.poll() is None else f"ended with status {process.returncode}"
    raise RuntimeError(f"{target.name} {what}; run it by hand to see why")


def first_answer(connection: socket.socket, target: Target) -> float | None:
    """The moment of the first byte of a 200, None if it is another status; a server may listen long before it answers."""
    load = Load()
    body = load.body()
    lines = [f"POST {target.path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}", *load.headers, *target.credential]
    with connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        head = connection.recv(4096)
        moment = time.monotonic()
    return moment if head.startswith(b"HTTP/1.1 200") else None


def import_times(cores: Cores, *, compiled: bool) -> dict[str, float]:
    """Milliseconds of each row of IMPORT_ROWS, once."""
    return {name: import_time(code, cores, compiled=compiled) for name, code in IMPORT_ROWS.items()}


def import_time(code: str, cores: Cores, *, compiled: bool) -> float:
    with tempfile.TemporaryDirectory() as empty:
        more = {} if compiled else {"PYTHONPYCACHEPREFIX": empty, "PYTHONDONTWRITEBYTECODE": "1"}
        return float(run_python(["-c", TIMED.format(code=code)], cores, more).stdout)


def import_modules(code: str, cores: Cores, rows: int = 25) -> list[dict[str, Any]]:
    """`-X importtime`, summed by package: ours by room, others by distribution; the dearest first."""
    sums: dict[str, list[float]] = {}
    for own_us, _, module in LINE.findall(run_python(["-X", "importtime", "-c", code], cores, {}).stderr):
        parts = module.split(".")
        name = ".".join(parts[:2]) if parts[0] in ("gateway", "google") else parts[0]
        entry = sums.setdefault(name, [0.0, 0])
        entry[0] += int(own_us) / 1000
        entry[1] += 1
    dearest = sorted(sums.items(), key=lambda item: -item[1][0])[:rows]
    return [{"package": name, "ms": round(ms, 2), "modules": int(count)} for name, (ms, count) in dearest]


def run_python(arguments: list[str], cores: Cores, more: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        env=plain_environment() | dict(more),
        capture_output=True,
        text=True,
        timeout=START_LIMIT_S,
        check=True,
        preexec_fn=leashed(cores.gateway),
    )
