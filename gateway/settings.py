"""SETTINGS: every environment variable the gateway reads, as one table; `read` turns it into a frozen Settings.

All faults are found before any is reported, so that an operator mends them in one go. The table in docs/settings.md is
generated from here (`python -m gateway settings --format markdown`).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gateway.canonical.secret_reference import FORMS, is_secret_reference

WELL_KNOWN_KEYS = ("sk-1234", "changeme", "change-me", "password", "secret", "admin", "test", "example", "0123456789")
ADMIN_KEY_CHARACTERS_MIN = 32
LOCATION = re.compile(r"global|us|eu|[a-z]+(?:-[a-z]+)+\d{1,2}")


class SettingsFault(Exception):
    """One or more settings are wrong; `faults` says for each what is wrong and what would be right."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("the gateway cannot start:\n" + "\n".join(f"  - {fault}" for fault in faults))
        self.faults = faults


def _text(value: str) -> str:
    return value


def _addresses(value: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in value.split(",") if name.strip())


def _seconds(value: str) -> float:
    number = _number(value)
    if not 0 < number < math.inf:
        raise ValueError("a number of seconds above 0")
    return number


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) > 0):
        raise ValueError("a whole number above 0")
    return int(value)


def _flag(value: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.lower() not in words:
        raise ValueError("true or false")
    return words[value.lower()]


def _destination(value: str) -> str:
    if value.lower() not in ("off", "otlp", "google"):
        raise ValueError("off, otlp or google")
    return value.lower()


def _factor(value: str) -> float:
    number = _number(value)
    if not 0 <= number < 100:
        raise ValueError("a factor such as 0.85")
    return number


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: its variable, its default as written, what it does, and how its text becomes a value."""

    name: str
    default: str | None
    help: str
    parse: Callable[[str], Any] = _text
    aliases: tuple[str, ...] = ()
    may_be_empty: bool = False  # set to nothing means nothing; elsewhere that means the default

    @property
    def field(self) -> str:
        return self.name.removeprefix("GATEWAY_").lower()


SETTINGS = (
    Setting("GATEWAY_STORE", None, "`firestore://PROJECT/DATABASE` or `sqlite:///PATH`. Default: Firestore on Cloud Run, "
            "`sqlite:///.gateway/gateway.db` elsewhere"),
    Setting("GATEWAY_ADMIN_KEY", None, "Bootstrap admin credential of at least 32 characters, or a secret reference; "
            "without it the admin API answers 404"),
    Setting("GATEWAY_SWEEP_EMAIL", None, "The service account whose identity token may ask for `POST /admin/v1/sweep`, beside "
            "the admin key; the token's audience is GATEWAY_PUBLIC_URL"),
    Setting("GATEWAY_PUBLIC_URL", None, "The URL that clients use, as printed in set-up snippets"),
    Setting("GATEWAY_GOOGLE_TOKEN_URI", "https://oauth2.googleapis.com/token", "Where service-account assertions are "
            "exchanged for access tokens; a key file's own `token_uri` is never followed"),
    Setting("GATEWAY_SECRET_MANAGER_URL", None, "Another Secret Manager endpoint, for private networks and tests"),
    Setting("GATEWAY_LOG_PAYLOADS", "false", "Not offered yet: no prompt is stored anywhere, and answers only where a "
            "routing config keeps them; `true` stops the start", _flag),
    Setting("GATEWAY_MAX_REQUEST_BYTES", str(32 * 1024 * 1024), "Larger request bodies are refused with 413", _count),
    Setting("GATEWAY_MAX_OPEN_CALLS", "1000", "More open calls on one instance are answered 529", _count),
    Setting(
        "GATEWAY_MAX_PROVIDER_CALLS", None,
        "More open calls to one provider on one instance are answered 529, so that a slow one leaves room for others; "
        "default: no fewer than GATEWAY_MAX_OPEN_CALLS", _count,
    ),
    Setting("GATEWAY_USAGE_RETENTION_DAYS", "400", "How long usage documents live", _count),
    Setting("GATEWAY_ALLOW_QUERY_KEY", "false", "Accept the caller's key as `?key=` (URLs end up in request logs)", _flag),
    Setting("GATEWAY_ALLOW_PRIVATE_UPSTREAMS", "", "Comma-separated `host:port` that providers made by an admin, and "
            "webhooks, may name although they are private or not https", _addresses),
    Setting("GATEWAY_CONNECT_TIMEOUT_S", "5", "Seconds to connect to a provider", _seconds),
    Setting("GATEWAY_FIRST_BYTE_TIMEOUT_S", "600", "Seconds until a provider's answer begins", _seconds),
    Setting("GATEWAY_IDLE_TIMEOUT_S", "300", "Seconds of silence in an answer after which the provider counts as dead", _seconds),
    Setting("GATEWAY_TOTAL_TIMEOUT_S", "3600", "Seconds for one call, all attempts together", _seconds),
    Setting("GATEWAY_PING_INTERVAL_S", "10", "Seconds of silence in a stream after which the client is sent a ping", _seconds),
    Setting("GATEWAY_DRAIN_S", "8", "Seconds that open streams get to finish after SIGTERM", _seconds),
    Setting("GATEWAY_KEY_REFRESH_S", "60", "Seconds after which a cached key is read again: how soon a revocation "
            "holds everywhere", _seconds),
    Setting("GATEWAY_KEY_OUTAGE_S", "900", "Seconds that known keys outlive an outage of the store", _seconds),
    Setting("GATEWAY_WRITE_BUFFER", "10000", "Usage records kept in memory while the store is away", _count),
    Setting("GATEWAY_PRICES", None, "Path of a JSON file that overrides prices per model"),
    Setting("GATEWAY_PRICE_MULTIPLIER", "1", "Factor on every cost, for a negotiated discount", _factor),
    Setting("GATEWAY_COUNT_TOKENS_LOCATIONS", "us-east5,europe-west1", "Where token counting is tried when the model's own "
            "location does not offer it; empty: nowhere else", may_be_empty=True),
    Setting("GATEWAY_EMBEDDING_MODEL", "gemini-embedding-001", "The model by which the semantic cache compares questions; it "
            "must embed in 768 dimensions"),
    Setting("GATEWAY_EMBEDDING_LOCATIONS", "us-central1,europe-west1", "Where the semantic cache has questions embedded on "
            "Vertex AI when the call's own location does not offer it; empty: nowhere else", may_be_empty=True),
    Setting("GATEWAY_ALERT_WEBHOOK", None, "https URL, or a secret reference, that alerts are posted to as JSON"),
    Setting("GATEWAY_ALERT_WEBHOOK_SECRET", None, "Secret reference of the key that those posts are signed with "
            "(Standard Webhooks: `webhook-signature`)"),
    Setting("GATEWAY_ALERT_CHAT_WEBHOOK", None, "Incoming webhook of Google Chat or Slack for alerts, or a secret "
            "reference to it"),
    Setting("GATEWAY_ALERT_TOPIC", None, "Pub/Sub topic for alerts, `projects/P/topics/T`; the gateway's account "
            "needs roles/pubsub.publisher there"),
    Setting("GATEWAY_ALERT_EMAIL_TO", None, "Comma-separated addresses that alerts are mailed to"),
    Setting("GATEWAY_ALERT_EMAIL_FROM", None, "The sender of those mails"),
    Setting("GATEWAY_ALERT_SMTP", None, "Mail server for those mails: `smtps://HOST[:PORT]`, or "
            "`smtp://HOST[:PORT]` with STARTTLS"),
    Setting("GATEWAY_ALERT_SMTP_USER", None, "User at the mail server, if it wants one"),
    Setting("GATEWAY_ALERT_SMTP_PASSWORD", None, "Secret reference of that user's password"),
    Setting("GATEWAY_PUBSUB_URL", None, "Another Pub/Sub endpoint, for private networks, the emulator and tests"),
    Setting("GATEWAY_TELEMETRY", "off", "Where traces and metrics go: `otlp` to what OTEL_EXPORTER_OTLP_ENDPOINT names, "
            "`google` to Cloud Trace and Cloud Monitoring, `off` nowhere; see docs/telemetry.md", _destination),
    Setting("GATEWAY_SANDBOX", "false", "Start the simulated Google on loopback when no provider is configured", _flag),
    Setting("VERTEX_SERVICE_ACCOUNT_JSON", None, "Service-account key for provider `vertex`: inline JSON, a path, or a "
            "secret reference", aliases=("LLM_VERTEX_ANTHROPIC_SERVICE_ACCOUNT_JSON",)),
    Setting("VERTEX_PROJECT_ID", None, "Google Cloud project that Vertex AI calls are billed to; default: the key's own"),
    Setting("VERTEX_REGION", "global", "Location of provider `vertex`: `global`, `us`, `eu` or a region",
            aliases=("LLM_VERTEX_ANTHROPIC_REGION",)),
    Setting("VERTEX_BASE_URL", None, "Replaces the host that the location would give; no path"),
)  # fmt: skip
ROW = {setting.name: setting for setting in SETTINGS}
URLS = ("VERTEX_BASE_URL", "GATEWAY_GOOGLE_TOKEN_URI", "GATEWAY_PUBLIC_URL", "GATEWAY_SECRET_MANAGER_URL", "GATEWAY_PUBSUB_URL")
WEBHOOKS = ("GATEWAY_ALERT_WEBHOOK", "GATEWAY_ALERT_CHAT_WEBHOOK")
ALERT_SECRETS = ("GATEWAY_ALERT_WEBHOOK_SECRET", "GATEWAY_ALERT_SMTP_PASSWORD")
MAIL = ("GATEWAY_ALERT_EMAIL_TO", "GATEWAY_ALERT_EMAIL_FROM", "GATEWAY_ALERT_SMTP")
OTLP_ENDPOINTS = tuple(f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT" for signal in ("", "TRACES_", "METRICS_"))
OTLP_PROTOCOL = "http/protobuf"
TOPIC = re.compile(r"projects/[^/\s]+/topics/[^/\s]+")


@dataclass(frozen=True, slots=True)
class Settings:
    """The values, typed. Field names are the variables' without `GATEWAY_`, in lower case."""

    store: str
    admin_key: str | None = field(repr=False)
    sweep_email: str | None
    public_url: str | None
    google_token_uri: str
    secret_manager_url: str | None
    log_payloads: bool
    max_request_bytes: int
    max_open_calls: int
    max_provider_calls: int | None
    usage_retention_days: int
    allow_query_key: bool
    allow_private_upstreams: tuple[str, ...]
    connect_timeout_s: float
    first_byte_timeout_s: float
    idle_timeout_s: float
    total_timeout_s: float
    ping_interval_s: float
    drain_s: float
    key_refresh_s: float
    key_outage_s: float
    write_buffer: int
    prices: str | None
    price_multiplier: float
    count_tokens_locations: str
    embedding_model: str
    embedding_locations: str
    alert_webhook: str | None = field(repr=False)
    alert_webhook_secret: str | None = field(repr=False)
    alert_chat_webhook: str | None = field(repr=False)
    alert_topic: str | None
    alert_email_to: str | None
    alert_email_from: str | None
    alert_smtp: str | None
    alert_smtp_user: str | None
    alert_smtp_password: str | None = field(repr=False)
    pubsub_url: str | None
    telemetry: str
    sandbox: bool
    vertex_service_account_json: str | None = field(repr=False)
    vertex_project_id: str | None
    vertex_region: str
    vertex_base_url: str | None
    on_cloud_run: bool
    google_project: str | None


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment; SettingsFault lists every fault."""
    faults: list[str] = []
    values = {row.field: _value(row, environment, faults) for row in SETTINGS}
    values["on_cloud_run"] = bool(environment.get("K_SERVICE"))
    values["google_project"] = environment.get("GOOGLE_CLOUD_PROJECT") or None
    values["store"] = values["store"] or _default_store(environment)
    known = {row.name for row in SETTINGS}
    for name in sorted(environment):
        if name.startswith("GATEWAY_") and name not in known:
            faults.append(f"{name} is no setting of this version; see `python -m gateway settings`")
    faults += _rules(values, environment)
    if faults:
        raise SettingsFault(faults)
    return Settings(**values)


def _value(row: Setting, environment: Mapping[str, str], faults: list[str]) -> Any:
    names = [name for name in (row.name, *row.aliases) if environment.get(name) or (row.may_be_empty and name in environment)]
    text = environment[names[0]] if names else row.default
    if text is None:
        return None
    try:
        return row.parse(text)
    except ValueError as error:
        faults.append(f"{row.name}={text!r} should be {error}")
        return None


def _default_store(environment: Mapping[str, str]) -> str:
    if environment.get("K_SERVICE") or environment.get("FIRESTORE_EMULATOR_HOST"):
        return f"firestore://{environment.get('GOOGLE_CLOUD_PROJECT') or '-'}/(default)"
    return "sqlite:///.gateway/gateway.db"


def _rules(values: dict[str, Any], environment: Mapping[str, str]) -> list[str]:
    faults = []
    store: str = values["store"]
    if not store.startswith(("firestore://", "sqlite:///")):
        faults.append(f"GATEWAY_STORE={store!r} should be firestore://PROJECT/DATABASE or sqlite:///PATH")
    if values["on_cloud_run"] and store.startswith("sqlite:"):
        faults.append("GATEWAY_STORE names SQLite on Cloud Run, where files die with the instance; use firestore://PROJECT/DATABASE")
    if values["sandbox"] and values["on_cloud_run"]:
        faults.append("GATEWAY_SANDBOX starts a simulated Google and is refused on Cloud Run; unset it")
    if values["sandbox"] and store.startswith("firestore:") and not environment.get("FIRESTORE_EMULATOR_HOST"):
        faults.append("GATEWAY_SANDBOX is refused with a Firestore store that is not an emulator; use SQLite or unset it")
    if not LOCATION.fullmatch(values["vertex_region"] or "global"):
        faults.append(f"VERTEX_REGION={values['vertex_region']!r} should be global, us, eu or a region such as us-east5")
    if values["log_payloads"]:
        faults.append("GATEWAY_LOG_PAYLOADS is not offered by this version, which stores no prompts; unset it")
    faults += _admin_key_faults(values["admin_key"])
    faults += _alert_faults(values)
    faults += _telemetry_faults(values["telemetry"], environment)
    for name in URLS:
        url = values[ROW[name].field]
        if url and not _is_url(url):
            faults.append(f"{name}={url!r} should be a URL that begins with https://")
    base_url = values["vertex_base_url"]
    if base_url and base_url.partition("://")[2].rstrip("/").count("/"):
        faults.append(f"VERTEX_BASE_URL={base_url!r} should be scheme://host[:port] without a path")
    return faults


def _telemetry_faults(destination: str | None, environment: Mapping[str, str]) -> list[str]:
    """The variables of OpenTelemetry's own that would send it elsewhere than meant."""
    endpoints = [name for name in OTLP_ENDPOINTS if environment.get(name)]
    if destination == "google" and endpoints:
        return [f"GATEWAY_TELEMETRY=google sends Google's token with everything; unset {', '.join(endpoints)}, or use otlp"]
    if destination == "otlp" and not endpoints:
        return [f"GATEWAY_TELEMETRY=otlp needs an endpoint; set {OTLP_ENDPOINTS[0]}, such as http://localhost:4318"]
    protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL") or OTLP_PROTOCOL
    if destination == "otlp" and protocol != OTLP_PROTOCOL:
        return [f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r} should be {OTLP_PROTOCOL}, with that protocol's endpoint"]
    return []


def _alert_faults(values: dict[str, Any]) -> list[str]:
    """Values are not repeated: a webhook's URL is a secret, and what is no reference may be one."""
    given = {name: values[ROW[name].field] for name in (*WEBHOOKS, *ALERT_SECRETS, *MAIL)}
    faults = [
        f"{name} should be a URL that begins with https://, or a secret reference"
        for name in WEBHOOKS
        if given[name] and not is_secret_reference(given[name]) and not _is_url(given[name])
    ]
    faults += [
        f"{name} should be a secret reference: {FORMS}"
        for name in ALERT_SECRETS
        if given[name] and not is_secret_reference(given[name])
    ]
    if values["alert_topic"] and not TOPIC.fullmatch(values["alert_topic"]):
        faults.append(f"GATEWAY_ALERT_TOPIC={values['alert_topic']!r} should be projects/PROJECT/topics/TOPIC")
    if any(given[name] for name in MAIL) and not all(given[name] for name in MAIL):
        faults.append(f"{', '.join(name for name in MAIL if not given[name])}: missing; mails need {', '.join(MAIL)}")
    if given["GATEWAY_ALERT_SMTP"] and not _is_mail_server(given["GATEWAY_ALERT_SMTP"]):
        faults.append(f"GATEWAY_ALERT_SMTP={given['GATEWAY_ALERT_SMTP']!r} should be smtps://HOST[:PORT] or smtp://HOST[:PORT]")
    return faults


def _is_mail_server(text: str) -> bool:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
        return known and parts.username is None and not parts.path.strip("/")
    except ValueError:
        return False


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _admin_key_faults(key: str | None) -> list[str]:
    if not key or is_secret_reference(key):
        return []
    if len(key) < ADMIN_KEY_CHARACTERS_MIN or len(set(key)) < 10:
        return [f"GATEWAY_ADMIN_KEY is too short or too plain: at least {ADMIN_KEY_CHARACTERS_MIN} random characters, "
                "such as `openssl rand -base64 32` prints"]  # fmt: skip
    if any(word in key.lower() for word in WELL_KNOWN_KEYS):
        return ["GATEWAY_ADMIN_KEY contains a well-known word; use what `openssl rand -base64 32` prints"]
    return []
