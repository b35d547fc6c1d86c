"""`claude-code settings`: what makes Claude Code talk to this gateway.

The variables are those that Claude Code 2.1.329 reads (measured 2026-11-20). Its Vertex base URL ends in /v1, the others
do not; project and region are the client's guess, which the gateway replaces by the provider's.
"""

import shlex
from urllib.parse import urlsplit

import click

from gateway.callers.keys import PATTERN
from gateway.doors.cli.desk import Refusing, desk
from gateway.doors.cli.options import style_option
from gateway.doors.cli.output import show_json

HERE = "http://127.0.0.1:8080"


@click.group("claude-code", cls=Refusing)
def claude_code() -> None:
    """Setting up Claude Code."""


@claude_code.command()
@click.option("--key", required=True, help="a gateway key: gw-…")
@click.option("--mode", type=click.Choice(["anthropic", "vertex", "bedrock"]), default="anthropic", show_default=True)
@click.option("--url", help=f"of the gateway; default: GATEWAY_PUBLIC_URL, else {HERE}")
@style_option()
def settings(key: str, mode: str, url: str | None, style: str) -> None:
    """Print the variables as shell lines, or with --format json as ~/.claude/settings.json has them."""
    if not PATTERN.match(key):
        raise click.UsageError("--key is no gateway key: gw- and 43 characters, as `key create` shows it")
    variables = render_environment(key, mode, url or desk().settings.public_url or HERE)
    if style == "json":
        show_json({"env": variables})
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


def render_environment(key: str, mode: str, url: str) -> dict[str, str]:
    """The variables; click.UsageError unless `url` is http(s)://host[:port][/prefix]."""
    url = url.rstrip("/").removesuffix("/v1")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise click.UsageError(f"{url[:200]!r} is no URL of a gateway, such as https://gateway.example.com")
    if mode == "anthropic":
        return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": key}
    if mode == "bedrock":
        return {
            "CLAUDE_CODE_USE_BEDROCK": "1",
            "ANTHROPIC_BEDROCK_BASE_URL": url,
            "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
            "AWS_REGION": "us-east-1",
            "AWS_BEARER_TOKEN_BEDROCK": key,
        }
    return {
        "CLAUDE_CODE_USE_VERTEX": "1",
        "ANTHROPIC_VERTEX_BASE_URL": f"{url}/v1",
        "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
        "ANTHROPIC_VERTEX_PROJECT_ID": "gateway",
        "CLOUD_ML_REGION": "global",
        "ANTHROPIC_AUTH_TOKEN": key,
    }
