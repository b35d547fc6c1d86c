"""rotate-key.sh under a gateway that is being used: no call fails, and in the end it lives from the new key."""

import base64
import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import fake_cloud
import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials
from house import key_writes, message, serve_asgi
from operator_desk import Desk

from gateway.app import build_house
from gateway.callers.keys import new_key
from gateway.sandbox import Sandbox
from gateway.settings import read

pytestmark = pytest.mark.infra
PROJECT = "demo-project"
ACCOUNT = f"projects/{PROJECT}/serviceAccounts/vertex@{PROJECT}.iam.gserviceaccount.com"
SECRET = f"projects/{PROJECT}/secrets/tollgate-vertex-key"
ADMIN_SECRET = f"projects/{PROJECT}/secrets/tollgate-admin-key"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass
class TokenDesk:
    """Google's token endpoint: takes assertions of keys that are not disabled; the tokens are the sandbox's."""

    cloud: fake_cloud.FakeCloud
    sandbox: Sandbox
    minted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        header = parse_qs(body.decode())["assertion"][0].partition(".")[0]
        key_id = json.loads(base64.urlsafe_b64decode(header + "=="))["kid"]
        if self.cloud.things[f"{ACCOUNT}/keys/{key_id}"]["disabled"]:
            self.refused.append(key_id)
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        self.minted.append(key_id)
        own = json.loads(self.sandbox.service_account_json)
        credentials = Credentials.from_service_account_info({**own, "token_uri": self.sandbox.token_uri}, scopes=[SCOPE])  # type: ignore[no-untyped-call]
        credentials.refresh(Request())
        return 200, {"access_token": credentials.token, "expires_in": 3600, "token_type": "Bearer"}


@contextlib.contextmanager
def listening(desk: TokenDesk) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        wbufsize = -1

        def do_POST(self) -> None:
            status, told = desk.answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        def log_message(self, format: str, *args: Any) -> None:
            """The desk keeps its own list."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Clock:
    """Real time, and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


def store_secret(cloud: fake_cloud.FakeCloud, secret: str, value: bytes) -> None:
    cloud.things.setdefault(secret, {"name": secret})
    payload = {"data": base64.b64encode(value).decode()}
    fake_cloud.add_version(cloud, fake_cloud.Asked("POST", "secretmanager", secret, {}, {"payload": payload}), secret)


def first_key(cloud: fake_cloud.FakeCloud) -> None:
    """An account with one key, which the secret holds."""
    cloud.things[ACCOUNT] = {"name": ACCOUNT, "email": ACCOUNT.rpartition("/")[2]}
    made = fake_cloud.create_key(cloud, fake_cloud.Asked("POST", "iam", ACCOUNT, {}, {}), ACCOUNT)
    store_secret(cloud, SECRET, base64.b64decode(made["privateKeyData"]))


def test_no_call_fails_while_a_key_is_exchanged(desk: Desk, cloud: fake_cloud.FakeCloud, tmp_path: Path) -> None:
    """Calls go on all the time; the old key is disabled when nobody needs it, and tokens are made with the new one."""
    first_key(cloud)
    store_secret(cloud, ADMIN_SECRET, b"Zk3vQ9xT7mB2nL5pW8rY1cH4jD6gF0sA")
    clock = Clock()
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(key_path=tmp_path / "key.json"))
        tokens = TokenDesk(cloud, sandbox)
        settings = read({
            "GATEWAY_STORE": f"sqlite:///{tmp_path}/gateway.db", "VERTEX_SERVICE_ACCOUNT_JSON": f"{SECRET}/versions/latest",
            "GATEWAY_SECRET_MANAGER_URL": f"http://127.0.0.1:{desk.environment['CLOUDSDK_PROXY_PORT']}",
            "GATEWAY_GOOGLE_TOKEN_URI": stack.enter_context(listening(tokens)), "VERTEX_BASE_URL": sandbox.url,
            "GATEWAY_ADMIN_KEY": f"{ADMIN_SECRET}/versions/latest",
        })  # fmt: skip
        house = build_house(settings, now=clock)
        key = new_key()
        house.store.commit(key_writes(key))
        url = serve_asgi(house, stack, [])
        calls = Calls(url, key)
        calls.start()
        script = subprocess.Popen(
            [str(desk.checkout / "infra/rotate-key.sh"), PROJECT, "--url", url, "--wait-s", "4"], cwd=desk.checkout,
            env={**desk.environment, "POLL_S": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        until(lambda: f"{SECRET}/versions/2" in cloud.things)
        clock.ahead_s += 3300  # five minutes for the secret, and by then the first token is due for renewal
        said = script.communicate(timeout=120)[0]
        assert script.returncode == 0, said
        clock.ahead_s += 3600
        time.sleep(1)
        calls.stop()
    old_id, new_id = sorted(name.rpartition("/")[2] for name in cloud.things if f"{ACCOUNT}/keys/" in name)
    assert cloud.things[f"{ACCOUNT}/keys/{old_id}"]["disabled"] and not cloud.things[f"{ACCOUNT}/keys/{new_id}"]["disabled"]
    assert cloud.things[f"{SECRET}/versions/1"]["state"] == "DISABLED"
    assert calls.statuses.count(200) == len(calls.statuses) > 20
    assert tokens.minted[0] == old_id and tokens.minted[-1] == new_id and tokens.refused == []
    assert "BEGIN PRIVATE KEY" not in said and "provider vertex: ok" in said


def test_a_rotation_that_was_broken_off_is_taken_up_again(desk: Desk, cloud: fake_cloud.FakeCloud) -> None:
    """The gateway does not answer while the script waits: both keys stay good, and the next run makes no third one."""
    first_key(cloud)
    broken = desk.run("rotate-key.sh", PROJECT, "--url", "http://127.0.0.1:1", "--wait-s", "1", POLL_S="1")
    assert broken.code != 0 and "both keys stay good" in broken.complained
    keys = [name for name in cloud.things if f"{ACCOUNT}/keys/" in name]
    assert len(keys) == 2 and not any(cloud.things[name]["disabled"] for name in keys)
    again = desk.succeed("rotate-key.sh", PROJECT, "--wait-s", "0")
    assert "takes up a rotation" in again.said
    assert [name for name in cloud.things if f"{ACCOUNT}/keys/" in name] == keys
    assert [cloud.things[name]["disabled"] for name in sorted(keys)] == [True, False]


class Calls:
    """One caller that never rests."""

    def __init__(self, url: str, key: str) -> None:
        self.statuses: list[int] = []
        self._url, self._key, self._going = url, key, True
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._going = False
        self._thread.join(30)

    def _run(self) -> None:
        session = requests.Session()
        while self._going:
            headers = {"authorization": f"Bearer {self._key}"}
            answer = session.post(f"{self._url}/v1/messages", json=message(), headers=headers, timeout=30)
            self.statuses.append(answer.status_code)
            time.sleep(0.02)


def until(happened: Any) -> None:
    limit = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < limit, "it did not happen within a minute"
        time.sleep(0.05)
