"""The admin API's objects: made, read, changed and deleted over HTTP as the command line does it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from admin_desk import ADMIN_KEY, AdminDesk
from cli_desk import START

from gateway.callers.keys import hash_key

AT = "2026-11-18T11:06:40Z"
PROVIDER = {
    "id": "vertex-prod",
    "kind": "vertex",
    "credential": "projects/p/secrets/sa/versions/latest",
    "project_id": "claude-prod",
}
BUDGET = {"id": "acme-month", "scope": {"type": "project", "id": "acme"}, "amount": "500.00"}
NEW: dict[str, dict[str, Any]] = {
    "/projects": {"id": "acme"},
    "/keys": {"project": "acme"},
    "/providers": PROVIDER,
    "/budgets": BUDGET,
}


@pytest.fixture
def desk(tmp_path: Path) -> AdminDesk:
    """With a project."""
    opened = AdminDesk(tmp_path)
    opened.good("POST", "/projects", {"id": "acme"})
    return opened


def make(desk: AdminDesk, path: str) -> str:
    """An object at a collection, by its id."""
    body = {**NEW[path], **({"id": "other"} if path == "/projects" else {})}
    return str(desk.good("POST", path, body)["id"])


def write_usage(desk: AdminDesk, request_id: str, *, user: str | None = "ana@example.com", **fields: Any) -> None:
    tokens = {"input": 5, "output": 2, "cache_read": 0, "cache_write_5m": 0, "cache_write_1h": 0, "thinking": 0}
    document = {
        "request_id": request_id, "at": datetime.fromtimestamp(START - 60, UTC), "project": "acme", "key_id": "key_1",
        "user": user, "groups": [], "metadata": {"team": "core"}, "trace_id": None, "agent_id": None, "session_id": None,
        "model": "claude-haiku-4-5", "asked_model": "claude-haiku-4-5", "provider": "vertex", "status": 200, "tokens": tokens,
        "searches": 0, "completeness": "final", "cost_nanodollars": 1_500_000, "price_known": True, "holds": [],
        "allowance_ids": [], "latency_ms": 900, **fields,
    }  # fmt: skip
    desk.office.store.create(f"projects/acme/usage/{request_id}", document)


@pytest.mark.parametrize("path", NEW)
def test_an_object_is_made_listed_shown_and_deleted_once(desk: AdminDesk, path: str) -> None:
    """201 with its place; the second DELETE is 404, and so is everything else about it."""
    body = {**NEW[path], **({"id": "other"} if path == "/projects" else {})}
    made = desk.ask("POST", path, body)
    assert made.status == 201 and made.headers["location"] == f"/admin/v1{path}/{made.body['id']}"
    target = f"{path}/{made.body['id']}"
    shown = desk.good("GET", target)
    assert shown["created_at"] == shown["updated_at"] == AT
    assert shown == {name: value for name, value in made.body.items() if name not in ("key", "warnings")}
    assert shown in desk.good("GET", path)["data"]
    assert desk.good("DELETE", target) == {"id": made.body["id"], "deleted": True}
    for method in ("DELETE", "GET", "PUT", "PATCH"):
        answer = desk.ask(method, target, body if method == "PUT" else {} if method == "PATCH" else None)
        assert (answer.status, answer.error["type"]) == (404, "not_found"), method


@pytest.mark.parametrize("path", ["/projects", "/providers", "/budgets"])
def test_an_id_is_taken_once(desk: AdminDesk, path: str) -> None:
    """409 for the second."""
    make(desk, path)
    answer = desk.ask("POST", path, {**NEW[path], **({"id": "other"} if path == "/projects" else {})})
    assert (answer.status, answer.error["type"]) == (409, "already_exists")


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        ("/projects", {"name": "A", "metadata": {"team": "core"}}, {"name": "B"}),
        ("/keys", {"name": "ci", "groups": ["eng"]}, {"name": "nightly"}),
        ("/providers", {"locations": ["eu"], "models": {"fast": "claude-haiku-4-5"}}, {"locations": ["global"]}),
        ("/budgets", {"mode": "strict", "alerts": [0.9]}, {"mode": "shadow"}),
    ],
)
def test_patch_merges_and_put_replaces(desk: AdminDesk, path: str, first: dict[str, Any], second: dict[str, Any]) -> None:
    """PATCH leaves what it does not name, PUT takes the default for it."""
    target = f"{path}/{make(desk, path)}"
    before = desk.good("GET", target)
    desk.seconds += 5
    assert desk.good("PATCH", target, first).items() >= first.items()
    merged = desk.good("PATCH", target, second)
    kept = {name: value for name, value in first.items() if name not in second}
    assert merged.items() >= {**kept, **second}.items() and merged["updated_at"] > merged["created_at"]
    needed = {name: before[name] for name in ("kind", "credential", "scope", "amount") if name in before}
    replaced = desk.good("PUT", target, {**needed, **second})
    assert replaced.items() >= {**{name: before[name] for name in kept}, **second}.items()


def test_lists_come_in_pages(desk: AdminDesk) -> None:
    """Without gaps or repeats."""
    for number in range(5):
        desk.good("POST", "/projects", {"id": f"p-{number}"})
    first = desk.good("GET", "/projects?limit=4")
    second = desk.good("GET", f"/projects?limit=4&cursor={first['next_cursor']}")
    assert [one["id"] for one in first["data"] + second["data"]] == ["acme", *(f"p-{number}" for number in range(5))]
    assert second["next_cursor"] is None


def test_a_key_is_shown_once_rotated_and_revoked(desk: AdminDesk) -> None:
    """And this process forgets at once what it knew of it."""
    made = desk.good("POST", "/keys", {"project": "acme", "user": "Ana@example.com", "rpm": 60})
    assert made["key"].startswith("gw-") and len(made["budgets"]) == 1
    target = f"/keys/{made['id']}"
    assert "key" not in desk.good("GET", target)
    rotated = desk.good("POST", f"{target}/rotate", {"grace_s": 60})
    assert rotated["key"] != made["key"] and rotated["id"] == made["id"]
    desk.heard.clear()
    assert desk.good("POST", f"{target}/revoke")["state"] == "revoked"
    assert {f"keys/{hash_key(key)}" for key in (made["key"], rotated["key"])} <= set(desk.heard)
    assert desk.ask("POST", f"{target}/rotate").error["type"] == "conflict"


def test_an_end_in_the_past_is_409(desk: AdminDesk) -> None:
    """The clock does not allow it."""
    answer = desk.ask("POST", "/keys", {"project": "acme", "expires_at": "2020-01-01T00:00:00Z"})
    assert (answer.status, answer.error["path"]) == (409, "expires_at")


@pytest.mark.parametrize("credential", ["file:/etc/passwd", "env:HOME", '{"private_key": "…"}', "plain"])
def test_over_the_network_a_credential_is_adc_or_in_secret_manager(desk: AdminDesk, credential: str) -> None:
    """Files and variables are the machine's own; and what was sent is not repeated."""
    answer = desk.ask("POST", "/providers", {**PROVIDER, "credential": credential})
    assert (answer.status, answer.error["path"]) == (400, "credential")
    assert "private_key" not in answer.error["message"] and "passwd" not in answer.error["message"]


