"""`usage …`"""

from collections.abc import Callable
from typing import Any

import click

from gateway.administration.usage_documents import get_record, list_records, parse_filters
from gateway.administration.usage_report import GROUPS, usage_report
from gateway.canonical.store import Json
from gateway.doors.cli.desk import Refusing, desk
from gateway.doors.cli.options import Pairs, page_options, style_option
from gateway.doors.cli.output import show, show_csv, show_json, show_table

FIGURES = ("requests", "errors", "input_tokens", "output_tokens", "cache_read_tokens", "cost_usd")
NOT_FINAL = ("partial", "estimated", "unpriced")
COLUMNS = ("at", "id", "project", "user", "model", "provider", "status", "completeness", "latency_ms", "cost_usd")


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
@style_option("csv")
def report(group_by: str, style: str, **filters: Any) -> None:
    """Sum up the last 30 days, or what --since and --until say."""
    names = [name.strip() for name in group_by.split(",") if name.strip()]
    answer = usage_report(desk().store, fields_of(filters), names, desk().now)
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
    wanted = parse_filters(fields_of(filters), desk().now)
    show(list_records(desk().store, wanted, limit=limit, cursor=cursor), style, COLUMNS)


@usage.command("show")
@click.argument("request_id", metavar="REQUEST_ID")
@style_option()
def show_record(request_id: str, style: str) -> None:
    """Show one call, by the id that x-gateway-request-id names."""
    show(get_record(desk().store, request_id), style)


def show_report(answer: Json) -> None:
    """Rows, their total, and what of it is not the provider's final figure."""
    names, totals = answer["group_by"], answer["totals"]
    total = {**totals, **({names[0]: "total"} if names else {})}
    show_table([*answer["data"], total], [*names, *FIGURES])
    for kind in NOT_FINAL:
        if totals[f"{kind}_requests"]:
            click.echo(f"of these {kind}: {totals[f'{kind}_requests']} (see --format json)", err=True)


def fields_of(filters: Json) -> Json:
    metadata = filters.pop("metadata")
    return {**filters, **{f"meta.{name}": value for name, value in metadata}}
