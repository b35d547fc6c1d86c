"""`settings`: the SETTINGS table, and docs/settings.md made from it."""

import click

from gateway.canonical.store import Json
from gateway.doors.cli.options import style_option
from gateway.doors.cli.output import show
from gateway.settings import SETTINGS, Setting

COMMAND = "python -m gateway settings --format markdown > docs/settings.md"
HEAD = f"""# Settings

<!-- Made by `{COMMAND}` from gateway/settings.py; change it there. -->

Every setting is an environment variable. Unknown `GATEWAY_…` names and values that cannot be meant stop the start, and all
faults are listed together. A *secret reference* is `projects/P/secrets/S/versions/V` (Secret Manager), `file:PATH` or `env:NAME`.

| setting | default | what it does |
|---|---|---|
"""


@click.command()
@style_option("markdown")
def settings(style: str) -> None:
    """List every setting with its default."""
    if style == "markdown":
        click.echo(render_page(), nl=False)
    else:
        show({"data": [render_setting(row) for row in SETTINGS], "next_cursor": None}, style, ("name", "default", "help"))


def render_setting(row: Setting) -> Json:
    return {"name": row.name, "default": row.default, "help": row.help, "aliases": list(row.aliases)}


def render_page() -> str:
    """docs/settings.md."""
    return HEAD + "".join(_render_row(row) for row in SETTINGS)


def _render_row(row: Setting) -> str:
    default = f"`{row.default}`" if row.default else ""
    aliases = f" Also read as {', '.join(f'`{alias}`' for alias in row.aliases)}." if row.aliases else ""
    words = row.help.rstrip(".").replace("|", "\\|")
    return f"| `{row.name}` | {default} | {words}.{aliases} |\n"
