"""`/admin/v1/configs`."""

from pathlib import Path

import pytest
from admin_desk import AdminDesk

ONE = {"provider": "@vertex", "retry": {"attempts": 1}}
TWO = {"provider": "@vertex", "retry": {"attempts": 2}}


@pytest.fixture
def desk(tmp_path: Path) -> AdminDesk:
    return AdminDesk(tmp_path)


def test_configs_are_kept_in_versions(desk: AdminDesk) -> None:
    """Made, replaced, gone back to, listed, deleted; this process hears of each change."""
    made = desk.ask("POST", "/configs", {"id": "prod", "config": ONE})
    assert (made.status, made.headers["location"], made.body["version"]) == (201, "/admin/v1/configs/prod", 1)
    assert desk.good("PUT", "/configs/prod", {"config": TWO})["version"] == 2
    assert desk.good("POST", "/configs/prod/rollback", {"version": 1})["config"] == ONE
    assert [row["version"] for row in desk.good("GET", "/configs/prod/versions")["data"]] == [3, 2, 1]
    assert desk.good("GET", "/configs")["data"] == [desk.good("GET", "/configs/prod")]
    assert desk.good("DELETE", "/configs/prod") == {"id": "prod", "deleted": True}
    assert desk.ask("DELETE", "/configs/prod").status == 404
    assert "configs/prod" in desk.heard


def test_a_key_and_a_project_name_their_config(desk: AdminDesk) -> None:
    """By id; one that is not there yet is warned of."""
    desk.good("POST", "/configs", {"id": "prod", "config": ONE})
    project = desk.good("POST", "/projects", {"id": "acme", "config": "prod"})
    assert project["config"] == "prod" and "warnings" not in project
    key = desk.good("POST", "/keys", {"project": "acme", "config": "later"})
    assert key["config"] == "later" and "there is no config later yet" in key["warnings"][0]
    assert desk.ask("DELETE", "/configs/prod").status == 409
    assert desk.good("PATCH", "/keys/" + key["id"], {"config": None})["config"] is None


def test_faults_name_their_path(desk: AdminDesk) -> None:
    """400, with the field."""
    answer = desk.ask("POST", "/configs", {"id": "prod", "config": {"targets": [{"weight": -1}]}})
    assert answer.status == 400 and "targets[0].weight: expected" in answer.error["message"] and answer.error["path"] == "config"
    assert desk.ask("POST", "/configs/prod/rollback", {"version": 1}).status == 404


def test_the_schema_is_served(desk: AdminDesk) -> None:
    """As JSON Schema, for editors and pipelines."""
    schema = desk.good("GET", "/configs/schema.json")
    assert schema["title"] == "Routing config" and "Config" in schema["$defs"]