@pytest.mark.parametrize(
    "url", ["http://example.com", "https://10.1.2.3", "https://metadata.google.internal", "https://x.com/v1"]
)
def test_over_the_network_a_base_url_is_public(desk: AdminDesk, url: str) -> None:
    """Whoever holds the admin key shall not reach what the gateway's machine reaches."""
    assert desk.ask("POST", "/providers", {**PROVIDER, "base_url": url}).error["path"] == "base_url"


def test_a_provider_of_the_environment_is_shown_and_not_changed(desk: AdminDesk) -> None:
    """Its credential may be a key in full."""
    assert desk.good("GET", "/providers/vertex")["source"] == "environment"
    assert desk.ask("DELETE", "/providers/vertex").status == 409


def test_a_provider_is_tried_out(desk: AdminDesk) -> None:
    """What works, and what mends the rest."""
    make(desk, "/providers")
    report = desk.good("POST", "/providers/vertex-prod/test", {"models": ["claude-haiku-4-5"]})
    assert (report["state"], len(report["data"])) == ("ok", 2)
    assert desk.ask("POST", "/providers/vertex-prod/test", {"models": ["m"] * 21}).error["path"] == "models"
    assert desk.ask("POST", "/providers/nowhere/test").status == 404


def test_a_budgets_state_and_test_alert(desk: AdminDesk) -> None:
    """In dollars, as decimal text."""
    make(desk, "/budgets")
    state = desk.good("GET", "/budgets/acme-month/state")
    assert (state["limit"], state["spent"], state["held"], state["remaining"]) == ("500.00", "0.00", "0.00", "500.00")
    assert state["resets_at"] == "2026-12-01T00:00:00Z"
    assert desk.good("POST", "/budgets/acme-month/test-alert")["data"] == [
        {"channel": "webhook", "delivered": True, "words": "200"}
    ]
    assert desk.ask("GET", "/budgets/none/state").status == 404


