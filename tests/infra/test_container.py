"""The container without a container engine: its file system, its user, its entry, and calls through it."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import dockerfile
import pytest
import requests
from house import key_writes, message
from wire import eventually, open_stream

from gateway.callers.keys import new_key
from gateway.sandbox import Sandbox
from gateway.store import open_store

pytestmark = pytest.mark.infra
ROOT = Path(__file__).parent.parent.parent
SIZE_MAX_BYTES = 110 * 1024 * 1024  # docs/deploy.md states what was measured


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> dockerfile.Image:
    return dockerfile.build(ROOT, tmp_path_factory.mktemp("image"))


@pytest.fixture
def cloud_run(tmp_path: Path, firestore_url: str, emulator: str) -> Iterator[dict[str, str]]:
    """What Cloud Run and deploy.sh set, with the emulator as Firestore and the sandbox as Vertex AI."""
    with Sandbox(key_path=tmp_path / "key.json") as google:
        yield {
            "K_SERVICE": "tollgate", "K_REVISION": "tollgate-00001-abc", "PORT": str(free_port()),
            "GATEWAY_STORE": firestore_url, "FIRESTORE_EMULATOR_HOST": emulator,
            "VERTEX_SERVICE_ACCOUNT_JSON": google.service_account_json, "VERTEX_BASE_URL": google.url,
            "GATEWAY_GOOGLE_TOKEN_URI": google.token_uri, "GATEWAY_PUBLIC_URL": "https://gateway.example.com",
        }  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def make_key(store_url: str) -> str:
    key = new_key()
    store = open_store(store_url)
    store.commit(key_writes(key))
    store.close()
    return key


def wait_for(url: str, started: dockerfile.Started) -> None:
    def ready() -> bool:
        assert started.process.poll() is None, started.said()
        try:
            return requests.get(f"{url}/livez", timeout=2).ok
        except requests.ConnectionError:
            return False

    assert eventually(ready, within_s=60)


def test_the_image_answers_calls_as_nobody_and_ends_with_its_streams(image: dockerfile.Image, cloud_run: dict[str, str]) -> None:
    """Started as Cloud Run starts it, a call goes through, and SIGTERM lets an open stream finish within the drain time."""
    key = make_key(cloud_run["GATEWAY_STORE"])
    url = f"http://127.0.0.1:{cloud_run['PORT']}"
    with dockerfile.started(image, **cloud_run) as started:
        wait_for(url, started)
        if os.geteuid() == 0:
            status = Path(f"/proc/{started.process.pid}/status").read_text()
            assert re.search(r"^Uid:\s+65532", status, re.M), status
        headers = {"authorization": f"Bearer {key}"}
        answer = requests.post(f"{url}/v1/messages", json=message(), headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        assert "x-gateway-sandbox" not in answer.headers
        assert requests.post(f"{url}/v1/messages", json=message(), timeout=30).status_code == 401
        stream = open_stream(url, "/v1/messages", message("count to thirty", stream=True), headers)
        began = time.monotonic()
        started.process.send_signal(signal.SIGTERM)
        assert [event.kind for event in stream.rest()][-1] == "message_stop"
        assert started.ended(10) in (0, -signal.SIGTERM), started.said()  # the server passes the signal on when all is done
        assert time.monotonic() - began < 10


def test_on_cloud_run_there_is_no_demo_key_and_no_sandbox(image: dockerfile.Image, cloud_run: dict[str, str]) -> None:
    """What helps a newcomer on a laptop is off where the image runs: no key in the log, no pretend Claude."""
    with dockerfile.started(image, **cloud_run) as started:
        wait_for(f"http://127.0.0.1:{cloud_run['PORT']}", started)
        started.process.send_signal(signal.SIGTERM)
        started.ended(15)
    said = started.said()
    assert "Tollgate" in said
    assert "gw-" not in said and "SANDBOX" not in said


def test_the_image_refuses_sqlite_on_cloud_run(image: dockerfile.Image, cloud_run: dict[str, str]) -> None:
    """A store that dies with the instance stops the start, in words."""
    with dockerfile.started(image, **{**cloud_run, "GATEWAY_STORE": "sqlite:///tmp/gateway.db"}) as started:
        assert started.ended(30) != 0
    assert "SQLite on Cloud Run" in started.said() and "Traceback" not in started.said()


def test_a_container_on_a_laptop_without_a_provider_says_what_to_do(image: dockerfile.Image) -> None:
    """The sandbox would answer the whole network from 0.0.0.0: it is refused, with what to configure."""
    with dockerfile.started(image, PORT=str(free_port()), GATEWAY_STORE="sqlite:////tmp/gateway.db") as started:
        assert started.ended(30) == 1
    assert "VERTEX_SERVICE_ACCOUNT_JSON" in started.said()


def test_the_image_can_sign_for_bedrock(image: dockerfile.Image) -> None:
    """The part of botocore that was left out is not missed."""
    code = "import botocore.auth, botocore.awsrequest, botocore.credentials as c; c.Credentials('a', 'b')"
    image_python = dockerfile.Image(**{**vars(image), "entrypoint": ["python", "-c", code]})
    with dockerfile.started(image_python, [""]) as started:
        assert started.ended(30) == 0, started.said()


def test_everything_is_compiled_and_belongs_to_root(image: dockerfile.Image) -> None:
    """A cold start compiles nothing, and the gateway cannot change its own code."""
    gateway = image.inside("/app/gateway")
    sources = list(gateway.rglob("*.py"))
    compiled = {path.name.split(".")[0] for path in gateway.rglob("*.pyc")}
    assert sources and {path.stem for path in sources} == compiled
    assert not [path for path in image.inside("/app").rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o002]
    assert not list(gateway.rglob("*.db")) and not image.inside("/app/tests").exists()


def test_the_image_is_small(image: dockerfile.Image) -> None:
    """What the image adds to its base stays within the stated size."""
    size = dockerfile.size_bytes(image.inside("/app"))
    assert size < SIZE_MAX_BYTES, f"/app holds {size / 1e6:.0f} MB"
