"""`doctor` as it is typed: what it looks at, in which order, and what it exits with."""

import email.utils
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cli_desk import CommandLine
from house import Served

from gateway.administration.provider_tests import ProbeResult
from gateway.administration.web import Answer
from gateway.credentials.secrets import SecretError
from gateway.doors.cli import Desk
from gateway.providers.provider import Provider


@dataclass
class Deployed(CommandLine):
    """The command line of an operator whose gateway is on Google Cloud; nobody is really asked."""

    behind_s: float = 0.0

    def _open(self) -> Desk:
        return replace(super()._open(), ask=self.ask, read_secret=self.read_secret)

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        return Answer(404, {"date": email.utils.formatdate(self.seconds + self.behind_s, usegmt=True)})

    def read_secret(self, reference: str) -> str:
        if reference != "env:KEY":
            raise SecretError(reference, "no such secret or version", "gcloud secrets versions list x --project=p")
        return "sk-never-shown"


@pytest.fixture
def deployed(tmp_path: Path) -> Deployed:
    providers = [
        Provider(id="vertex", kind="vertex", credential="adc"),
        Provider(id="ant", kind="anthropic", credential="env:KEY"),
    ]
    return Deployed(tmp_path, from_environment=providers)


def findings(result: Any) -> dict[str, Any]:
    return {finding["subject"]: finding for finding in json.loads(result.stdout)["data"]}


def test_everything_is_looked_at(deployed: Deployed) -> None:
    """Settings, catalog, store, keys, clock, secrets, and a model of each provider."""
    found = findings(deployed.run("doctor", "--format", "json"))
    assert {"settings", "catalog", "store", "projects", "working keys", "clock", "clock against oauth2.googleapis.com",
            "secret env:KEY", "provider vertex: credential", "provider ant: credential"} <= found.keys()  # fmt: skip
    assert any(subject.startswith("provider vertex: claude-") for subject in found)
    assert any(subject.startswith("provider ant: claude-") for subject in found)
    assert "sk-never-shown" not in json.dumps(found)


def test_a_secret_that_cannot_be_read_fails_the_examination(deployed: Deployed) -> None:
    """Exit 1, with the command that shows what there is."""
    deployed.environment["GATEWAY_ADMIN_KEY"] = "projects/p/secrets/x/versions/latest"
    result = deployed.run("doctor")
    assert result.exit_code == 1
    assert "fail  secret projects/p/secrets/x/versions/latest: no such secret or version\n" in result.stdout
    assert "→ gcloud secrets versions list x --project=p" in result.stdout


def test_a_clock_minutes_behind_google_fails_the_examination(deployed: Deployed) -> None:
    """No token can be minted with it for long."""
    deployed.behind_s = 400
    result = deployed.run("doctor")
    assert result.exit_code == 1 and "fail  clock against oauth2.googleapis.com: 400 s apart" in result.stdout


def test_no_calls_pays_for_nothing(deployed: Deployed) -> None:
    """Credentials are tried, models are not."""
    found = findings(deployed.run("doctor", "--no-calls", "--format", "json"))
    assert not [subject for subject in found if "claude-" in subject]


def test_a_model_that_does_not_answer_is_told_with_its_mend(deployed: Deployed) -> None:
    """As `provider test` tells it."""
    deployed.probe = lambda provider, model, location: ProbeResult(403, "denied")  # type: ignore[method-assign]
    result = deployed.run("doctor")
    assert result.exit_code == 1 and "→ gcloud projects add-iam-policy-binding claude-prod" in result.stdout


def test_a_deployed_endpoint_is_looked_at_too(deployed: Deployed, serve: Callable[..., Served]) -> None:
    """After everything else."""
    url = serve().url
    result = deployed.run("doctor", "--url", url)
    assert result.exit_code == 0, result.stdout
    assert result.stdout.splitlines()[-1] == f"ok    endpoint {url}: a wrong key: is refused with 401"


def test_an_endpoint_is_looked_at_even_if_the_settings_here_are_wrong(deployed: Deployed, serve: Callable[..., Served]) -> None:
    """An operator's laptop need not hold the service's settings."""
    deployed.environment["GATEWAY_COLOUR"] = "red"
    result = deployed.run("doctor", "--url", serve().url)
    assert result.exit_code == 1 and "fail  settings: GATEWAY_COLOUR" in result.stdout and "ok    endpoint" in result.stdout
