"""Projects: whose calls are kept apart, which providers and models they may use."""

from collections.abc import Collection, Mapping
from typing import Any

from gateway.administration import checks
from gateway.administration.changes import PAGE_DOCUMENTS, SCHEMA_VERSION, TIMEOUT_S, Changes, Who
from gateway.administration.configs import config_warnings
from gateway.administration.pages import read_page
from gateway.administration.refusals import AdminError
from gateway.administration.times import Clock, current, render_moments
from gateway.canonical.store import Delete, Document, Json, Store, Write

FIELDS: Mapping[str, checks.Check] = {
    "name": checks.text(100),
    "providers": checks.optional(checks.each(lambda value: checks.identifier(str(value).removeprefix("@")))),
    "allowed_models": checks.globs,
    "metadata": checks.metadata,
    "budget_message": checks.optional(checks.text(500)),
    "config": checks.config,
}
DEFAULTS: Json = {"providers": None, "allowed_models": None, "metadata": {}, "budget_message": None, "config": None}
KEYS_DELETED_AT_ONCE_MAX = 300


class Projects:
    """The use cases. `from_environment` names the providers that settings bring: they are not in the store."""

    def __init__(self, store: Store, changes: Changes, now: Clock, from_environment: Collection[str] = ()) -> None:
        self._store = store
        self._changes = changes
        self._now = now
        self._from_environment = from_environment

    def create(self, given: Mapping[str, Any], who: Who, also: Mapping[str, Json] | None = None) -> Json:
        """From `{"id": …, …}`; AdminError `invalid` or `already_exists`. `also` are documents that come into being with it."""
        fields = checks.check_fields(given, {"id": checks.identifier, **FIELDS})
        if "id" not in fields:
            raise AdminError("id: a project needs one, such as acme", "invalid")
        project_id = fields.pop("id")
        at = current(self._now)
        data = {"name": project_id, **DEFAULTS, **fields, "created_at": at, "updated_at": at, "schema_version": SCHEMA_VERSION}
        self._changes.create(f"projects/{project_id}", data, "project.create", who, also)
        return self._with_warnings(project_id, data, fields)

    def get(self, project_id: str) -> Json:
        return render_project(self._read(project_id))

    def page(self, *, limit: int = 100, cursor: str | None = None) -> Json:
        """By id: `{"data": […], "next_cursor": …}`."""
        return read_page(self._store, "projects", render_project, limit=limit, cursor=cursor)

    def update(self, project_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """Changes the fields that are given; AdminError `not_found` or `invalid`."""
        fields = checks.check_fields(given, FIELDS)
        self._read(project_id)
        data = self._changes.update(f"projects/{project_id}", lambda _: fields, "project.update", who)
        return self._with_warnings(project_id, data, fields)

    def replace(self, project_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """What is not given takes its default."""
        self._read(project_id)
        return self.update(project_id, {"name": project_id, **DEFAULTS, **given}, who)

    def delete(self, project_id: str, who: Who) -> None:
        """Its usage stays. AdminError `conflict` while a key of it works: whoever holds one should not be cut off by
        a slip."""
        self._read(project_id)

        def idle_keys() -> list[Write]:
            # Creating a key touches its project: a key that is made meanwhile makes all this run again.
            return [Delete(path) for path in self._idle_keys(project_id)]

        self._changes.delete(f"projects/{project_id}", "project.delete", who, besides=idle_keys)

    def _read(self, project_id: str) -> Document:
        if not checks.ID.fullmatch(project_id):
            raise AdminError(f"{project_id[:80]!r} is no project id; `project list` shows which there are", "not_found")
        return self._changes.read(f"projects/{project_id}")

    def _idle_keys(self, project_id: str) -> list[str]:
        """Paths of the project's keys, all of them revoked or expired; AdminError if one still works."""
        paths = []
        cursor = None
        while True:
            page = self._store.query("keys", where=[("project", "==", project_id)], limit=PAGE_DOCUMENTS, cursor=cursor,
                                     timeout_s=TIMEOUT_S)  # fmt: skip
            for document in page.documents:
                valid_until = document.data["valid_until"]
                if document.data["revoked_at"] is None and (valid_until is None or valid_until.timestamp() > self._now()):
                    raise AdminError(
                        f"project {project_id} still has working keys, such as {document.data['id']} ({document.data['name']}); "
                        "revoke them first",
                        "conflict",
                    )
                paths.append(document.path)
            cursor = page.next_cursor
            if cursor is None or len(paths) >= KEYS_DELETED_AT_ONCE_MAX:
                return paths[:KEYS_DELETED_AT_ONCE_MAX]  # the others are dead, and without their project besides

    def _with_warnings(self, project_id: str, data: Json, fields: Json) -> Json:
        rendered = render_project(Document(f"projects/{project_id}", data, ""))
        warnings = [*checks.glob_warnings(fields.get("allowed_models")), *config_warnings(self._store, fields.get("config"))]
        for name in fields.get("providers") or ():
            if name not in self._from_environment and self._store.get(f"providers/{name}", timeout_s=TIMEOUT_S) is None:
                warnings.append(f"providers: there is no provider {name} yet; `provider add {name}` makes one")
        return rendered | ({"warnings": warnings} if warnings else {})


def render_project(document: Document) -> Json:
    shown = ("name", *DEFAULTS, "created_at", "updated_at")
    rendered: Json = render_moments({name: document.data.get(name) for name in shown})
    return {"id": document.id, **rendered}
