"""`/projects`"""

import msgspec
from msgspec import UNSET, UnsetType

from gateway.administration.office import Office
from gateway.canonical.store import Json
from gateway.doors.admin.fields import Globs, Id, Line100, Line500, Metadata, Moment, ProviderIds, Warnings
from gateway.doors.admin.route import PAGE, READ, WRITE, Asked, Deleted, Page, Route, deleted


class ProjectFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A project's fields; what is left out stays (PATCH) or takes its default (PUT)."""

    name: Line100 | UnsetType = UNSET
    providers: ProviderIds | UnsetType | None = UNSET
    allowed_models: Globs | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    budget_message: Line500 | UnsetType | None = UNSET
    config: Id | UnsetType | None = UNSET


class NewProject(ProjectFields, kw_only=True):
    """A project to make."""

    id: Id


class Project(msgspec.Struct):
    """A project: whose calls are kept apart, which providers and models they may use."""

    id: str
    name: str
    providers: list[str] | None
    allowed_models: list[str] | None
    metadata: dict[str, str]
    budget_message: str | None
    config: str | None
    created_at: Moment
    updated_at: Moment
    warnings: Warnings | UnsetType = UNSET


def create_project(office: Office, asked: Asked) -> Json:
    return office.projects.create(asked.body, asked.who)


def list_projects(office: Office, asked: Asked) -> Json:
    return office.projects.page(**asked.page)


def get_project(office: Office, asked: Asked) -> Json:
    return office.projects.get(asked.id)


def replace_project(office: Office, asked: Asked) -> Json:
    return office.projects.replace(asked.id, asked.body, asked.who)


def update_project(office: Office, asked: Asked) -> Json:
    return office.projects.update(asked.id, asked.body, asked.who)


def delete_project(office: Office, asked: Asked) -> Json:
    office.projects.delete(asked.id, asked.who)
    return deleted(asked.id)


ROUTES = (
    Route("POST", "/projects", "Make a project", create_project, Project, NewProject, status=201, refusals=WRITE),
    Route("GET", "/projects", "List projects by id", list_projects, Page[Project], query=PAGE, refusals=READ),
    Route("GET", "/projects/{id}", "Show a project", get_project, Project),
    Route("PUT", "/projects/{id}", "Replace a project's fields", replace_project, Project, ProjectFields, refusals=WRITE),
    Route("PATCH", "/projects/{id}", "Change some fields of a project", update_project, Project, ProjectFields, refusals=WRITE),
    Route("DELETE", "/projects/{id}", "Delete a project without working keys; its usage stays", delete_project, Deleted,
          refusals=WRITE),
)  # fmt: skip
