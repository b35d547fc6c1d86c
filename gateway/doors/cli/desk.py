"""What a command works with, made when a command first asks for it: `--help` and `settings` touch nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from gateway.administration.changes import Who
from gateway.administration.office import Office
from gateway.administration.refusals import AdminError
from gateway.administration.web import Ask
from gateway.canonical.store import StoreError
from gateway.settings import Settings, SettingsFault


@dataclass(frozen=True, slots=True)
class Desk:
    """The use cases, and who sits at them: `who` is written into the audit. `ask` and `read_secret` are for the doctor, who
    leaves out what he would need them for if they are None."""

    settings: Settings
    office: Office
    who: str
    ask: Ask | None = None
    read_secret: Callable[[str], str] | None = None

    @property
    def operator(self) -> Who:
        return Who(self.who, at_machine=True)


class DeskOpener:
    """What `click` carries as `obj`: opens the desk once, and closes its store when the command is done."""

    def __init__(self, open_desk: Callable[[], Desk]) -> None:
        self._open_desk = open_desk
        self._desk: Desk | None = None

    def open(self) -> Desk:
        """SettingsFault if the settings are wrong."""
        if self._desk is None:
            self._desk = self._open_desk()
            click.get_current_context().find_root().call_on_close(self._desk.office.store.close)
        return self._desk


def desk() -> Desk:
    """The desk of the running command."""
    opener = click.get_current_context().find_root().obj
    if not isinstance(opener, DeskOpener):
        raise click.ClickException("this command needs the gateway's settings; start it as `python -m gateway`")
    return opener.open()


def office() -> Office:
    """The use cases of the running command."""
    return desk().office


class Refusing(click.Group):
    """A group whose commands refuse with one sentence on stderr and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (AdminError, SettingsFault) as error:
            raise click.ClickException(str(error)) from error
        except StoreError as error:
            raise click.ClickException(f"the store cannot do this now: {error}; `doctor` shows more") from error
