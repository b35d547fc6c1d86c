"""What lies in a deployment before its first call: project, key, budgets, a routing config, service account; and what it has
recorded since."""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.callers.keys import hash_key, new_key
from gateway.canonical.store import Put
from gateway.store import open_store

CONFIG_LOCATION = "us-east5"  # the provider's own is another one: who goes there has read the config
CONFIGS: dict[str, dict[str, Any]] = {
    "config": {
        "strategy": {"mode": "fallback"},
        "targets": [{"provider": "@vertex", "locations": [CONFIG_LOCATION]}, {"provider": "@vertex"}],
    },
    "cache": {"provider": "@vertex", "cache": {"mode": "simple", "max_age": 86_400}},
}
"""By the variant whose key they are attached to."""


def put_key(store_url: str, variant: str = "") -> str:
    """A project, a key and what the variant asks for, budgets or a config, as the gateway's own use cases would leave them."""
    key = new_key()
    digest = hash_key(key)
    key_id = f"key_{digest[:12]}"
    config = f"bench-{variant}" if variant in CONFIGS else None
    writes = [
        Put("projects/bench", {"id": "bench", "name": "Bench", "schema_version": 1}),
        Put(f"keys/{digest}", {"id": key_id, "project": "bench", "name": "bench", "config": config, "schema_version": 1}),
    ]
    if config:
        document = {"config": json.dumps(CONFIGS[variant]), "version": 1, "schema_version": 1}
        writes.append(Put(f"configs/{config}", document))
    if variant == "budgets":
        writes += [Put(f"budgets/{document['id']}", document) for document in budget_documents(key_id)]
    store = open_store(store_url)
    try:
        store.commit(writes)
    finally:
        store.close()
    return key


def budget_documents(key_id: str) -> list[dict[str, Any]]:
    """Three that every call draws on and none exhausts: dollars a month for all, dollars a day and calls a minute for a key."""
    organization, key = {"type": "organization", "id": None}, {"type": "key", "id": key_id}
    rows = (
        ("bench-organization", organization, "usd", "10000000.00", "month"),
        ("bench-key", key, "usd", "1000000.00", "day"),
        ("bench-rate", key, "requests", "100000000", "minute"),
    )
    shared = {"mode": "balanced", "on_store_error": "open", "alerts": [0.5, 0.8, 1.0], "pooled": False, "raise": None}
    return [
        {"id": name, "scope": scope, "unit": unit, "amount": amount, "period": period, **shared, "schema_version": 1}
        for name, scope, unit, amount, period in rows
    ]


def budgets_hold(store_url: str) -> bool:
    """Whether a call's usage document names the budgets it drew on: what was seeded is also enforced."""
    return bool(one_record(store_url).get("holds"))


def config_holds(store_url: str) -> bool:
    """Whether a call went where the config leads first."""
    return one_record(store_url).get("location") == CONFIG_LOCATION


def one_record(store_url: str) -> dict[str, Any]:
    """A usage document; {} if there is none yet."""
    store = open_store(store_url)
    try:
        page = store.query("projects/bench/usage", limit=1)
        return page.documents[0].data if page.documents else {}
    finally:
        store.close()


def count_records(store_url: str) -> int:
    """Usage documents of the bench's project."""
    store = open_store(store_url)
    try:
        found, cursor = 0, None
        while True:
            page = store.query("projects/bench/usage", limit=1000, cursor=cursor)
            found += len(page.documents)
            if (cursor := page.next_cursor) is None:
                return found
    finally:
        store.close()


def service_account(folder: Path) -> Path:
    """A key file with a fresh RSA key: tokens are signed and fetched as in production."""
    path = folder / "service-account.json"
    if not path.exists():
        path.touch(0o600)
        path.write_text(json.dumps(account_document(new_private_key())))
    return path


def new_private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsealed = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unsealed).decode()


def account_document(private_key: str) -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": "bench",
        "private_key_id": "5a" * 20,
        "private_key": private_key,
        "client_email": "bench@bench.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    }
