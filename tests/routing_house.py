"""A gateway with several providers at one sandbox, whose services fail one by one, and configs that go between them."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from house import Served, served

from gateway.canonical.store import Json, Put
from gateway.sandbox import Sandbox
from gateway.sandbox.faults import Fault
from gateway.sandbox.recording import Recorded

VERTEX = "vertex-prod"
SERVICES = {"vertex-prod": "inference", "anthropic-prod": "anthropic", "bedrock-prod": "bedrock"}


@dataclass
class Routed:
    """`gateway` with configs; upstream calls by service."""

    gateway: Served
    _last: Recorded | None = None

    def put(self, config_id: str, config: Json, version: int = 1) -> str:
        """Stores a config and lets this process see it."""
        self.gateway.store.commit([Put(f"configs/{config_id}", {"config": json.dumps(config), "version": version})])
        self.gateway.house.planner.shelf.forget(config_id)
        return config_id

    def key(self, config: str | None = None, **fields: Any) -> str:
        return self.gateway.add_key(config=config, **fields)

    def script(self, service: str, *faults: Fault) -> None:
        self.gateway.sandbox.script(*faults, on=service)

    def rest_nobody(self) -> None:
        """Every target is well, and nothing is scripted."""
        self.gateway.sandbox.clear()
        health = self.gateway.house.planner.health
        health._store = None  # what was shared of the test before is not this one's
        health.forget()
        self.calls()

    def calls(self) -> list[str]:
        """Services and locations asked since the last look, in order."""
        return [place_of(each.path) for each in self.requests()]

    def requests(self) -> list[Recorded]:
        """Those since the last look; the sandbox keeps a thousand."""
        kept = [r for r in self.gateway.sandbox.requests if r.path != "/token"]
        seen = next((place + 1 for place, each in enumerate(kept) if each is self._last), 0)
        self._last = kept[-1] if kept else None
        return kept[seen:]

    def bodies(self) -> list[bytes]:
        return [r.body for r in self.gateway.sandbox.requests if r.path != "/token"]


def place_of(path: str) -> str:
    if "/locations/" in path:
        return path.partition("/locations/")[2].partition("/")[0]
    return "bedrock" if path.startswith("/model/") else "anthropic" if path.startswith("/v1/messages") else path


def providers(sandbox: Sandbox, folder: Path) -> list[Put]:
    """One of each kind that serves Claude; the Vertex ones in regions of their own."""
    api_key, aws = folder / "api-key", folder / "aws.json"
    api_key.write_text(sandbox.api_key)
    aws.write_text(sandbox.aws_json)
    google = folder / "google.json"
    google.write_text(sandbox.service_account_json)
    vertex = {"kind": "vertex", "credential": f"file:{google}", "base_url": sandbox.url}
    rows: dict[str, Json] = {
        "vertex-prod": {**vertex, "locations": ["us-east5"]},
        "vertex-virtual-key": {**vertex, "locations": ["us-east5"]},
        "vertex-us-central": {**vertex, "locations": ["us-central1"]},
        "vertex-us-east": {**vertex, "locations": ["us-east5"]},
        "vertex-ladder": {**vertex, "locations": ["us-east5", "us", "global"]},
        "anthropic-prod": {"kind": "anthropic", "credential": f"file:{api_key}", "base_url": sandbox.url},
        "anthropic-virtual-key": {"kind": "anthropic", "credential": f"file:{api_key}", "base_url": sandbox.url},
        "bedrock-prod": {"kind": "bedrock", "credential": f"file:{aws}", "base_url": sandbox.url, "locations": ["us-east-1"]},
        "bedrock-virtual-key": {
            "kind": "bedrock", "credential": f"file:{aws}", "base_url": sandbox.url, "locations": ["us-east-1"],
        },
    }  # fmt: skip
    return [Put(f"providers/{name}", row) for name, row in rows.items()]


@contextlib.contextmanager
def routed(folder: Path, key_path: Path, **settings: str) -> Iterator[Routed]:
    with contextlib.ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(key_path=key_path))
        allowed = urlsplit(sandbox.url).netloc
        settings = {"GATEWAY_PING_INTERVAL_S": "5", "GATEWAY_FIRST_BYTE_TIMEOUT_S": "3", **settings}
        gateway = stack.enter_context(served(folder, sandbox=sandbox, GATEWAY_ALLOW_PRIVATE_UPSTREAMS=allowed, **settings))
        gateway.store.commit(providers(sandbox, folder))
        gateway.house.directory.forget()
        yield Routed(gateway)
