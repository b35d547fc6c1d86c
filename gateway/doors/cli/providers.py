"""`provider …`"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.administration.provider_tests import check_provider_works
from gateway.administration.providers import DEFAULTS
from gateway.canonical.store import Json
from gateway.doors.cli.desk import Refusing, desk, office
from gateway.doors.cli.options import Pairs, given, page_options, style_option, unset_option
from gateway.doors.cli.output import show, show_findings

COLUMNS = ("id", "kind", "credential", "project_id", "locations", "base_url", "source")


@click.group(cls=Refusing)
def provider() -> None:
    """Providers: the accounts at vendors that calls are sent to."""


def field_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The fields that add and update share."""
    for option in (
        click.option("--model", "models", multiple=True, type=Pairs(), help="alias=upstream id; repeatable"),
        click.option("--allow-model", "allowed_models", multiple=True, metavar="GLOB", help="default: every model; repeatable"),
        click.option("--request-type", type=click.Choice(["dedicated", "shared"]), help="Vertex AI: provisioned throughput "
                     "alone, or none of it; default: what there is"),
        click.option("--provisioned-free/--provisioned-paid", default=None, help="Vertex AI: what ran on provisioned "
                     "throughput costs 0, for that is paid by the hour; default: paid"),
        click.option("--quota-project-id", help="the Google Cloud project whose quota calls count against"),
        click.option("--workspace-id", help="where Anthropic divides an account: wrkspc_…"),
        click.option("--base-url", help="scheme://host[:port] in place of the location's own; for kind openai with a path"),
        click.option("--location", "locations", multiple=True, help="default: global; repeatable, in order"),
        click.option("--project-id", help="the Google Cloud project that calls are billed to; default: the credential's"),
    ):  # fmt: skip
        command = option(command)
    return command


@provider.command()
@click.argument("provider_id", metavar="ID")
@click.option("--kind", default="vertex", show_default=True)
@click.option("--credential", required=True, help="adc, projects/P/secrets/S/versions/V, file:PATH or env:NAME")
@field_options
@style_option()
def add(provider_id: str, credential: str, style: str, **fields: Any) -> None:
    """Set up a provider. The store keeps a reference to its secret, never the secret."""
    document = {"id": provider_id, "credential": from_anywhere(credential), **given(**fields)}
    show(office().providers.add(document, desk().operator), style)


@provider.command("list")
@page_options
@style_option()
def list_providers(limit: int, cursor: str | None, style: str) -> None:
    """List providers; the environment's first, as calls meet them."""
    show(office().providers.page(limit=limit, cursor=cursor), style, COLUMNS)


@provider.command("show")
@click.argument("provider_id", metavar="ID")
@style_option()
def show_provider(provider_id: str, style: str) -> None:
    """Show one provider."""
    show(office().providers.get(provider_id), style)


@provider.command()
@click.argument("provider_id", metavar="ID")
@click.option("--credential", help="adc, projects/P/secrets/S/versions/V, file:PATH or env:NAME")
@field_options
@unset_option(*DEFAULTS)
@style_option()
def update(provider_id: str, credential: str | None, unset: tuple[str, ...], style: str, **fields: Any) -> None:
    """Change the fields that are named; the others stay."""
    changes: Json = given(unset, DEFAULTS, credential=credential and from_anywhere(credential), **fields)
    if not changes:
        raise click.UsageError("name at least one field to change")
    show(office().providers.update(provider_id, changes, desk().operator), style)


@provider.command()
@click.argument("provider_id", metavar="ID")
@click.option("--model", "models", multiple=True, help="default: an own name or the newest of each family; repeatable")
@style_option()
@click.pass_context
def test(ctx: click.Context, provider_id: str, models: tuple[str, ...], style: str) -> None:
    """Mint a token and send smallest requests: what works, what does not, and what mends it."""
    answer = check_provider_works(office().providers.find(provider_id), office().tokens, office().probe, models)
    show_findings(answer, style)
    if answer["state"] == "fail":
        ctx.exit(1)


@provider.command()
@click.argument("provider_id", metavar="ID")
@style_option()
def delete(provider_id: str, style: str) -> None:
    """Delete a provider. Projects that list it go on with their others."""
    office().providers.delete(provider_id, desk().operator)
    show({"id": provider_id, "deleted": True}, style)


def from_anywhere(credential: str) -> str:
    """A file's path from the root: the gateway need not be started in the folder where this command is given."""
    if not credential.startswith("file:"):
        return credential
    return f"file:{Path(credential.removeprefix('file:')).expanduser().absolute()}"
