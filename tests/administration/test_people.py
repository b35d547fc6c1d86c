"""One person's records: handed out, and erased without harm to the sums and the ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from office_clock import START, Clock

from gateway.administration.changes import Changes, Who, list_audit
from gateway.administration.people import erase_records, export_records
from gateway.administration.refusals import AdminError
from gateway.administration.usage_documents import list_records, parse_filters
from gateway.canonical.store import Store
from gateway.records.rollups import Rollups, read_rollups

NOW = datetime.fromtimestamp(START, UTC)
TOKENS = {"input": 5, "output": 2, "cache_read": 0, "cache_write_5m": 0, "cache_write_1h": 0, "thinking": 0}


def write(
    store: Store, request_id: str, user: str | None = "ana@example.com", *, ago: timedelta, **fields: Any
) -> dict[str, Any]:
    """A usage document, as answering writes it."""
    document = {
        "request_id": request_id, "at": NOW - ago, "project": "acme", "key_id": "key_1", "user": user, "groups": ["eng"],
        "metadata": {"team": "core"}, "trace_id": "t", "session_id": "s", "agent_id": None, "parent_agent_id": None,
        "model": "claude-haiku-4-5", "asked_model": "claude-haiku-4-5", "provider": "vertex", "status": 200, "tokens": TOKENS,
        "searches": 0, "cost_nanodollars": 7, "completeness": "final", "price_known": True, "latency_ms": 1_000,
        "allowance_ids": [], "expires_at": NOW + timedelta(days=400), **fields,
    }  # fmt: skip
    store.create(f"projects/acme/usage/{request_id}", document)
    return document


def ids(store: Store, clock: Clock, **filters: str) -> set[str]:
    return {record["id"] for record in list_records(store, parse_filters({"project": "acme", **filters}, clock))["data"]}


def test_all_of_one_person_is_exported_and_of_nobody_else(store: Store, acme: str) -> None:
    """Page by page, newest first, however the name is written."""
    for number in range(3):
        write(store, f"req_{number}", ago=timedelta(days=number))
    write(store, "req_ben", "ben@example.com", ago=timedelta(days=1))
    first = export_records(store, "Ana@Example.com", limit=2)
    second = export_records(store, "ana@example.com", limit=2, cursor=first["next_cursor"])
    assert [record["id"] for record in first["data"] + second["data"]] == ["req_0", "req_1", "req_2"]
    assert first["data"][0]["metadata"] == {"team": "core"}


def test_erasing_deletes_their_documents_and_nobody_elses(
    store: Store, changes: Changes, acme: str, ana: Who, clock: Clock
) -> None:
    """However many there are."""
    for number in range(450):
        write(store, f"req_{number}", ago=timedelta(days=2, seconds=number))
    write(store, "req_ben", "ben@example.com", ago=timedelta(days=2))
    answer = erase_records(store, changes, "ANA@example.com", clock, ana)
    assert answer == {"erased": 450, "forgotten_at": None, "repeat_after": None}
    assert ids(store, clock) == {"req_ben"}
    assert erase_records(store, changes, "ana@example.com", clock, ana)["erased"] == 0


def test_what_the_ledger_may_still_look_for_only_loses_its_name(
    store: Store, changes: Changes, acme: str, ana: Who, clock: Clock
) -> None:
    """It would charge a second time what it does not find; a quarter of an hour later the document is gone by itself."""
    write(store, "req_young", ago=timedelta(minutes=1), allowance_ids=["a-1"])
    write(store, "req_long", ago=timedelta(minutes=50), latency_ms=49 * 60_000, allowance_ids=["a-1"])
    write(store, "req_old", ago=timedelta(minutes=50), allowance_ids=["a-1"])
    answer = erase_records(store, changes, "ana@example.com", clock, ana)
    assert (answer["erased"], answer["forgotten_at"]) == (3, "2026-11-18T11:21:40Z")
    assert ids(store, clock) == {"req_young", "req_long"} and ids(store, clock, user="ana@example.com") == set()
    found = store.query("usage", where=[("allowance_ids", "array_contains", "a-1")], group=True).documents
    for document in found:
        assert "ana" not in str(document.data) and document.data["cost_nanodollars"] == 7
        assert (document.data["key_id"], document.data["metadata"], document.data["session_id"]) == (None, {}, None)
    clock.seconds += 15 * 60
    assert ids(store, clock) == set()


def test_daily_sums_stay_without_the_name(store: Store, changes: Changes, acme: str, ana: Who, clock: Clock) -> None:
    """What a project spent is known for ever; and of today's sums is said that they may name the person once more."""
    rollups = Rollups(instance="one")
    rollups.add(write(store, "req_1", ago=timedelta(hours=1)))
    store.commit(rollups.take_writes(START + 60, last=True))
    answer = erase_records(store, changes, "ana@example.com", clock, ana)
    assert answer["repeat_after"] is not None and answer["repeat_after"] > "2026-11-19T01"
    rows = read_rollups(store, ["acme"], NOW.date(), NOW.date() + timedelta(days=1))["acme", "2026-11-18"]
    assert [(row.user, row.key_id, figures.values["cost_nanodollars"]) for row, figures in rows.items()] == [(None, None, 7)]


def test_the_audit_tells_of_an_erasure_without_the_name(store: Store, changes: Changes, ana: Who, clock: Clock) -> None:
    """Else the name would live on in the proof that it is gone."""
    erase_records(store, changes, "ana@example.com", clock, ana)
    (entry,) = list_audit(store)["data"]
    assert entry["action"] == "records.erase" and entry["who"] == "cli:ana"
    assert "ana@" not in str({**entry, "who": ""})


def test_nobody_in_particular_is_not_erased(store: Store, changes: Changes, acme: str, ana: Who, clock: Clock) -> None:
    """Records without a user are nobody's."""
    write(store, "req_1", None, ago=timedelta(days=1))
    for nobody in ("", None, " "):
        with pytest.raises(AdminError):
            erase_records(store, changes, nobody, clock, ana)
    assert ids(store, clock) == {"req_1"}


def test_kept_answers_go_with_the_person(store: Store, changes: Changes, acme: str, ana: Who, clock: Clock) -> None:
    """In every project, and nobody else's; those that are nobody's stay."""
    owners = {"a1": "ana@example.com", "a2": "ana@example.com", "b": "ben@example.com", "n": None}
    for key, owner in owners.items():
        store.create(f"cache/{key}", {"project": "acme", "user": owner, "body": b"{}", "expires_at": NOW + timedelta(hours=1)})
    erase_records(store, changes, "Ana@example.com", clock, ana)
    assert {document.id for document in store.query("cache").documents} == {"b", "n"}
