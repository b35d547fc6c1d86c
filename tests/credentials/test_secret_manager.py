"""Secret Manager through its real client, against a loopback server that speaks its REST API."""

import base64
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import pytest
from token_doubles import HandClock

from gateway.credentials.secret_manager import SecretManager, crc32c
from gateway.credentials.secrets import SecretError, Secrets

PINNED = "projects/p/secrets/s/versions/3"
LATEST = "projects/p/secrets/s/versions/latest"
Answer = tuple[int, dict[str, Any]]


def payload(value: bytes, checksum: int | None = None) -> Answer:
    data = base64.b64encode(value).decode()
    crc = str(crc32c(value) if checksum is None else checksum)
    return 200, {"name": "projects/1/secrets/s/versions/3", "payload": {"data": data, "dataCrc32c": crc}}


def refusal(code: int, status: str, message: str = "Google's words") -> Answer:
    return code, {"error": {"code": code, "status": status, "message": message}}


class FakeSecretManager:
    """Answers every access as `answer` says; keeps what was asked and with which credential."""

    def __init__(self) -> None:
        self.answer: Callable[[], Answer] = lambda: payload(b"value")
        self.asked: list[tuple[str, str | None]] = []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            wbufsize = -1

            def do_GET(self) -> None:
                fake.asked.append((unquote(self.path).partition("?")[0], self.headers["authorization"]))
                status, body = fake.answer()
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def manager() -> Iterator[FakeSecretManager]:
    fake = FakeSecretManager()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def secrets(manager: FakeSecretManager, clock: HandClock) -> Secrets:
    return Secrets(clock.now, manager.url)


def test_a_version_is_read_with_no_credential_over_plain_http(manager: FakeSecretManager, secrets: Secrets) -> None:
    """A test or private endpoint without TLS is never sent the gateway's own token."""
    assert secrets.read(PINNED) == "value"
    assert manager.asked == [(f"/v1/{PINNED}:access", None)]


def test_a_pinned_version_is_read_once(manager: FakeSecretManager, secrets: Secrets, clock: HandClock) -> None:
    """Versions never change, so neither time nor a refresh asks again."""
    for _ in range(3):
        assert secrets.read(PINNED) == secrets.refresh(PINNED) == "value"
        clock.move(86_400)
    assert len(manager.asked) == 1


def test_latest_is_read_again_after_its_time(manager: FakeSecretManager, secrets: Secrets, clock: HandClock) -> None:
    """A new version counts after five minutes at most."""
    assert secrets.read(LATEST) == "value"
    manager.answer = lambda: payload(b"rotated\n")
    clock.move(299)
    assert secrets.read(LATEST) == "value"
    clock.move(2)
    assert secrets.read(LATEST) == "rotated"


def test_a_refresh_reads_at_once_but_not_twice_a_minute(manager: FakeSecretManager, secrets: Secrets, clock: HandClock) -> None:
    """A refusal elsewhere makes the new version count at once, and a run of refusals does not hammer Secret Manager."""
    secrets.read(LATEST)
    manager.answer = lambda: payload(b"rotated")
    assert [secrets.refresh(LATEST) for _ in range(5)] == ["rotated"] * 5
    assert len(manager.asked) == 2
    clock.move(61)
    secrets.refresh(LATEST)
    assert len(manager.asked) == 3


