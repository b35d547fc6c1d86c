"""The use cases on the store of production: batches that update and delete one document, queries without an own index."""

import contextlib
import time

import pytest

from gateway.administration.changes import Changes, Who, list_audit
from gateway.administration.keys import Keys
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
