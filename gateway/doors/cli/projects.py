"""`project …`"""

from collections.abc import Callable
from typing import Any

import click

from gateway.administration.projects import DEFAULTS
from gateway.canonical.store import Json
from gateway.doors.cli.desk import Refusing, desk, office
from gateway.doors.cli.options import Cap, Pairs, given, page_options, style_option, unset_option
from gateway.doors.cli.output import show

COLUMNS = ("id", "name", "providers", "allowed_models", "metadata", "created_at")


@click.group(cls=Refusing)
def project() -> None:
    """Projects: whose calls are kept apart, which providers and models they may use."""


def field_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The fields that create and update share."""
    for option in (
        click.option("--budget-message", help="what callers are told beside a refusal for want of budget"),
        click.option("--config", metavar="ID", help="the routing config of its calls, where their key has none"),
        click.option("--metadata", multiple=True, type=Pairs(), help="a label of every call; repeatable"),
        click.option("--allow-model", "allowed_models", multiple=True, metavar="GLOB", help="default: every model; repeatable"),
        click.option(
            "--provider", "providers", multiple=True, metavar="ID", help="default: every provider; repeatable, in order"
        ),
        click.option("--name"),
    ):
        command = option(command)
    return command


@project.command()
@click.argument("project_id", metavar="ID")
@field_options
@click.option("--budget", type=Cap(), help="US dollars in a period, such as 500/month: a budget of the project, made with it")
@style_option()
def create(project_id: str, budget: Json | None, style: str, **fields: Any) -> None:
    """Make a project."""
    document = {"id": project_id, **given(**fields)}
    if budget is None:
        show(office().projects.create(document, desk().operator), style)
        return
    budget_id, capped = office().budgets.prepare({"scope": {"type": "project", "id": project_id}, **budget})
    made = office().projects.create(document, desk().operator, {f"budgets/{budget_id}": capped})
    show({**made, "budgets": [budget_id]}, style)


@project.command("list")
@page_options
@style_option()
def list_projects(limit: int, cursor: str | None, style: str) -> None:
    """List projects by id."""
    show(office().projects.page(limit=limit, cursor=cursor), style, COLUMNS)


@project.command("show")
@click.argument("project_id", metavar="ID")
@style_option()
def show_project(project_id: str, style: str) -> None:
    """Show one project."""
    show(office().projects.get(project_id), style)


@project.command()
@click.argument("project_id", metavar="ID")
@field_options
@unset_option("providers", "allowed_models", "metadata", "budget_message", "config")
@style_option()
def update(project_id: str, unset: tuple[str, ...], style: str, **fields: Any) -> None:
    """Change the fields that are named; the others stay."""
    changes: Json = given(unset, DEFAULTS, **fields)
    if not changes:
        raise click.UsageError("name at least one field to change")
    show(office().projects.update(project_id, changes, desk().operator), style)


@project.command()
@click.argument("project_id", metavar="ID")
@style_option()
def delete(project_id: str, style: str) -> None:
    """Delete a project that has no working key. Its usage stays."""
    office().projects.delete(project_id, desk().operator)
    show({"id": project_id, "deleted": True}, style)
