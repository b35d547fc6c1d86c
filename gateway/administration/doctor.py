"""The doctor: what of a deployment works, what does not, and what mends it."""

import email.utils
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote

from gateway.administration.firestore_needs import Database, check_firestore
from gateway.administration.provider_tests import (
    Finding,
    Probe,
    Tokens,
    check_credential,
    check_provider_works,
    models_to_try,
)
from gateway.administration.times import Clock, render_moment
from gateway.administration.web import Ask
from gateway.canonical.secret_reference import is_secret_reference
from gateway.canonical.store import Store, StoreError
from gateway.catalog.models import all_models, price_version
from gateway.credentials.access_token import TokenError
from gateway.credentials.credential import ADC
from gateway.credentials.secrets import SecretError
from gateway.providers.provider import Provider
from gateway.settings import Settings

PING_TIMEOUT_S = 5.0
PRICES_OLD_DAYS = 120
SKEW_S = 30.0
SKEW_S_MAX = 240.0  # Google takes assertions that are some minutes off, not more
COUNTED_MAX = 1_000
SECRET_SETTINGS = ("admin_key", "alert_webhook", "alert_webhook_secret", "alert_chat_webhook", "alert_smtp_password")
GOOGLE_TELEMETRY = "https://telemetry.googleapis.com"
MEND_TELEMETRY = {
    "google": "gcloud services enable telemetry.googleapis.com; gcloud projects add-iam-policy-binding PROJECT "
    "--member=serviceAccount:ACCOUNT --role=roles/telemetry.writer",
    "otlp": "check OTEL_EXPORTER_OTLP_HEADERS, which carry the endpoint's key",
}
NO_ACCESS_TOKEN = "ACCESS_TOKEN_TYPE_UNSUPPORTED"
"""Google's reason for a 401 when what it was sent is no OAuth access token at all, or one it never issued."""


def check_settings(settings: Settings) -> list[Finding]:
    """What is allowed but seldom meant."""
    findings = [Finding("ok", "settings", "read without a fault")]
    if settings.on_cloud_run and not settings.public_url:
        findings.append(Finding("warn", "settings", "GATEWAY_PUBLIC_URL is not set", "set it, for set-up snippets"))
    if settings.sweep_email and not settings.public_url:
        findings.append(
            Finding(
                "warn",
                "settings",
                "GATEWAY_SWEEP_EMAIL is set and GATEWAY_PUBLIC_URL is not: the scheduler's identity token cannot be checked",
                "set GATEWAY_PUBLIC_URL to the audience of its job",
            )
        )
    if settings.log_payloads:
        findings.append(Finding("warn", "settings", "GATEWAY_LOG_PAYLOADS is on", "unset it outside of debugging"))
    if settings.allow_query_key:
        findings.append(Finding("warn", "settings", "GATEWAY_ALLOW_QUERY_KEY is on, and URLs end up in request logs",
                                "unset it once every client sends its key as a header"))  # fmt: skip
    return findings


def check_store(store: Store, url: str) -> Finding:
    kind = url.partition(":")[0]
    try:
        store.ping(timeout_s=PING_TIMEOUT_S)
    except (StoreError, ValueError) as error:
        mend = (
            "check GATEWAY_STORE, that the database exists and that this account has roles/datastore.user"
            if kind == "firestore"
            else "check GATEWAY_STORE and that this user may write its folder"
        )
        return Finding("fail", "store", f"{url}: {str(error)[:300]}", mend)
    return Finding("ok", "store", f"{url} answers")


def check_callers(store: Store, now: Clock) -> list[Finding]:
    """Whether anybody could call."""
    projects = store.query("projects", limit=COUNTED_MAX).documents
    keys = store.query("keys", where=[("revoked_at", "==", None)], limit=COUNTED_MAX).documents
    working = [key for key in keys if key.data["valid_until"] is None or key.data["valid_until"].timestamp() > now()]
    return [
        _counted("projects", len(projects), "`project create ID` makes one"),
        _counted("working keys", len(working), "`key create --project ID` makes one"),
    ]


def _counted(subject: str, count: int, mend: str) -> Finding:
    if count == 0:
        return Finding("warn", subject, "there are none", mend)
    return Finding("ok", subject, f"{count}{' or more' if count == COUNTED_MAX else ''}")


def check_providers(providers: Sequence[Provider], tokens: Tokens, probe: Probe | None) -> list[Finding]:
    """Each one's credential, and with `probe` whether one of its models answers: a smallest request is paid for."""
    if not providers:
        mend = "`provider add ID --kind vertex --credential adc`, or set VERTEX_SERVICE_ACCOUNT_JSON or VERTEX_PROJECT_ID"
        return [Finding("warn", "providers", "there are none", mend)]
    if probe is None:
        return [check_credential(provider, tokens) for provider in providers]
    return [finding for provider in providers for finding in _check_provider(provider, tokens, probe)]


def _check_provider(provider: Provider, tokens: Tokens, probe: Probe) -> list[Finding]:
    report = check_provider_works(provider, tokens, probe, models_to_try(provider)[:1])
    return [_sharpened(Finding(**finding)) for finding in report["data"]]


def _sharpened(finding: Finding) -> Finding:
    """With what Google's own reason says beyond the status."""
    if finding.state == "ok" or NO_ACCESS_TOKEN not in finding.words:
        return finding
    first = "what was sent is no valid token: check that the service-account JSON is valid and complete and its account has"
    return replace(finding, mend=f"{first} roles/aiplatform.user; {finding.mend}")


