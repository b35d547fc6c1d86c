"""The command line: the words of the admin API over the same use cases. `gateway/__main__.py` hands it a DeskOpener.

    cli.main(args, obj=DeskOpener(open_desk), prog_name="python -m gateway")

Exit codes: 0, 1 (refused, with a sentence on stderr), 2 (wrong usage).
"""

import click

from gateway import NAME, VERSION
from gateway.doors.cli.budgets import budget
from gateway.doors.cli.claude_code import claude_code
from gateway.doors.cli.configs import config
from gateway.doors.cli.desk import Desk, DeskOpener, Refusing
from gateway.doors.cli.doctor import doctor
from gateway.doors.cli.keys import key
from gateway.doors.cli.listings import audit, models, prices
from gateway.doors.cli.people import erase, export
from gateway.doors.cli.projects import project
from gateway.doors.cli.providers import provider
from gateway.doors.cli.settings_page import settings
from gateway.doors.cli.usage import usage

__all__ = ["Desk", "DeskOpener", "cli"]


@click.group(cls=Refusing, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name=NAME)
def cli() -> None:
    """A serverless LLM gateway for Google Cloud."""


usage.add_command(export)
usage.add_command(erase)
for command in (project, key, provider, config, budget, usage, models, prices, claude_code, settings, doctor, audit):
    cli.add_command(command)
