"""What is measured: the gateway by server and by store, each a process on its own core with a real key in a real store."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.loads import Load
from bench.native import Tools
from bench.processes import Cores, free_port, start, stop, tree
from gateway.callers.keys import hash_key, new_key
from gateway.canonical.store import Put
from gateway.store import open_store

ROOT = Path(__file__).parent.parent
OPEN_CALLS = 2000
READY_TIMEOUT_S = 60.0
BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Server:
    """One way of serving the gateway. `{python}`, `{bin}` and `{port}` are filled in; `needs` is a file that must exist."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    needs: str = "{python}"


SERVERS = {
    server.name: server
    for server in (
        Server("gateway", ("{python}", "-m", "gateway", "serve", "--host", "127.0.0.1", "--port", "{port}"), {}),
        Server(
            "functions-framework",
            ("{bin}/functions-framework", "--target=gateway", "--host=127.0.0.1", "--port={port}"),
            {"THREADS": str(OPEN_CALLS + 16), "WORKERS": "1"},
            "{bin}/functions-framework",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Target:
    """Something to send load to. `pid` is None for the upstream itself, whose CPU is not looked at."""

    name: str
    port: int
    credential: tuple[str, ...] = ()
    pid: int | None = None
    path: str = "/v1/messages"
    streams_max: int = 100_000
    note: str = ""

    @property
    def pids(self) -> list[int]:
        return tree(self.pid) if self.pid else []


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run happens: its folder, cores, tools and the port of the fake upstream."""

    folder: Path
    cores: Cores
    tools: Tools
    upstream: int


@contextmanager
def upstream_running(tools: Tools, cores: Cores, folder: Path) -> Iterator[int]:
    """The fake upstream on a free port."""
    log = folder / "upstream.log"
    process = start(tools.upstream, cores.tools, plain_environment(), log)
    try:
        until = time.monotonic() + 10
        while not (words := log.read_text()).startswith("port ") or "\n" not in words:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the fake upstream did not start: {words[-500:]}")
            time.sleep(0.01)
        yield int(words.split()[1])
    finally:
        stop(process)


def plain_environment() -> dict[str, str]:
    """What a child needs of ours; settings of the person who runs the bench must not reach the measured process."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "JAVA_HOME", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONPATH": str(ROOT)}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A gateway that can be started any number of times: its settings, its store with one key, its command."""

    name: str
    server: Server
    environment: Mapping[str, str]
    key: str
    store_url: str
    site: Site

    @property
    def credential(self) -> tuple[str, ...]:
        return (f"authorization: Bearer {self.key}",)

    def command(self, port: int) -> list[str]:
        return [part.format(python=sys.executable, bin=BIN, port=port) for part in self.server.command]

    def launch(self, **more: str) -> tuple[subprocess.Popen[bytes], Target]:
        """Starts it and does not wait: `wait_ready` does."""
        port = free_port()
        log = self.site.folder / f"{self.name.replace('/', '-')}.log"
        process = start(self.command(port), self.site.cores.gateway, {**self.environment, **more}, log)
        return process, Target(self.name, port, self.credential, process.pid)


def deploy(server: Server, store: str, site: Site, emulator: str | None) -> Deployment:
    """Makes store, project, key and service account. `store` is `sqlite` or `firestore`."""
    name = f"{server.name}/{store}"
    folder = site.folder / name.replace("/", "-")
    folder.mkdir()
    firestore = store == "firestore"
    url = f"firestore://demo-{uuid.uuid4().hex[:16]}/(default)" if firestore else f"sqlite:///{folder}/gateway.db"
    environment = plain_environment() | dict(server.environment) | {
        "GATEWAY_STORE": url,
        "GATEWAY_MAX_OPEN_CALLS": str(OPEN_CALLS),
        "GATEWAY_GOOGLE_TOKEN_URI": f"http://127.0.0.1:{site.upstream}/token",
        "VERTEX_SERVICE_ACCOUNT_JSON": str(service_account(site.folder)),
        "VERTEX_BASE_URL": f"http://127.0.0.1:{site.upstream}",
    }  # fmt: skip
    if firestore:
        assert emulator is not None
        # Google's client reads it from the environment, here too: the key is written by this process.
        environment["FIRESTORE_EMULATOR_HOST"] = os.environ["FIRESTORE_EMULATOR_HOST"] = emulator
    return Deployment(name, server, environment, put_key(url), url, site)


def put_key(store_url: str) -> str:
    """A project and a key, as the gateway's own use cases would leave them."""
    key = new_key()
    digest = hash_key(key)
    store = open_store(store_url)
    try:
        store.commit([
            Put("projects/bench", {"id": "bench", "name": "Bench", "schema_version": 1}),
            Put(f"keys/{digest}", {"id": f"key_{digest[:12]}", "project": "bench", "name": "bench", "schema_version": 1}),
        ])  # fmt: skip
    finally:
        store.close()
    return key


def count_records(store_url: str) -> int:
    """Usage documents of the bench's project."""
    store = open_store(store_url)
    try:
        found, cursor = 0, None
        while True:
            page = store.query("projects/bench/usage", limit=1000, cursor=cursor)
            found += len(page.documents)
            if (cursor := page.next_cursor) is None:
                return found
    finally:
        store.close()


def service_account(folder: Path) -> Path:
    """A key file with a fresh RSA key: tokens are signed and fetched as in production."""
    path = folder / "service-account.json"
    if not path.exists():
        path.touch(0o600)
        path.write_text(json.dumps(account_document(new_private_key())))
    return path


def new_private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsealed = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unsealed).decode()


def account_document(private_key: str) -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": "bench",
        "private_key_id": "5a" * 20,
        "private_key": private_key,
        "client_email": "bench@bench.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    }


@contextmanager
def deployed(deployment: Deployment) -> Iterator[Target]:
    """A running gateway that has answered once."""
    process, target = deployment.launch()
    try:
        wait_ready(target, process, deployment.site.folder)
        yield target
    finally:
        stop(process)


def wait_ready(target: Target, process: subprocess.Popen[bytes], folder: Path, timeout_s: float = READY_TIMEOUT_S) -> None:
    """Asks until the answer is 200. RuntimeError with the process's last words if it ends or the time is up."""
    until = time.monotonic() + timeout_s
    last = "no answer"
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if (last := str(ask(target))) == "200":
                return
        except OSError as error:
            last = repr(error)
        time.sleep(0.05)
    log = folder / f"{target.name.replace('/', '-')}.log"
    words = log.read_text(errors="replace")[-1500:] if log.exists() else ""
    raise RuntimeError(f"{target.name} does not serve ({last}); its last words:\n{words}")


def ask(target: Target, timeout_s: float = 20.0) -> int:
    """One plain call; its status."""
    load = Load()
    headers = dict(line.split(": ", 1) for line in (*load.headers, *target.credential))
    request = urllib.request.Request(f"http://127.0.0.1:{target.port}{target.path}", load.body(), headers, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code