def test_the_last_good_value_outlives_an_outage(
    manager: FakeSecretManager, secrets: Secrets, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    """While Secret Manager fails, for whatever reason, the value stays, and it is asked twice a minute at most; the log
    says so."""
    secrets.read(LATEST)
    manager.answer = lambda: refusal(403, "PERMISSION_DENIED")
    clock.move(301)
    assert [secrets.read(LATEST) for _ in range(5)] == ["value"] * 5
    assert secrets.refresh(LATEST) == "value"
    asked = len(manager.asked)
    assert asked == 3
    assert "may not read it" in caplog.text and "the value read before stays in use" in caplog.text
    manager.answer = lambda: payload(b"rotated")
    clock.move(31)
    assert secrets.read(LATEST) == "rotated"


@pytest.mark.parametrize(
    ("answer", "cause", "mend"),
    [
        (refusal(404, "NOT_FOUND"), "no such secret or version", "gcloud secrets versions list s --project=p"),
        (refusal(403, "PERMISSION_DENIED"), "may not read it",
         "gcloud secrets add-iam-policy-binding s --project=p --role=roles/secretmanager.secretAccessor"),
        (refusal(400, "FAILED_PRECONDITION", "version is in DISABLED state."), "disabled or destroyed (version is in DISABLED",
         "gcloud secrets versions add s --project=p"),
        (refusal(401, "UNAUTHENTICATED"), "no Google identity", "attach a service account"),
        (payload(b"value", checksum=7), "checksum does not match", "try again"),
        (payload(b"\xff\xfe"), "not UTF-8", "store the text itself"),
        (payload(b"\n"), "it is empty", "store a value"),
    ],
    ids=["not found", "denied", "disabled", "unauthenticated", "damaged", "binary", "empty"],
)  # fmt: skip
def test_a_fault_is_named_with_its_mend(
    manager: FakeSecretManager, secrets: Secrets, answer: Answer, cause: str, mend: str
) -> None:
    """The reference, Google's words and a command to copy; asked once."""
    manager.answer = lambda: answer
    with pytest.raises(SecretError) as caught:
        secrets.read(PINNED)
    text = str(caught.value)
    assert text.startswith(f"{PINNED}: ") and cause in text and mend in text
    assert caught.value.__context__ is None
    assert len(manager.asked) == 1


def test_a_fault_is_remembered_for_seconds(manager: FakeSecretManager, secrets: Secrets, clock: HandClock) -> None:
    """Requests that all need a missing secret do not all ask for it; once it is there, it counts within seconds."""
    manager.answer = lambda: refusal(404, "NOT_FOUND")
    for _ in range(5):
        with pytest.raises(SecretError):
            secrets.read(LATEST)
    assert len(manager.asked) == 1
    manager.answer = lambda: payload(b"value")
    clock.move(5.1)
    assert secrets.read(LATEST) == "value"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(manager: FakeSecretManager, secrets: Secrets, status: int) -> None:
    """One bad answer is not the end."""
    answers = iter([refusal(status, "UNAVAILABLE"), payload(b"value")])
    manager.answer = lambda: next(answers)
    assert secrets.read(PINNED) == "value"


def test_an_outage_is_told_within_seconds(manager: FakeSecretManager, secrets: Secrets) -> None:
    """The client's own defaults would block for most of a minute."""
    manager.answer = lambda: refusal(503, "UNAVAILABLE")
    started = time.monotonic()
    with pytest.raises(SecretError, match="did not answer"):
        secrets.read(PINNED)
    assert time.monotonic() - started < 5


def test_nobody_listening_is_told_too(clock: HandClock) -> None:
    """A wrong port is a fault of the settings."""
    with pytest.raises(SecretError, match=r"did not answer.*GATEWAY_SECRET_MANAGER_URL"):
        Secrets(clock.now, "http://127.0.0.1:9").read(PINNED)


def test_many_threads_ask_once(manager: FakeSecretManager, secrets: Secrets) -> None:
    """A cold start with sixteen requests is one access."""

    def slow() -> Answer:
        time.sleep(0.1)
        return payload(b"value")

    manager.answer = slow
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(lambda _: secrets.read(LATEST), range(16))) == {"value"}
    assert len(manager.asked) == 1


def test_nobody_waits_for_another_look_at_a_known_value(manager: FakeSecretManager, secrets: Secrets, clock: HandClock) -> None:
    """One thread reads again, the others go on with what is known."""
    secrets.read(LATEST)
    asking, go_on = threading.Event(), threading.Event()

    def slow() -> Answer:
        asking.set()
        go_on.wait(10)
        return payload(b"rotated")

    manager.answer = slow
    clock.move(301)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(secrets.read, LATEST)
        assert asking.wait(10)
        assert [secrets.read(LATEST) for _ in range(5)] == ["value"] * 5
        go_on.set()
        assert first.result(10) == "rotated"


def test_without_any_google_identity_the_mend_is_a_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """On a laptop without credentials the first secret says so."""
    for name, value in {"HOME": str(tmp_path), "NO_GCE_CHECK": "true", "CLOUDSDK_CONFIG": str(tmp_path),
                        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "missing.json")}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(SecretError, match=r"no Google identity.*gcloud auth application-default login"):
        SecretManager(None).fetch(PINNED)


@pytest.mark.parametrize(("data", "crc"), [(b"", 0), (b"123456789", 0xE3069283), (b"\0" * 32, 0x8A9136AA)])
def test_the_checksum_is_the_published_one(data: bytes, crc: int) -> None:
    """RFC 3720, appendix B.4."""
    assert crc32c(data) == crc
