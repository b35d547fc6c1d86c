"""The doctor: what of a deployment works, what does not, and what mends it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.administration.provider_tests import Finding, Tokens, check_credential
from gateway.administration.times import Clock, render_moment
from gateway.canonical.store import Store, StoreError
from gateway.catalog.models import all_models, price_version
from gateway.providers.provider import Provider
from gateway.settings import Settings

PING_TIMEOUT_S = 5.0
PRICES_OLD_DAYS = 120
SKEW_S = 30.0
COUNTED_MAX = 1_000


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


def check_providers(providers: Sequence[Provider], tokens: Tokens) -> list[Finding]:
    if not providers:
        mend = "`provider add ID --kind vertex --credential adc`, or set VERTEX_SERVICE_ACCOUNT_JSON or VERTEX_PROJECT_ID"
        return [Finding("warn", "providers", "there are none", mend)]
    return [check_credential(provider, tokens) for provider in providers]


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
