"""The use cases on the store of production: batches that update and delete one document, queries without an own index."""

import contextlib
import time
from datetime import UTC, datetime

import pytest

from gateway.administration.budgets import Budgets
from gateway.administration.changes import Changes, Who, list_audit
from gateway.administration.keys import Keys
from gateway.administration.people import erase_records
from gateway.administration.projects import Projects
from gateway.administration.providers import Providers
from gateway.administration.refusals import AdminError
from gateway.administration.usage_documents import list_records, parse_filters, project_ids
from gateway.administration.usage_report import usage_report
from gateway.store import open_store


def test_a_projects_life_on_firestore(firestore_url: str, ana: Who) -> None:
    """From its first key to its deletion, with usage asked for in between."""
    with contextlib.closing(open_store(firestore_url)) as store:
        changes = Changes(store, time.time)
        projects, keys = Projects(store, changes, time.time), Keys(store, changes, time.time)
        providers = Providers(store, changes, time.time)
        projects.create({"id": "acme", "metadata": {"team.x": "core/1"}}, ana)
        key = keys.create({"project": "acme"}, ana)
        keys.rotate(key["id"], 60, ana)
        assert [one["id"] for one in keys.page(project="acme")["data"]] == [key["id"]]
        filters = {"project": "acme", "user": "ana", "key": key["id"]}
        assert usage_report(store, filters, ["model", "day"], time.time)["totals"]["requests"] == 0
        assert list_records(store, parse_filters(filters, time.time))["data"] == []
        with pytest.raises(AdminError, match="working keys"):
            projects.delete("acme", ana)
        keys.revoke(key["id"], ana)
        projects.delete("acme", ana)
        assert projects.page()["data"] == keys.page()["data"] == []
        assert project_ids(store) == ["acme"]
        providers.add({"id": "vertex-prod", "kind": "vertex", "credential": "adc"}, ana)
        providers.delete("vertex-prod", ana)
        with pytest.raises(AdminError, match="there is no providers/vertex-prod"):
            providers.delete("vertex-prod", ana)
        assert [entry["action"] for entry in list_audit(store, target="projects/acme")["data"]] == [
            "project.delete",
            "project.create",
        ]


def test_a_budgets_life_and_an_erasure_on_firestore(firestore_url: str, ana: Who) -> None:
    """Made with its project, changed, read; and a person's records taken out."""
    with contextlib.closing(open_store(firestore_url)) as store:
        changes = Changes(store, time.time)
        budgets, keys = Budgets(store, changes, time.time), Keys(store, changes, time.time)
        budget_id, data = budgets.prepare({"id": "acme-month", "scope": {"type": "project", "id": "acme"}, "amount": "5.10"})
        Projects(store, changes, time.time).create({"id": "acme"}, ana, {f"budgets/{budget_id}": data})
        keys.create({"project": "acme", "user": "ana@example.com", "groups": ["eng"]}, ana)
        for scope in ({"type": "user", "id": "ana@example.com"}, {"type": "group", "id": "eng"}):
            assert "warnings" not in budgets.create({"scope": scope, "amount": "1"}, ana)
        raised = budgets.update("acme-month", {"raise": {"amount": "1", "until": "7d"}}, ana)
        assert raised["raise"]["amount"] == "1" and budgets.get("acme-month") == raised
        assert budgets.state("acme-month")["remaining"] == "6.10"
        budgets.delete("acme-month", ana)
        with pytest.raises(AdminError, match="there is no budgets/acme-month"):
            budgets.delete("acme-month", ana)
        at = datetime.now(UTC)
        for number, allowances in enumerate([[], ["a-1"]]):
            usage = {"request_id": f"req_{number}", "at": at, "user": "ana@example.com", "allowance_ids": allowances}
            store.create(f"projects/acme/usage/req_{number}", {**usage, "latency_ms": 5, "cost_nanodollars": 5})
        assert erase_records(store, changes, "ana@example.com", time.time, ana)["erased"] == 2
        left = store.query("projects/acme/usage").documents
        assert [(document.id, document.data["user"]) for document in left] == [("req_1", None)]
