"""What the doctor looks at one by one: secrets, clocks, the database, and a model of each provider."""

import email.utils
from collections.abc import Mapping
from typing import Any

import pytest
from firestore_admin import AdminApi

from gateway.administration import doctor
from gateway.administration.provider_tests import Finding, ProbeResult
from gateway.administration.web import Answer, Ask
from gateway.credentials.access_token import AccessToken, TokenError
from gateway.credentials.secrets import SecretError
from gateway.providers.provider import Provider
from gateway.settings import Settings, read

NOW = 1_795_000_000.0
KEY = "projects/p/secrets/gateway-sa/versions/latest"
VERTEX = Provider(id="vertex", kind="vertex", credential="adc", project_id="claude-prod")


class Account:
    """A token broker with one account; `broken` is raised instead of every answer."""

    def __init__(self, broken: TokenError | None = None, project: str | None = "claude-prod") -> None:
        self._broken, self._project = broken, project

    def token(self, credential: str) -> AccessToken:
        if self._broken:
            raise self._broken
        return AccessToken.minted("ya29.never-shown", 3600, NOW)

    def project_id(self, credential: str) -> str | None:
        return self._project

    def account_email(self, credential: str) -> str | None:
        return "gateway@claude-prod.iam.gserviceaccount.com"


NO_TOKEN = TokenError("no_adc", "there are no credentials", "run gcloud auth application-default login")


def settings(**environment: str) -> Settings:
    return read({"GATEWAY_STORE": "firestore://claude-prod/(default)", **environment})


def dated(seconds: float) -> Ask:
    headers = {"date": email.utils.formatdate(seconds, usegmt=True)}
    return lambda *asked: Answer(404, headers)


def test_every_secret_that_is_referred_to_is_read_once() -> None:
    """Those of settings and of providers; values are not shown."""
    secrets = {KEY: "a-secret-value", "env:HOOK": "https://chat.example/secret-token"}
    asked = []

    def read_secret(reference: str) -> str:
        asked.append(reference)
        if reference not in secrets:
            raise SecretError(reference, "no such secret or version", "gcloud secrets versions list admin --project=p")
        return secrets[reference]

    providers = [VERTEX, Provider(id="b", kind="vertex", credential=KEY), Provider(id="c", kind="anthropic", credential=KEY)]
    admin = "projects/p/secrets/admin/versions/1"
    findings = doctor.check_secrets(settings(GATEWAY_ADMIN_KEY=admin, GATEWAY_ALERT_WEBHOOK="env:HOOK"), providers, read_secret)
    assert asked == [admin, "env:HOOK", KEY]
    assert [finding.state for finding in findings] == ["fail", "ok", "ok"]
    assert findings[0].mend.startswith("gcloud secrets versions list admin")
    assert "secret-token" not in repr(findings) and "a-secret-value" not in repr(findings)


@pytest.mark.parametrize(
    ("apart_s", "state"), [(0, "ok"), (-29, "ok"), (45, "warn"), (-90, "warn"), (300, "fail"), (-3600, "fail")]
)
def test_a_clock_that_is_off_is_told_by_how_much(apart_s: float, state: str) -> None:
    """By the Date of any answer: Google refuses what was signed minutes from now."""
    finding = doctor.check_clock_against("https://oauth2.googleapis.com/token", dated(NOW + apart_s), lambda: NOW)
    assert (finding.state, finding.subject) == (state, "clock against oauth2.googleapis.com")
    assert state == "ok" or (f"{abs(apart_s):.0f} s apart" in finding.words and "timedatectl" in finding.mend)


@pytest.mark.parametrize("answer", [Answer(0, words="ConnectTimeout"), Answer(200), Answer(200, {"date": "yesterday"})])
def test_a_server_that_tells_no_time_is_a_warning(answer: Answer) -> None:
    """The clock may well be right."""
    assert doctor.check_clock_against("https://x", lambda *asked: answer, lambda: NOW).state == "warn"


def test_the_deployed_database_is_looked_at() -> None:
    """With the account's own token, and the project that the store's URL or the account names."""
    for store in ("firestore://claude-prod/(default)", "firestore://-/(default)"):
        findings = doctor.check_database(settings(GATEWAY_STORE=store), Account(), AdminApi(), emulated=False)
        assert [finding.state for finding in findings] == ["ok", "ok", "ok"]


def test_the_emulator_cannot_be_looked_at_and_sqlite_need_not() -> None:
    """The emulator answers every query, and has no Admin API."""
    never: Any = lambda *asked: pytest.fail("was asked")  # noqa: E731
    (finding,) = doctor.check_database(settings(), Account(), never, emulated=True)
    assert finding.state == "warn" and "not checkable" in finding.words
    assert doctor.check_database(settings(GATEWAY_STORE="sqlite:///x.db"), Account(), never, emulated=False) == []


