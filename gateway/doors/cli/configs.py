"""`config …`"""

from typing import Any

import click
import msgspec

from gateway.administration.configs import check_config, render_schema
from gateway.administration.explaining import explain
from gateway.administration.refusals import AdminError
from gateway.canonical.store import Json
from gateway.doors.cli.desk import Refusing, desk, office
from gateway.doors.cli.options import page_options, style_option
from gateway.doors.cli.output import show, show_json
from gateway.routing.config import parse_config

COLUMNS = ("id", "version", "created_at", "updated_at")
VERSION_COLUMNS = ("version", "who", "created_at")
PLAN_COLUMNS = ("order", "name", "provider", "model", "location", "if_it_fails")
FILE = click.File("rb")


@click.group(cls=Refusing)
def config() -> None:
    """Routing configs: retries, fallbacks, balance, conditions, residency."""


@config.command()
@click.argument("config_id", metavar="ID")
@click.argument("file", type=FILE)
@style_option()
def put(config_id: str, file: Any, style: str) -> None:
    """Store FILE (JSON; - for stdin) as config ID: a new one, or a new version that is in force from now on."""
    show_config_of(office().configs.put(config_id, read_json(file), desk().operator), style)


@config.command("list")
@page_options
@style_option()
def list_configs(limit: int, cursor: str | None, style: str) -> None:
    """List configs by id."""
    show(office().configs.page(limit=limit, cursor=cursor), style, COLUMNS)


@config.command("show")
@click.argument("config_id", metavar="ID")
@style_option()
def show_config(config_id: str, style: str) -> None:
    """Show a config as it is in force."""
    answer = office().configs.get(config_id)
    show_config_of(answer, style)
    if style == "table":
        show_json(answer["config"])


@config.command()
@click.argument("config_id", metavar="ID")
@page_options
@style_option()
def versions(config_id: str, limit: int, cursor: str | None, style: str) -> None:
    """List a config's versions, the newest first."""
    show(office().configs.versions(config_id, limit=limit, cursor=cursor), style, VERSION_COLUMNS)


@config.command()
@click.argument("config_id", metavar="ID")
@click.option("--version", type=click.IntRange(min=1), required=True, help="as `config versions` lists them")
@style_option()
def rollback(config_id: str, version: int, style: str) -> None:
    """Make an earlier version a new one, in force from now on."""
    show_config_of(office().configs.rollback(config_id, version, desk().operator), style)


@config.command()
@click.argument("config_id", metavar="ID")
@style_option()
def delete(config_id: str, style: str) -> None:
    """Delete a config that no key or project has. Its versions stay."""
    office().configs.delete(config_id, desk().operator)
    show({"id": config_id, "deleted": True}, style)


@config.command()
@click.argument("file", type=FILE)
@click.option("--explain", "request", type=FILE, help='a request (JSON): its body, or {"headers": {…}, "body": {…}}')
@click.option("--project", metavar="ID", help="whose providers and models count; default: every provider")
@click.option("--key", "key_id", metavar="ID", help="as a call with this key")
@style_option()
def validate(file: Any, request: Any, project: str | None, key_id: str | None, style: str) -> None:
    """Check a config without storing it; with --explain, say which targets a request would go to, and why.

    \b
    config validate prod.json
    config validate prod.json --explain request.json --project acme
    """
    document = read_json(file)
    try:
        check_config(document)
    except ValueError as error:
        raise AdminError(str(error), "invalid") from error
    parsed = parse_config(document)
    at = office()
    if request is None:
        show({"valid": True, "warnings": at.configs.warnings(parsed)}, style)
        return
    answer = explain(at.store, at.prices, at.providers.all(), parsed, read_json(request), project=project, key_id=key_id,
                     now=at.now())  # fmt: skip
    show(answer, style, PLAN_COLUMNS)
    if style == "table":
        for reason in (*answer["reasons"], *([f"refused: {answer['refusal']}"] if "refusal" in answer else [])):
            click.echo(f"- {reason}")


@config.command()
@style_option()
def schema(style: str) -> None:
    """Print the JSON Schema of configs, in either format."""
    show_json(render_schema())


def show_config_of(answer: Json, style: str) -> None:
    """A table has no room for the config itself."""
    show(answer if style == "json" else {name: value for name, value in answer.items() if name != "config"}, style)


def read_json(file: Any) -> Any:
    """AdminError if the file holds none."""
    try:
        return msgspec.json.decode(file.read())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise AdminError(f"{file.name}: is no JSON ({error}); write one JSON object", "invalid") from error
