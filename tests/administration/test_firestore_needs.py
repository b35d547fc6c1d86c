"""What the doctor finds in a Firestore database: TTL policies and indexes, each with the command that makes it."""

import json
from typing import Any

import pytest
from firestore_admin import FILE, AdminApi

from gateway.administration.firestore_needs import (
    COMPOSITES,
    EXEMPT,
    SINGLES,
    TTL_FIELD,
    TTL_GROUPS,
    Database,
    check_firestore,
)
from gateway.administration.provider_tests import Finding
from gateway.administration.web import Answer

DATABASE = Database("claude-prod", "(default)")
FLAGS = "--database='(default)' --project=claude-prod"


def examine(api: AdminApi) -> list[Finding]:
    return check_firestore(DATABASE, api, "ya29.token")


def faults(api: AdminApi) -> list[Finding]:
    return [finding for finding in examine(api) if finding.state != "ok"]


def vectors(field: dict[str, Any]) -> str:
    return f"VECTOR {field['vectorConfig']['dimension']}"


def test_the_doctor_asks_for_what_is_deployed() -> None:
    """Its tables and the file that deploys indexes say the same."""
    defined = json.loads(FILE.read_text())
    composites = [
        (
            row["collectionGroup"],
            tuple((f["fieldPath"], f.get("order") or vectors(f)) for f in row["fields"] if f["fieldPath"] != "__name__"),
        )
        for row in defined["indexes"]
    ]
    assert sorted(COMPOSITES) == sorted(composites)
    rows = {(row["collectionGroup"], row["fieldPath"]): row for row in defined["fieldOverrides"]}
    assert {group for (group, name), row in rows.items() if row.get("ttl")} == set(TTL_GROUPS)
    plain = {place: row["indexes"] for place, row in rows.items() if place[1] != TTL_FIELD}
    assert {place for place, indexes in plain.items() if not indexes} == set(EXEMPT)
    singles = {
        place: tuple((one.get("order") or one.get("arrayConfig"), one["queryScope"]) for one in indexes)
        for place, indexes in plain.items()
        if indexes
    }
    assert singles == SINGLES


def test_a_database_with_everything_is_well() -> None:
    """Three lines; all pages are read, with the token."""
    api = AdminApi()
    assert [finding.state for finding in examine(api)] == ["ok", "ok", "ok"]
    assert len(api.asked) > 4
    assert {headers["authorization"] for _, headers in api.asked} == {"Bearer ya29.token"}


def test_a_missing_ttl_policy_is_named_with_its_command() -> None:
    """Without it documents stay for ever."""
    api = AdminApi()
    api.without_field("allowances", "expires_at")
    (fault,) = faults(api)
    assert (fault.state, fault.subject) == ("fail", "ttl policies") and "allowances" in fault.words
    command = "gcloud firestore fields ttls update expires_at --collection-group=allowances --enable-ttl"
    assert fault.mend == f"{command} {FLAGS}"


def test_a_policy_that_is_being_made_is_no_fault_yet() -> None:
    """It takes minutes to hours."""
    api = AdminApi()
    api.field_row("usage", "expires_at")["ttlConfig"]["state"] = "CREATING"
    assert [fault.state for fault in faults(api)] == ["warn"]
    api.field_row("usage", "expires_at")["ttlConfig"]["state"] = "NEEDS_REPAIR"
    assert [fault.state for fault in faults(api)] == ["fail"]


def test_a_missing_composite_index_is_named_with_its_command() -> None:
    """The other way round is another index."""
    api = AdminApi()
    api.indexes[0]["fields"][1]["order"] = "ASCENDING"
    (fault,) = faults(api)
    assert fault.state == "fail" and "usage by key_id and at" in fault.words
    assert fault.mend == (
        "gcloud firestore indexes composite create --collection-group=usage "
        f"--field-config=field-path=key_id,order=ascending --field-config=field-path=at,order=descending {FLAGS}"
    )


