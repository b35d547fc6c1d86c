"""`/configs`"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.administration import checks
from gateway.administration.configs import render_schema
from gateway.administration.office import Office
from gateway.administration.refusals import invalid
from gateway.canonical.store import Json
from gateway.doors.admin.fields import Id, Moment, Warnings
from gateway.doors.admin.route import PAGE, WRITE, Asked, Deleted, Page, Route, deleted, only

ConfigDocument = Annotated[
    dict[str, Any],
    Meta(
        description="A routing config; GET /configs/schema.json describes it",
        examples=[{"retry": {"attempts": 3, "on_status_codes": [429, 503]}}],
    ),
]


class ConfigFields(msgspec.Struct, forbid_unknown_fields=True):
    """A new version of a config."""

    config: ConfigDocument


class NewConfig(ConfigFields):
    """A config to store."""

    id: Id


class StoredConfig(msgspec.Struct):
    """A routing config, in the version that is in force."""

    id: str
    version: int
    config: dict[str, Any]
    created_at: Moment
    updated_at: Moment
    warnings: Warnings | UnsetType = UNSET


class ConfigVersion(msgspec.Struct):
    """What a config was, and who made it so."""

    version: int
    config: dict[str, Any]
    who: str
    created_at: Moment


class Rollback(msgspec.Struct, forbid_unknown_fields=True):
    """Which version should be in force again."""

    version: Annotated[int, Meta(ge=1, le=1_000_000)]


def create_config(office: Office, asked: Asked) -> Json:
    return office.configs.create(asked.body, asked.who)


def list_configs(office: Office, asked: Asked) -> Json:
    return office.configs.page(**asked.page)


def describe_configs(office: Office, asked: Asked) -> Json:
    return render_schema()


def get_config(office: Office, asked: Asked) -> Json:
    return office.configs.get(asked.id)


def replace_config(office: Office, asked: Asked) -> Json:
    return office.configs.replace(asked.id, asked.body, asked.who)


def delete_config(office: Office, asked: Asked) -> Json:
    office.configs.delete(asked.id, asked.who)
    return deleted(asked.id)


def list_config_versions(office: Office, asked: Asked) -> Json:
    return office.configs.versions(asked.id, **asked.page)


def roll_config_back(office: Office, asked: Asked) -> Json:
    version = checks.check_fields(only(asked.body, "version"), {"version": checks.integer})
    if "version" not in version:
        raise invalid(["version: should name the version to go back to"])
    return office.configs.rollback(asked.id, version["version"], asked.who)


ROUTES = (
    Route("POST", "/configs", "Store a routing config", create_config, StoredConfig, NewConfig, status=201, refusals=WRITE),
    Route("GET", "/configs", "List routing configs by id", list_configs, Page[StoredConfig], query=PAGE),
    Route("GET", "/configs/schema.json", "JSON Schema of routing configs", describe_configs, dict[str, Any], refusals=(400, 401)),
    Route("GET", "/configs/{id}", "Show a config as it is in force", get_config, StoredConfig),
    Route("PUT", "/configs/{id}", "Store a new version, in force from now on", replace_config, StoredConfig, ConfigFields,
          refusals=WRITE),
    Route("DELETE", "/configs/{id}", "Delete a config that no key or project has", delete_config, Deleted, refusals=WRITE),
    Route("GET", "/configs/{id}/versions", "List a config's versions, the newest first", list_config_versions,
          Page[ConfigVersion], query=PAGE),
    Route("POST", "/configs/{id}/rollback", "Make an earlier version a new one", roll_config_back, StoredConfig, Rollback,
          refusals=WRITE),
)  # fmt: skip
