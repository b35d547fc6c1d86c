"""`doctor`"""

import click

from gateway.administration import doctor as examinations
from gateway.administration.provider_tests import Finding, worst
from gateway.canonical.store import StoreError
from gateway.doors.cli.desk import Desk, desk
from gateway.doors.cli.options import style_option
from gateway.doors.cli.output import show_findings
from gateway.settings import SettingsFault


@click.command()
@style_option()
@click.pass_context
def doctor(ctx: click.Context, style: str) -> None:
    """Look at settings, store, providers and keys; exit 1 if something does not work."""
    try:
        findings = examine(desk())
    except SettingsFault as fault:
        findings = [Finding("fail", "settings", words, "`python -m gateway settings` lists them all") for words in fault.faults]
    state = worst(findings)
    show_findings({"state": state, "data": [finding.render() for finding in findings]}, style)
    if state == "fail":
        ctx.exit(1)


def examine(at: Desk) -> list[Finding]:
    """Everything in its order; what needs the store is left out when there is none."""
    findings = [*examinations.check_settings(at.settings), examinations.check_catalog(at.prices.price_version, at.now)]
    reached = examinations.check_store(at.store, at.settings.store)
    findings.append(reached)
    providers = list(at.from_environment)
    if reached.state == "ok":
        try:
            findings += [*examinations.check_callers(at.store, at.now), examinations.check_clock(at.store, at.now)]
            providers = at.providers.all()
        except StoreError as error:
            findings.append(Finding("fail", "store", f"cannot be queried: {error}", "check its indexes and roles"))
    return [*findings, *examinations.check_providers(providers, at.tokens)]
