"""`doctor`"""

import os
from collections.abc import Sequence

import click

from gateway.administration import doctor as examinations
from gateway.administration.endpoint import check_endpoint
from gateway.administration.provider_tests import Finding, has_google_account, worst
from gateway.administration.web import Web
from gateway.canonical.store import StoreError
from gateway.doors.cli.desk import Desk, desk
from gateway.doors.cli.options import style_option
from gateway.doors.cli.output import show_findings
from gateway.providers.provider import Provider
from gateway.settings import SettingsFault


@click.command()
@click.option("--url", help="also a deployed endpoint: TLS, readiness, version, and that a wrong key is refused")
@click.option("--calls/--no-calls", default=True, show_default=True, help="ask one model of each provider for one token")
@style_option()
@click.pass_context
def doctor(ctx: click.Context, url: str | None, calls: bool, style: str) -> None:
    """Look at settings, store, secrets, providers and keys; exit 1 if something does not work."""
    try:
        findings = examine(desk(), calls=calls)
    except SettingsFault as fault:
        findings = [Finding("fail", "settings", words, "`python -m gateway settings` lists them all") for words in fault.faults]
    if url:
        findings += check_endpoint(url, Web())
    state = worst(findings)
    show_findings({"state": state, "data": [finding.render() for finding in findings]}, style)
    if state == "fail":
        ctx.exit(1)


def examine(at: Desk, *, calls: bool) -> list[Finding]:
    """Everything in its order; what needs the store is left out when there is none."""
    rooms = at.office
    findings = [*examinations.check_settings(at.settings), examinations.check_catalog(rooms.prices.price_version, rooms.now)]
    reached = examinations.check_store(rooms.store, at.settings.store)
    findings.append(reached)
    providers: Sequence[Provider] = list(rooms.from_environment)
    if reached.state == "ok":
        try:
            findings += [*examinations.check_callers(rooms.store, rooms.now), examinations.check_clock(rooms.store, rooms.now)]
            providers = rooms.providers.all()
        except StoreError as error:
            findings.append(Finding("fail", "store", f"cannot be queried: {error}", "check its indexes and roles"))
    if at.ask is not None:
        emulated = bool(os.environ.get("FIRESTORE_EMULATOR_HOST"))
        findings += examinations.check_database(at.settings, rooms.tokens, at.ask, emulated=emulated)
        findings += examinations.check_telemetry(at.settings, rooms.tokens, at.ask, os.environ)
        if any(has_google_account(provider) for provider in providers):
            findings.append(examinations.check_clock_against(at.settings.google_token_uri, at.ask, rooms.now))
    if at.read_secret is not None:
        findings += examinations.check_secrets(at.settings, providers, at.read_secret)
    return [*findings, *examinations.check_providers(providers, rooms.tokens, rooms.probe if calls else None)]
