"""Rollups: the sums of a day's calls by project, model, user and key, so that a report need not read every call.

Each instance sums up its own calls in memory and writes each sum whole, into a document of its own:
`projects/{project}/rollups/{day}.{instance}-{n}`. So a commit that is repeated because its answer got lost writes the same
again instead of counting twice, no two instances ever write one document, and none is written more than once in
`EVERY_S`. A document that holds `ROWS_MAX` rows is closed and the next one begun. Whoever reads adds them up.

A call counts on the UTC day of its `at`. Sums of a day are written until `LATE_S` after its end; what comes later is left to
`usage reconcile`, which makes the day's sums anew from its usage documents and must not be counted upon again.
SIGKILL loses the sums of the last `EVERY_S`, never a usage document: reconciling mends it.
"""

import logging
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import msgspec

from gateway.canonical.store import Document, Json, Put, Store, Write
from gateway.records.figures import Figures

EVERY_S = 5.0
ROWS_MAX = 200
WRITES_MAX = 100
LATE_S = 5_400.0  # a call may last for an hour (GATEWAY_TOTAL_TIMEOUT_S) and is counted where it began
PAGE_DOCUMENTS = 500
QUERY_TIMEOUT_S = 30.0
SCHEMA_VERSION = 1
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """Whose calls: `erased` are the sums of people whose records were erased, without a name."""

    model: str | None = None
    user: str | None = None
    key_id: str | None = None
    erased: bool = False


Rows = dict[Row, Figures]


@dataclass(slots=True)
class _Part:
    """One document in the making."""

    project: str
    day: date
    number: int
    rows: Rows = field(default_factory=dict)
    changed: bool = False
    written_at: float = float("-inf")


class Rollups:
    """This instance's sums. Safe to call from many threads; never waits for the store."""

    def __init__(self, *, retention_days: int = 400, instance: str | None = None, every_s: float = EVERY_S) -> None:
        self._retention_days = retention_days
        self._instance = instance or uuid.uuid4().hex[:12]
        self._every_s = every_s
        self._lock = threading.Lock()
        self._open: dict[tuple[str, date], _Part] = {}
        self._closed: list[_Part] = []
        self._parts = 0
        self.left_out = 0  # documents that came too late to be written

    def add(self, document: Json) -> None:
        """Counts one call, by its usage document; before that is handed over to be written."""
        place = (document["project"], document["at"].astimezone(UTC).date())
        with self._lock:
            part = self._open.get(place)
            if part is None:
                part = self._open[place] = _Part(*place, number=self._parts)
                self._parts += 1
            row = row_of(document)
            if (figures := part.rows.get(row)) is None:
                figures = part.rows[row] = Figures()
            figures.add(document)
            part.changed = True
            if len(part.rows) >= ROWS_MAX:
                self._closed.append(self._open.pop(place))

    def take_writes(self, now: float, *, last: bool = False) -> list[Write]:
        """What is due to be written, and is now the caller's to commit, repeating it until it is; `now` is unix seconds.
        `last`: everything."""
        with self._lock:
            taken, self._closed = self._closed[:WRITES_MAX], self._closed[WRITES_MAX:]
            due = (part for part in self._open.values() if part.changed and (last or self._is_due(part, now)))
            taken += islice(due, WRITES_MAX - len(taken))
            writes = [self._write(part, now) for part in taken]
            self._forget_days_gone_by(now)
            return [write for write in writes if write is not None]

    def _is_due(self, part: _Part, now: float) -> bool:
        return not 0 <= now - part.written_at < self._every_s

    def _write(self, part: _Part, now: float) -> Write | None:
        part.changed, part.written_at = False, now
        if now > writable_until(part.day):
            self.left_out += 1
            log.warning("sums of %s came too late; `usage reconcile --fix` makes them from the usage documents", part.day)
            return None
        path = f"projects/{part.project}/rollups/{part.day}.{self._instance}-{part.number}"
        return Put(path, render_rollup(part.project, part.day, part.rows, self._retention_days))

    def _forget_days_gone_by(self, now: float) -> None:
        for place in [place for place, part in self._open.items() if not part.changed and now > writable_until(part.day)]:
            del self._open[place]


def row_of(document: Json) -> Row:
    return Row(document["model"] or document["asked_model"], document["user"], document["key_id"])


def end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def writable_until(day: date) -> float:
    """Unix seconds until which instances write sums of that day."""
    return end_of(day).timestamp() + LATE_S


def render_rollup(project: str, day: date, rows: Rows, retention_days: int) -> Json:
    """The rows are one text: as a map, every figure would be indexed and encoded by itself with each write."""
    listed = [
        {**{name: value for name, value in _named(row).items() if value}, **figures.render()} for row, figures in rows.items()
    ]
    return {
        "project": project,
        "day": day.isoformat(),
        "rows": msgspec.json.encode(listed).decode(),
        "schema_version": SCHEMA_VERSION,
        "expires_at": end_of(day) + timedelta(days=retention_days),
    }


def read_rows(document: Document) -> Iterator[tuple[Row, Figures]]:
    """One rollup document's."""
    for row in msgspec.json.decode(document.data["rows"], type=list[dict[str, int | str | bool]]):
        named = Row(**{name: row[name] for name in Row.__slots__ if name in row})  # type: ignore[arg-type]
        yield named, Figures({name: value for name, value in row.items() if isinstance(value, int)})


def read_documents(store: Store, project: str, since: date, until: date) -> Iterator[Document]:
    """A project's rollup documents of the days from `since` to before `until`, day by day."""
    cursor = None
    while True:
        page = store.query(
            f"projects/{project}/rollups",
            where=[("day", ">=", since.isoformat()), ("day", "<", until.isoformat())],
            order_by="day",
            limit=PAGE_DOCUMENTS,
            cursor=cursor,
            timeout_s=QUERY_TIMEOUT_S,
        )
        yield from page.documents
        cursor = page.next_cursor
        if cursor is None:
            return


def read_rollups(store: Store, projects: Iterable[str], since: date, until: date) -> dict[tuple[str, str], Rows]:
    """The sums by project and day (`2026-11-20`); StoreUnavailable."""
    found: dict[tuple[str, str], Rows] = {}
    for project in projects:
        for document in read_documents(store, project, since, until):
            rows = found.setdefault((project, document.data["day"]), {})
            for row, figures in read_rows(document):
                rows.setdefault(row, Figures()).add_all(figures.values)
    return found


def erase_user(store: Store, projects: Iterable[str], user: str, *, timeout_s: float = 10.0) -> int:
    """Takes one person out of the sums: what they spent stays, without name and key. How many documents changed.

    Instances that are summing up today's calls write the name again until the day is over: repeat it then, or reconcile."""
    changed = 0
    for project in projects:
        for document in read_documents(store, project, date.min, date.max):
            rows = list(read_rows(document))
            if not any(row.user == user for row, _ in rows):
                continue
            nameless: Rows = {}
            for row, figures in rows:
                kept = Row(model=row.model, erased=True) if row.user == user else row
                nameless.setdefault(kept, Figures()).add_all(figures.values)
            data = {**document.data, "rows": render_rollup(project, date.min, nameless, 0)["rows"]}
            store.commit([Put(document.path, data)], timeout_s=timeout_s)
            changed += 1
    return changed


def split(rows: Rows) -> Sequence[Rows]:
    """Rows in portions of one document each."""
    every = list(rows.items())
    return [dict(every[start : start + ROWS_MAX]) for start in range(0, len(every), ROWS_MAX)]


def _named(row: Row) -> Json:
    return {"model": row.model, "user": row.user, "key_id": row.key_id, "erased": row.erased}
