"""Firestore's Admin API as it answers: a database that has everything, from which a test takes away."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from gateway.administration.web import Answer

FILE = Path(__file__).parents[2] / "infra" / "firestore.indexes.json"
DATABASE = "projects/claude-prod/databases/(default)"


@dataclass
class AdminApi:
    """An `Ask`. Rows are what infra/firestore.indexes.json would make there."""

    fields: list[dict[str, Any]] = field(default_factory=list)
    indexes: list[dict[str, Any]] = field(default_factory=list)
    refusal: Answer | None = None
    page_size: int = 5
    asked: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        defined = json.loads(FILE.read_text())
        for row in defined["fieldOverrides"]:
            self.fields.append(_render_field(row))
        for number, row in enumerate(defined["indexes"]):
            name = f"{DATABASE}/collectionGroups/{row['collectionGroup']}/indexes/CICA{number}"
            fields = row["fields"]
            if "vectorConfig" not in fields[-1]:  # there it stands before the vector, and is asked for
                fields = [*fields, {"fieldPath": "__name__", "order": "DESCENDING"}]  # Firestore adds it
            self.indexes.append({"name": name, "queryScope": row["queryScope"], "fields": fields, "state": "READY"})

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        self.asked.append((url, headers))
        if self.refusal is not None:
            return self.refusal
        assert url.startswith(f"https://firestore.googleapis.com/v1/{DATABASE}/collectionGroups/-/"), url
        name = "fields" if "/-/fields?filter=" in url else "indexes"
        rows, start = getattr(self, name), int(unquote(url.partition("pageToken=")[2]) or 0)
        page: dict[str, Any] = {name: rows[start : start + self.page_size]}
        if start + self.page_size < len(rows):
            page["nextPageToken"] = str(start + self.page_size)
        return Answer(200, {}, json.dumps(page).encode())

    def without_field(self, group: str, name: str) -> None:
        self.fields = [row for row in self.fields if row["name"] != _field_name(group, name)]

    def field_row(self, group: str, name: str) -> dict[str, Any]:
        return next(row for row in self.fields if row["name"] == _field_name(group, name))


def _field_name(group: str, name: str) -> str:
    return f"{DATABASE}/collectionGroups/{group}/fields/{name}"


def _render_field(row: dict[str, Any]) -> dict[str, Any]:
    """A Field resource: singles are indexes of one field, the empty list is not sent."""
    path = row["fieldPath"]
    indexes = [
        {
            "queryScope": index["queryScope"],
            "state": "READY",
            "fields": [{"fieldPath": path, **{name: value for name, value in index.items() if name != "queryScope"}}],
        }
        for index in row["indexes"]
    ]
    rendered: dict[str, Any] = {"name": _field_name(row["collectionGroup"], path), "indexConfig": {}}
    if indexes:
        rendered["indexConfig"]["indexes"] = indexes
    if row.get("ttl"):
        rendered["ttlConfig"] = {"state": "ACTIVE"}
    return rendered
