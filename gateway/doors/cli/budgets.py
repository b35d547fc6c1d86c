"""`budget …`"""

from collections.abc import Callable, Sequence
from typing import Any

import click

from gateway.administration.budget_fields import MODES, ON_STORE_ERROR, PERIODS, SCOPES, UNITS
from gateway.administration.budgets import DEFAULTS
from gateway.canonical.store import Json
from gateway.doors.cli.desk import Refusing, desk, office
from gateway.doors.cli.options import Cap, given, page_options, style_option, unset_option
from gateway.doors.cli.output import show

COLUMNS = ("id", "scope", "amount", "unit", "period", "mode", "raise")
DELIVERY_COLUMNS = ("channel", "delivered", "words")


class Scope(click.ParamType[Json]):
    """`project:acme`, `metadata:team=core`, `organization`."""

    name = "type[:id]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Json:
        if not isinstance(value, str):
            return dict(value)
        kind, _, scope_id = value.partition(":")
        if kind not in SCOPES:
            self.fail(f"{value!r} should begin with one of {', '.join(SCOPES)}, such as project:acme", param, ctx)
        return {"type": kind, "id": scope_id or None}


class Shares(click.ParamType[list[float]]):
    """`0.5,0.8,1`; `none`."""

    name = "shares"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        if isinstance(value, list):
            return value
        try:
            return [] if value == "none" else [float(share) for share in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} should be shares of the amount, such as 0.5,0.8,1, or none", param, ctx)


@click.group(cls=Refusing)
def budget() -> None:
    """Budgets: how much may be used, of what, by whom, in which period."""


def field_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--pooled/--per-member", default=None, help="a group's members share it; default: each has their own"),
        click.option("--alerts", type=Shares(), help="shares of the amount at which somebody is told; default: 0.5,0.8,1"),
        click.option("--on-store-error", type=click.Choice(ON_STORE_ERROR), help="default: open, with a small allowance"),
        click.option("--mode", type=click.Choice(MODES), help="default: balanced"),
        click.option("--period", type=click.Choice(PERIODS), help="in UTC; default: month"),
        click.option("--unit", type=click.Choice(UNITS), help="default: usd"),
        click.option("--amount", "cap", type=Cap(), help="500, 500/month or unlimited; 0 blocks"),
        click.option("--scope", type=Scope(), help=f"whose calls it counts: {', '.join(SCOPES)}"),
    ):
        command = option(command)
    return command


@budget.command("set")
@click.argument("budget_id", metavar="[ID]", required=False)
@field_options
@unset_option("mode", "on_store_error", "alerts", "raise")
@style_option()
def set_budget(budget_id: str | None, cap: Json | None, unset: tuple[str, ...], style: str, **fields: Any) -> None:
    """Make a budget, or change the fields that are named of the one with this ID.

    \b
    budget set --scope project:acme --amount 500/month
    budget set eng-day --scope group:eng --amount 20/day --mode strict
    budget set eng-day --amount 25
    """
    document: Json = given(unset, DEFAULTS, **fields)
    document = {**(cap or {}), **document}
    if cap and "period" in cap and fields["period"] not in (None, cap["period"]):
        raise click.UsageError("--amount and --period name two periods; name one")
    budgets = office().budgets
    if budget_id is not None and budgets.exists(budget_id):
        if not document:
            raise click.UsageError("name at least one field to change")
        show_budgets(budgets.update(budget_id, document, desk().operator), style)
        return
    if "scope" not in document or "amount" not in document:
        raise click.UsageError("a new budget needs --scope and --amount")
    show_budgets(budgets.create({**document, **({"id": budget_id} if budget_id else {})}, desk().operator), style)


@budget.command("list")
@page_options
@style_option()
def list_budgets(limit: int, cursor: str | None, style: str) -> None:
    """List budgets by id."""
    show_budgets(office().budgets.page(limit=limit, cursor=cursor), style, COLUMNS)


@budget.command("show")
@click.argument("budget_id", metavar="ID")
@style_option()
def show_budget(budget_id: str, style: str) -> None:
    """Show one budget."""
    show_budgets(office().budgets.get(budget_id), style)


@budget.command()
@click.argument("budget_id", metavar="ID")
@click.option("--subject", help="of a budget that counts each member by themselves: the member")
@style_option()
def state(budget_id: str, subject: str | None, style: str) -> None:
    """Show limit, spent, held and remaining of the period that runs."""
    show_budgets(office().budgets.state(budget_id, subject), style)


@budget.command("raise")
@click.argument("budget_id", metavar="ID")
@click.option("--by", "amount", required=True, metavar="AMOUNT", help="what is added")
@click.option("--until", required=True, metavar="WHEN", help="7d, 2026-12-01 or 2026-12-01T00:00:00Z")
@style_option()
def raise_budget(budget_id: str, amount: str, until: str, style: str) -> None:
    """Allow so much more until then; `budget set ID --unset raise` ends it early."""
    show_budgets(office().budgets.update(budget_id, {"raise": {"amount": amount, "until": until}}, desk().operator), style)


@budget.command()
@click.argument("budget_id", metavar="ID")
@style_option()
def delete(budget_id: str, style: str) -> None:
    """Delete a budget: calls are counted by it no longer."""
    office().budgets.delete(budget_id, desk().operator)
    show({"id": budget_id, "deleted": True}, style)


@budget.command("test-alert")
@click.argument("budget_id", metavar="ID")
@style_option()
def test_alert(budget_id: str, style: str) -> None:
    """Send a test alert over every channel that is configured, and say what became of it."""
    show(office().budgets.test_alert(budget_id), style, DELIVERY_COLUMNS)


def show_budgets(answer: Json, style: str, columns: Sequence[str] = ()) -> None:
    """A table says scopes as they are typed."""
    if style == "table":
        answer = {**answer, "data": [for_people(row) for row in answer["data"]]} if "data" in answer else for_people(answer)
    show(answer, style, columns)


def for_people(row: Json) -> Json:
    scope, raised = row["scope"], row.get("raise")
    words: Json = {"scope": scope["type"] + (f":{scope['id']}" if scope["id"] else "")}
    words |= {name: "unlimited" for name in ("amount", "limit", "remaining") if name in row and row[name] is None}
    words |= {"raise": f"{raised['amount']} until {raised['until']}"} if raised else {}
    return {**row, **words}
