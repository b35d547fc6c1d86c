"""What a command works with, made when a command first asks for it: `--help` and `settings` touch nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from gateway.administration.budgets import Budgets, TestAlert, no_alerts
from gateway.administration.changes import Changes, Who
from gateway.administration.configs import Configs
from gateway.administration.keys import Keys
from gateway.administration.projects import Projects
from gateway.administration.provider_tests import Probe, Tokens
from gateway.administration.providers import Providers
from gateway.administration.refusals import AdminError
from gateway.administration.web import Ask
from gateway.canonical.store import Store, StoreError
from gateway.providers.provider import Provider
from gateway.settings import Settings, SettingsFault
from gateway.spending.prices import PriceBook


@dataclass(frozen=True, slots=True)
class Desk:
    """The rooms that commands need. `who` is written into the audit; `now` is unix seconds."""

    settings: Settings
    store: Store
    tokens: Tokens
    prices: PriceBook
    from_environment: Sequence[Provider]
    probe: Probe
    now: Callable[[], float]
    who: str
    test_alert: TestAlert = no_alerts
    ask: Ask | None = None  # for the doctor; without them it leaves out what they are for
    read_secret: Callable[[str], str] | None = None

    @property
    def operator(self) -> Who:
        return Who(self.who, at_machine=True)

    @property
    def changes(self) -> Changes:
        return Changes(self.store, self.now)

    @property
    def projects(self) -> Projects:
        return Projects(self.store, self.changes, self.now, self._provider_ids)

    @property
    def keys(self) -> Keys:
        return Keys(self.store, self.changes, self.now)

    @property
    def providers(self) -> Providers:
        return Providers(self.store, self.changes, self.now, self.from_environment)

    @property
    def budgets(self) -> Budgets:
        return Budgets(self.store, self.changes, self.now, self._provider_ids, self.test_alert)

    @property
    def configs(self) -> Configs:
        return Configs(self.store, self.changes, self.now, self._provider_ids)

    @property
    def _provider_ids(self) -> list[str]:
        return [provider.id for provider in self.from_environment]


class DeskOpener:
    """What `click` carries as `obj`: opens the desk once, and closes its store when the command is done."""

    def __init__(self, open_desk: Callable[[], Desk]) -> None:
        self._open_desk = open_desk
        self._desk: Desk | None = None

    def open(self) -> Desk:
        """SettingsFault if the settings are wrong."""
        if self._desk is None:
            self._desk = self._open_desk()
            click.get_current_context().find_root().call_on_close(self._desk.store.close)
        return self._desk


def desk() -> Desk:
    """The desk of the running command."""
    opener = click.get_current_context().find_root().obj
    if not isinstance(opener, DeskOpener):
        raise click.ClickException("this command needs the gateway's settings; start it as `python -m gateway`")
    return opener.open()


class Refusing(click.Group):
    """A group whose commands refuse with one sentence on stderr and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (AdminError, SettingsFault) as error:
            raise click.ClickException(str(error)) from error
        except StoreError as error:
            raise click.ClickException(f"the store cannot do this now: {error}; `doctor` shows more") from error
