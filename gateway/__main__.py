"""`python -m gateway …`: the command line, with a house behind it that is built when a command first needs it."""

import getpass
import os

from gateway.administration.web import Web
from gateway.app import build_house
from gateway.doors.cli import Desk, DeskOpener, cli
from gateway.serve import serve
from gateway.settings import read

cli.add_command(serve)


def open_desk() -> Desk:
    house = build_house(read(os.environ))
    who = f"{getpass.getuser()}@cli"
    return Desk(house.settings, house.office(), who, ask=Web(), read_secret=house.secrets.read)


def main() -> None:
    cli.main(obj=DeskOpener(open_desk), prog_name="python -m gateway")


if __name__ == "__main__":
    main()
