"""`python -m gateway serve`: the gateway on a laptop or in a container; a newcomer gets a sandbox, a key and what to type."""

import ipaddress
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from gateway import VERSION
from gateway.administration.changes import Changes, Who
from gateway.administration.keys import Keys
from gateway.administration.projects import Projects
from gateway.administration.refusals import AdminError
from gateway.callers.keys import hash_key
from gateway.canonical.store import Store, StoreError
from gateway.providers.from_environment import providers_from_environment
from gateway.server import listen, run
from gateway.settings import Settings, SettingsFault, read
from gateway.start import state_folder
from gateway.store import open_store

WHO = Who("serve")
DEMO = "demo"


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What the banner says."""

    url: str
    store: str
    sandbox: bool
    key: str | None


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, envvar="PORT", help="Port to listen on.")
@click.option("--sandbox", is_flag=True, help="Answer from the simulated Google even if a provider is configured.")
def serve(host: str, port: int, sandbox: bool) -> None:
    """Run the gateway. Without any provider it starts the sandbox: a pretend Claude on this machine."""
    try:
        settings = settings_to_serve(os.environ, host, sandbox)
    except SettingsFault as fault:
        raise click.ClickException(str(fault)) from fault
    os.environ["GATEWAY_SANDBOX"] = "true" if settings.sandbox else "false"
    url = settings.public_url or f"http://{host if ':' not in host else f'[{host}]'}:{port}"
    try:
        listening = listen(host, port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port") from error
    click.echo(render_banner(FirstSteps(url, settings.store, settings.sandbox, demo_key(settings))))
    run(listening)


def settings_to_serve(environment: Mapping[str, str], host: str, sandbox: bool) -> Settings:
    """The settings with the sandbox chosen: when asked for, or on a laptop where no provider is configured.

    SettingsFault if the sandbox may not run here.
    """
    settings = read(environment)
    if sandbox or not (settings.sandbox or settings.on_cloud_run or has_provider(settings)):
        settings = read({**environment, "GATEWAY_SANDBOX": "true"})
    if settings.sandbox and not is_loopback(host):
        raise SettingsFault([
            f"the sandbox answers anyone who reaches it, so it is refused on {host}; listen on 127.0.0.1, or configure a "
            "provider (VERTEX_SERVICE_ACCOUNT_JSON or VERTEX_PROJECT_ID)"
        ])  # fmt: skip
    return settings


def has_provider(settings: Settings) -> bool:
    if providers_from_environment(settings):
        return True
    store = open_store(settings.store)
    try:
        return bool(store.query("providers", limit=1).documents)
    except StoreError as error:
        raise SettingsFault([f"the store {settings.store} does not answer: {error}"]) from error
    finally:
        store.close()


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def demo_key(settings: Settings) -> str | None:
    """The key of project `demo`, made at the first start and kept beside the store, readable by its owner alone.

    Only for a laptop's own store: elsewhere keys are made by the operator.
    """
    if not settings.store.startswith("sqlite:///"):
        return None
    kept = state_folder(settings) / "demo-key"
    store = open_store(settings.store)
    try:
        if kept.exists() and store.get(f"keys/{hash_key(kept.read_text().strip())}") is not None:
            return kept.read_text().strip()
        key = make_demo_key(store)
    finally:
        store.close()
    write_private(kept, key)
    return key


def make_demo_key(store: Store) -> str:
    changes = Changes(store, time.time)
    try:
        Projects(store, changes, time.time).create({"id": DEMO, "name": "Demo"}, WHO)
    except AdminError as error:
        if error.code != "already_exists":  # made at an earlier start, or just now by another process
            raise
    made = Keys(store, changes, time.time).create({"project": DEMO, "name": "made by serve"}, WHO)
    return str(made["key"])


def write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text + "\n")


def render_banner(steps: FirstSteps) -> str:
    """What a person sees first."""
    lines = [f"Tollgate {VERSION} at {steps.url}, records in {steps.store}", ""]
    if steps.sandbox:
        lines += [
            "  SANDBOX: no provider is configured, so a pretend Claude on this machine answers. Nothing is billed.",
            "  For the real one: VERTEX_SERVICE_ACCOUNT_JSON=./service-account.json make run",
            "",
        ]
    if steps.key is None:
        return "\n".join([*lines, "Make a key: python -m gateway key create --project …", ""])
    lines += [
        f"Your key (project demo): {steps.key}",
        "",
        "Ask something:",
        f"  curl {steps.url}/v1/messages -H 'Authorization: Bearer {steps.key}' \\",
        """    -d '{"model":"claude-sonnet-4-6","max_tokens":200,"messages":[{"role":"user","content":"Hello, Claude"}]}'""",
        "",
        "Claude Code:",
        f"  export ANTHROPIC_BASE_URL={steps.url}",
        f"  export ANTHROPIC_AUTH_TOKEN={steps.key}",
        "  claude",
        "",
        "Claude Code in its Vertex mode:",
        "  export CLAUDE_CODE_USE_VERTEX=1 CLAUDE_CODE_SKIP_VERTEX_AUTH=1",
        f"  export ANTHROPIC_VERTEX_BASE_URL={steps.url}/v1 ANTHROPIC_VERTEX_PROJECT_ID=tollgate CLOUD_ML_REGION=global",
        f"  export ANTHROPIC_AUTH_TOKEN={steps.key}",
        "  claude",
        "",
        "What it cost: .venv/bin/python -m gateway usage report",
        "",
    ]
    return "\n".join(lines)
