"""The usage report: documents summed up by what is asked for."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

from gateway.administration.refusals import invalid
from gateway.administration.report import Group, render_report
from gateway.administration.times import Clock, render_moment
from gateway.administration.usage_documents import parse_filters, read_usage
from gateway.canonical.store import Json, Store
from gateway.records.figures import Figures

GROUPS: Mapping[str, Callable[[Json], Any]] = {
    "model": lambda data: data["model"] or data["asked_model"],
    "day": lambda data: data["at"].astimezone(UTC).date().isoformat(),
    "user": lambda data: data["user"],
    "key": lambda data: data["key_id"],
    "project": lambda data: data["project"],
    "provider": lambda data: data["provider"],
    "session": lambda data: data["session_id"],
    "agent": lambda data: data["agent_id"],
}
DEFAULT_SINCE = "30d"
PAGE_DOCUMENTS = 5_000
ROWS_MAX = 50_000


def usage_report(store: Store, given: Mapping[str, Any], group_by: Sequence[str], now: Clock) -> Json:
    """`{"since", "until", "group_by", "data": [rows], "totals"}`; filters as `parse_filters` has them, the last 30 days
    unless `since` says otherwise. AdminError `invalid`."""
    if unknown := [name for name in group_by if name not in GROUPS]:
        raise invalid([f"group_by: {unknown[0][:40]!r} is none of {', '.join(GROUPS)}"])
    group_by = list(dict.fromkeys(group_by))
    filters = parse_filters({**given, "since": given.get("since") or DEFAULT_SINCE}, now)
    rows: dict[Group, Figures] = {}
    totals = Figures()
    for documents in read_usage(store, filters, page=PAGE_DOCUMENTS):
        for document in documents:
            group = tuple(GROUPS[name](document.data) for name in group_by)
            if group not in rows:
                if len(rows) >= ROWS_MAX:
                    raise invalid([f"group_by: more than {ROWS_MAX} rows; narrow since and until, or group by less"])
                rows[group] = Figures()
            rows[group].add(document.data)
            totals.add(document.data)
    since, until = (render_moment(moment) if moment else None for moment in (filters.since, filters.until))
    return render_report(since, until, group_by, rows, totals)
