"""What is measured: the gateway by server and by store, each a process on its own core with a real key in a real store.

A target's name is `server/store`, with `+budgets`, `+config`, `+cache` or `+tls` behind it if it answers such a question.
"""

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
from email.message import Message
from pathlib import Path

from bench.loads import Load
from bench.native import Tools
from bench.processes import Cores, free_port, start, stop, tool_running, tree
from bench.seeds import put_key, service_account
from bench.tunnels import Tunnels

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
    is_gateway: bool = False

    @property
    def variant(self) -> str:
        """`budgets`, `config`, `cache`, `tls`, or nothing."""
        return self.name.partition("+")[2]

    @property
    def pids(self) -> list[int]:
        return tree(self.pid) if self.pid else []


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run happens: its folder, cores, tools and the port of the fake upstream; `tls` if it is reached by TLS too."""

    folder: Path
    cores: Cores
    tools: Tools
    upstream: int
    tls: Tunnels | None = None


@contextmanager
def upstream_running(tools: Tools, cores: Cores, folder: Path) -> Iterator[int]:
    """The fake upstream on a free port."""
    with tool_running(tools.upstream, cores.tools, folder / "upstream.log", plain_environment()) as port:
        yield port


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
        return process, Target(self.name, port, self.credential, process.pid, is_gateway=True)


def deploy(server: Server, store: str, site: Site, emulator: str | None) -> Deployment:
    """Makes store, project, key and service account. `store` is `sqlite` or `firestore`, with a variant if wanted."""
    name = f"{server.name}/{store}"
    folder = site.folder / name.replace("/", "-")
    folder.mkdir()
    kind, _, variant = store.partition("+")
    url = f"firestore://demo-{uuid.uuid4().hex[:16]}/(default)" if kind == "firestore" else f"sqlite:///{folder}/gateway.db"
    environment = plain_environment() | dict(server.environment) | {
        "GATEWAY_STORE": url,
        "GATEWAY_MAX_OPEN_CALLS": str(OPEN_CALLS),
        "GATEWAY_GOOGLE_TOKEN_URI": f"http://127.0.0.1:{site.upstream}/token",
        "VERTEX_SERVICE_ACCOUNT_JSON": str(service_account(site.folder)),
        "VERTEX_BASE_URL": f"http://127.0.0.1:{site.upstream}",
    }  # fmt: skip
    if kind == "firestore":
        assert emulator is not None
        # Google's client reads it from the environment, here too: the key is written by this process.
        environment["FIRESTORE_EMULATOR_HOST"] = os.environ["FIRESTORE_EMULATOR_HOST"] = emulator
    if variant == "tls":
        assert site.tls is not None
        environment |= {"VERTEX_BASE_URL": f"https://127.0.0.1:{site.tls.server}", "SSL_CERT_FILE": str(site.tls.certificate)}
    return Deployment(name, server, environment, put_key(url, variant), url, site)


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


def count_commits(target: Target) -> tuple[int, int] | None:
    """Commits of usage records since the start, and records in them, as /readyz tells; None if it does not."""
    if not target.is_gateway:
        return None
    try:
        with plain_opener().open(f"http://127.0.0.1:{target.port}/readyz", timeout=20.0) as answer:
            facts = json.load(answer)
    except urllib.error.HTTPError as error:  # a store that is slow to answer makes it 503, with the same facts
        with error:
            facts = json.load(error)
    except OSError:
        return None
    return (facts["commits"], facts["records_written"]) if "commits" in facts else None


def plain_opener() -> urllib.request.OpenerDirector:
    """Whatever proxy the person has set: loopback is asked directly."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def count_upstream(site: Site) -> int:
    """Model calls that have reached the fake upstream since its start."""
    with plain_opener().open(f"http://127.0.0.1:{site.upstream}/stats", timeout=20.0) as answer:
        seen: dict[str, int] = json.load(answer)
    return seen["plain"] + seen["stream"]


def ask(target: Target, timeout_s: float = 20.0) -> int:
    """One plain call; its status."""
    return ask_for_head(target, timeout_s)[0]


def ask_for_head(target: Target, timeout_s: float = 20.0) -> tuple[int, dict[str, str]]:
    """One plain call; its status and headers."""
    load = Load()
    headers = dict(line.split(": ", 1) for line in (*load.headers, *target.credential))
    request = urllib.request.Request(f"http://127.0.0.1:{target.port}{target.path}", load.body(), headers, method="POST")
    try:
        with plain_opener().open(request, timeout=timeout_s) as answer:
            answer.read()
            return int(answer.status), lower_case(answer.headers)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, lower_case(error.headers)


def lower_case(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
