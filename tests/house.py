"""A whole gateway for tests: its own SQLite store, a sandbox as its Google, served over real HTTP on loopback."""

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import uvicorn
from flask_server import listening
from wire import Stream, eventually, open_stream

from gateway.app import House, build_house
from gateway.callers.keys import hash_key, new_key
from gateway.canonical.store import Json, Put, Store
from gateway.records.log import LineLog
from gateway.sandbox import Sandbox
from gateway.server import listen, make_config
from gateway.settings import read
from gateway.wsgi import make_flask


@dataclass
class Served:
    """A running gateway with one project `demo` and one key."""

    house: House
    sandbox: Sandbox
    url: str
    key: str
    lines: io.StringIO = field(repr=False)
    server_errors: list[str] = field(repr=False)  # exceptions that reached the web server, as it would log them

    @property
    def store(self) -> Store:
        return self.house.store

    def post(self, path: str, body: Any, *, key: str | None = None, **more: Any) -> requests.Response:
        headers = {"authorization": f"Bearer {key or self.key}", **more.pop("headers", {})}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(self.url + path, data=data, headers=headers, timeout=30, **more)

    def ask(self, text: str = "Hello", **more: Any) -> requests.Response:
        """One plain Messages call; keywords are members of the body."""
        return self.post("/v1/messages", message(text, **more), stream=bool(more.get("stream")))

    def add_key(self, **fields: Any) -> str:
        """Another key; fields of its document may be given. `project_fields` sets its project's."""
        key = new_key()
        self.store.commit(key_writes(key, **fields))
        return key

    def records(self, project: str = "demo") -> list[Json]:
        return [d.data for d in self.store.query(f"projects/{project}/usage").documents]

    def record(self, request_id: str) -> Json:
        """The usage document of one call, once it is written; exactly one there must be."""
        where = [("request_id", "==", request_id)]
        found = eventually(lambda: self.store.query("usage", where=where, group=True).documents)  # type: ignore[arg-type]
        assert len(found) == 1, found
        document: Json = found[0].data
        return document

    def stream(self, text: str = "Hello", *, path: str = "/v1/messages", key: str | None = None, **more: Any) -> Stream:
        """A streamed Messages call, its head already there; keywords are members of the body, `headers` apart."""
        headers = {"authorization": f"Bearer {key or self.key}", **more.pop("headers", {})}
        return open_stream(self.url, path, message(text, stream=True, **more), headers)

    def log_lines(self) -> list[Json]:
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]


def message(text: str = "Hello", **more: Any) -> Json:
    body = {"model": "claude-sonnet-4-6", "max_tokens": 256, "messages": [{"role": "user", "content": text}]}
    return {**body, **more}


def key_writes(key: str, *, project: str = "demo", project_fields: Json | None = None, **fields: Any) -> list[Put]:
    digest = hash_key(key)
    key_document = {"id": f"key_{digest[:12]}", "project": project, "name": "test", "user": "ana@example.com", **fields}
    return [
        Put(f"projects/{project}", {"id": project, "name": project, "schema_version": 1, **(project_fields or {})}),
        Put(f"keys/{digest}", {**key_document, "schema_version": 1}),
    ]


def serve_wsgi(house: House, stack: contextlib.ExitStack, errors: list[str]) -> str:
    stack.callback(house.close)
    server = stack.enter_context(listening(make_flask(house)))
    server.log = lambda type, message, *args: errors.append(message)  # type: ignore[method-assign]
    return f"http://127.0.0.1:{server.server_port}"


def serve_asgi(house: House, stack: contextlib.ExitStack, errors: list[str]) -> str:
    bound = listen("127.0.0.1", 0)
    server = uvicorn.Server(make_config(house))
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()

    def stop() -> None:
        server.should_exit = server.force_exit = True
        thread.join(10)

    stack.callback(house.close)
    stack.callback(stop)
    return f"http://127.0.0.1:{bound.getsockname()[1]}"


SERVERS = {"asgi": serve_asgi, "wsgi": serve_wsgi}


@contextlib.contextmanager
def served(
    folder: Path,
    *,
    store_url: str = "",
    store: Store | None = None,
    sandbox: Sandbox | None = None,
    server: str = "asgi",
    **environment: str,
) -> Iterator[Served]:
    """Starts and stops everything. `server` is how it is served: "asgi" as `python -m gateway serve` does, or "wsgi" as
    Cloud Run functions does. Keywords are settings, such as GATEWAY_PING_INTERVAL_S="0.2"; `store` is used in
    place of the one that `store_url` or the settings name."""
    with contextlib.ExitStack() as stack:
        google = sandbox or stack.enter_context(Sandbox(key_path=folder / "sandbox-key.json"))
        settings = read(
            {
                "GATEWAY_STORE": store_url or f"sqlite:///{folder}/gateway.db",
                "VERTEX_SERVICE_ACCOUNT_JSON": google.service_account_json,
                "VERTEX_BASE_URL": google.url,
                "GATEWAY_GOOGLE_TOKEN_URI": google.token_uri,
                **environment,
            }
        )
        lines = io.StringIO()
        house = build_house(settings, store=store, lines=LineLog(lines))
        key = new_key()
        house.store.commit(key_writes(key))
        server_errors: list[str] = []
        url = SERVERS[server](house, stack, server_errors)
        yield Served(house, google, url, key, lines, server_errors)
