"""`/keys`"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.administration import checks
from gateway.administration.keys import GRACE_S_MAX
from gateway.administration.limits import COUNT_MAX
from gateway.administration.limits import create_key as create_limited
from gateway.administration.office import Office
from gateway.canonical.store import Json
from gateway.doors.admin.fields import Globs, Groups, Id, Line100, Metadata, Moment, User, Warnings
from gateway.doors.admin.route import PAGE, WRITE, Asked, Deleted, Page, Query, Route, deleted, only

Count = Annotated[int, Meta(ge=1, le=COUNT_MAX)]


class KeyFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A key's fields; what is left out stays (PATCH) or takes its default (PUT)."""

    name: Line100 | UnsetType = UNSET
    user: User | UnsetType | None = UNSET
    groups: Groups | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    allowed_models: Globs | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    config: Id | UnsetType | None = UNSET


class NewKey(KeyFields, kw_only=True):
    """A key to issue. The three limits become budgets of the key."""

    project: Id
    max_parallel: Annotated[Count, Meta(description="Calls open at once")] | UnsetType | None = UNSET
    rpm: Annotated[Count, Meta(description="Requests a minute")] | UnsetType | None = UNSET
    tpm: Annotated[Count, Meta(description="Tokens a minute")] | UnsetType | None = UNSET


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """How long the secret before still works."""

    grace_s: Annotated[int, Meta(ge=0, le=GRACE_S_MAX)] = 0


class Key(msgspec.Struct):
    """A key, without its secret: the gateway keeps only a hash of it."""

    id: str
    project: str
    name: str
    user: str | None
    groups: list[str]
    allowed_models: list[str] | None
    metadata: dict[str, str]
    config: str | None
    hint: Annotated[str, Meta(description="The last characters of the secret")]
    revoked_at: Moment | None
    rotated_at: Moment | None
    expires_at: Moment | None
    state: Literal["active", "expired", "revoked"]
    created_at: Moment
    updated_at: Moment
    warnings: Warnings | UnsetType = UNSET


class IssuedKey(Key, kw_only=True):
    """A key with its secret, which is shown this once."""

    key: Annotated[str, Meta(pattern="^gw-[A-Za-z0-9_-]{43}$")]
    budgets: Annotated[list[str], Meta(description="Ids of the budgets that hold its limits")] | UnsetType = UNSET


def create_key(office: Office, asked: Asked) -> Json:
    return create_limited(office.keys, office.budgets, asked.body, asked.who)


def list_keys(office: Office, asked: Asked) -> Json:
    return office.keys.page(project=asked.query.get("project") or None, **asked.page)


def get_key(office: Office, asked: Asked) -> Json:
    return office.keys.get(asked.id)


def replace_key(office: Office, asked: Asked) -> Json:
    return office.keys.replace(asked.id, asked.body, asked.who)


def update_key(office: Office, asked: Asked) -> Json:
    return office.keys.update(asked.id, asked.body, asked.who)


def rotate_key(office: Office, asked: Asked) -> Json:
    grace = checks.check_fields(asked.body, {"grace_s": checks.integer})
    return office.keys.rotate(asked.id, grace.get("grace_s", 0), asked.who)


def revoke_key(office: Office, asked: Asked) -> Json:
    only(asked.body)
    return office.keys.revoke(asked.id, asked.who)


def delete_key(office: Office, asked: Asked) -> Json:
    office.keys.delete(asked.id, asked.who)
    return deleted(asked.id)


IN_PROJECT = Query("project", "Keys of this project only", {"type": "string", "minLength": 1})
ROUTES = (
    Route("POST", "/keys", "Issue a key; its secret is shown once", create_key, IssuedKey, NewKey, status=201, refusals=WRITE),
    Route("GET", "/keys", "List keys, without their secrets", list_keys, Page[Key], query=(IN_PROJECT, *PAGE)),
    Route("GET", "/keys/{id}", "Show a key", get_key, Key),
    Route("PUT", "/keys/{id}", "Replace a key's fields", replace_key, Key, KeyFields, refusals=WRITE),
    Route("PATCH", "/keys/{id}", "Change some fields of a key", update_key, Key, KeyFields, refusals=WRITE),
    Route("DELETE", "/keys/{id}", "End a key and forget it", delete_key, Deleted, refusals=WRITE),
    Route("POST", "/keys/{id}/rotate", "Issue a new secret under the same id", rotate_key, IssuedKey, Rotation,
          body_needed=False, refusals=WRITE),
    Route("POST", "/keys/{id}/revoke", "End a key for good", revoke_key, Key, refusals=WRITE),
)  # fmt: skip
