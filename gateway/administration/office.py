"""The use cases, over one store and one process's rooms: what the admin API and the command line both work with."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from gateway.administration.budgets import Budgets, TestAlert
from gateway.administration.changes import Changes
from gateway.administration.configs import Configs
from gateway.administration.keys import Keys
from gateway.administration.projects import Projects
from gateway.administration.provider_tests import Probe, Tokens
from gateway.administration.providers import Providers
from gateway.canonical.store import Json, Store
from gateway.providers.provider import Provider
from gateway.spending.prices import PriceBook


@dataclass(frozen=True, slots=True)
class Office:
    """`from_environment` are the providers that settings bring. `private_allowed` are the `host:port` that providers may name
    although they are private. `now` is unix seconds. `heard` is told the path of each document that was changed, so that
    this process forgets what it remembers of it. `sweep` gives back what dead instances borrowed, and says what it did."""

    store: Store
    tokens: Tokens
    prices: PriceBook
    from_environment: Sequence[Provider]
    private_allowed: Collection[str]
    probe: Probe
    now: Callable[[], float]
    heard: Callable[[str], None]
    test_alert: TestAlert
    sweep: Callable[[], Json]

    @property
    def changes(self) -> Changes:
        return Changes(self.store, self.now, self.heard)

    @property
    def projects(self) -> Projects:
        return Projects(self.store, self.changes, self.now, self._provider_ids)

    @property
    def keys(self) -> Keys:
        return Keys(self.store, self.changes, self.now)

    @property
    def providers(self) -> Providers:
        return Providers(self.store, self.changes, self.now, self.from_environment, self.private_allowed)

    @property
    def budgets(self) -> Budgets:
        return Budgets(self.store, self.changes, self.now, self._provider_ids, self.test_alert)

    @property
    def configs(self) -> Configs:
        return Configs(self.store, self.changes, self.now, self._provider_ids)

    @property
    def _provider_ids(self) -> list[str]:
        return [provider.id for provider in self.from_environment]
