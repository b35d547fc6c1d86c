"""A gateway with a provider of every kind, all of them the sandbox, and one model to ask at each."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from house import Served, served

from gateway.canonical.store import Put
from gateway.sandbox import Sandbox

PROJECT = "sandbox-project"
ROWS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("direct", "anthropic", {}),
    ("aws", "bedrock", {"locations": ["us-east-1"]}),
    ("cloud", "google-claude", {"project_id": PROJECT, "workspace_id": "wrkspc_01Sandbox"}),
    ("oai", "openai", {}),
    ("studio", "gemini", {}),
)
MODELS = {
    "vertex": "vertex/claude-sonnet-4-6",
    "direct": "@direct/claude-sonnet-4-6",
    "aws": "@aws/claude-sonnet-4-6",
    "cloud": "@cloud/claude-sonnet-4-6",
    "oai": "@oai/gpt-4.1",
    "vertex-gemini": "vertex/gemini-3.5-flash",
    "studio": "@studio/gemini-3.5-flash",
}


@contextlib.contextmanager
def served_everywhere(folder: Path, sandbox: Sandbox, **environment: Any) -> Iterator[Served]:
    """Beside `vertex`, which the environment sets up: `direct`, `aws`, `cloud`, `oai` and `studio`. Keywords are settings."""
    secrets = {"anthropic": sandbox.api_key, "bedrock": sandbox.aws_json, "google-claude": sandbox.service_account_json,
               "openai": sandbox.api_key, "gemini": sandbox.api_key}  # fmt: skip
    allowed = sandbox.url.removeprefix("http://")
    with served(folder, sandbox=sandbox, GATEWAY_ALLOW_PRIVATE_UPSTREAMS=allowed, **environment) as gateway:
        for provider_id, kind, fields in ROWS:
            secret = folder / f"{kind}.secret"
            secret.write_text(secrets[kind])
            base_url = f"{sandbox.url}/v1" if kind == "openai" else sandbox.url
            row = {"kind": kind, "credential": f"file:{secret}", "base_url": base_url, "locations": ["global"], **fields}
            gateway.store.commit([Put(f"providers/{provider_id}", row)])
        yield gateway
