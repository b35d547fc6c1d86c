"""Usage documents, newest first, of one project or of all: filters, pages, one record. Never more than a page in memory."""

import base64
import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from gateway.administration import checks
from gateway.administration.pages import check_limit
from gateway.administration.refusals import AdminError
from gateway.administration.times import Clock, parse_moment, render_moments
from gateway.callers.keys import PATTERN
from gateway.canonical.money import format_dollars
from gateway.canonical.store import Document, Json, Operator, Store
from gateway.catalog.models import find

FIELD_OF = {
    "key": "key_id",
    "user": "user",
    "model": "model",
    "provider": "provider",
    "session": "session_id",
    "trace": "trace_id",
}
"""What a filter is called, and the field that it asks for: those that Firestore has an index of, together with `at`."""

QUERY_TIMEOUT_S = 60.0
PROJECTS_PAGE = 500
Where = list[tuple[str, Operator, Any]]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which usage documents are meant. `since` is included, `until` is not; `fields` and `metadata` must all agree."""

    project: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def where(self) -> Where:
        where: Where = [(name, "==", value) for name, value in self.fields.items()]
        where += [("at", ">=", self.since)] if self.since else []
        return where + ([("at", "<", self.until)] if self.until else [])

    def agree(self, data: Json) -> bool:
        """What no index answers."""
        return all((data.get("metadata") or {}).get(name) == value for name, value in self.metadata.items())


def parse_filters(given: Mapping[str, Any], now: Clock) -> Filters:
    """From `project`, `key`, `user`, `model`, `provider`, `session`, `trace`, `since`, `until` and `meta.NAME`, all text;
    AdminError `invalid`, or `conflict` if they exclude each other."""
    known = {name: value for name, value in given.items() if value not in (None, "")}
    metadata = {name.removeprefix("meta."): known.pop(name) for name in list(known) if name.startswith("meta.")}
    table: dict[str, checks.Check] = {
        "project": checks.identifier,
        "since": lambda value: parse_moment(value, now, "ago"),
        "until": lambda value: parse_moment(value, now, "ago"),
        "key": _key_id,
        "user": checks.user,
        "model": _model,
        **{name: checks.word(256) for name in ("provider", "session", "trace")},
    }
    values = checks.check_fields(known, table)
    since, until = values.get("since"), values.get("until")
    if since and until and since >= until:
        raise AdminError("since: should lie before until", "conflict")
    fields = {FIELD_OF[name]: value for name, value in values.items() if name in FIELD_OF}
    labels = checks.check_fields({"metadata": metadata}, {"metadata": checks.metadata})["metadata"]
    return Filters(values.get("project"), since, until, fields, labels)


def read_usage(
    store: Store, filters: Filters, *, page: int, until_included: datetime | None = None
) -> Iterator[Iterator[Document]]:
    """One iterator a project, each newest first and reading on only when asked."""
    for project in [filters.project] if filters.project else project_ids(store):
        yield _read_project(store, project, filters, page, until_included)


def project_ids(store: Store) -> list[str]:
    """Every project that may have usage: those there are, and those that were deleted."""
    found = [document.id for document in _all(store, "projects", [])]
    deleted = [document.data["target"] for document in _all(store, "audit", [("action", "==", "project.delete")])]
    return sorted({*found, *(target.removeprefix("projects/") for target in deleted)})


def list_records(store: Store, filters: Filters, *, limit: int = 100, cursor: str | None = None) -> Json:
    """`{"data": […], "next_cursor": …}`, newest first; AdminError `not_found` for a cursor that leads nowhere."""
    check_limit(limit)
    after = _parse_cursor(cursor) if cursor else None
    streams = read_usage(store, filters, page=limit + 1, until_included=after[0] if after else None)
    merged = heapq.merge(*streams, key=_place, reverse=True)
    records: list[Document] = []
    for document in merged:
        if after and _place(document) >= after:
            continue
        if len(records) == limit:
            return {"data": [render_record(record) for record in records], "next_cursor": _render_cursor(records[-1])}
        records.append(document)
    return {"data": [render_record(record) for record in records], "next_cursor": None}


def get_record(store: Store, request_id: str) -> Json:
    """One call, whatever its project; AdminError `not_found`."""
    page = store.query("usage", where=[("request_id", "==", request_id)], limit=1, group=True)
    if not page.documents:
        raise AdminError(
            f"there is no record {request_id[:80]!r}; calls that were refused before they were admitted have a log line only",
            "not_found",
        )
    return render_record(page.documents[0])


def render_record(document: Document) -> Json:
    """The usage document, with what every object has, and its cost in dollars."""
    shown: Json = render_moments(document.data)
    cost = format_dollars(document.data["cost_nanodollars"])
    return {"id": document.id, "created_at": shown["at"], "updated_at": shown["at"], **shown, "cost_usd": cost}


def _read_project(store: Store, project: str, filters: Filters, page: int, until_included: datetime | None) -> Iterator[Document]:
    where = filters.where()
    if until_included:
        where.append(("at", "<=", until_included))
    for document in _all(store, f"projects/{project}/usage", where, order_by="at", page=page):
        if filters.agree(document.data):
            yield document


def _all(
    store: Store, collection: str, where: Where, *, order_by: str | None = None, page: int = PROJECTS_PAGE
) -> Iterator[Document]:
    cursor = None
    while True:
        found = store.query(
            collection,
            where=where,
            order_by=order_by,
            descending=order_by is not None,
            limit=page,
            cursor=cursor,
            timeout_s=QUERY_TIMEOUT_S,
        )
        yield from found.documents
        cursor = found.next_cursor
        if cursor is None:
            return


def _place(document: Document) -> tuple[datetime, bytes]:
    """Where a record stands; stores order those of one moment by path too."""
    return document.data["at"], document.path.encode()


def _render_cursor(last: Document) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode([last.data["at"], last.path])).decode().rstrip("=")


def _parse_cursor(cursor: str) -> tuple[datetime, bytes]:
    try:
        at, path = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=tuple[datetime, str])
        at.utctimetuple()
    except (ValueError, msgspec.MsgspecError):
        raise AdminError("cursor: is none of ours; leave it out to begin at the newest", "not_found") from None
    return at, path.encode()


def _key_id(value: Any) -> str:
    if isinstance(value, str) and PATTERN.match(value):
        raise ValueError("is a key itself; name it by its id (key_…), which `key list` shows")
    checked: str = checks.word(64)(value)
    return checked


def _model(value: Any) -> str:
    """Any spelling of a model; records have the catalog's."""
    name = checks.word(256)(value)
    model = find(name)
    return model.id if model else str(name)
