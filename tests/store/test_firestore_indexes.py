"""The emulator answers any query, production only those that have an index in infra/firestore.indexes.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cache.semantic import DIMENSIONS

FILE = Path(__file__).parents[2] / "infra" / "firestore.indexes.json"
DEFINED: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text())
OVERRIDES = {(row["collectionGroup"], row["fieldPath"]): row for row in DEFINED["fieldOverrides"]}
EXEMPT = {collection for collection, field in OVERRIDES if field == "*"}
MAY_DIE = {"usage", "tokens", "allowances", "reconciled", "health", "periods", "rollups", "alerts", "cache", "embeddings",
           "lessons"}  # fmt: skip


def single(collection: str, field: str, mode: str, scope: str) -> bool:
    """Whether one field alone is indexed: by an override, or by Firestore itself where nothing exempts it."""
    row = OVERRIDES.get((collection, field))
    if row is None:
        return collection not in EXEMPT and scope == "COLLECTION"
    return (mode, scope) in [(one.get("order") or one.get("arrayConfig"), one["queryScope"]) for one in row["indexes"]]


def composite(collection: str, equal: str, ordered: str, direction: str) -> bool:
    wanted = [{"fieldPath": equal, "order": "ASCENDING"}, {"fieldPath": ordered, "order": direction}]
    return {"collectionGroup": collection, "queryScope": "COLLECTION", "fields": wanted} in DEFINED["indexes"]


@pytest.mark.parametrize("direction", ["ASCENDING", "DESCENDING"])
def test_usage_can_be_listed_by_time(direction: str) -> None:
    """A project's calls in a span of time, oldest or newest first."""
    assert single("usage", "at", direction, "COLLECTION")


@pytest.mark.parametrize("field", ["key_id", "user", "model", "provider", "session_id", "trace_id"])
def test_usage_can_be_filtered_newest_first(field: str) -> None:
    """One equality with a span of time; Firestore merges these indexes when several equalities are asked for."""
    assert composite("usage", field, "at", "DESCENDING")


def test_one_call_is_found_without_knowing_its_project() -> None:
    """By request id, and by the allowance that paid for it: over all projects."""
    assert single("usage", "request_id", "ASCENDING", "COLLECTION_GROUP")
    assert single("usage", "allowance_ids", "CONTAINS", "COLLECTION_GROUP")


def test_sums_are_read_by_day_and_undelivered_alerts_are_found() -> None:
    """A span of days of one project; alerts of all budgets that failed. The rows themselves are one long text."""
    assert single("rollups", "day", "ASCENDING", "COLLECTION")
    assert single("alerts", "state", "ASCENDING", "COLLECTION_GROUP")
    assert OVERRIDES["rollups", "rows"]["indexes"] == []


def test_a_persons_kept_answers_are_found() -> None:
    """To be erased, over all projects."""
    assert single("cache", "user", "ASCENDING", "COLLECTION")


def test_the_semantic_cache_finds_its_nearest_and_a_persons_own() -> None:
    """Within one scope, by vectors of as many dimensions as the embedder asks for; a person's are found to be erased.

    Firestore puts `__name__` before a vector: left out, terraform would make the index anew each time.
    """
    vector = {"fieldPath": "embedding", "vectorConfig": {"dimension": DIMENSIONS, "flat": {}}}
    fields = [{"fieldPath": "scope_key", "order": "ASCENDING"}, {"fieldPath": "__name__", "order": "ASCENDING"}, vector]
    assert {"collectionGroup": "embeddings", "queryScope": "COLLECTION", "fields": fields} in DEFINED["indexes"]
    assert single("embeddings", "user", "ASCENDING", "COLLECTION_GROUP")


def test_written_often_means_indexed_little() -> None:
    """Every index costs each write, and a rising one limits a collection to about 500 writes a second."""
    assert {"usage", "tokens", "allowances", "cache", "embeddings"} == EXEMPT
    indexed = {field for (collection, field), row in OVERRIDES.items() if collection in EXEMPT and row["indexes"]}
    assert indexed == {"at", "request_id", "allowance_ids", "user"}


def test_whatever_may_die_is_deleted_by_firestore() -> None:
    """A TTL policy on `expires_at`, which itself is not indexed: it rises with time."""
    policies = {collection: row for (collection, _), row in OVERRIDES.items() if row.get("ttl")}
    assert policies.keys() == MAY_DIE
    assert all(row["fieldPath"] == "expires_at" and row["indexes"] == [] for row in policies.values())


def test_the_file_has_the_form_that_the_firebase_tools_read() -> None:
    """https://firebase.google.com/docs/reference/firestore/indexes, read 2026-11-21."""
    assert DEFINED.keys() == {"indexes", "fieldOverrides"}
    assert len(OVERRIDES) == len(DEFINED["fieldOverrides"])
    for index in DEFINED["indexes"]:
        assert index.keys() == {"collectionGroup", "queryScope", "fields"}
        assert all(entry.keys() in ({"fieldPath", "order"}, {"fieldPath", "vectorConfig"}) for entry in index["fields"])
    for row in DEFINED["fieldOverrides"]:
        assert row.keys() - {"ttl"} == {"collectionGroup", "fieldPath", "indexes"}
        assert all(len(index) == 2 and "queryScope" in index for index in row["indexes"])