def check_secrets(settings: Settings, providers: Sequence[Provider], read: Callable[[str], str]) -> list[Finding]:
    """Whether every reference leads to a secret. What it holds is not shown."""
    values = [getattr(settings, name) for name in SECRET_SETTINGS] + [provider.credential for provider in providers]
    references = dict.fromkeys(value for value in values if value and is_secret_reference(value))
    return [_check_secret(reference, read) for reference in references]


def _check_secret(reference: str, read: Callable[[str], str]) -> Finding:
    try:
        read(reference)
    except SecretError as error:
        return Finding("fail", f"secret {error.reference}", error.cause, error.mend)
    return Finding("ok", f"secret {reference}", "can be read")


def check_telemetry(settings: Settings, tokens: Tokens, ask: Ask, environment: Mapping[str, str]) -> list[Finding]:
    """Whether traces are taken: an empty export, which OTLP allows. Nothing to be done where telemetry is off."""
    if settings.telemetry == "off":
        return []
    headers = {"content-type": "application/x-protobuf"}
    url = f"{GOOGLE_TELEMETRY}/v1/traces"
    if settings.telemetry == "google":
        try:
            headers["authorization"] = f"Bearer {tokens.token(ADC).value}"
        except TokenError as error:
            return [Finding("fail", "telemetry", error.what, error.mend)]
    else:
        base = environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
        url = environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or f"{base}/v1/traces"
        headers |= _otlp_headers(environment.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
    answer = ask("POST", url, headers, b"")
    words = f"{url}: {answer.status or answer.words}"
    if answer.status in (401, 403):
        return [Finding("fail", "telemetry", words, MEND_TELEMETRY[settings.telemetry])]
    if answer.status == 0 or answer.status == 404 or answer.status >= 500:
        return [Finding("fail", "telemetry", words, "check OTEL_EXPORTER_OTLP_ENDPOINT and that this machine may connect to it")]
    return [Finding("ok", "telemetry", f"{url} answers")]


def _otlp_headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, percent-encoded (OpenTelemetry specification, OTLP exporter, 2026-11-21)."""
    pairs = [pair.partition("=") for pair in text.split(",") if "=" in pair]
    return {unquote(name).strip().lower(): unquote(value).strip() for name, _, value in pairs}


def check_database(settings: Settings, tokens: Tokens, ask: Ask, *, emulated: bool) -> list[Finding]:
    """TTL policies and indexes; nothing to be done for SQLite."""
    scheme, _, rest = settings.store.partition("://")
    if scheme != "firestore":
        return []
    subject = "indexes and ttl policies"
    if emulated:
        mend = "look at the deployed database before it is used"
        return [Finding("warn", subject, "not checkable: the emulator has none", mend)]
    project, _, name = rest.partition("/")
    try:
        known = (settings.google_project or tokens.project_id(ADC)) if project == "-" else project
        token = tokens.token(ADC).value
    except TokenError as error:
        return [Finding("fail", subject, f"cannot be listed: {error.what}", error.mend)]
    if not known:
        return [Finding("fail", subject, "the project is not known", "set GATEWAY_STORE=firestore://PROJECT/DATABASE")]
    return check_firestore(Database(known, name), ask, token)


def check_catalog(price_version_used: str, now: Clock) -> Finding:
    words = f"{len(all_models())} models, prices {price_version_used}"
    try:
        age = datetime.fromtimestamp(now(), UTC) - datetime.fromisoformat(price_version()).replace(tzinfo=UTC)
    except ValueError:
        return Finding("ok", "catalog", words)
    if age.days > PRICES_OLD_DAYS:
        return Finding("warn", "catalog", f"{words}, {age.days} days old", "update the gateway, or override with GATEWAY_PRICES")
    return Finding("ok", "catalog", words)


def check_clock(store: Store, now: Clock) -> Finding:
    """Whether this machine's clock runs behind those that wrote to the store."""
    page = store.query("audit", order_by="at", descending=True, limit=1)
    here = datetime.fromtimestamp(now(), UTC)
    if page.documents and (ahead_s := (page.documents[0].data["at"] - here).total_seconds()) > SKEW_S:
        return Finding(
            "warn", "clock", f"{render_moment(here)} here, but another machine wrote {ahead_s:.0f} s later than that",
            "set both clocks by NTP; Google refuses assertions that are minutes off",
        )  # fmt: skip
    return Finding("ok", "clock", render_moment(here))


def check_clock_against(url: str, ask: Ask, now: Clock) -> Finding:
    """This machine's clock beside that of a server, by the Date of its answer, whatever it answers."""
    subject = "clock against " + url.partition("://")[2].partition("/")[0]
    answer = ask("GET", url, {}, None)
    try:
        there = email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        words = f"not known: {answer.words or 'it tells no time'}"
        return Finding("warn", subject, words, "check that this machine may connect to it")
    if (skew_s := abs(now() - there)) <= SKEW_S:
        return Finding("ok", subject, "they agree")
    words = f"{skew_s:.0f} s apart; Google refuses assertions that are minutes off"
    mend = "set this machine's clock by NTP: timedatectl set-ntp true"
    return Finding("fail" if skew_s > SKEW_S_MAX else "warn", subject, words, mend)
