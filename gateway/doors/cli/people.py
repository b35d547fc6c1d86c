"""`usage export` and `usage erase`: one person's records."""

import click

from gateway.administration.people import erase_records, export_records
from gateway.doors.cli.desk import desk, office
from gateway.doors.cli.options import page_options, style_option
from gateway.doors.cli.output import show

COLUMNS = ("at", "id", "project", "key_id", "model", "status", "cost_usd")


@click.command()
@click.option("--user", required=True, help="whose; upper and lower case are one")
@page_options
@style_option()
def export(user: str, limit: int, cursor: str | None, style: str) -> None:
    """Print all that is recorded of one person's calls; in full with --format json."""
    show(export_records(office().store, user, limit=limit, cursor=cursor), style, COLUMNS)


@click.command()
@click.option("--user", required=True, help="whose; upper and lower case are one")
@style_option()
def erase(user: str, style: str) -> None:
    """Erase one person's records. Sums that name nobody stay; keys are deleted with `key delete`."""
    at = office()
    show(erase_records(at.store, at.changes, user, at.now, desk().operator), style)
