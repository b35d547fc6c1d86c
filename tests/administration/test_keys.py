"""Keys: what the hot path accepts, from issue to the end of a key's life."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from office_clock import Clock

from gateway.administration.changes import Changes, Who, list_audit
from gateway.administration.keys import Keys
from gateway.administration.projects import Projects
from gateway.administration.refusals import AdminError
from gateway.callers.identify import Callers
from gateway.callers.keys import hash_key
from gateway.canonical.call import Caller
from gateway.canonical.errors import Unauthenticated
from gateway.canonical.steps import run_blocking
from gateway.canonical.store import Store


@pytest.fixture
def callers(store: Store, clock: Clock) -> Callers:
    return Callers(store, refresh_s=60, now=clock, clock=clock)


def identify(callers: Callers, key: str) -> Caller:
    return run_blocking(callers.identify({"authorization": f"Bearer {key}"}))


def refusal(callers: Callers, key: str) -> str:
    """Why the hot path refuses the key: the first word of the log's reason."""
    with pytest.raises(Unauthenticated) as refused:
        identify(callers, key)
    return refused.value.reason.split()[0]


def test_a_created_key_is_accepted_with_all_it_says(projects: Projects, keys: Keys, callers: Callers, ana: Who) -> None:
    """The caller that it makes: user folded, key's metadata over the project's, models of both."""
    projects.create({"id": "acme", "metadata": {"team": "all", "cost": "7"}, "allowed_models": ["claude-*"]}, ana)
    given = {
        "project": "acme",
        "name": "ci",
        "user": "Ana@Example.com",
        "groups": ["eng"],
        "expires_at": "2027-01-01",
        "allowed_models": ["*haiku*"],
        "metadata": {"team": "core"},
    }
    made = keys.create(given, ana)
    caller = identify(callers, made["key"])
    assert caller == Caller(
        key_id=made["id"],
        project="acme",
        user="ana@example.com",
        groups=("eng",),
        metadata={"team": "core", "cost": "7"},
        key_models=("*haiku*",),
        project_models=("claude-*",),
    )
    assert made["expires_at"] == "2027-01-01T00:00:00Z"
    assert made["hint"] == made["key"][-4:]


