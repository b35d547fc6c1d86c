"""Several real processes share one token through a real store; a token endpoint on loopback checks and counts."""

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from token_doubles import TokenGoogle, key_file

REPOSITORY = Path(__file__).parents[2]
PROCESSES, THREADS = 5, 4


class Endpoint:
    """A TokenGoogle behind a port."""

    def __init__(self, google: TokenGoogle) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            wbufsize = -1

            def do_POST(self) -> None:
                status, body = google.answer(self.rfile.read(int(self.headers["content-length"])).decode())
                data = json.dumps(body).encode()
                with contextlib.suppress(OSError):  # whoever asked may be dead by now
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


class Instance:
    """A process that runs a broker."""

    def __init__(self, store_url: str, token_uri: str, key_path: Path) -> None:
        script = Path(__file__).with_name("token_instance.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), store_url, token_uri, str(key_path), str(THREADS)],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def tell(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def google() -> TokenGoogle:
    return TokenGoogle(delay_s=0.15)


@pytest.fixture
def endpoint(google: TokenGoogle) -> Iterator[Endpoint]:
    endpoint = Endpoint(google)
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()


@contextlib.contextmanager
def running(store_url: str, endpoint: Endpoint, key_path: Path, count: int = PROCESSES) -> Iterator[list[Instance]]:
    """Instances that are all up and wait for a word; killed after a minute, whatever happens."""
    key_path.write_text(key_file())
    instances = [Instance(store_url, endpoint.url, key_path) for _ in range(count)]
    watchdog = threading.Timer(60, kill, [instances])
    watchdog.start()
    try:
        assert ask_all(instances, "ready?") == ["ready"] * count
        yield instances
    finally:
        watchdog.cancel()
        for instance in instances:
            instance.process.kill()
            instance.process.communicate()


def kill(instances: list[Instance]) -> None:
    for instance in instances:
        instance.process.kill()


def ask_all(instances: list[Instance], word: str) -> list[Any]:
    for instance in instances:
        instance.tell(word)
    return [instance.answer() for instance in instances]


def share_one_token(store_url: str, endpoint: Endpoint, google: TokenGoogle, key_path: Path) -> None:
    with running(store_url, endpoint, key_path) as instances:
        answers = ask_all(instances, "token")
        assert google.asked == 1
        assert [answer["values"] for answer in answers] == [google.granted] * PROCESSES
        assert ask_all(instances, "refuse") == [True] * PROCESSES
        answers = ask_all(instances, "token")
        assert google.asked == 2
        assert [answer["values"] for answer in answers] == [google.granted[1:]] * PROCESSES


def test_processes_on_sqlite_mint_once(endpoint: Endpoint, google: TokenGoogle, tmp_path: Path) -> None:
    """Twenty threads in five processes on a cold start: one token; refused everywhere at once: one more."""
    share_one_token(f"sqlite:///{tmp_path}/gateway.db", endpoint, google, tmp_path / "key.json")


def test_processes_on_firestore_mint_once(firestore_url: str, endpoint: Endpoint, google: TokenGoogle, tmp_path: Path) -> None:
    """The same on the Firestore emulator."""
    share_one_token(firestore_url, endpoint, google, tmp_path / "key.json")


@pytest.mark.full
def test_a_process_killed_while_minting_costs_the_others_seconds(endpoint: Endpoint, google: TokenGoogle, tmp_path: Path) -> None:
    """SIGKILL in the middle of the POST: five seconds later one of the others mints for all."""
    google.delay_s = 2.0
    with running(f"sqlite:///{tmp_path}/gateway.db", endpoint, tmp_path / "key.json", count=4) as instances:
        instances[0].tell("token")
        deadline = time.monotonic() + 10
        while not google.asked and time.monotonic() < deadline:
            time.sleep(0.01)
        instances[0].process.kill()
        google.delay_s = 0.15
        answers = ask_all(instances[1:], "token")
    assert google.asked == 2
    assert len({value for answer in answers for value in answer["values"]}) == 1
    assert all(4.5 < answer["waited_s"] < 8 for answer in answers)