def test_a_missing_vector_index_is_named_with_its_command() -> None:
    """One of another number of dimensions is another index."""
    api = AdminApi()
    api.indexes[-1]["fields"][-1]["vectorConfig"]["dimension"] = 256
    (fault,) = faults(api)
    assert fault.state == "fail" and "embeddings by scope_key and embedding" in fault.words
    assert "the semantic cache finds nothing" in fault.words
    configs = """--field-config=field-path=scope_key,order=ascending """
    configs += """--field-config=field-path=embedding,vector-config='{"dimension":"768","flat":{}}'"""
    assert fault.mend == f"gcloud firestore indexes composite create --collection-group=embeddings {configs} {FLAGS}"


def test_an_index_that_is_being_made_is_no_fault_yet() -> None:
    """It cannot be asked yet."""
    api = AdminApi()
    api.indexes[0]["state"] = "CREATING"
    assert [(fault.state, fault.subject) for fault in faults(api)] == [("warn", "indexes")]


@pytest.mark.parametrize(
    ("group", "name", "flags"),
    [
        ("usage", "request_id", "--index=order=ascending,query-scope=collection-group"),
        ("usage", "allowance_ids", "--index=array-config=contains,query-scope=collection-group"),
        ("usage", "at", "--index=order=ascending,query-scope=collection --index=order=descending,query-scope=collection"),
        ("alerts", "state", "--index=order=ascending,query-scope=collection-group"),
    ],
)
def test_a_missing_field_index_is_named_with_its_command(group: str, name: str, flags: str) -> None:
    """Queries over all projects need one."""
    api = AdminApi()
    api.without_field(group, name)
    (fault,) = faults(api)
    assert fault.state == "fail"
    assert fault.mend == f"gcloud firestore indexes fields update '{name}' --collection-group={group} {flags} {FLAGS}"


def test_fields_that_are_indexed_for_nothing_are_a_warning() -> None:
    """It works, and costs every write."""
    api = AdminApi()
    api.without_field("tokens", "*")
    (fault,) = faults(api)
    assert fault.state == "warn" and "every write pays" in fault.words
    assert fault.mend == f"gcloud firestore indexes fields update '*' --collection-group=tokens --disable-indexes {FLAGS}"


def test_an_empty_database_lacks_everything_once() -> None:
    """Every line has a command."""
    api = AdminApi()
    api.fields, api.indexes = [], []
    found = faults(api)
    # Firestore indexes `usage.at` and `cache.user` by itself as long as nobody exempts their collections.
    assert len(found) == len(TTL_GROUPS) + len(COMPOSITES) + len(SINGLES) - 2 + len(EXEMPT)
    assert all(fault.mend.startswith("gcloud firestore ") for fault in found)


@pytest.mark.parametrize(
    ("answer", "mend"),
    [
        (Answer(403, {}, b'{"error":{"code":403,"message":"Missing or insufficient permissions."}}'), "roles/datastore.viewer"),
        (
            Answer(403, {}, b'{"error":{"message":"Cloud Firestore API has not been used in project 1 before"}}'),
            "gcloud services enable firestore.googleapis.com --project=claude-prod",
        ),
        (Answer(404, {}, b'{"error":{"message":"The database (default) does not exist"}}'), "gcloud firestore databases create"),
        (Answer(0, fault="connection", words="ConnectTimeout"), "check the network"),
        (Answer(200 + 302, {}, b"<html>"), "check the network"),
    ],
)
def test_a_list_that_is_refused_is_a_fault_with_a_mend(answer: Answer, mend: str) -> None:
    """Whoever runs the doctor may not be whom the gateway runs as."""
    (fault,) = faults(AdminApi(refusal=answer))
    assert fault.state == "fail" and mend in fault.mend


@pytest.mark.parametrize("body", [b"", b"[]", b'{"fields":null}', b'{"fields":[1,{"name":"x"}],"indexes":[null]}', b"\xff"])
def test_an_answer_that_makes_no_sense_is_an_empty_list(body: bytes) -> None:
    """Never a traceback."""
    assert {fault.state for fault in faults(AdminApi(refusal=Answer(200, {}, body)))} == {"fail", "warn"}
