"""A usage report as it is shown, whatever it was summed up from. Money is integer nano-dollars until here."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.canonical.money import format_dollars
from gateway.canonical.store import Json
from gateway.records.figures import Figures

Group = tuple[Any, ...]


def render_report(
    since: str | None, until: str | None, group_by: Sequence[str], rows: Mapping[Group, Figures], totals: Figures
) -> Json:
    """`{"since", "until", "group_by", "data": [rows], "totals"}`. A row's group has its values in the order of `group_by`."""
    return {
        "since": since,
        "until": until,
        "group_by": list(group_by),
        "data": [{**dict(zip(group_by, group, strict=True)), **_render(rows[group])} for group in _ordered(rows, group_by)],
        "totals": _render(totals),
    }


def _ordered(rows: Mapping[Group, Figures], group_by: Sequence[str]) -> list[Group]:
    """By time if days are asked for, else the dearest first."""
    if not group_by:
        return []  # the totals say it all

    def place(group: Group) -> tuple[Any, ...]:
        day = group[group_by.index("day")] if "day" in group_by else ""
        return day, -rows[group].values["cost_nanodollars"], [str(value or "") for value in group]

    return sorted(rows, key=place)


def _render(figures: Figures) -> Json:
    return {**figures.values, "cost_usd": format_dollars(figures.values["cost_nanodollars"])}
