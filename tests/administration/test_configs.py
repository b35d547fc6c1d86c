"""Routing configs as operators keep them: versions, going back, and what hangs on them."""

import pytest
from office_clock import Clock

from gateway.administration.changes import Changes, Who, list_audit
from gateway.administration.configs import Configs
from gateway.administration.keys import Keys
from gateway.administration.projects import Projects
from gateway.administration.refusals import AdminError
from gateway.canonical.store import Store

ONE = {"provider": "@vertex", "retry": {"attempts": 1}}
TWO = {"provider": "@vertex", "retry": {"attempts": 2}}


@pytest.fixture
def configs(store: Store, changes: Changes, clock: Clock) -> Configs:
    return Configs(store, changes, clock, ["vertex"])


def test_every_version_is_kept_and_can_be_gone_back_to(configs: Configs, ana: Who) -> None:
    """As a new version: what was in force when stays known."""
    assert configs.create({"id": "prod", "config": ONE}, ana)["version"] == 1
    assert configs.replace("prod", {"config": TWO}, ana)["version"] == 2
    assert configs.replace("prod", {"config": TWO}, ana)["version"] == 2, "no change is no version"
    back = configs.rollback("prod", 1, ana)
    assert (back["version"], back["config"]) == (3, ONE)
    assert configs.get("prod")["config"] == ONE
    rows = configs.versions("prod")["data"]
    assert [(row["version"], row["config"]) for row in rows] == [(3, ONE), (2, TWO), (1, ONE)]
    assert rows[0]["who"] == ana.name
    with pytest.raises(AdminError, match="has no version 9"):
        configs.rollback("prod", 9, ana)


def test_changes_are_in_the_audit(configs: Configs, store: Store, ana: Who) -> None:
    """With what was before and after."""
    configs.create({"id": "prod", "config": ONE}, ana)
    configs.replace("prod", {"config": TWO}, ana)
    entries = {entry["action"]: entry for entry in list_audit(store, target="configs/prod")["data"]}
    assert set(entries) == {"config.create", "config.update"}
    assert entries["config.update"]["before"]["version"] == 1 and entries["config.update"]["after"]["version"] == 2


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"config": ONE}, "id: a config needs it"),
        ({"id": "prod"}, "config: a config needs it"),
        ({"id": "prod", "config": {"retry": {"attempts": 99}}}, "config: retry.attempts: expected"),
        ({"id": "prod", "config": {"override_params": {"x": "sk-" + "a" * 30}}}, "looks like a secret"),
        ({"id": "prod", "config": {"override_params": {"x": "a" * 70_000}}}, "at most 65536 bytes"),
        ({"id": "Prod", "config": ONE}, "id: should be"),
    ],
)
def test_what_cannot_be_meant_is_refused(configs: Configs, ana: Who, given: dict[str, object], told: str) -> None:
    """With the path, and nothing written."""
    with pytest.raises(AdminError, match=told):
        configs.create(given, ana)
    assert configs.page()["data"] == []


def test_a_config_in_use_is_not_deleted(configs: Configs, store: Store, changes: Changes, clock: Clock, ana: Who) -> None:
    """Its keys' calls would be refused."""
    configs.create({"id": "prod", "config": ONE}, ana)
    Projects(store, changes, clock).create({"id": "acme", "config": "prod"}, ana)
    with pytest.raises(AdminError, match="in use by project acme"):
        configs.delete("prod", ana)
    Projects(store, changes, clock).update("acme", {"config": None}, ana)
    key = Keys(store, changes, clock).create({"project": "acme", "config": "prod"}, ana)
    with pytest.raises(AdminError, match=f"in use by key {key['id']}"):
        configs.delete("prod", ana)
    Keys(store, changes, clock).update(key["id"], {"config": None}, ana)
    configs.delete("prod", ana)
    with pytest.raises(AdminError) as gone:
        configs.delete("prod", ana)
    assert gone.value.code == "not_found"
    assert configs.create({"id": "prod", "config": TWO}, ana)["version"] == 2, "versions of one that was deleted stay"


def test_slips_of_the_pen_are_warned_of(configs: Configs, store: Store, changes: Changes, clock: Clock, ana: Who) -> None:
    """A provider or a config that is not there yet may come later."""
    made = configs.create({"id": "prod", "config": {"targets": [{"provider": "@vertex"}, {"provider": "@later"}]}}, ana)
    (warning,) = made["warnings"]
    assert warning.startswith("there is no provider later in the store") and warning.endswith("`provider add later` makes one")
    project = Projects(store, changes, clock).create({"id": "acme", "config": "nope"}, ana)
    assert "there is no config nope yet, and calls are refused until" in project["warnings"][0]
