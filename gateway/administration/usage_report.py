"""The usage report: documents summed up by what is asked for. Money is integer nano-dollars until it is printed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from gateway.administration.refusals import invalid
from gateway.administration.times import Clock, render_moment
from gateway.administration.usage_documents import parse_filters, read_usage
from gateway.canonical.money import format_dollars
from gateway.canonical.store import Json, Store

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
TOKENS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "thinking")
DEFAULT_SINCE = "30d"
PAGE_DOCUMENTS = 5_000
ROWS_MAX = 50_000


@dataclass(slots=True)
class Sums:
    """Figures of many calls. A cost that is not the provider's final figure, or guessed for want of a price, is in
    `cost_nanodollars` and told apart beside it."""

    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    thinking_tokens: int = 0
    searches: int = 0
    cost_nanodollars: int = 0
    partial_requests: int = 0
    partial_cost_nanodollars: int = 0
    estimated_requests: int = 0
    estimated_cost_nanodollars: int = 0
    unpriced_requests: int = 0
    unpriced_cost_nanodollars: int = 0

    def add(self, data: Json) -> None:
        cost = data["cost_nanodollars"]
        self.requests += 1
        self.errors += data["status"] >= 400
        for name in TOKENS:
            setattr(self, f"{name}_tokens", getattr(self, f"{name}_tokens") + data["tokens"].get(name, 0))
        self.searches += data["searches"]
        self.cost_nanodollars += cost
        if data["completeness"] == "partial":
            self.partial_requests += 1
            self.partial_cost_nanodollars += cost
        elif data["completeness"] == "estimated":
            self.estimated_requests += 1
            self.estimated_cost_nanodollars += cost
        if not data.get("price_known", True):
            self.unpriced_requests += 1
            self.unpriced_cost_nanodollars += cost

    def render(self) -> Json:
        return {**{name: getattr(self, name) for name in self.__slots__}, "cost_usd": format_dollars(self.cost_nanodollars)}


def usage_report(store: Store, given: Mapping[str, Any], group_by: Sequence[str], now: Clock) -> Json:
    """`{"since", "until", "group_by", "data": [rows], "totals"}`; filters as `parse_filters` has them, the last 30 days
    unless `since` says otherwise. AdminError `invalid`."""
    if unknown := [name for name in group_by if name not in GROUPS]:
        raise invalid([f"group_by: {unknown[0][:40]!r} is none of {', '.join(GROUPS)}"])
    group_by = list(dict.fromkeys(group_by))
    filters = parse_filters({**given, "since": given.get("since") or DEFAULT_SINCE}, now)
    rows: dict[tuple[Any, ...], Sums] = {}
    totals = Sums()
    for documents in read_usage(store, filters, page=PAGE_DOCUMENTS):
        for document in documents:
            group = tuple(GROUPS[name](document.data) for name in group_by)
            if group not in rows and len(rows) >= ROWS_MAX:
                raise invalid([f"group_by: more than {ROWS_MAX} rows; narrow since and until, or group by less"])
            rows.setdefault(group, Sums()).add(document.data)
            totals.add(document.data)
    return {
        "since": render_moment(filters.since) if filters.since else None,
        "until": render_moment(filters.until) if filters.until else None,
        "group_by": group_by,
        "data": [{**dict(zip(group_by, group, strict=True)), **sums.render()} for group, sums in _ordered(rows, group_by)],
        "totals": totals.render(),
    }


def _ordered(rows: Mapping[tuple[Any, ...], Sums], group_by: Sequence[str]) -> Iterable[tuple[tuple[Any, ...], Sums]]:
    """By time if days are asked for, else the dearest first."""
    if not group_by:
        return []  # the totals say it all

    def place(row: tuple[tuple[Any, ...], Sums]) -> tuple[Any, ...]:
        group, sums = row
        day = group[group_by.index("day")] if "day" in group_by else ""
        return (day, -sums.cost_nanodollars, [str(value or "") for value in group])

    return sorted(rows.items(), key=place)
