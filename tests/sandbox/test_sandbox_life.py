"""The sandbox starts on loopback only, keeps its key to itself, answers at once, remembers a bounded past, and stops."""

import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sandbox_client import Client, path, user

from gateway.sandbox import Fault, Sandbox, SandboxRefused


def test_it_is_refused_on_cloud_run(key_path: Path) -> None:
    """K_SERVICE set: no start."""
    with pytest.raises(SandboxRefused, match="Cloud Run"):
        Sandbox(key_path=key_path, environment={"K_SERVICE": "gateway"}).start()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_it_listens_on_loopback_only(key_path: Path, host: str) -> None:
    """Any other address is refused before anything listens."""
    with pytest.raises(SandboxRefused, match="loopback"):
        Sandbox(key_path=key_path, environment={}).start(host)


def test_the_key_file_is_private_and_outlives_a_restart(tmp_path: Path) -> None:
    """Mode 0600; the second start has the same key and says where it listens now."""
    kept = tmp_path / "new" / "key.json"
    with Sandbox(key_path=kept, environment={}):
        first = json.loads(kept.read_text())
    with Sandbox(key_path=kept, environment={}) as again:
        second = json.loads(kept.read_text())
        assert second["token_uri"] == again.token_uri
    assert first["private_key"] == second["private_key"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_thoughts_outlive_a_restart(tmp_path: Path) -> None:
    """A conversation with signed thinking goes on after the sandbox was started again."""
    thinking = {"thinking": {"type": "adaptive"}}
    with Sandbox(key_path=tmp_path / "key.json", environment={}) as sandbox:
        said = Client(sandbox).ask(thinking).json["content"]
    with Sandbox(key_path=tmp_path / "key.json", environment={}) as sandbox:
        messages = [*user("hello"), {"role": "assistant", "content": said}, *user("more")]
        assert Client(sandbox).ask(thinking, messages=messages).status == 200


def test_a_connection_is_kept_and_no_answer_stalls(sandbox: Sandbox, client: Client) -> None:
    """Fifty calls on one connection, streamed and not, without a delayed acknowledgement among them."""
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)
    slow = 0
    for i in range(50):
        body = {"anthropic_version": "2026-10-21", "max_tokens": 500, "messages": user("hello"), "stream": bool(i % 2)}
        began = time.monotonic()
        connection.request("POST", path("claude-opus-5-5"), json.dumps(body), client.headers())
        sock = connection.sock
        assert connection.getresponse().read()
        slow += time.monotonic() - began > 0.03
        assert connection.sock is sock
    connection.close()
    assert slow < 20


def test_requests_are_recorded_whole_and_bounded(sandbox: Sandbox, client: Client) -> None:
    """Method, path, query, headers, body and status; the oldest of more than a thousand are forgotten."""
    client.send("POST", path("claude-opus-5-5") + "?beta=true", b"{}", client.headers() | {"X-Mark": "1"})
    recorded = sandbox.requests[-1]
    assert (recorded.method, recorded.path, recorded.query) == ("POST", path("claude-opus-5-5"), "beta=true")
    assert (recorded.headers["x-mark"], recorded.body, recorded.status) == ("1", b"{}", 400)
    with Client(sandbox).raw() as raw:
        raw.sendall(b"GET /many HTTP/1.1\r\nhost: x\r\n\r\n" * 1100 + b"GET /last HTTP/1.1\r\nconnection: close\r\n\r\n")
        while raw.recv(1 << 16):
            pass
    assert len(sandbox.requests) == 1000
    assert sandbox.requests[0].path == "/many"
    assert sandbox.state()["requests"]["GET /many"] == {"404": 1100}


def test_chunked_and_expecting_requests_are_read(sandbox: Sandbox, client: Client) -> None:
    """Two ways of sending a body that clients have."""
    body = json.dumps({"anthropic_version": "2026-10-21", "max_tokens": 9, "messages": user("hi")}).encode()
    assert client.send("POST", path("claude-opus-5-5"), iter([body[:9], body[9:]]), client.headers()).status == 200
    with Client(sandbox).raw() as raw:
        raw.sendall(b"POST /token HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 100 ")
        raw.sendall(b"ab")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_what_is_no_http_is_told_so(sandbox: Sandbox) -> None:
    """400 and goodbye."""
    with Client(sandbox).raw() as raw:
        raw.sendall(b"hello\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")
        assert raw.recv(1000) == b""


def test_stopping_ends_open_streams(key_path: Path) -> None:
    """A stream in its silence is closed, and the port is free."""
    sandbox = Sandbox(key_path=key_path, environment={}).start()
    address = urlsplit(sandbox.url)
    sandbox.script(Fault(wait_at_s=30, at=2))
    failed: list[BaseException] = []

    def listen() -> None:
        try:
            Client(sandbox).ask(stream=True)
        except (http.client.HTTPException, OSError) as error:
            failed.append(error)

    listener = threading.Thread(target=listen)
    listener.start()
    while not (sandbox.requests and sandbox.requests[-1].status):
        time.sleep(0.005)
    sandbox.stop()
    sandbox.stop()
    listener.join(5)
    assert failed
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=1)


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    """Prints its URL, writes the key file, answers, and ends at SIGTERM."""
    command = [sys.executable, "-m", "gateway.sandbox", "--port", "0", "--key-file", str(tmp_path / "key.json")]
    environment = {name: value for name, value in os.environ.items() if name != "K_SERVICE"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2], env=environment) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
            connection.request("GET", "/_sandbox/state")
            assert json.loads(connection.getresponse().read()) == {"mints": 0, "requests": {}}
            connection.close()
            assert json.loads((tmp_path / "key.json").read_text())["token_uri"] == f"{url}/token"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