def test_the_plain_text_is_told_once_and_stored_nowhere(keys: Keys, acme: str, ana: Who, store: Store, tmp_path: Path) -> None:
    """Not in the key's document, not in the audit, not in any byte of the store's files."""
    made = keys.create({"project": acme}, ana)
    rotated = keys.rotate(made["id"], 60, ana)
    assert "key" not in keys.get(made["id"]) and "key" not in keys.page()["data"][0]
    store.close()
    with sqlite3.connect(tmp_path / "store/gateway.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    written = b"".join(path.read_bytes() for path in (tmp_path / "store").iterdir())
    assert made["id"].encode() in written
    assert made["key"].encode() not in written and rotated["key"].encode() not in written


def test_documents_have_what_the_hot_path_reads(keys: Keys, acme: str, ana: Who, store: Store) -> None:
    """A key's end is `valid_until`: by `expires_at` the store would forget the document, and the key be unknown."""
    made = keys.create({"project": acme, "expires_at": "7d"}, ana)
    document = store.get(f"keys/{hash_key(made['key'])}")
    assert document is not None
    assert document.data["schema_version"] == 1
    assert "expires_at" not in document.data and document.data["valid_until"].year == 2026


def test_an_expired_key_is_refused_and_shown_as_expired(keys: Keys, acme: str, ana: Who, callers: Callers, clock: Clock) -> None:
    """It is still listed: whoever asks why it stopped finds out."""
    made = keys.create({"project": acme, "expires_at": "1h"}, ana)
    identify(callers, made["key"])
    clock.seconds += 3600
    assert refusal(callers, made["key"]) == "expired_key"
    assert keys.get(made["id"])["state"] == "expired"


def test_a_revocation_holds_after_the_refresh_time(keys: Keys, acme: str, ana: Who, callers: Callers, clock: Clock) -> None:
    """And for good: revoking twice keeps the first time."""
    made = keys.create({"project": acme}, ana)
    identify(callers, made["key"])
    revoked = keys.revoke(made["id"], ana)
    clock.seconds += 61
    assert refusal(callers, made["key"]) == "revoked_key"
    assert keys.revoke(made["id"], ana)["revoked_at"] == revoked["revoked_at"]


def test_this_process_can_forget_a_revoked_key_at_once(store: Store, clock: Clock, callers: Callers, acme: str, ana: Who) -> None:
    """Who listens to changes is told the documents that changed."""
    keys = Keys(store, Changes(store, clock, heard=lambda path: callers.forget(path.removeprefix("keys/"))), clock)
    made = keys.create({"project": acme}, ana)
    identify(callers, made["key"])
    keys.revoke(made["id"], ana)
    assert refusal(callers, made["key"]) == "revoked_key"


def test_a_rotated_key_works_on_for_its_grace(keys: Keys, acme: str, ana: Who, callers: Callers, clock: Clock) -> None:
    """Both secrets are the same key to budgets and reports; then only the new one works."""
    made = keys.create({"project": acme, "user": "ana"}, ana)
    rotated = keys.rotate(made["id"], 3600, ana)
    assert rotated["key"] != made["key"]
    assert identify(callers, made["key"]) == identify(callers, rotated["key"])
    assert len(keys.page()["data"]) == 1
    clock.seconds += 3601
    assert refusal(callers, made["key"]) == "expired_key"
    assert identify(callers, rotated["key"]).key_id == made["id"]
    assert keys.get(made["id"])["state"] == "active"


def test_rotation_without_grace_ends_every_earlier_secret(keys: Keys, acme: str, ana: Who, callers: Callers) -> None:
    """What an operator does when a key has leaked."""
    made = keys.create({"project": acme}, ana)
    second = keys.rotate(made["id"], 3600, ana)
    third = keys.rotate(made["id"], 0, ana)
    assert [refusal(callers, one["key"]) for one in (made, second)] == ["expired_key"] * 2
    identify(callers, third["key"])


def test_a_key_can_be_rotated_for_years(keys: Keys, acme: str, ana: Who, callers: Callers, clock: Clock, store: Store) -> None:
    """Secrets whose grace is over are forgotten; those that still work are few."""
    made = keys.create({"project": acme}, ana)
    for _ in range(150):
        clock.seconds += 86_400
        latest = keys.rotate(made["id"], 3600, ana)
    assert identify(callers, latest["key"]).key_id == keys.get(made["id"])["id"]
    assert len(store.query("keys").documents) <= 3
    with pytest.raises(AdminError, match="secrets that still work"):
        for _ in range(25):
            latest = keys.rotate(made["id"], 3600, ana)
    assert identify(callers, keys.rotate(made["id"], 0, ana)["key"]).key_id == made["id"]
    assert refusal(callers, latest["key"]) == "expired_key"


def test_a_grace_never_prolongs_a_key(keys: Keys, acme: str, ana: Who, callers: Callers, clock: Clock) -> None:
    """The earlier of the two ends counts, also when the key's own end is moved later."""
    made = keys.create({"project": acme, "expires_at": "1h"}, ana)
    keys.rotate(made["id"], 86_400, ana)
    keys.update(made["id"], {"expires_at": "2d"}, ana)
    clock.seconds += 3601
    assert refusal(callers, made["key"]) == "expired_key"


def test_revoking_ends_secrets_in_grace_too(keys: Keys, acme: str, ana: Who, callers: Callers) -> None:
    """A revoked key is revoked whole, and cannot be rotated back to life."""
    made = keys.create({"project": acme}, ana)
    rotated = keys.rotate(made["id"], 3600, ana)
    keys.revoke(made["id"], ana)
    assert [refusal(callers, one["key"]) for one in (made, rotated)] == ["revoked_key"] * 2
    with pytest.raises(AdminError) as refused:
        keys.rotate(made["id"], 0, ana)
    assert refused.value.code == "conflict"


def test_of_two_rotations_at_once_one_is_refused(keys: Keys, acme: str, ana: Who, callers: Callers) -> None:
    """Whoever was told a new secret holds one that works."""
    made = keys.create({"project": acme}, ana)
    start = threading.Barrier(2)

    def rotate(_: int) -> Any:
        start.wait()
        try:
            return keys.rotate(made["id"], 3600, ana)
        except AdminError as error:
            return error.code

    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(rotate, range(2)))
    for answer in answers:
        assert answer == "conflict" or identify(callers, answer["key"]).key_id == made["id"]
    assert sum(isinstance(answer, dict) for answer in answers) >= 1


