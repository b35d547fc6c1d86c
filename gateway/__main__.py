"""`python -m gateway …`: the command line, with a house behind it that is built when a command first needs it."""

import getpass
import os
import time

from gateway.administration.web import Web
from gateway.app import build_house, providers_from_environment
from gateway.doors.cli import Desk, DeskOpener, cli
from gateway.probing import Prober
from gateway.serve import serve
from gateway.settings import read

cli.add_command(serve)


def open_desk() -> Desk:
    house = build_house(read(os.environ))
    return Desk(
        settings=house.settings,
        store=house.store,
        tokens=house.tokens,
        prices=house.prices,
        from_environment=providers_from_environment(house.settings),
        probe=Prober(house.answering.sender).probe,
        now=time.time,
        who=f"{getpass.getuser()}@cli",
        test_alert=house.alerts.test,
        ask=Web(),
        read_secret=house.secrets.read,
    )


def main() -> None:
    cli.main(obj=DeskOpener(open_desk), prog_name="python -m gateway")


if __name__ == "__main__":
    main()
