"""The usage report from the daily sums: quick however many calls there were, some seconds behind, by whole days."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.administration.reconcile import read_span
from gateway.administration.refusals import invalid
from gateway.administration.report import Group, render_report
from gateway.administration.times import Clock
from gateway.administration.usage_documents import Filters, parse_filters, project_ids
from gateway.canonical.store import Json, Store
from gateway.records.figures import Figures
from gateway.records.rollups import Row, read_rollups

GROUPS = ("model", "day", "user", "key", "project")
FILTERS = ("project", "since", "until", "key", "user", "model")


def rollup_report(
    store: Store, given: Mapping[str, Any], group_by: Sequence[str], now: Clock, *, retention_days: int = 400
) -> Json:
    """The same as `usage_report`, for those filters and groups that sums know. AdminError `invalid`."""
    known = {name: value for name, value in given.items() if value not in (None, "")}
    unknown = [name for name in group_by if name not in GROUPS]
    faults = [f"group_by: {name[:40]!r} is none of {', '.join(GROUPS)} in the daily sums" for name in unknown]
    faults += [f"{name}: is not in the daily sums; leave it out, or read the records" for name in known if name not in FILTERS]
    if faults:
        raise invalid(faults)
    span, filters = read_span(known, now, retention_days), parse_filters(known, now)
    projects = [filters.project] if filters.project else project_ids(store)
    rows: dict[Group, Figures] = {}
    totals = Figures()
    for (project, day), sums in read_rollups(store, projects, span.since, span.until).items():
        for row, figures in sums.items():
            if _agrees(row, filters):
                named = {"model": row.model, "day": day, "user": row.user, "key": row.key_id, "project": project}
                rows.setdefault(tuple(named[name] for name in group_by), Figures()).add_all(figures.values)
                totals.add_all(figures.values)
    return render_report(f"{span.since}T00:00:00Z", f"{span.until}T00:00:00Z", group_by, rows, totals)


def _agrees(row: Row, filters: Filters) -> bool:
    asked = filters.fields
    return all(getattr(row, name) == asked[name] for name in ("model", "user", "key_id") if name in asked)
