"""`key …`"""

from collections.abc import Callable
from typing import Any

import click

from gateway.administration.keys import DEFAULTS
from gateway.administration.limits import create_key
from gateway.canonical.store import Json
from gateway.doors.cli.desk import Refusing, desk, office
from gateway.doors.cli.options import Pairs, Span, given, page_options, style_option, unset_option
from gateway.doors.cli.output import show

COLUMNS = ("id", "project", "name", "user", "hint", "state", "expires_at", "created_at")
UNSET = {**DEFAULTS, "expires_at": None}


@click.group(cls=Refusing)
def key() -> None:
    """Keys: what callers authenticate with."""


def field_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The fields that create and update share."""
    for option in (
        click.option("--metadata", multiple=True, type=Pairs(), help="a label of every call; repeatable"),
        click.option(
            "--allow-model", "allowed_models", multiple=True, metavar="GLOB", help="default: what the project allows; repeatable"
        ),
        click.option("--expires", "expires_at", metavar="WHEN", help="30d, 2026-12-01 or 2026-12-01T00:00:00Z; default: never"),
        click.option("--config", metavar="ID", help="the routing config of its calls; default: the project's"),
        click.option("--group", "groups", multiple=True, help="repeatable"),
        click.option("--user", help="whose key it is; upper and lower case are one"),
        click.option("--name"),
    ):
        command = option(command)
    return command


@key.command()
@click.option("--project", required=True, metavar="ID")
@field_options
@click.option("--max-parallel", type=click.IntRange(min=1), help="calls open at once")
@click.option("--rpm", type=click.IntRange(min=1), help="requests a minute")
@click.option("--tpm", type=click.IntRange(min=1), help="tokens a minute, prompt and answer together")
@style_option()
def create(project: str, style: str, **fields: Any) -> None:
    """Issue a key. It is shown once: the gateway keeps a hash of it. Limits become budgets of the key."""
    at = office()
    show_issued(create_key(at.keys, at.budgets, {"project": project, **given(**fields)}, desk().operator), style)


@key.command("list")
@click.option("--project", metavar="ID")
@page_options
@style_option()
def list_keys(project: str | None, limit: int, cursor: str | None, style: str) -> None:
    """List keys, without the keys themselves."""
    show(office().keys.page(project=project, limit=limit, cursor=cursor), style, COLUMNS)


@key.command("show")
@click.argument("key_id", metavar="ID")
@style_option()
def show_key(key_id: str, style: str) -> None:
    """Show what is known of one key."""
    show(office().keys.get(key_id), style)


@key.command()
@click.argument("key_id", metavar="ID")
@field_options
@unset_option("user", "groups", "expires_at", "allowed_models", "metadata", "config")
@style_option()
def update(key_id: str, unset: tuple[str, ...], style: str, **fields: Any) -> None:
    """Change the fields that are named; the others stay."""
    changes: Json = given(unset, UNSET, **fields)
    if not changes:
        raise click.UsageError("name at least one field to change")
    show(office().keys.update(key_id, changes, desk().operator), style)


@key.command()
@click.argument("key_id", metavar="ID")
@click.option("--grace", type=Span(), default="0", show_default=True, help="how long the secret before still works: 3600, 1h, 7d")
@style_option()
def rotate(key_id: str, grace: int, style: str) -> None:
    """Issue a new secret under the same id."""
    show_issued(office().keys.rotate(key_id, grace, desk().operator), style)


@key.command()
@click.argument("key_id", metavar="ID")
@style_option()
def revoke(key_id: str, style: str) -> None:
    """End a key for good; everywhere within a minute (GATEWAY_KEY_REFRESH_S)."""
    show(office().keys.revoke(key_id, desk().operator), style)


@key.command()
@click.argument("key_id", metavar="ID")
@style_option()
def delete(key_id: str, style: str) -> None:
    """End a key and forget it."""
    office().keys.delete(key_id, desk().operator)
    show({"id": key_id, "deleted": True}, style)


def show_issued(answer: Json, style: str) -> None:
    show(answer, style)
    if style == "table":
        click.echo("keep the key now: it is not shown again", err=True)