def test_an_update_holds_for_secrets_in_grace_too(keys: Keys, acme: str, ana: Who, callers: Callers) -> None:
    """Narrowing a key narrows all of it."""
    made = keys.create({"project": acme}, ana)
    rotated = keys.rotate(made["id"], 3600, ana)
    keys.update(made["id"], {"allowed_models": ["claude-haiku-*"]}, ana)
    assert {identify(callers, one["key"]).key_models for one in (made, rotated)} == {("claude-haiku-*",)}


def test_a_deleted_key_is_gone(keys: Keys, acme: str, ana: Who, callers: Callers, store: Store, clock: Clock) -> None:
    """Unknown to callers and to lists; the audit remembers it."""
    made = keys.create({"project": acme}, ana)
    clock.seconds += 1
    keys.delete(made["id"], ana)
    assert refusal(callers, made["key"]) == "unknown_key"
    with pytest.raises(AdminError) as gone:
        keys.delete(made["id"], ana)
    assert gone.value.code == "not_found"
    assert list_audit(store, target=f"keys/{made['id']}")["data"][0]["before"]["hint"] == made["hint"]


def test_keys_are_listed_by_project(keys: Keys, projects: Projects, acme: str, ana: Who) -> None:
    """Page by page."""
    projects.create({"id": "other"}, ana)
    keys.create({"project": "other"}, ana)
    made = {keys.create({"project": acme}, ana)["id"] for _ in range(3)}
    first = keys.page(project=acme, limit=2)
    second = keys.page(project=acme, limit=2, cursor=first["next_cursor"])
    assert {key["id"] for key in first["data"] + second["data"]} == made
    assert len(keys.page()["data"]) == 4


@pytest.mark.parametrize(
    ("given", "told", "code"),
    [
        ({}, "project: a key needs one", "invalid"),
        ({"project": "nowhere"}, "there is no projects/nowhere", "not_found"),
        ({"project": "acme", "expires_at": "2020-01-01"}, "expires_at: has passed already", "conflict"),
        ({"project": "acme", "expires_at": "tomorrow"}, "expires_at: should be a time such as", "invalid"),
        ({"project": "acme", "expires_at": 5}, "expires_at: should be a time such as", "invalid"),
        ({"project": "acme", "expires_at": "99999999w"}, "expires_at: ", "invalid"),
        ({"project": "acme", "user": "two words"}, "user: should hold no white space", "invalid"),
        ({"project": "acme", "groups": "eng"}, "groups: should be a list", "invalid"),
        ({"project": "acme", "groups": [5]}, "groups: should be one line of text", "invalid"),
        ({"project": "acme", "valid_until": None}, "'valid_until' is no field here", "invalid"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: Keys, acme: str, ana: Who, given: dict[str, object], told: str, code: str) -> None:
    """In a sentence, with nothing written."""
    with pytest.raises(AdminError) as refused:
        keys.create(given, ana)
    assert told in refused.value.message and refused.value.code == code
    assert keys.page()["data"] == []


def test_a_key_in_plain_text_is_no_id_and_is_not_repeated(keys: Keys, acme: str, ana: Who) -> None:
    """Refusals end up in terminals and logs."""
    made = keys.create({"project": acme}, ana)
    with pytest.raises(AdminError) as refused:
        keys.get(made["key"])
    assert made["key"] not in refused.value.message and "key list" in refused.value.message


def test_a_key_never_comes_into_a_project_that_is_being_deleted(projects: Projects, keys: Keys, ana: Who) -> None:
    """Whichever is first, afterwards there is either a project with a key, or neither."""
    for _ in range(10):
        projects.create({"id": "brief"}, ana)
        start = threading.Barrier(2)

        def create(start: threading.Barrier = start) -> None:
            start.wait()
            keys.create({"project": "brief"}, ana)

        def delete(start: threading.Barrier = start) -> None:
            start.wait()
            projects.delete("brief", ana)

        with ThreadPoolExecutor(2) as threads:
            faults = [one.exception() for one in (threads.submit(create), threads.submit(delete))]
        assert all(fault is None or isinstance(fault, AdminError) for fault in faults)
        left = keys.page(project="brief")["data"]
        assert bool(left) == bool(projects.page()["data"])
        for key in left:
            keys.revoke(key["id"], ana)
        if left:
            projects.delete("brief", ana)