def test_usage_is_summed_up_by_filters_and_groups(desk: AdminDesk) -> None:
    """As `usage report` does it."""
    write_usage(desk, "req_1")
    write_usage(desk, "req_2", user="ben@example.com", metadata={})
    report = desk.good("GET", "/usage?group_by=model,user&project=acme")
    assert [(row["model"], row["user"], row["cost_usd"]) for row in report["data"]] == [
        ("claude-haiku-4-5", "ana@example.com", "0.0015"), ("claude-haiku-4-5", "ben@example.com", "0.0015")
    ]  # fmt: skip
    assert desk.good("GET", "/usage?meta.team=core")["totals"]["requests"] == 1
    assert desk.good("GET", "/usage?user=ANA@example.com&model=claude-haiku-4-5@20251001")["totals"]["requests"] == 1


def test_records_are_listed_and_shown(desk: AdminDesk) -> None:
    """Newest first, by the same filters."""
    write_usage(desk, "req_1", at=datetime.fromtimestamp(START - 120, UTC))
    write_usage(desk, "req_2", user="ben@example.com")
    assert [record["id"] for record in desk.good("GET", "/records")["data"]] == ["req_2", "req_1"]
    assert [record["id"] for record in desk.good("GET", "/records?user=ana@example.com")["data"]] == ["req_1"]
    assert desk.good("GET", "/records/req_2")["cost_usd"] == "0.0015"
    assert desk.ask("GET", "/records/req_3").status == 404


def test_one_persons_records_are_exported_and_erased(desk: AdminDesk) -> None:
    """And nobody else's."""
    write_usage(desk, "req_1")
    write_usage(desk, "req_2", user="ben@example.com")
    assert [record["id"] for record in desk.good("GET", "/users/Ana@example.com/records")["data"]] == ["req_1"]
    assert desk.good("DELETE", "/users/ana@example.com/records")["erased"] == 1
    assert desk.ask("GET", "/records/req_1").status == 404
    assert desk.good("GET", "/records")["data"][0]["id"] == "req_2"


def test_every_change_is_in_the_audit_with_who(desk: AdminDesk) -> None:
    """By its target, or all of them; and no entry holds a secret."""
    made = desk.good("POST", "/keys", {"project": "acme"})
    desk.good("DELETE", f"/keys/{made['id']}")
    entries = desk.good("GET", f"/audit?target=keys/{made['id']}")["data"]
    assert {(entry["who"], entry["action"]) for entry in entries} == {("admin", "key.create"), ("admin", "key.delete")}
    everything = str(desk.good("GET", "/audit"))
    assert made["key"] not in everything and ADMIN_KEY not in everything
    assert desk.ask("GET", "/audit?target=keys/x&cursor=y").status == 409


def test_models_and_prices_are_those_of_the_catalog(desk: AdminDesk) -> None:
    """With what a kind of provider calls them, and what a location costs."""
    models = {model["id"]: model for model in desk.good("GET", "/models")["data"]}
    assert models["claude-haiku-4-5"]["upstream_model"].startswith("claude-haiku-4-5@")
    everywhere, here = (desk.good("GET", f"/prices?location={place}")["data"] for place in ("global", "us-east5"))
    assert len(everywhere) == len(here) and everywhere != here
