"""Keys: issued once in plain text, kept as a SHA-256, rotated and revoked.

A rotated key keeps its id, so that budgets and reports go on: under one id there is the current secret and, for the
grace time, earlier ones (`replaced_at` is set on those). What is changed of a key is changed of all its secrets.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from gateway.administration import checks
from gateway.administration.changes import (
    SCHEMA_VERSION,
    TIMEOUT_S,
    Changes,
    Entry,
    Who,
    changed_fields,
    not_found,
    until_quiet,
)
from gateway.administration.configs import config_warnings
from gateway.administration.pages import read_page
from gateway.administration.refusals import AdminError
from gateway.administration.times import Clock, current, parse_moment, render_moments
from gateway.callers.keys import PATTERN, hash_key, new_key
from gateway.canonical.store import Conflict, Create, Delete, Document, Json, Missing, Store, Update, Write

FIELDS: Mapping[str, checks.Check] = {
    "name": checks.text(100),
    "user": checks.optional(checks.user),
    "groups": checks.each(checks.word(128)),
    "allowed_models": checks.globs,
    "metadata": checks.metadata,
    "config": checks.config,
}
DEFAULTS: Json = {
    "name": "key", "user": None, "groups": [], "valid_until": None, "allowed_models": None, "metadata": {}, "config": None,
}  # fmt: skip
SHOWN = ("project", "name", "user", "groups", "allowed_models", "metadata", "config", "hint", "revoked_at", "rotated_at")
GRACE_S_MAX = 90 * 86_400
SECRETS_OF_A_KEY_MAX = 100
SECRETS_IN_GRACE_MAX = 20


class Keys:
    """The use cases. The plain text leaves `create` and `rotate` once and is in no document."""

    def __init__(self, store: Store, changes: Changes, now: Clock) -> None:
        self._store = store
        self._changes = changes
        self._now = now

    def create(self, given: Mapping[str, Any], who: Who) -> Json:
        """From `{"project": …, …}`; the answer has the plain text as `key`. AdminError `invalid` or `not_found`."""
        fields = self._check(given, {"project": checks.identifier})
        if "project" not in fields:
            raise AdminError("project: a key needs one; `project list` shows which there are", "invalid")
        at = current(self._now)
        data = {
            "id": f"key_{secrets.token_hex(10)}",
            **DEFAULTS,
            **fields,
            "revoked_at": None,
            "rotated_at": None,
            "replaced_at": None,
            "created_at": at,
            "updated_at": at,
            "schema_version": SCHEMA_VERSION,
        }
        project = f"projects/{data['project']}"
        key = new_key()
        data["hint"] = key[-4:]
        # Touching the project makes sure that it is there, and that nobody deletes it meanwhile.
        writes: list[Write] = [Update(project, {"keys_changed": data["id"]}), Create(_path(key), data)]
        try:
            self._commit(writes, "key.create", data, None, data, who)
        except Missing:
            raise not_found(project) from None
        return self._render(data, key=key) | self._warnings(fields)

    def get(self, key_id: str) -> Json:
        return self._render(self._current(self._secrets(key_id)).data)

    def page(self, *, project: str | None = None, limit: int = 100, cursor: str | None = None) -> Json:
        """`{"data": […], "next_cursor": …}`, in no order of meaning."""
        where: list[tuple[str, Any, Any]] = [("replaced_at", "==", None)]
        if project is not None:
            where.append(("project", "==", project))
        return read_page(
            self._store, "keys", lambda document: self._render(document.data), where=where, limit=limit, cursor=cursor
        )

    def update(self, key_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """Changes the fields that are given; AdminError `not_found` or `invalid`."""
        self._secrets(key_id)
        fields = self._check(given, {})

        def edit(secret: Json) -> Json:
            if secret["replaced_at"] is None or "valid_until" not in fields:
                return fields
            return {**fields, "valid_until": _earlier(secret["valid_until"], fields["valid_until"])}

        return self._edit(key_id, edit, "key.update", who) | self._warnings(fields)

    def replace(self, key_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """What is not given takes its default."""
        defaults = {name: value for name, value in DEFAULTS.items() if name != "valid_until"}
        return self.update(key_id, {**defaults, "expires_at": None, **given}, who)

    def revoke(self, key_id: str, who: Who) -> Json:
        """For good, earlier secrets too. Revoking twice changes nothing."""
        at = current(self._now)
        return self._edit(key_id, lambda secret: {"revoked_at": secret["revoked_at"] or at}, "key.revoke", who)

    def rotate(self, key_id: str, grace_s: int, who: Who) -> Json:
        """A new secret under the same id, as `key`; those before work `grace_s` seconds longer at most. AdminError
        `conflict` if the key is revoked or expired, or is changed at the same moment."""
        if isinstance(grace_s, bool) or not isinstance(grace_s, int) or not 0 <= grace_s <= GRACE_S_MAX:
            raise AdminError(f"grace_s: should be 0 to {GRACE_S_MAX} seconds (90 days)", "invalid")
        before = self._secrets(key_id)
        replaced = self._current(before)
        if (state := self._state(replaced.data)) != "active":
            raise AdminError(f"key {key_id} is {state}, a new secret would not work; create another key", "conflict")
        at = current(self._now)
        ends = at + timedelta(seconds=grace_s)
        key = new_key()
        data = {**replaced.data, "hint": key[-4:], "rotated_at": at, "updated_at": at}
        writes: list[Write] = [Create(_path(key), data)]
        for secret in before:
            if secret.data["replaced_at"] is not None and self._state(secret.data) == "expired":
                writes.append(Delete(secret.path))  # else a key that is rotated for years would keep them all
                continue
            fields = {"valid_until": _earlier(secret.data["valid_until"], ends), "replaced_at": secret.data["replaced_at"] or at}
            writes.append(Update(secret.path, fields, secret.version))
        if grace_s and len(writes) > SECRETS_IN_GRACE_MAX:
            raise AdminError(
                f"key {key_id} has {SECRETS_IN_GRACE_MAX} secrets that still work; rotate it with grace_s 0", "conflict"
            )
        after = {"hint": data["hint"], "earlier_valid_until": ends}
        try:
            self._commit(writes, "key.rotate", data, {"hint": replaced.data["hint"]}, after, who)
        except (Conflict, Missing):
            # Not repeated: of two who rotate at once, the second would end the first one's new secret.
            raise AdminError(f"key {key_id} was changed at this moment; look at it and repeat", "conflict") from None
        return self._render(data, key=key)

    def delete(self, key_id: str, who: Who) -> None:
        """The key stops working, and is listed no more. Usage keeps its id."""

        def attempt() -> Json:
            found = self._secrets(key_id)
            shown = self._current(found).data
            # Each update makes the deletion conditional: a rotation meanwhile would leave a secret behind.
            gone = {"deleted_at": current(self._now)}
            writes: list[Write] = []
            for secret in found:
                writes += [Update(secret.path, gone, secret.version), Delete(secret.path)]
            self._commit(writes, "key.delete", shown, shown, None, who)
            return shown

        until_quiet(attempt, f"keys/{key_id}")

    def _check(self, given: Mapping[str, Any], more: Mapping[str, checks.Check]) -> Json:
        fields = checks.check_fields(given, {**more, **FIELDS, "expires_at": checks.optional(self._moment)})
        if "expires_at" in fields:
            fields["valid_until"] = fields.pop("expires_at")  # `expires_at` is the field by which stores forget documents
            if fields["valid_until"] and fields["valid_until"].timestamp() <= self._now():
                raise AdminError("expires_at: has passed already; give a time in the future, or revoke the key", "conflict")
        return fields

    def _moment(self, value: Any) -> datetime:
        return parse_moment(value, self._now, "ahead")

    def _edit(self, key_id: str, edit: Callable[[Json], Json], action: str, who: Who) -> Json:
        def attempt() -> Json:
            found = self._secrets(key_id)
            shown = self._current(found).data
            changes = {secret.path: changed_fields(secret.data, edit(secret.data)) for secret in found}
            if not any(changes.values()):
                return shown
            at = current(self._now)
            writes = [Update(secret.path, {**changes[secret.path], "updated_at": at}, secret.version) for secret in found]
            fields = changed_fields(shown, edit(shown))
            self._commit(writes, action, shown, {name: shown.get(name) for name in fields}, fields, who)
            return {**shown, **fields, "updated_at": at}

        return self._render(until_quiet(attempt, f"keys/{key_id}"))

    def _commit(self, writes: list[Any], action: str, key: Json, before: Json | None, after: Json | None, who: Who) -> None:
        self._changes.commit(writes, Entry(action, f"keys/{key['id']}", before, after), who)

    def _secrets(self, key_id: str) -> list[Document]:
        """Every secret under this id; AdminError `not_found`. A key in plain text is not echoed."""
        if PATTERN.match(key_id):
            raise AdminError("that is a key itself; name it by its id (key_…), which `key list` shows", "invalid")
        page = self._store.query("keys", where=[("id", "==", key_id)], limit=SECRETS_OF_A_KEY_MAX, timeout_s=TIMEOUT_S)
        if not page.documents:
            raise not_found(f"keys/{key_id[:80]}")
        return page.documents

    @staticmethod
    def _current(found: list[Document]) -> Document:
        return next((secret for secret in found if secret.data["replaced_at"] is None), found[0])

    def _state(self, data: Json) -> str:
        if data["revoked_at"] is not None:
            return "revoked"
        return "expired" if data["valid_until"] and data["valid_until"].timestamp() <= self._now() else "active"

    def _render(self, data: Json, key: str | None = None) -> Json:
        rendered: Json = render_moments({name: data.get(name) for name in SHOWN})
        return {
            "id": data["id"],
            **({"key": key} if key else {}),
            **rendered,
            "expires_at": render_moments(data["valid_until"]),
            "state": self._state(data),
            "created_at": render_moments(data["created_at"]),
            "updated_at": render_moments(data["updated_at"]),
        }

    def _warnings(self, fields: Json) -> Json:
        warnings = [*checks.glob_warnings(fields.get("allowed_models")), *config_warnings(self._store, fields.get("config"))]
        return {"warnings": warnings} if warnings else {}


def _path(key: str) -> str:
    return f"keys/{hash_key(key)}"


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)
