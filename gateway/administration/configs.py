"""Routing configs: kept in versions, of which one is in force. Nothing that was in force is ever lost: going back makes a new
version of an old one."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from gateway.administration import checks
from gateway.administration.changes import SCHEMA_VERSION, TIMEOUT_S, Changes, Entry, Who, until_quiet
from gateway.administration.pages import read_page
from gateway.administration.refusals import AdminError, invalid
from gateway.administration.times import Clock, current, render_moments
from gateway.canonical.store import AlreadyExists, Conflict, Create, Document, Json, Store, Update, Write
from gateway.routing.config import BYTES_MAX, Config, ConfigFault, leaves, parse_config, render_schema

__all__ = ["Configs", "check_config", "config_warnings", "render_schema"]


class Configs:
    """The use cases. `from_environment` names the providers that settings bring: they are not in the store.

    A config is stored as JSON text: its members keep their order, and what a later version adds is not lost.
    """

    def __init__(self, store: Store, changes: Changes, now: Clock, from_environment: Collection[str] = ()) -> None:
        self._store = store
        self._changes = changes
        self._now = now
        self._from_environment = from_environment

    def create(self, given: Mapping[str, Any], who: Who) -> Json:
        """From `{"id": …, "config": {…}}`; AdminError `invalid` or `already_exists`."""
        fields = checks.check_fields(given, {"id": checks.identifier, "config": check_config})
        if missing := [name for name in ("id", "config") if name not in fields]:
            raise invalid(f"{name}: a config needs it" for name in missing)
        config_id, path = fields["id"], f"configs/{fields['id']}"
        version = self._last_version(path) + 1  # of one that was deleted
        at = current(self._now)
        data = {"config": fields["config"], "version": version, "created_at": at, "updated_at": at}
        data["schema_version"] = SCHEMA_VERSION
        writes = [Create(path, data), self._kept(path, data, who)]
        try:
            self._changes.commit(writes, Entry("config.create", path, None, _shown(data)), who)
        except AlreadyExists:
            raise AdminError(f"{path} exists already; update it, or choose another id", "already_exists") from None
        return self._with_warnings(config_id, data)

    def get(self, config_id: str) -> Json:
        return render_config(self._read(config_id))

    def exists(self, config_id: str) -> bool:
        named = checks.ID.fullmatch(config_id) is not None
        return named and self._store.get(f"configs/{config_id}", timeout_s=TIMEOUT_S) is not None

    def page(self, *, limit: int = 100, cursor: str | None = None) -> Json:
        """By id: `{"data": […], "next_cursor": …}`."""
        return read_page(self._store, "configs", render_config, limit=limit, cursor=cursor)

    def versions(self, config_id: str, *, limit: int = 100, cursor: str | None = None) -> Json:
        """The newest first."""
        self._read(config_id)
        return read_page(
            self._store, f"configs/{config_id}/versions", _render_version, order_by="version", descending=True, limit=limit,
            cursor=cursor,
        )  # fmt: skip

    def replace(self, config_id: str, given: Mapping[str, Any], who: Who) -> Json:
        """A new version, in force from now on; AdminError `not_found` or `invalid`."""
        fields = checks.check_fields(given, {"config": check_config})
        if "config" not in fields:
            raise invalid(["config: the new version needs one"])
        return self._put(config_id, lambda: fields["config"], "config.update", who)

    def put(self, config_id: str, config: Any, who: Who) -> Json:
        """A new config of that id, or a new version of it."""
        if self.exists(config_id):
            return self.replace(config_id, {"config": config}, who)
        return self.create({"id": config_id, "config": config}, who)

    def rollback(self, config_id: str, version: int, who: Who) -> Json:
        """Makes a version in force again, as a new one; AdminError `not_found`."""
        return self._put(config_id, lambda: self._text_of(config_id, version), "config.rollback", who)

    def delete(self, config_id: str, who: Who) -> None:
        """Its versions stay. AdminError `conflict` while a key or project has it: calls with those would be refused."""
        self._read(config_id)

        def check_unused() -> Sequence[Write]:
            self._check_unused(config_id)
            return ()

        self._changes.delete(f"configs/{config_id}", "config.delete", who, besides=check_unused, shown=_shown)

    def _put(self, config_id: str, text_of: Callable[[], str], action: str, who: Who) -> Json:
        path = f"configs/{config_id}"

        def attempt() -> Json:
            document = self._read(config_id)
            text = text_of()
            if text == document.data["config"]:
                return document.data
            fields = {"config": text, "version": self._last_version(path) + 1, "updated_at": current(self._now)}
            data = {**document.data, **fields}
            entry = Entry(action, path, _shown(document.data), _shown(data))
            try:
                self._changes.commit([Update(path, fields, document.version), self._kept(path, data, who)], entry, who)
            except AlreadyExists as error:  # somebody else's version: the next round sees it
                raise Conflict(path) from error
            return data

        return self._with_warnings(config_id, until_quiet(attempt, path))

    def _kept(self, path: str, data: Json, who: Who) -> Create:
        kept = {"config": data["config"], "version": data["version"], "created_at": data["updated_at"], "who": who.name}
        return Create(f"{path}/versions/{data['version']}", {**kept, "schema_version": SCHEMA_VERSION})

    def _last_version(self, path: str) -> int:
        page = self._store.query(f"{path}/versions", order_by="version", descending=True, limit=1, timeout_s=TIMEOUT_S)
        return int(page.documents[0].data["version"]) if page.documents else 0

    def _text_of(self, config_id: str, version: int) -> str:
        document = self._store.get(f"configs/{config_id}/versions/{version}", timeout_s=TIMEOUT_S)
        if document is None:
            told = f"config {config_id} has no version {version}; `config versions {config_id}` lists them"
            raise AdminError(told, "not_found")
        return str(document.data["config"])

    def _check_unused(self, config_id: str) -> None:
        for collection in ("keys", "projects"):
            page = self._store.query(collection, where=[("config", "==", config_id)], limit=1, timeout_s=TIMEOUT_S)
            for document in page.documents:
                name = document.data.get("id") or document.id
                told = f"config {config_id} is in use by {collection[:-1]} {name}; give it another config first"
                raise AdminError(told, "conflict")

    def _read(self, config_id: str) -> Document:
        if not checks.ID.fullmatch(config_id):
            raise AdminError(f"{config_id[:80]!r} is no config id; `config list` shows which there are", "not_found")
        return self._changes.read(f"configs/{config_id}")

    def _with_warnings(self, config_id: str, data: Json) -> Json:
        rendered = render_config(Document(f"configs/{config_id}", data, ""))
        warnings = self.warnings(parse_config(msgspec.json.decode(data["config"])))
        return rendered | ({"warnings": warnings} if warnings else {})

    def warnings(self, config: Config) -> list[str]:
        """What is probably a slip of the pen."""
        slugs = dict.fromkeys(node.slug for node in leaves(config) if node.slug)
        return [
            f"there is no provider {slug} in the store, nor in these settings; where the gateway's own bring none either, calls "
            f"pass it over: `provider add {slug}` makes one"
            for slug in slugs
            if slug not in self._from_environment and self._store.get(f"providers/{slug}", timeout_s=TIMEOUT_S) is None
        ]


def check_config(value: Any) -> str:
    """The config as JSON text; ValueError names every fault."""
    try:
        parse_config(value)
    except ConfigFault as error:
        raise ValueError("; ".join(error.faults)) from error
    text = msgspec.json.encode(value).decode()
    if len(text) > BYTES_MAX:
        raise ValueError(f"should have at most {BYTES_MAX} bytes")
    if checks.SECRET.search(text):
        raise ValueError("something in it looks like a secret, and configs are shown to people; name providers instead")
    return text


def config_warnings(store: Store, config_id: str | None) -> list[str]:
    """For keys and projects that name a config."""
    if config_id is None or store.get(f"configs/{config_id}", timeout_s=TIMEOUT_S) is not None:
        return []
    return [f"config: there is no config {config_id} yet, and calls are refused until `config put {config_id}` makes one"]


def render_config(document: Document) -> Json:
    data = document.data
    moments: Json = render_moments({name: data[name] for name in ("created_at", "updated_at")})
    return {"id": document.id, "version": data["version"], "config": msgspec.json.decode(data["config"]), **moments}


def _render_version(document: Document) -> Json:
    data = document.data
    moment: Json = render_moments({"created_at": data["created_at"]})
    return {"version": data["version"], "config": msgspec.json.decode(data["config"]), "who": data["who"], **moment}


def _shown(data: Json) -> Json:
    return {"version": data["version"], "config": data["config"]}
