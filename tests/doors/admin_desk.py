"""An admin door over a SQLite store in a folder of the test's own, asked directly or over HTTP on loopback."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli_desk import START, Accounts
from flask import Flask, Response, request
from flask_server import listening

from gateway.administration.office import Office
from gateway.administration.provider_tests import ProbeResult
from gateway.canonical.errors import RequestTooLarge
from gateway.canonical.reply import Reply
from gateway.canonical.store import Json
from gateway.credentials.identity_tokens import IdentityRefused
from gateway.credentials.secrets import Secrets
from gateway.doors.admin import AdminDoor, Guard
from gateway.doors.http import HttpRequest
from gateway.providers.provider import Provider
from gateway.spending.prices import PriceBook
from gateway.store.sqlite import SqliteStore

ADMIN_KEY = "Zk3vQ0pX8mR5tY1wB7nL4cJ9hF2dS6gA"
PUBLIC_URL = "https://gateway.example.com"
SCHEDULER = "scheduler@claude-prod.iam.gserviceaccount.com"
FROM_ENVIRONMENT = Provider("vertex", "vertex", "adc", project_id="claude-prod")


@dataclass(frozen=True)
class Told:
    """An answer of the door."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def error(self) -> Json:
        """The error's envelope, looked at on the way."""
        assert set(self.body) == {"error"} and set(self.body["error"]) == {"type", "message", "path"}, self
        assert len(self.body["error"]["message"]) > 10, self
        found: Json = self.body["error"]
        return found


@dataclass
class AdminDesk:
    """The door and what stands behind it. `settings` may be changed before the first request."""

    folder: Path
    admin_key: str | None = ADMIN_KEY
    environment: dict[str, str] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)  # identity token → whose it is
    heard: list[str] = field(default_factory=list)
    lines: list[Json] = field(default_factory=list)
    swept: int = 0
    seconds: float = START
    store_class: type[SqliteStore] = SqliteStore
    _door: AdminDoor | None = None

    @property
    def door(self) -> AdminDoor:
        if self._door is None:
            secrets = Secrets(now=self.now, environment=self.environment)
            guard = Guard(self.admin_key, secrets, email=self._email, public_url=PUBLIC_URL, sweep_email=SCHEDULER)
            office = Office(
                store=self.store_class.from_url(f"/{self.folder}/admin/gateway.db", now=self.now),
                tokens=Accounts(),
                prices=PriceBook(None, 1),
                from_environment=[FROM_ENVIRONMENT],
                private_allowed=[],
                probe=lambda provider, model, location: ProbeResult(200, latency_ms=12),
                now=self.now,
                heard=self.heard.append,
                test_alert=lambda budget_id: [{"channel": "webhook", "delivered": True, "words": "200"}],
                sweep=self._sweep,
            )
            self._door = AdminDoor(office, guard, self.lines.append)
        return self._door

    @property
    def office(self) -> Office:
        return self.door.office

    def now(self) -> float:
        return self.seconds

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = ADMIN_KEY, prefix: str = "/admin/v1") -> Told:
        """One request. `body` is JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        parameters = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
        headers = {} if key is None else {"authorization": f"Bearer {key}"}

        def read_body(limit_bytes: int) -> bytes:
            if len(data) > limit_bytes:
                raise RequestTooLarge(f"more than {limit_bytes} bytes")
            return data

        reply = self.door.handle(HttpRequest(method, prefix + path, headers, parameters, read_body))
        return told(reply)

    def good(self, method: str, path: str, body: Any = None) -> Any:
        """The object of an answer that must be one."""
        answer = self.ask(method, path, body)
        assert answer.status in (200, 201), answer
        return answer.body

    def _email(self, token: str, audience: str) -> str:
        assert audience == PUBLIC_URL
        if token not in self.emails:
            raise IdentityRefused("its signature is not Google's")
        return self.emails[token]

    def _sweep(self) -> Json:
        self.swept += 1
        return {"expired_allowances": 0}


def told(reply: Reply) -> Told:
    assert isinstance(reply.body, bytes)
    assert reply.headers["content-type"] == "application/json"
    return Told(reply.status, reply.headers, json.loads(reply.body))


@contextlib.contextmanager
def served_door(door: AdminDoor) -> Iterator[str]:
    """The door over real HTTP; yields its URL."""
    app = Flask("admin", static_folder=None)

    @app.before_request
    def handle() -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        http = HttpRequest(request.method, request.path, headers, request.args, lambda limit_bytes: request.get_data())
        reply = door.handle(http)
        assert isinstance(reply.body, bytes)
        return Response(reply.body, status=reply.status, headers=reply.headers)

    with listening(app) as server:
        yield f"http://127.0.0.1:{server.server_port}"
