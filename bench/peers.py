"""Other gateways that join a run: how each is installed, started and addressed. What is not installed is named and left out.

Peers do other things than this gateway does; a ratio says what a user gets, not whose code is better.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.loads import MODEL
from bench.native import cache_folder
from bench.processes import free_port, start, stop
from bench.targets import Site, Target, plain_environment, wait_ready

INSTALL_TIMEOUT_S = 900
LITELLM_KEY = "sk-bench-5d1f0c2e9b7a4836"  # it refuses the well-known ones


class PeerMissing(Exception):
    """This peer cannot join; says why, and what would let it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A peer ready to start on a port."""

    version: str
    command: Sequence[str]
    environment: Mapping[str, str]
    credential: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """One row. `prepare` installs if need be and writes the peer's configuration; PeerMissing if it cannot."""

    name: str
    prepare: Callable[[Site, int], Prepared]
    streams_max: int
    note: str
    ready_timeout_s: float = 120.0


def prepare_litellm(site: Site, port: int) -> Prepared:
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


def prepare_portkey(site: Site, port: int) -> Prepared:
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


def prepare_claude(site: Site, port: int) -> Prepared:
    """Anthropic's own gateway keeps its state in Postgres and signs people in with OIDC; neither is set up here."""
    root = Path(os.environ.get("TOLLGATE_CLIENTS") or Path.home() / ".cache" / "tollgate-clients")
    if not list(root.glob("claude-code-*/claude")):
        raise PeerMissing("`claude gateway` is part of the Claude Code binary: run `make clients`")
    raise PeerMissing(
        "`claude gateway` needs a Postgres database and an OIDC provider for its sign-in, and the bench starts neither"
    )


PEERS = {
    peer.name: peer
    for peer in (
        Peer("litellm", prepare_litellm, 200, "one worker, master key, no database"),
        Peer("portkey", prepare_portkey, 400, "no keys, no records; as published, 1.15.2 answers every stream with 500"),
        Peer("claude", prepare_claude, 800, "with Postgres"),
    )
}


@contextmanager
def peer_running(peer: Peer, site: Site) -> Iterator[tuple[Target, str]]:
    """A running peer and its version. PeerMissing if it is not installed or does not start."""
    port = free_port()
    prepared = peer.prepare(site, port)
    environment = plain_environment() | dict(prepared.environment)
    environment.pop("PYTHONPATH", None)
    process = start(prepared.command, site.cores.gateway, environment, site.folder / f"{peer.name}.log")
    target = Target(peer.name, port, prepared.credential, process.pid, streams_max=peer.streams_max, note=peer.note)
    try:
        try:
            wait_ready(target, process, site.folder, peer.ready_timeout_s)
        except RuntimeError as error:
            raise PeerMissing(str(error)) from error
        yield target, prepared.version
    finally:
        stop(process)


def install(command: Sequence[str], what: str) -> None:
    print(f"installing {what}: {' '.join(command)}", file=sys.stderr)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissing(f"{what} could not be installed: {error}") from error
    if done.returncode != 0:
        raise PeerMissing(f"{what} could not be installed: {done.stderr[-500:]}")


def version_of(venv: Path, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([str(venv / "bin" / "python"), "-c", code], capture_output=True, text=True, check=False).stdout.strip()