@pytest.mark.parametrize(
    ("account", "mend"), [(Account(NO_TOKEN), "application-default login"), (Account(project=None), "GATEWAY_STORE=")]
)
def test_without_a_token_or_a_project_the_database_is_a_fault(account: Account, mend: str) -> None:
    """Each with what to do."""
    (finding,) = doctor.check_database(settings(GATEWAY_STORE="firestore://-/(default)"), account, AdminApi(), emulated=False)
    assert finding.state == "fail" and mend in finding.mend


def probed(result: ProbeResult, *, provider: Provider = VERTEX) -> Finding:
    asked: list[Mapping[str, str]] = []

    def probe(provider: Provider, model: str, location: str) -> ProbeResult:
        asked.append({"model": model})
        return result

    credential, finding = doctor.check_providers([provider], Account(), probe)
    assert credential.state == "ok" and len(asked) == 1, "one model is asked, not each"
    return finding


def test_one_model_of_each_provider_is_asked() -> None:
    """It answers, and how fast."""
    finding = probed(ProbeResult(200, latency_ms=87))
    assert finding.state == "ok" and "87 ms" in finding.words and finding.subject.startswith("provider vertex: claude-")


@pytest.mark.parametrize(
    ("result", "state", "mend"),
    [
        (ProbeResult(401, "upstream_401_UNAUTHENTICATED_ACCESS_TOKEN_TYPE_UNSUPPORTED"), "fail", "JSON is valid and complete"),
        (ProbeResult(401, "upstream_401_UNAUTHENTICATED"), "fail", "gcloud iam service-accounts keys list"),
        (
            ProbeResult(403, "upstream_403_PERMISSION_DENIED"),
            "fail",
            "gcloud projects add-iam-policy-binding claude-prod "
            "--member=serviceAccount:gateway@claude-prod.iam.gserviceaccount.com --role=roles/aiplatform.user",
        ),
        (
            ProbeResult(403, "upstream_403_PERMISSION_DENIED_SERVICE_DISABLED"),
            "fail",
            "gcloud services enable aiplatform.googleapis.com",
        ),
        (ProbeResult(404, "Publisher Model was not found"), "warn", "enable the model in Model Garden"),
        (ProbeResult(429, "Quota exceeded"), "warn", "ask for quota"),
        (ProbeResult(0, "connection refused"), "fail", "base_url"),
    ],
)
def test_what_goes_wrong_at_a_provider_has_its_mend(result: ProbeResult, state: str, mend: str) -> None:
    """The faults that operators of Vertex AI meet, in the order in which they do."""
    finding = probed(result)
    assert finding.state == state and mend in finding.mend


def test_without_calls_only_the_credential_is_tried() -> None:
    """Nothing is paid for."""
    (finding,) = doctor.check_providers([VERTEX], Account(), None)
    assert finding.state == "ok" and finding.subject == "provider vertex: credential"


def told(
    settings: Settings,
    answer: Answer,
    environment: dict[str, str],
    account: Account | None = None,
    seen: list[Mapping[str, str]] | None = None,
) -> Finding:
    def ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        assert (method, body) == ("POST", b"") and url.endswith("/v1/traces")
        assert ("googleapis.com" in url) == ("Bearer ya29." in headers.get("authorization", ""))
        if seen is not None:
            seen.append(headers)
        return answer

    (finding,) = doctor.check_telemetry(settings, account or Account(), ask, environment)
    return finding


def test_telemetry_that_is_off_is_not_looked_at() -> None:
    """Nothing is asked."""
    assert doctor.check_telemetry(settings(), Account(), lambda *asked: pytest.fail("was asked"), {}) == []


@pytest.mark.parametrize(
    ("answer", "state", "mend"),
    [
        (Answer(200), "ok", ""),
        (Answer(403), "fail", "roles/telemetry.writer"),
        (Answer(0, words="ConnectTimeout"), "fail", "may connect"),
        (Answer(503), "fail", "may connect"),
    ],
)
def test_google_must_take_the_telemetry_of_this_account(answer: Answer, state: str, mend: str) -> None:
    """An empty export shows it."""
    finding = told(settings(GATEWAY_TELEMETRY="google"), answer, {})
    assert finding.state == state and mend in finding.mend


def test_a_collector_is_asked_with_its_own_headers_and_never_with_googles_token() -> None:
    """The key of a telemetry service is in the usual variable, and in no line of the report."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example/"}
    there = {**endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "x-api-key=very%20secret,x-team=core"}
    seen: list[Mapping[str, str]] = []
    finding = told(settings(GATEWAY_TELEMETRY="otlp", **endpoint), Answer(401), there, seen=seen)
    assert finding.state == "fail" and "OTEL_EXPORTER_OTLP_HEADERS" in finding.mend and "secret" not in repr(finding)
    assert seen == [{"content-type": "application/x-protobuf", "x-api-key": "very secret", "x-team": "core"}]
    assert told(settings(GATEWAY_TELEMETRY="google"), Answer(200), {}, Account(NO_TOKEN)).state == "fail"
