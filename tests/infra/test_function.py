"""The Cloud Run function, started as the buildpack starts it: from a clean copy of the source, its requirements installed."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dockerfile
import pytest
import requests
from house import message
from test_container import free_port, make_key
from wire import eventually, open_stream

from gateway.sandbox import Sandbox

pytestmark = pytest.mark.infra
ROOT = Path(__file__).parent.parent.parent
# github.com/GoogleCloudPlatform/buildpacks, cmd/python/functions_framework/main.go at 0244f6d (read 2026-11-21): requirements.txt
# must name functions-framework at the start of a line, every file must compile, and the process is ENTRY without arguments.
NAMED = re.compile(r"(?m)^functions-framework\b([^-]|$)")
ENTRY = ["functions-framework"]
BUILDPACK = {"FUNCTION_TARGET": "gateway", "FUNCTION_SIGNATURE_TYPE": "http", "PYTHONUNBUFFERED": "TRUE", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `gcloud functions deploy --source=.` uploads, and the packages beside it."""
    folder = tmp_path_factory.mktemp("function")
    for name in ("main.py", "requirements.txt"):
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "gateway", folder / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    assert NAMED.search((folder / "requirements.txt").read_text())
    subprocess.run([str(dockerfile.python()), "-m", "compileall", "-f", "-q", "."], cwd=folder, check=True)
    subprocess.run(
        [str(dockerfile.python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--require-hashes", "--target", str(folder / "packages"), "--requirement", str(folder / "requirements.txt")],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def function(
    workspace: Path, tmp_path: Path, firestore_url: str, emulator: str
) -> Iterator[tuple[str, str, "subprocess.Popen[bytes]"]]:
    """URL, key and process of the running function."""
    port = free_port()
    path = f"{workspace / 'packages' / 'bin'}:{dockerfile.link_python(tmp_path / 'bin', dockerfile.python())}:/usr/bin:/bin"
    with Sandbox(key_path=tmp_path / "key.json") as google:
        environment = {
            **BUILDPACK, "PORT": str(port), "THREADS": "16", "K_SERVICE": "tollgate", "HOME": str(tmp_path),
            "PATH": path, "PYTHONPATH": str(workspace / "packages"),
            "GATEWAY_STORE": firestore_url, "FIRESTORE_EMULATOR_HOST": emulator,
            "VERTEX_SERVICE_ACCOUNT_JSON": google.service_account_json, "VERTEX_BASE_URL": google.url,
            "GATEWAY_GOOGLE_TOKEN_URI": google.token_uri,
        }  # fmt: skip
        log = tmp_path / "log.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ENTRY, cwd=workspace, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            eventually(lambda: answers(port) or process.poll() is not None, within_s=60)
            assert process.poll() is None, log.read_text()
            yield f"http://127.0.0.1:{port}", make_key(firestore_url), process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_function_answers_calls_and_streams(function: tuple[str, str, "subprocess.Popen[bytes]"]) -> None:
    """A plain call, a stream and a refusal go through the framework; SIGTERM ends it."""
    url, key, process = function
    headers = {"authorization": f"Bearer {key}"}
    answer = requests.post(f"{url}/v1/messages", json=message(), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    stream = open_stream(url, "/v1/messages", message(stream=True), headers)
    assert [event.kind for event in stream.rest()][-1] == "message_stop"
    assert requests.post(f"{url}/v1/messages", json=message(), timeout=30).status_code == 401
    assert requests.get(f"{url}/livez", timeout=30).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
