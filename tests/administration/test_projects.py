"""Projects: what may be written down, what is refused, and that no change gets lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.administration.changes import Who, list_audit
from gateway.administration.keys import Keys
from gateway.administration.projects import Projects
from gateway.administration.refusals import AdminError
from gateway.canonical.store import Store


def test_a_project_is_read_back_as_it_was_written(projects: Projects, ana: Who) -> None:
    """Every field, with times in RFC 3339 and a schema version nobody sees."""
    given = {
        "id": "acme",
        "name": "Acme",
        "providers": ["@vertex"],
        "allowed_models": ["claude-*"],
        "metadata": {"team": "core"},
        "budget_message": "ask #ai-spend",
        "config": None,
    }
    made = projects.create(given, ana)
    at = "2026-11-18T11:06:40Z"
    assert made == {**given, "providers": ["vertex"], "created_at": at, "updated_at": at}
    assert projects.get("acme") == made
    assert projects.page() == {"data": [made], "next_cursor": None}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "id: a project needs one"),
        ({"id": "Acme"}, "id: should be 2 to 63 lower-case letters"),
        ({"id": "acme/x"}, "id: should be"),
        ({"id": "acme", "budget": 5}, "'budget' is no field here"),
        ({"id": "acme", "metadata": {"team": 5}}, "metadata: team should be text"),
        ({"id": "acme", "metadata": {"__x__": "a"}}, "is no label"),
        ({"id": "acme", "allowed_models": "claude-*"}, "allowed_models: should be a list"),
        ({"id": "acme", "allowed_models": ["claude opus"]}, "should hold no white space"),
        ({"id": "acme", "config": "Prod!"}, "config: should be 2 to 63 lower-case letters"),
        ({"id": "acme", "name": "a\nb"}, "name: should be one line of text"),
        ({"id": "acme", "name": f"gw-{'a' * 43}"}, "name: looks like a secret"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(projects: Projects, ana: Who, given: dict[str, object], told: str) -> None:
    """Named field, what would be right, and nothing written."""
    with pytest.raises(AdminError) as refused:
        projects.create(given, ana)
    assert told in refused.value.message
    assert refused.value.code == "invalid"
    assert projects.page()["data"] == []


def test_all_faults_are_told_at_once(projects: Projects, ana: Who) -> None:
    """So that they are mended in one go."""
    with pytest.raises(AdminError) as refused:
        projects.create({"id": "A", "name": "", "metadata": []}, ana)
    assert all(f"{name}: " in refused.value.message for name in ("id", "name", "metadata"))


def test_an_id_is_taken_once(projects: Projects, acme: str, ana: Who) -> None:
    """The second is told, and the first stays."""
    with pytest.raises(AdminError) as refused:
        projects.create({"id": acme, "name": "Other"}, ana)
    assert refused.value.code == "already_exists"
    assert projects.get(acme)["name"] == "acme"


def test_what_is_probably_a_slip_is_a_warning(projects: Projects, ana: Who) -> None:
    """A provider may come after the project, a model after the catalog."""
    made = projects.create({"id": "acme", "providers": ["vertex", "later"], "allowed_models": ["claude-*", "cluade-*"]}, ana)
    assert made["providers"] == ["vertex", "later"]
    assert [warning.split(":")[0] for warning in made["warnings"]] == ["allowed_models", "providers"]
    assert "'cluade-*'" in made["warnings"][0] and "later" in made["warnings"][1]
    assert "warnings" not in projects.get("acme")


def test_an_update_leaves_the_other_fields_alone(projects: Projects, acme: str, ana: Who) -> None:
    """And a replacement does not."""
    projects.update(acme, {"metadata": {"team": "core"}}, ana)
    updated = projects.update(acme, {"name": "Acme"}, ana)
    assert (updated["name"], updated["metadata"]) == ("Acme", {"team": "core"})
    assert projects.replace(acme, {"budget_message": "ask"}, ana)["metadata"] == {}


def test_updates_at_once_lose_nothing(projects: Projects, acme: str, ana: Who, store: Store) -> None:
    """Two admins, two fields, many times: each finds their own change, and the audit has all of them."""
    rounds = 8
    start = threading.Barrier(2)

    def change(field: str) -> None:
        start.wait()
        for count in range(rounds):
            projects.update(acme, {field: f"{field} {count}"}, ana)
            assert projects.get(acme)[field] == f"{field} {count}"

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(change, ["name", "budget_message"]))
    entries = list_audit(store, target=f"projects/{acme}")["data"]
    assert sum(entry["action"] == "project.update" for entry in entries) == 2 * rounds


def test_nothing_changed_is_no_change(projects: Projects, acme: str, ana: Who, store: Store) -> None:
    """No audit entry, no new time."""
    before = projects.get(acme)
    assert projects.update(acme, {"name": "acme"}, ana) == before
    assert len(list_audit(store)["data"]) == 1


def test_a_project_with_working_keys_is_not_deleted(projects: Projects, keys: Keys, acme: str, ana: Who) -> None:
    """Whoever holds a key should not be cut off by a slip; revoked keys go with their project."""
    key = keys.create({"project": acme}, ana)
    with pytest.raises(AdminError) as refused:
        projects.delete(acme, ana)
    assert refused.value.code == "conflict" and key["id"] in refused.value.message
    keys.revoke(key["id"], ana)
    projects.delete(acme, ana)
    assert keys.page()["data"] == []
    with pytest.raises(AdminError) as gone:
        projects.delete(acme, ana)
    assert gone.value.code == "not_found"


def test_every_change_is_in_the_audit(projects: Projects, acme: str, ana: Who, remote: Who, store: Store) -> None:
    """Who, what, before, after, when; newest first."""
    projects.update(acme, {"name": "Acme"}, remote)
    projects.delete(acme, ana)
    entries = list_audit(store, target="projects/acme")["data"]
    assert {(entry["who"], entry["action"]) for entry in entries} == {
        ("cli:ana", "project.create"),
        ("admin", "project.update"),
        ("cli:ana", "project.delete"),
    }
    update = next(entry for entry in entries if entry["action"] == "project.update")
    assert (update["before"]["name"], update["after"]["name"]) == ("acme", "Acme")
    assert update["at"] == update["created_at"] == "2026-11-18T11:06:40Z"


def test_the_audit_is_read_page_by_page(projects: Projects, acme: str, ana: Who, store: Store) -> None:
    """Without gaps or repeats."""
    for count in range(4):
        projects.update(acme, {"name": f"name {count}"}, ana)
    first = list_audit(store, limit=3)
    second = list_audit(store, limit=3, cursor=first["next_cursor"])
    ids = [entry["id"] for entry in first["data"] + second["data"]]
    assert len(ids) == len(set(ids)) == 5 and second["next_cursor"] is None
