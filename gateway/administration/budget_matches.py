"""Whether a budget's scope means anybody: a cap on a slip of the pen caps nothing, so it is said at once."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from gateway.administration import checks
from gateway.administration.budget_fields import EACH
from gateway.administration.changes import TIMEOUT_S
from gateway.canonical.store import Json, Operator, Store

LABELS_LOOKED_AT_MAX = 1_000
Look = Callable[[Store, str, Collection[str]], list[str]]


def scope_warnings(store: Store, scope: Json, from_environment: Collection[str]) -> list[str]:
    """What is probably not meant; tomorrow's users and keys are no error."""
    look = LOOKS.get(scope["type"]) if scope["id"] != EACH else None
    return look(store, scope["id"], from_environment) if look else []


def _project(store: Store, name: str, environment: Collection[str]) -> list[str]:
    there = store.get(f"projects/{name}", timeout_s=TIMEOUT_S) is not None
    return [] if there else [f"scope: there is no project {name} yet; `project create {name}` makes one"]


def _provider(store: Store, name: str, environment: Collection[str]) -> list[str]:
    there = name in environment or store.get(f"providers/{name}", timeout_s=TIMEOUT_S) is not None
    return [] if there else [f"scope: there is no provider {name} yet; `provider add {name}` makes one"]


def _of_keys(field: str, operator: Operator, words: str) -> Look:
    def look(store: Store, name: str, environment: Collection[str]) -> list[str]:
        found = store.query("keys", where=[(field, operator, name)], limit=1, timeout_s=TIMEOUT_S).documents
        return [] if found else [f"scope: {words.format(name)}; `key list` shows which there are"]

    return look


def _model(store: Store, pattern: str, environment: Collection[str]) -> list[str]:
    return [warning.replace("allowed_models", "scope", 1) for warning in checks.glob_warnings([pattern])]


def _metadata(store: Store, pair: str, environment: Collection[str]) -> list[str]:
    """Keys and projects bear the labels; stores have no index of them, so a few are looked at."""
    name, _, value = pair.partition("=")
    for collection in ("projects", "keys"):
        page = store.query(collection, limit=LABELS_LOOKED_AT_MAX, timeout_s=TIMEOUT_S)
        if page.next_cursor or any((found.data.get("metadata") or {}).get(name) == value for found in page.documents):
            return []
    return [f"scope: no key and no project bears the label {pair} yet"]


def _session(store: Store, name: str, environment: Collection[str]) -> list[str]:
    return ["scope: a session is what the client calls it, so this budget guides the well-meaning and holds nobody else"]


LOOKS: Mapping[str, Any] = {
    "project": _project,
    "user": _of_keys("user", "==", "no key belongs to user {}"),
    "group": _of_keys("groups", "array_contains", "no key belongs to group {}"),
    "key": _of_keys("id", "==", "there is no key {}"),
    "provider": _provider,
    "model": _model,
    "metadata": _metadata,
    "session": _session,
}
