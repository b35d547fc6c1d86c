"""`usage …`"""

from collections.abc import Callable
from typing import Any, TextIO

import click

from gateway.administration.bill import reconcile_bill
from gateway.administration.billing_export import parse_billing_export
from gateway.administration.reconcile import reconcile_rollups
from gateway.administration.refusals import invalid
from gateway.administration.rollup_report import rollup_report
from gateway.administration.usage_documents import get_record, list_records, parse_filters
from gateway.administration.usage_report import GROUPS, usage_report
from gateway.canonical.money import format_dollars
from gateway.canonical.store import Json
from gateway.doors.cli.desk import Refusing, desk, office
from gateway.doors.cli.options import Pairs, page_options, style_option
from gateway.doors.cli.output import show, show_csv, show_json, show_table

FIGURES = ("requests", "errors", "input_tokens", "output_tokens", "cache_read_tokens", "cost_usd")
NOT_FINAL = ("partial", "estimated", "unpriced")
COLUMNS = ("at", "id", "project", "user", "model", "provider", "status", "completeness", "latency_ms", "cost_usd")

DRIFT_COLUMNS = ("day", "project", "model", "user", "key", "requests", "rolled_requests", "cost_usd", "rolled_cost_usd")
BILL_COLUMNS = ("day", "model", "requests", "cost_usd", "billed_usd", "credits_usd", "drift_usd", "drift_percent")
BILLED_BY_GOOGLE = ("vertex", "gemini", "google-claude")


@click.group(cls=Refusing)
def usage() -> None:
    """Usage: what calls consumed and cost."""


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The filters that report and records share."""
    for option in (
        click.option("--metadata", multiple=True, type=Pairs(), help="a label of the calls; repeatable"),
        click.option("--until", metavar="WHEN", help="not included"),
        click.option("--since", metavar="WHEN", help="7d, 2026-11-01 or 2026-11-01T00:00:00Z"),
        *(click.option(f"--{name}") for name in ("trace", "session", "provider", "model", "user", "key", "project")),
    ):
        command = option(command)
    return command


@usage.command()
@filter_options
@click.option("--group-by", default="model", show_default=True, metavar="NAMES", help=f"separated by commas: {', '.join(GROUPS)}")
@click.option("--from-sums", is_flag=True, help="from the daily sums: quick, whole days, some seconds behind")
@style_option("csv")
def report(group_by: str, from_sums: bool, style: str, **filters: Any) -> None:
    """Sum up the last 30 days, or what --since and --until say."""
    at, names = office(), list(dict.fromkeys(name.strip() for name in group_by.split(",") if name.strip()))
    if from_sums:
        answer = rollup_report(at.store, fields_of(filters), names, at.now, retention_days=_retention_days())
    else:
        answer = usage_report(at.store, fields_of(filters), names, at.now)
    if style == "json":
        show_json(answer)
    elif style == "csv":
        show_csv(answer["data"] if names else [answer["totals"]], [*names, *answer["totals"]])
    else:
        show_report(answer)


@usage.command()
@filter_options
@page_options
@style_option()
def records(limit: int, cursor: str | None, style: str, **filters: Any) -> None:
    """List calls, newest first."""
    wanted = parse_filters(fields_of(filters), office().now)
    show(list_records(office().store, wanted, limit=limit, cursor=cursor), style, COLUMNS)


@usage.command("show")
@click.argument("request_id", metavar="REQUEST_ID")
@style_option()
def show_record(request_id: str, style: str) -> None:
    """Show one call, by the id that x-gateway-request-id names."""
    show(get_record(office().store, request_id), style)


@usage.command()
@click.option("--project", help="this one alone")
@click.option("--since", metavar="WHEN", help="7d or 2026-11-01; whole days in UTC")
@click.option("--until", metavar="WHEN", help="not included")
@click.option("--fix", is_flag=True, help="make sums that differ anew from the usage documents")
@click.option("--billing-export", type=click.File(encoding="utf-8"), metavar="FILE", help="Google's bill, as CSV or JSON")
@style_option()
def reconcile(
    project: str | None, since: str | None, until: str | None, fix: bool, billing_export: TextIO | None, style: str
) -> None:
    """Compare the daily sums with the usage documents, or the usage documents with Google's bill."""
    if billing_export is not None:
        if since or until or fix:
            raise click.UsageError("--billing-export has its own days, and mends nothing: leave out --since, --until and --fix")
        show_bill(_held_against(billing_export, project), style)
        return
    at = office()
    given = {"project": project, "since": since, "until": until}
    mending = (at.changes, desk().operator) if fix else None
    show_drift(reconcile_rollups(at.store, given, at.now, fix=mending, retention_days=_retention_days()), style)


def _retention_days() -> int:
    return desk().settings.usage_retention_days


def _held_against(export: TextIO, project: str | None) -> Json:
    try:
        rows = parse_billing_export(export.read())
    except UnicodeDecodeError:
        raise invalid(["the billing export is no UTF-8 text; export it as CSV or JSON, uncompressed"]) from None
    elsewhere = [provider.id for provider in office().providers.all() if provider.kind not in BILLED_BY_GOOGLE]
    return reconcile_bill(office().store, rows, project=project, elsewhere=elsewhere)


def show_drift(answer: Json, style: str) -> None:
    """What differs, if anything does, and a sentence."""
    if style == "json":
        show_json(answer)
        return
    if answer["data"]:
        show_table(answer["data"], DRIFT_COLUMNS)
    totals = answer["totals"]
    click.echo(
        f"{answer['since']} to {answer['until']}: {totals['requests']} calls, {len(answer['data'])} sums differ, "
        f"drift ${totals['drift_usd']}; days mended: {answer['days_mended']}"
    )
    if answer["data"] and answer["days_open"]:
        click.echo(f"still being written: {', '.join(answer['days_open'])}; what differs there may be under way", err=True)


def show_bill(answer: Json, style: str) -> None:
    """One line a day and model, and their total; SKUs with --format json."""
    if style == "json":
        show_json(answer)
        return
    show_table([*answer["data"], {"day": "total", **answer["totals"]}], BILL_COLUMNS)
    if answer["not_models"]:
        click.echo(f"rows for no model of the catalog: {len(answer['not_models'])} (see --format json)", err=True)


def show_report(answer: Json) -> None:
    """Rows, their total, and what of it is not the provider's final figure."""
    names, totals = answer["group_by"], answer["totals"]
    total = {**totals, **({names[0]: "total"} if names else {})}
    show_table([*answer["data"], total], [*names, *FIGURES])
    for kind in NOT_FINAL:
        if totals[f"{kind}_requests"]:
            click.echo(f"of these {kind}: {totals[f'{kind}_requests']} (see --format json)", err=True)
    if totals["cache_hits"]:
        saved = format_dollars(totals["saved_nanodollars"])
        click.echo(f"of these answered from the cache: {totals['cache_hits']}, which saved {saved} USD", err=True)


def fields_of(filters: Json) -> Json:
    metadata = filters.pop("metadata")
    return {**filters, **{f"meta.{name}": value for name, value in metadata}}
