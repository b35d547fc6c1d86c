"""The configs and headers of Portkey's two guides for Claude Code, as written there: only base URL and key are others.

Source: Portkey, "Claude Code with Google Vertex AI", in its form with virtual keys and in its present one, read 2026-11-20.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from routing_house import Routed, routed

from gateway.canonical.store import Json
from gateway.sandbox.faults import Fault

MODEL = "claude-sonnet-4-20250514"
VERTEX_PATH = "/v1/projects/any/locations/us-central1/publishers/anthropic/models/{model}:{verb}"
HELLO = [{"role": "user", "content": "Hello"}]
CONFIGS: dict[str, Json] = {
    # with virtual keys
    "vk-single": {
        "virtual_key": "vertex-virtual-key",
        "override_params": {"model": "claude-sonnet-4-5@20250929"},
        "cache": {"mode": "simple"},
        "retry": {"attempts": 3, "on_status_codes": [429, 500, 502, 503]},
    },
    "vk-fallback": {
        "strategy": {"mode": "fallback"},
        "targets": [
            {"virtual_key": "vertex-virtual-key"},
            {"virtual_key": "anthropic-virtual-key"},
            {"virtual_key": "bedrock-virtual-key"},
        ],
    },
    "vk-balance": {
        "strategy": {"mode": "loadbalance"},
        "targets": [{"virtual_key": "vertex-us-central", "weight": 0.5}, {"virtual_key": "vertex-us-east", "weight": 0.5}],
    },
    "vk-cache": {"virtual_key": "vertex-virtual-key", "cache": {"mode": "simple"}},
    "vk-retry": {"virtual_key": "vertex-virtual-key", "retry": {"attempts": 3, "on_status_codes": [429, 500, 502, 503]}},
    "vk-complete": {
        "strategy": {"mode": "fallback"},
        "targets": [{"virtual_key": "vertex-virtual-key"}, {"virtual_key": "anthropic-virtual-key"}],
        "cache": {"mode": "simple"},
        "retry": {"attempts": 3, "on_status_codes": [429, 500, 502, 503]},
    },
    # in its present form
    "headers": {"provider": "@vertex-prod", "forward_headers": ["anthropic-beta"]},
    "fallback": {
        "strategy": {"mode": "fallback"},
        "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}, {"provider": "@bedrock-prod"}],
        "forward_headers": ["anthropic-beta"],
    },
    "balance": {
        "strategy": {"mode": "loadbalance"},
        "targets": [{"provider": "@vertex-us-central", "weight": 0.5}, {"provider": "@vertex-us-east", "weight": 0.5}],
        "forward_headers": ["anthropic-beta"],
    },
    "cache": {"provider": "@vertex-prod", "cache": {"mode": "simple"}, "forward_headers": ["anthropic-beta"]},
    "retry": {
        "provider": "@vertex-prod",
        "retry": {"attempts": 3, "on_status_codes": [429, 500, 502, 503]},
        "forward_headers": ["anthropic-beta"],
    },
    "complete": {
        "strategy": {"mode": "fallback"},
        "targets": [{"provider": "@vertex-prod"}, {"provider": "@anthropic-prod"}],
        "cache": {"mode": "simple"},
        "retry": {"attempts": 3, "on_status_codes": [429, 500, 502, 503]},
        "forward_headers": ["anthropic-beta"],
    },
    "models": {
        "strategy": {"mode": "load-balance"},
        "targets": [
            {"override_params": {"model": "@vertex-prod/claude-sonnet-4-6"}},
            {"override_params": {"model": "@anthropic-prod/claude-sonnet-4-6"}},
        ],
    },
}
HEADERS: dict[str, dict[str, str]] = {
    "provider and virtual key": {"x-portkey-provider": "vertex-ai", "x-portkey-virtual-key": "vertex-virtual-key"},
    "config": {"x-portkey-config": "fallback"},
    "metadata": {
        "x-portkey-provider": "vertex-ai",
        "x-portkey-virtual-key": "vertex-virtual-key",
        "x-portkey-metadata": '{"_user": "john.doe", "team": "engineering"}',
    },
    "everything": {
        "x-portkey-config": "vk-complete",
        "x-portkey-metadata": '{"_user": "john.doe", "project": "backend-api"}',
    },
    "slug": {"x-portkey-provider": "@vertex-prod"},
    "trace": {"x-portkey-provider": "@vertex-prod", "x-portkey-trace-id": "claude-code-session-123"},
    "config and trace": {"x-portkey-config": "complete", "x-portkey-trace-id": "my-project"},
    "cache refresh": {"x-portkey-config": "cache", "x-portkey-cache-force-refresh": "true"},
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, key_path: Path) -> Iterator[Routed]:
    with routed(tmp_path_factory.mktemp("guides"), key_path) as gateway:
        for name, config in CONFIGS.items():
            gateway.put(name, config)
        yield gateway


@pytest.fixture
def router(house: Routed) -> Routed:
    house.rest_nobody()
    return house


def ask(router: Routed, mode: str, headers: dict[str, str], *, stream: bool = True) -> str:
    """As Claude Code does in that mode; where it went. In Vertex mode the key is in `x-portkey-api-key` alone."""
    key = {"x-portkey-api-key": router.gateway.key}
    body: Json = {"max_tokens": 20, "messages": HELLO, "stream": stream}
    if mode == "messages":
        path, body = "/v1/messages", {"model": MODEL, **body}
        key |= {"authorization": f"Bearer {router.gateway.key}"}
    else:
        path = VERTEX_PATH.format(model="claude-sonnet-4-5@20250929", verb="streamRawPredict" if stream else "rawPredict")
        body = {"anthropic_version": "vertex-2023-10-16", **body}
        key |= {"authorization": ""}
    answer = router.gateway.post(path, body, headers={**key, **headers})
    assert answer.status_code == 200, answer.text
    assert "message_stop" in answer.text if stream else answer.json()["type"] == "message"
    record = router.gateway.record(answer.headers["x-gateway-request-id"])
    for name in ("x-portkey-metadata", "x-portkey-trace-id"):
        if name in headers:
            kept = record["metadata"] if name.endswith("metadata") else record["trace_id"]
            assert kept == (json.loads(headers[name]) if name.endswith("metadata") else headers[name])
    return answer.headers["x-gateway-provider"]


@pytest.mark.parametrize("mode", ["messages", "vertex"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_of_the_guides_works_as_written(router: Routed, name: str, mode: str) -> None:
    """Named by header, in both modes; a failure that its retries or fallbacks cover is not seen."""
    config = CONFIGS[name]
    first = ask(router, mode, {"x-portkey-config": name})
    expected = {node.get("virtual_key", node.get("provider", "")).removeprefix("@") for node in config.get("targets", [config])}
    assert first in expected or name == "models"
    if "retry" in config or config.get("strategy", {}).get("mode") == "fallback":
        router.script("inference", Fault(status=503))
        ask(router, mode, {"x-portkey-config": name}, stream=False)


@pytest.mark.parametrize("mode", ["messages", "vertex"])
@pytest.mark.parametrize("name", HEADERS)
def test_every_header_set_of_the_guides_works_as_written(router: Routed, name: str, mode: str) -> None:
    """`ANTHROPIC_CUSTOM_HEADERS`, line by line; a virtual key beats a provider."""
    went = ask(router, mode, HEADERS[name])
    virtual_key = HEADERS[name].get("x-portkey-virtual-key")
    assert went == virtual_key if virtual_key else went.startswith("vertex")
