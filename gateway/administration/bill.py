"""The usage documents held against Google's bill, by day, model and SKU: what differs, and by how much."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

from gateway.administration.billing_export import BillRow, class_of, model_of
from gateway.administration.reconcile import PAGE_DOCUMENTS, Span
from gateway.administration.usage_documents import Filters, read_usage
from gateway.canonical.money import format_dollars
from gateway.canonical.store import Json, Store
from gateway.records.figures import Figures

Place = tuple[date, str | None]
"""A day and a model; None is what no model's name stands in."""


@dataclass(slots=True)
class _Billed:
    """What Google bills for one SKU."""

    cost_nanodollars: int = 0
    credits_nanodollars: int = 0
    amount: Decimal = field(default_factory=Decimal)


def reconcile_bill(
    store: Store, rows: Iterable[BillRow], *, project: str | None = None, elsewhere: Collection[str] = ()
) -> Json:
    """`{"since", "until", "data": [one a day and model], "totals", "not_models": [SKUs of other services]}`.

    The days are those of the bill. `elsewhere` are ids of providers that Google does not bill. Costs are list
    prices before credits; a SKU shows the tokens that the documents have of its class beside the amount that was billed.
    """
    billed: dict[Place, dict[str, _Billed]] = defaultdict(lambda: defaultdict(_Billed))
    for row in rows:
        sku = billed[row.day, model_of(row.sku)][row.sku]
        sku.cost_nanodollars += row.cost_nanodollars
        sku.credits_nanodollars += row.credits_nanodollars
        sku.amount += row.amount
    days = {day for day, _ in billed}
    span = Span(min(days), max(days) + timedelta(days=1))
    used = {place: figures for place, figures in _used(store, project, span, elsewhere).items() if place[0] in days}
    models = sorted({*used, *(place for place in billed if place[1] is not None)}, key=str)
    data = [_render(place, used.get(place, Figures()), billed.get(place, {})) for place in models]
    others = [(day, skus) for (day, model), skus in sorted(billed.items(), key=str) if model is None]
    return {
        "since": span.since.isoformat(),
        "until": span.until.isoformat(),
        "data": data,
        "totals": _totals(used.values(), [skus for (_, model), skus in billed.items() if model is not None]),
        "not_models": [
            {"day": day.isoformat(), "sku": name, "billed_usd": format_dollars(sku.cost_nanodollars)}
            for day, skus in others
            for name, sku in sorted(skus.items())
        ],
    }


def _used(store: Store, project: str | None, span: Span, elsewhere: Collection[str]) -> dict[Place, Figures]:
    since, until = span.filters
    used: dict[Place, Figures] = defaultdict(Figures)
    for documents in read_usage(store, Filters(project, since, until), page=PAGE_DOCUMENTS):
        for document in documents:
            data = document.data
            if data["provider"] is not None and data["provider"] not in elsewhere:
                used[data["at"].astimezone(UTC).date(), data["model"] or data["asked_model"]].add(data)
    return used


def _render(place: Place, used: Figures, skus: Mapping[str, _Billed]) -> Json:
    day, model = place
    return {
        "day": day.isoformat(),
        "model": model,
        "requests": used.values["requests"],
        **_money(used.values["cost_nanodollars"], skus.values()),
        "skus": [_render_sku(name, sku, used) for name, sku in sorted(skus.items())],
    }


def _render_sku(name: str, sku: _Billed, used: Figures) -> Json:
    billed_class = class_of(name)
    figure = billed_class if billed_class in (None, "searches") else f"{billed_class}_tokens"
    return {
        "sku": name,
        "billed_usd": format_dollars(sku.cost_nanodollars),
        "credits_usd": format_dollars(sku.credits_nanodollars),
        "amount": str(sku.amount),
        "class": billed_class,
        "documents_amount": used.values[figure] if figure else None,
    }


def _money(cost: int, skus: Iterable[_Billed]) -> dict[str, Any]:
    every = list(skus)
    billed = sum(sku.cost_nanodollars for sku in every)
    return {
        "cost_usd": format_dollars(cost),
        "billed_usd": format_dollars(billed),
        "credits_usd": format_dollars(sum(sku.credits_nanodollars for sku in every)),
        "drift_usd": format_dollars(billed - cost),
        "drift_percent": round((billed - cost) / cost * 100, 2) if cost else None,
    }


def _totals(used: Iterable[Figures], billed: Iterable[Mapping[str, _Billed]]) -> Json:
    figures = list(used)
    cost = sum(one.values["cost_nanodollars"] for one in figures)
    money = _money(cost, [sku for skus in billed for sku in skus.values()])
    return {"requests": sum(one.values["requests"] for one in figures), **money}
