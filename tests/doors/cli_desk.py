"""A desk over a SQLite store in a folder of the test's own, and a runner of commands."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from gateway.administration.budgets import no_alerts
from gateway.administration.office import Office
from gateway.administration.provider_tests import ProbeResult
from gateway.credentials.access_token import AccessToken, TokenError
from gateway.doors.cli import Desk, DeskOpener, cli
from gateway.providers.provider import Provider
from gateway.settings import read
from gateway.spending.prices import PriceBook
from gateway.store import open_store

START = 1_795_000_000.0  # 2026-11-18T11:06:40Z


@dataclass
class Accounts:
    """A token broker's answers: every credential but those in `broken` belongs to one account."""

    broken: dict[str, TokenError] = field(default_factory=dict)

    def token(self, credential: str) -> AccessToken:
        self._check(credential)
        return AccessToken.minted("ya29.never-shown", 3600, START)

    def project_id(self, credential: str) -> str | None:
        self._check(credential)
        return "claude-prod"

    def account_email(self, credential: str) -> str | None:
        self._check(credential)
        return "gateway@claude-prod.iam.gserviceaccount.com"

    def _check(self, credential: str) -> None:
        if credential in self.broken:
            raise self.broken[credential]


@dataclass
class CommandLine:
    """`python -m gateway …` without the process."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    from_environment: Sequence[Provider] = ()
    accounts: Accounts = field(default_factory=Accounts)
    answers: dict[tuple[str, str], ProbeResult] = field(default_factory=dict)  # by upstream model and location
    seconds: float = START
    opened: int = 0

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.folder}/store/gateway.db"

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(cli, list(words), obj=DeskOpener(self._open), prog_name="python -m gateway")

    def json(self, *words: str) -> Any:
        """The object that a command prints; it must have gone well."""
        result = self.run(*words, "--format", "json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def refusal(self, *words: str) -> str:
        """The sentence of a command that refuses."""
        result = self.run(*words)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        return result.stderr

    def now(self) -> float:
        return self.seconds

    def probe(self, provider: Provider, model: str, location: str) -> ProbeResult:
        return self.answers.get((model, location), ProbeResult(200, latency_ms=12))

    def _open(self) -> Desk:
        self.opened += 1
        settings = read({"GATEWAY_STORE": self.store_url, **self.environment})
        office = Office(
            store=open_store(settings.store, now=self.now),
            tokens=self.accounts,
            prices=PriceBook(settings.prices, settings.price_multiplier),
            from_environment=self.from_environment,
            private_allowed=settings.allow_private_upstreams,
            probe=self.probe,
            now=self.now,
            heard=lambda path: None,
            test_alert=no_alerts,
            sweep=dict,
        )
        return Desk(settings, office, who="cli:ana")
