"""`models`, `prices`, `audit list`"""

import click

from gateway.administration.changes import list_audit
from gateway.administration.listings import list_models, list_prices
from gateway.doors.cli.desk import Refusing, office
from gateway.doors.cli.options import page_options, style_option
from gateway.doors.cli.output import show
from gateway.providers import PROVIDERS

MODEL_COLUMNS = ("id", "upstream_model", "lifecycle", "retires_at", "max_input_tokens", "max_tokens")
PRICE_COLUMNS = (
    "id", "input_usd", "output_usd", "cache_read_usd", "cache_write_5m_usd", "cache_write_1h_usd", "web_search_per_1000_usd",
    "long_context_above_tokens",
)  # fmt: skip
AUDIT_COLUMNS = ("at", "who", "action", "target", "before", "after")

kind_option = click.option("--kind", type=click.Choice(list(PROVIDERS)), default="vertex", show_default=True, help="of provider")


@click.command()
@kind_option
@click.option("--retired", is_flag=True, help="retired ones too")
@style_option()
def models(kind: str, retired: bool, style: str) -> None:
    """List the catalog's models."""
    show(list_models(kind, retired=retired), style, MODEL_COLUMNS)


@click.command()
@kind_option
@click.option("--location", default="global", show_default=True, help="prices differ by location")
@style_option()
def prices(kind: str, location: str, style: str) -> None:
    """List prices as this deployment pays them: US dollars per million tokens, per thousand searches."""
    show(list_prices(office().prices, kind, location), style, PRICE_COLUMNS)


@click.group(cls=Refusing)
def audit() -> None:
    """The audit: who changed what."""


@audit.command("list")
@click.option("--target", help="such as projects/acme or keys/key_…")
@page_options
@style_option()
def list_changes(target: str | None, limit: int, cursor: str | None, style: str) -> None:
    """List changes, newest first."""
    if target and cursor:
        raise click.UsageError("--target and --cursor do not go together; raise --limit")
    show(list_audit(office().store, target=target, limit=limit, cursor=cursor), style, AUDIT_COLUMNS)
