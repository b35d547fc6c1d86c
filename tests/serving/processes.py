"""The gateway as processes of their own, as users start them: `python -m gateway serve`, or functions-framework."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
from house import message
from wire import Answer, Stream, ask, eventually, open_stream

from gateway.sandbox import Sandbox

REPOSITORY = Path(__file__).parents[2]
SERVE = ("-m", "gateway", "serve", "--port")
FUNCTION = ("-m", "functions_framework", "--target=gateway", f"--source={REPOSITORY / 'main.py'}", "--host=127.0.0.1", "--port")
START_TIMEOUT_S = 30.0


@dataclass
class Gateway:
    """One process that answers at `url`."""

    process: "subprocess.Popen[bytes]"
    url: str
    key: str
    output: Path

    def ask(self, text: str = "Hello", *, key: str | None = None) -> Answer:
        return ask(self.url, "POST", "/v1/messages", body=message(text), headers={"x-api-key": key or self.key})

    def stream(self, text: str = "Hello") -> Stream:
        return open_stream(self.url, "/v1/messages", message(text, stream=True), {"x-api-key": self.key})

    def terminate(self) -> None:
        """What Cloud Run sends ten seconds before it kills."""
        self.process.send_signal(signal.SIGTERM)

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{self.url}/livez", timeout=5).status_code == 200
        return False


def environment(sandbox: Sandbox, store_url: str, **settings: str) -> dict[str, str]:
    """What an operator sets, and nothing of the test's own environment that could steer the gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "VERTEX_", "GOOGLE_", "K_"))}
    return {
        **kept,
        "PYTHONPATH": str(REPOSITORY),
        "GATEWAY_STORE": store_url,
        "VERTEX_SERVICE_ACCOUNT_JSON": sandbox.service_account_json,
        "VERTEX_BASE_URL": sandbox.url,
        "GATEWAY_GOOGLE_TOKEN_URI": sandbox.token_uri,
        "THREADS": "16",
        **settings,
    }


@contextlib.contextmanager
def running(
    folder: Path, variables: Mapping[str, str], key: str, *, how: Sequence[str] = SERVE, count: int = 1
) -> Iterator[list[Gateway]]:
    """`count` gateways, started together; those that are still there at the end are killed."""
    gateways = []
    try:
        for number in range(count):
            port = _free_port()
            output = folder / f"output-{number}.txt"
            with output.open("wb") as file:
                process = subprocess.Popen(
                    [sys.executable, *how, str(port)], env=dict(variables), cwd=folder, stdout=file, stderr=subprocess.STDOUT,
                    start_new_session=True,
                )  # fmt: skip
            gateways.append(Gateway(process, f"http://127.0.0.1:{port}", key, output))
        for gateway in gateways:
            eventually(gateway.is_up, within_s=START_TIMEOUT_S)
        yield gateways
    finally:
        for gateway in gateways:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(gateway.process.pid, signal.SIGKILL)  # gunicorn's worker too
            gateway.process.wait()


def run(variables: Mapping[str, str], *words: str) -> str:
    """One command of `python -m gateway`; its output."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *words], env=dict(variables), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
