"""Other gateways that join a run: how each is installed, started and addressed. What is not installed is named and left out.

Peers do other things than this gateway does; a ratio says what a user gets, not whose code is better.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.claude_gateway import prepare_claude
from bench.cold import connect, watch_start
from bench.loads import MODEL
from bench.native import cache_folder
from bench.peer import Peer, PeerMissing, Prepared, install
from bench.processes import free_port, start, stop
from bench.targets import Site, Target, plain_environment, wait_ready

LITELLM_KEY = "sk-bench-5d1f0c2e9b7a4836"  # it refuses the well-known ones

CLAUDE_NOTE = (
    "Anthropic's own, a person signed in, spend limits for day, week and month, Vertex AI as its upstream with a fixed token; "
    "the CPU of its PostgreSQL is not counted"
)


def prepare_litellm(site: Site, port: int, stack: ExitStack) -> Prepared:
    """From its package, into an environment of its own; LITELLM_VENV names another."""
    venv = Path(os.environ.get("LITELLM_VENV") or cache_folder() / "peers" / "litellm")
    if not (venv / "bin" / "litellm").exists():
        install([sys.executable, "-m", "venv", str(venv)], "LiteLLM")
        install([str(venv / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", "litellm[proxy]"], "LiteLLM")
    config = site.folder / "litellm.json"  # JSON is YAML
    upstream = f"http://127.0.0.1:{site.upstream}"
    parameters = {"model": f"anthropic/{MODEL}", "api_base": upstream, "api_key": "sk-ant-bench"}
    models = [{"model_name": MODEL, "litellm_params": parameters}]
    config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": LITELLM_KEY}}))
    environment = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "DISABLE_ADMIN_UI": "True",
                   "LITELLM_LOG": "ERROR"}  # fmt: skip
    command = [str(venv / "bin" / "litellm"), f"--config={config}", "--host=127.0.0.1", f"--port={port}", "--num_workers=1"]
    return Prepared(version_of(venv, "litellm"), command, environment, (f"authorization: Bearer {LITELLM_KEY}",))


def prepare_portkey(site: Site, port: int, stack: ExitStack) -> Prepared:
    """From npm, into a folder of its own; PORTKEY_FOLDER names another."""
    folder = Path(os.environ.get("PORTKEY_FOLDER") or cache_folder() / "peers" / "portkey")
    package = folder / "node_modules" / "@portkey-ai" / "gateway"
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise PeerMissing("Portkey's gateway needs Node.js 20 and npm; install them")
    if not package.exists():
        folder.mkdir(parents=True, exist_ok=True)
        quietly = ("--no-audit", "--no-fund", "--ignore-scripts")
        install([npm, "install", "--prefix", str(folder), *quietly, "@portkey-ai/gateway"], "Portkey's gateway")
    described = json.loads((package / "package.json").read_text())
    program = described["bin"] if isinstance(described["bin"], str) else next(iter(described["bin"].values()))
    credential = (
        "x-portkey-provider: anthropic",
        f"x-portkey-custom-host: http://127.0.0.1:{site.upstream}/v1",
        "x-api-key: sk-ant-bench",
    )
    environment = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    command = [node, str(package / program), "--headless", f"--port={port}"]
    return Prepared(described["version"], command, environment, credential)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("litellm", prepare_litellm, 200, "one worker, master key, no database"),
        Peer("portkey", prepare_portkey, 400, "no keys, no records; as published, 1.15.2 answers every stream with 500"),
        Peer("claude", prepare_claude, 1500, CLAUDE_NOTE),
    )
}


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that serves. `start` is what its cold start took: milliseconds, as for the gateway."""

    target: Target
    version: str
    start: dict[str, float]


@contextmanager
def peer_running(peer: Peer, site: Site) -> Iterator[Running]:
    """Started twice: the first time leaves bytecode and files in memory and signs in, the second is timed and stays.
    PeerMissing if it is not installed or does not start."""
    with ExitStack() as stack:
        port = free_port()
        prepared = peer.prepare(site, port, stack)
        target = Target(peer.name, port, prepared.credential, streams_max=peer.streams_max, note=peer.note)
        try:
            with started(prepared, peer.name, site) as process:
                if prepared.sign_in:
                    connect(target, process, time.monotonic())[0].close()
                    target = replace(target, credential=prepared.sign_in())
                wait_ready(target, process, site.folder, peer.ready_timeout_s)
            began = time.monotonic()
            process = stack.enter_context(started(prepared, peer.name, site))
            values = watch_start(target, process, began)
        except RuntimeError as error:
            raise PeerMissing(str(error)) from error
        yield Running(replace(target, pid=process.pid), prepared.version, values)


@contextmanager
def started(prepared: Prepared, name: str, site: Site) -> Iterator["subprocess.Popen[bytes]"]:
    """One process of it."""
    environment = plain_environment() | dict(prepared.environment)
    environment.pop("PYTHONPATH", None)
    process = start(prepared.command, site.cores.gateway, environment, site.folder / f"{name}.log")
    try:
        yield process
    finally:
        stop(process)


def version_of(venv: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([str(venv / "bin" / "python"), "-c", code], capture_output=True, text=True, check=False).stdout.strip()
