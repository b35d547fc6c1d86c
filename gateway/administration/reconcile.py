"""Sums held against what they are sums of: rollups against usage documents, day by day, and mended where they differ."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gateway.administration.changes import TIMEOUT_S, Changes, Entry, Who
from gateway.administration.refusals import invalid
from gateway.administration.times import Clock, current
from gateway.administration.usage_documents import Filters, parse_filters, project_ids, read_usage
from gateway.canonical.money import format_dollars
from gateway.canonical.store import Delete, Put, Store, Write
from gateway.records.figures import FIGURES, Figures
from gateway.records.rollups import (
    Row,
    Rows,
    end_of,
    read_documents,
    read_rollups,
    render_rollup,
    row_of,
    split,
    writable_until,
)

DEFAULT_SINCE = "30d"
PAGE_DOCUMENTS = 5_000
WRITES_MAX = 400
CLOCKS_APART = timedelta(minutes=30)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """Whole UTC days, `until` not included."""

    since: date
    until: date

    @property
    def filters(self) -> tuple[datetime, datetime]:
        return end_of(self.since) - timedelta(days=1), end_of(self.until) - timedelta(days=1)


def reconcile_rollups(
    store: Store, given: Mapping[str, Any], now: Clock, *, fix: tuple[Changes, Who] | None = None, retention_days: int = 400
) -> Json:
    """`{"since", "until", "data": [rows that differ], "totals", "days_mended", "days_open"}`.

    `given` may name `project`, `since` and `until`; whole days are compared, the last 30 unless it is said, and none whose
    documents are being forgotten. With `fix` the sums of a day that differs are made anew from its usage documents, as soon as
    no instance writes to them any more. A day in `days_open` is not over for the instances: what differs there may be
    under way. AdminError `invalid`.
    """
    span = read_span(given, now, retention_days)
    projects = [given["project"]] if given.get("project") else project_ids(store)
    answer: Json = {"since": span.since.isoformat(), "until": span.until.isoformat(), "data": [], "days_mended": 0}
    totals = {"requests": 0, "rolled_requests": 0, "cost_nanodollars": 0, "rolled_cost_nanodollars": 0}
    open_days: set[str] = set()
    for project in projects:
        counted = count_documents(store, project, span)
        rolled = {day: rows for (_, day), rows in read_rollups(store, [project], span.since, span.until).items()}
        for day in sorted({*counted, *rolled}):
            rows, sums = counted.get(day, {}), rolled.get(day, {})
            _add_totals(totals, rows, sums)
            differing = list(_differing(rows, sums))
            answer["data"] += [_render(project, day, *each) for each in differing]
            if not _is_closed(day, now):
                open_days.add(day)
            elif differing and fix:
                _mend(store, project, day, rows, retention_days, *fix)
                answer["days_mended"] += 1
    answer["totals"] = {**totals, "drift_usd": format_dollars(totals["rolled_cost_nanodollars"] - totals["cost_nanodollars"])}
    return {**answer, "days_open": sorted(open_days)}


def read_span(given: Mapping[str, Any], now: Clock, retention_days: int) -> Span:
    """AdminError `invalid`."""
    names = ("project", "since", "until")
    filters = parse_filters({**{name: given.get(name) for name in names}, "since": given.get("since") or DEFAULT_SINCE}, now)
    assert filters.since is not None
    until = filters.until or current(now) + timedelta(days=1)
    oldest = (current(now) - timedelta(days=retention_days - 1)).date()
    span = Span(max(oldest, filters.since.astimezone(UTC).date()), until.astimezone(UTC).date())
    if span.since >= span.until:
        raise invalid(["until: should be a later day than since; whole days are compared"])
    return span


def count_documents(store: Store, project: str, span: Span) -> dict[str, Rows]:
    """The sums of a project's usage documents by day; only sums are held in memory."""
    since, until = span.filters
    counted: dict[str, Rows] = {}
    for documents in read_usage(store, Filters(project, since, until), page=PAGE_DOCUMENTS):
        for document in documents:
            day = document.data["at"].astimezone(UTC).date().isoformat()
            counted.setdefault(day, {}).setdefault(row_of(document.data), Figures()).add(document.data)
    return counted


def _differing(counted: Rows, rolled: Rows) -> Iterable[tuple[Row, Figures, Figures]]:
    """What was erased has no documents any more: its sums are all there is, and right."""
    nothing = Figures()
    for row in sorted({*counted, *rolled}, key=str):
        one, other = counted.get(row, nothing), rolled.get(row, nothing)
        if not row.erased and one != other:
            yield row, one, other


def _render(project: str, day: str, row: Row, counted: Figures, rolled: Figures) -> Json:
    """What the documents say and what the sums say, of every figure that differs."""
    differing = [name for name in FIGURES if counted.values[name] != rolled.values[name]]
    return {
        "day": day,
        "project": project,
        "model": row.model,
        "user": row.user,
        "key": row.key_id,
        "requests": counted.values["requests"],
        "rolled_requests": rolled.values["requests"],
        "cost_usd": format_dollars(counted.values["cost_nanodollars"]),
        "rolled_cost_usd": format_dollars(rolled.values["cost_nanodollars"]),
        "differing": {name: {"documents": counted.values[name], "rollups": rolled.values[name]} for name in differing},
    }


def _add_totals(totals: dict[str, int], counted: Rows, rolled: Rows) -> None:
    for prefix, rows in (("", counted), ("rolled_", rolled)):
        for row, figures in rows.items():
            if not row.erased:
                totals[f"{prefix}requests"] += figures.values["requests"]
                totals[f"{prefix}cost_nanodollars"] += figures.values["cost_nanodollars"]


def _is_closed(day: str, now: Clock) -> bool:
    """No instance writes sums of that day any more, whatever its clock says."""
    return now() > writable_until(date.fromisoformat(day)) + CLOCKS_APART.total_seconds()


def _mend(store: Store, project: str, day: str, counted: Rows, retention_days: int, changes: Changes, who: Who) -> None:
    """The day's rollups anew; sums without a name, whose documents were erased, are kept."""
    date_of = date.fromisoformat(day)
    old = list(read_documents(store, project, date_of, date_of + timedelta(days=1)))
    kept = read_rollups(store, [project], date_of, date_of + timedelta(days=1)).get((project, day), {})
    rows = {**counted, **{row: figures for row, figures in kept.items() if row.erased}}
    anew: list[Write] = [
        Put(f"projects/{project}/rollups/{day}.mended-{number}", render_rollup(project, date_of, portion, retention_days))
        for number, portion in enumerate(split(rows))
    ]
    written = {write.path for write in anew}
    gone: list[Write] = [Delete(document.path) for document in old if document.path not in written]
    while len(anew) + len(gone) > WRITES_MAX and gone:  # should it stop halfway, the next time mends the rest
        store.commit(gone[:WRITES_MAX], timeout_s=TIMEOUT_S)
        gone = gone[WRITES_MAX:]
    before, after = _cost(kept), _cost(rows)
    changes.commit([*anew, *gone], Entry("rollups.mend", f"projects/{project}/rollups/{day}", before, after), who)


def _cost(rows: Rows) -> Json:
    names = ("requests", "cost_nanodollars")
    return {name: sum(figures.values[name] for figures in rows.values()) for name in names}
