"""A plain HTTP client for the sandbox: http.client, and a reader of event streams that shares nothing with the gateway."""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.sandbox import Sandbox

PROJECT = "p1"
HELLO: Any = [{"role": "user", "content": "Hello there"}]


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Data of the events; each one's `event:` line must agree with its type."""
        found = []
        for block in self.body.decode().split("\n\n"):
            if not block:
                continue
            name, data = block.split("\n")
            event = json.loads(data.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            found.append(event)
        return found

    @property
    def message(self) -> str:
        """The message of an error in either envelope."""
        document = self.json[0] if isinstance(self.json, list) else self.json
        return str(document["error"]["message"])


class Client:
    """Calls a sandbox on one connection per request, with a working token unless told otherwise."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.address = urlsplit(sandbox.url).netloc

    def send(self, method: str, path: str, body: Any = b"", headers: dict[str, str] | None = None) -> Answered:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answered(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def ask(
        self,
        body: dict[str, Any] | None = None,
        *,
        model: str = "claude-opus-5-5",
        location: str = "global",
        token: str | None = None,
        betas: str | None = None,
        **changes: Any,
    ) -> Answered:
        """One inference request; `changes` go into the body, None takes a field out."""
        base = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 1000, "messages": HELLO}
        fields = {name: value for name, value in {**base, **(body or {}), **changes}.items() if value is not None}
        verb = "streamRawPredict" if fields.get("stream") else "rawPredict"
        return self.send("POST", path(model, verb, location), json.dumps(fields).encode(), self.headers(token, betas))

    def count(self, body: dict[str, Any], *, location: str = "us-east5", betas: str | None = None) -> Answered:
        where = path("count-tokens", "rawPredict", location)
        return self.send("POST", where, json.dumps(body).encode(), self.headers(None, betas))

    def raw(self) -> socket.socket:
        """A bare connection, to say what http.client would not."""
        host, _, port = self.address.partition(":")
        return socket.create_connection((host, int(port)), timeout=10)

    def headers(self, token: str | None = None, betas: str | None = None) -> dict[str, str]:
        said = {"authorization": f"Bearer {token or self.sandbox.access_token()}", "content-type": "application/json"}
        return said | ({"anthropic-beta": betas} if betas else {})


def path(model: str, verb: str = "rawPredict", location: str = "global") -> str:
    return f"/v1/projects/{PROJECT}/locations/{location}/publishers/anthropic/models/{model}:{verb}"


def user(text: str) -> Any:
    """A conversation of one turn, for plain requests and for the SDK's types alike."""
    return [{"role": "user", "content": text}]
