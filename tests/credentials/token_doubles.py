"""Stand-ins for the tests of this room: a clock turned by hand, a small store, and a token endpoint that checks signatures."""

import base64
import functools
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import parse_qs

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gateway.canonical.store import AlreadyExists, Conflict, Document, Json, Missing, Store, StoreUnavailable
from gateway.credentials.google_tokens import TokenBroker
from gateway.credentials.secrets import Secrets

TOKEN_URI = "http://127.0.0.1:9/token"
EMAIL = "gateway@demo-project.iam.gserviceaccount.com"
START = 1_790_000_000.0


def private_key(number: int = 0) -> rsa.RSAPrivateKey:
    """One key per number and process."""
    return _generated(number)


@functools.cache
def _generated(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem_of(key: Any, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()), "ascii")


def key_fields(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A key file's fields as Google writes them; a change to None takes a field out."""
    fields = {
        "type": "service_account",
        "project_id": "demo-project",
        "private_key_id": f"kid-{number}",
        "private_key": pem_of(private_key(number)),
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def key_file(number: int = 0, **changes: Any) -> str:
    return json.dumps(key_fields(number, **changes))


class HandClock:
    """Wall clock and monotonic clock that move only when told; sleeping moves them."""

    def __init__(self, start: float = START) -> None:
        self.time = start
        self.slept_s = 0.0

    def now(self) -> float:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += seconds

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self.time += seconds


class MemoryStore:
    """As much of a store as tokens need: versions, expiry, a switch that turns it off, and a count of what was asked."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.down = False
        self.asked = 0
        self.documents: dict[str, tuple[int, Json]] = {}
        self._now = now
        self._lock = threading.Lock()
        self._versions = 0

    def get(self, path: str, *, timeout_s: float = 2.0) -> Document | None:
        with self._lock:
            self._ask()
            live = self._live(path)
            return Document(path, dict(live[1]), str(live[0])) if live else None

    def create(self, path: str, data: Json, *, timeout_s: float = 2.0) -> str:
        with self._lock:
            self._ask()
            if self._live(path):
                raise AlreadyExists(path)
            return self._write(path, dict(data))

    def update(self, path: str, fields: Json, *, if_version: str | None = None, timeout_s: float = 2.0) -> str:
        with self._lock:
            self._ask()
            live = self._live(path)
            if not live:
                raise Missing(path)
            if if_version not in (None, str(live[0])):
                raise Conflict(path)
            return self._write(path, live[1] | fields)

    def _ask(self) -> None:
        self.asked += 1
        if self.down:
            raise StoreUnavailable("the store is turned off")

    def _live(self, path: str) -> tuple[int, Json] | None:
        found = self.documents.get(path)
        expired = found and "expires_at" in found[1] and found[1]["expires_at"] <= datetime.fromtimestamp(self._now(), UTC)
        return None if expired else found

    def _write(self, path: str, data: Json) -> str:
        self._versions += 1
        self.documents[path] = (self._versions, data)
        return str(self._versions)


def as_store(store: object) -> Store:
    return cast(Store, store)


class TokenGoogle:
    """A token endpoint. It grants for assertions signed by a key it knows, and counts; `refuse_with` scripts refusals."""

    def __init__(
        self, *, now: Callable[[], float] = time.time, lifetime_s: Any = 3599, delay_s: float = 0.0, keys: tuple[int, ...] = (0,)
    ) -> None:
        self.now, self.lifetime_s, self.delay_s = now, lifetime_s, delay_s
        self.keys = set(keys)
        self.granted: list[str] = []
        self.asked = 0
        self.claims: list[dict[str, Any]] = []
        self.refuse_with: tuple[int, dict[str, Any]] | None = None
        self._lock = threading.Lock()

    def answer(self, form: str) -> tuple[int, dict[str, Any]]:
        with self._lock:
            self.asked += 1
        time.sleep(self.delay_s)
        if self.refuse_with:
            return self.refuse_with
        fields = parse_qs(form, strict_parsing=True)
        assert fields["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        fault = self._fault(fields["assertion"][0])
        if fault:
            return 400, {"error": "invalid_grant", "error_description": fault}
        with self._lock:
            token = f"ya29.token-{len(self.granted) + 1}-{id(self):x}"
            self.granted.append(token)
        return 200, {"access_token": token, "expires_in": self.lifetime_s, "token_type": "Bearer"}

    def _fault(self, assertion: str) -> str | None:
        head, claims_part, signature = assertion.split(".")
        header, claims = (json.loads(_decoded(part)) for part in (head, claims_part))
        assert header["alg"] == "RS256"
        number = int(header["kid"].removeprefix("kid-"))
        if number not in self.keys:
            return "Invalid JWT Signature."
        try:
            private_key(number).public_key().verify(
                _decoded(signature), f"{head}.{claims_part}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            return "Invalid JWT Signature."
        assert claims["aud"] == "https://oauth2.googleapis.com/token"
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        if claims["exp"] - claims["iat"] > 3600 or not claims["iat"] - 300 <= self.now() < claims["exp"]:
            return "Invalid JWT: Token must be a short-lived token (60 minutes). Check your iat and exp values."
        self.claims.append(claims)
        return None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class ScriptedAdapter(requests.adapters.BaseAdapter):
    """Answers a session's requests from a function; whatever it raises is what the network does."""

    def __init__(self, answer: Callable[[requests.PreparedRequest], tuple[int, dict[str, Any]]]) -> None:
        super().__init__()
        self._answer = answer

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        status, body = self._answer(request)
        response = requests.Response()
        response.status_code, response.request, response.url = status, request, str(request.url)
        response._content = json.dumps(body).encode()
        response._content_consumed = True  # type: ignore[attr-defined]
        return response

    def close(self) -> None:
        return


def session_of(google: TokenGoogle) -> requests.Session:
    """A session on which every POST ends at this token endpoint."""
    session = requests.Session()
    adapter = ScriptedAdapter(lambda request: google.answer(str(request.body)))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class Background:
    """Work that was put in the background and waits for `run`."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def spawn(self, work: Callable[[], None]) -> None:
        self.waiting.append(work)

    def run(self) -> int:
        """Does what waits; how much that was."""
        work, self.waiting = self.waiting, []
        for job in work:
            job()
        return len(work)


def broker_on(
    clock: HandClock, store: object, google: TokenGoogle, *, background: Background | None = None, **options: Any
) -> TokenBroker:
    """A broker of one instance, in hand-turned time."""
    secrets = options.pop("secrets", None) or Secrets(clock.now, environment={"KEY": key_file()})
    options.setdefault("draw", lambda: 0.5)
    options.setdefault("session", session_of(google))
    options.setdefault("spawn", (background or Background()).spawn)
    token_uri = options.pop("token_uri", TOKEN_URI)
    return TokenBroker(as_store(store), secrets, token_uri, clock.now, monotonic=clock.now, sleep=clock.sleep, **options)
