"""Every change and its audit entry, committed together: who, what, before, after, at.

A change is a compare-and-set against the version that was read. If somebody else was quicker it is worked out anew from
what they left, so that changes of different fields never lose each other.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.administration.pages import check_limit, read_page
from gateway.administration.refusals import AdminError
from gateway.administration.times import Clock, current, render_moments
from gateway.canonical.store import AlreadyExists, Conflict, Create, Delete, Document, Json, Missing, Store, Update, Write

ATTEMPTS_MAX = 20
TIMEOUT_S = 10.0
SCHEMA_VERSION = 1
PAGE_DOCUMENTS = 200


@dataclass(frozen=True, slots=True)
class Who:
    """Who changes something. `at_machine`: through the command line, where files and private addresses are the
    operator's own; over the network they are not."""

    name: str
    at_machine: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What the audit says of a change. `before` and `after` hold no secret: documents hold none."""

    action: str  # `project.create`
    target: str  # `projects/acme`
    before: Json | None
    after: Json | None


def _unheard(path: str) -> None:
    """Nobody listens."""


class Changes:
    """Commits changes. `heard` is told each path afterwards, so that a process can forget what it remembers of it."""

    def __init__(self, store: Store, now: Clock, heard: Callable[[str], None] = _unheard) -> None:
        self._store = store
        self._now = now
        self._heard = heard

    def commit(self, writes: Sequence[Write], entry: Entry, who: Who, *more: Entry) -> None:
        """All of it or nothing. AlreadyExists, Missing, Conflict, StoreUnavailable."""
        audit = [Create(f"audit/audit_{secrets.token_hex(10)}", self._render_entry(each, who)) for each in (entry, *more)]
        self._store.commit([*writes, *audit], timeout_s=TIMEOUT_S)
        for write in writes:
            self._heard(write.path)

    def create(self, path: str, data: Json, action: str, who: Who, also: Mapping[str, Json] | None = None) -> None:
        """The document, and with it those of `also` (path → document). AdminError `already_exists`."""
        documents = {path: data, **(also or {})}
        entries = [Entry(f"{_kind(each)}.create", each, None, document) for each, document in (also or {}).items()]
        try:
            writes = [Create(each, document) for each, document in documents.items()]
            self.commit(writes, Entry(action, path, None, data), who, *entries)
        except AlreadyExists:
            raise AdminError(f"{path} exists already; update it, or choose another id", "already_exists") from None

    def update(self, path: str, edit: Callable[[Json], Json], action: str, who: Who) -> Json:
        """Sets the fields that `edit` makes of the document; returns what stands there then. AdminError `not_found`.

        `edit` may run several times. Fields that already hold what they should are no change.
        """

        def attempt() -> Json:
            document = self.read(path)
            fields = changed_fields(document.data, edit(document.data))
            if fields:
                fields |= {"updated_at": current(self._now)}
                before = {name: document.data.get(name) for name in fields}
                self.commit([Update(path, fields, document.version)], Entry(action, path, before, fields), who)
            return {**document.data, **fields}

        return until_quiet(attempt, path)

    def delete(
        self,
        path: str,
        action: str,
        who: Who,
        *,
        besides: Callable[[], Sequence[Write]] = tuple,
        shown: Callable[[Json], Json] = lambda data: data,
    ) -> None:
        """Of two deletions the second is told AdminError `not_found`. `besides` gives what goes with the document, or refuses;
        it may run several times. `shown` is what the audit says stood there."""

        def attempt() -> Json:
            document = self.read(path)
            # The update makes the deletion conditional on what was read.
            gone = Update(path, {"deleted_at": current(self._now)}, document.version)
            self.commit([gone, Delete(path), *besides()], Entry(action, path, shown(document.data), None), who)
            return {}

        until_quiet(attempt, path)

    def read(self, path: str) -> Document:
        """The document; AdminError `not_found`."""
        document = self._store.get(path, timeout_s=TIMEOUT_S)
        if document is None:
            raise not_found(path)
        return document

    def _render_entry(self, entry: Entry, who: Who) -> Json:
        return {
            "at": current(self._now),
            "who": who.name,
            "action": entry.action,
            "target": entry.target,
            "before": entry.before,
            "after": entry.after,
            "schema_version": SCHEMA_VERSION,
        }


def not_found(path: str) -> AdminError:
    return AdminError(f"there is no {path[:120]}; `{_kind(path)} list` shows which there are", "not_found")


def _kind(path: str) -> str:
    return path.partition("/")[0].removesuffix("s")


def changed_fields(before: Json, fields: Json) -> Json:
    return {name: value for name, value in fields.items() if name not in before or before[name] != value}


def until_quiet(attempt: Callable[[], Json], path: str) -> Json:
    """Repeats an attempt that others got in the way of. Each round somebody's change was committed."""
    for _ in range(ATTEMPTS_MAX):
        try:
            return attempt()
        except (Conflict, Missing):
            continue
    raise AdminError(f"{path} is being changed by others all the time; look at it and repeat", "conflict")


def list_audit(store: Store, *, target: str | None = None, limit: int = 100, cursor: str | None = None) -> Json:
    """Newest first: `{"data": […], "next_cursor": …}`. `target` such as `projects/acme` (then without cursor)."""
    if target is None:
        return read_page(store, "audit", _render_audit, order_by="at", descending=True, limit=limit, cursor=cursor)
    check_limit(limit)
    found: list[Document] = []
    after = None
    while True:  # by target alone, for target and time together would need an index of their own
        page = store.query("audit", where=[("target", "==", target)], limit=PAGE_DOCUMENTS, cursor=after)
        found = sorted([*found, *page.documents], key=lambda document: document.data["at"], reverse=True)[:limit]
        after = page.next_cursor
        if after is None:
            return {"data": [_render_audit(document) for document in found], "next_cursor": None}


def _render_audit(document: Document) -> Json:
    entry: Json = render_moments(document.data)
    return {"id": document.id, **entry, "created_at": entry["at"], "updated_at": entry["at"]}
