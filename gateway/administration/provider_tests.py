"""Trying a provider out: a token, then a smallest request per model and location; each answer with what mends it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.callers.access import matches
from gateway.canonical.store import Json
from gateway.catalog.models import Model, all_models, serves, upstream_name
from gateway.credentials.access_token import AccessToken, TokenError
from gateway.providers import PROVIDERS
from gateway.providers.provider import Provider

MODELS_TRIED = 4
ALIASES_TRIED = 3
State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """An upstream's answer to a smallest request. `status` 0: there was none. `message` is the upstream's own words."""

    status: int
    message: str = ""
    latency_ms: int = 0


Probe = Callable[[Provider, str, str], ProbeResult]
"""Sends the smallest request there is to provider, upstream model and location. Raises nothing."""


class Tokens(Protocol):
    """What is asked of the token broker; every method raises TokenError."""

    def token(self, credential: str) -> AccessToken: ...

    def project_id(self, credential: str) -> str | None: ...

    def account_email(self, credential: str) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are at the provider, as far as it is known."""

    email: str | None
    project_id: str | None

    @property
    def member(self) -> str:
        """As gcloud names it."""
        if self.email is None:
            return "serviceAccount:ACCOUNT"
        return f"{'serviceAccount' if self.email.endswith('gserviceaccount.com') else 'user'}:{self.email}"

    @property
    def project(self) -> str:
        return self.project_id or "PROJECT"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report. `mend` says what to do; empty if there is nothing to do."""

    state: State
    subject: str
    words: str
    mend: str = ""

    def render(self) -> Json:
        return {"state": self.state, "subject": self.subject, "words": self.words, "mend": self.mend}


NO_ACCOUNT = Account(None, None)


def check_provider_works(provider: Provider, tokens: Tokens, probe: Probe, models: Sequence[str] = ()) -> Json:
    """`{"id", "state", "data": [findings]}`. Tries `models` if there are any, else a few that the provider should serve."""
    credential = check_credential(provider, tokens)
    findings = [credential]
    if credential.state == "ok":
        account = account_of(provider, tokens) if has_google_account(provider) else NO_ACCOUNT
        tried = [upstream_of(provider, name) for name in models] or models_to_try(provider)
        findings += [_try(provider, model, location, account, probe) for model in tried for location in provider.locations]
        if not tried:
            mend = "name one with --model, or give the provider models"
            findings.append(Finding("warn", "models", "nothing tells which models are there", mend))
    return {"id": provider.id, "state": worst(findings), "data": [finding.render() for finding in findings]}


def check_credential(provider: Provider, tokens: Tokens) -> Finding:
    """Whether there is an access token for it. Keys of other vendors are tried by asking, and only then."""
    subject = f"provider {provider.id}: credential"
    if not has_google_account(provider):
        return Finding("ok", subject, f"a key that `provider test {provider.id}` tries")
    try:
        tokens.token(provider.credential)
        account = account_of(provider, tokens)
    except TokenError as error:
        return Finding("fail", subject, error.what, error.mend)
    if account.project_id is None:
        return Finding("fail", subject, "neither the provider nor its credential names a Google Cloud project",
                       "set the provider's project_id")  # fmt: skip
    return Finding("ok", subject, f"an access token for {account.email or 'this account'}, calls billed to {account.project}")


def has_google_account(provider: Provider) -> bool:
    """Rather than a key of another vendor's."""
    return PROVIDERS[provider.kind].credentials == "google"


def account_of(provider: Provider, tokens: Tokens) -> Account:
    """TokenError if nothing can be read of the credential."""
    return Account(tokens.account_email(provider.credential), provider.project_id or tokens.project_id(provider.credential))


def worst(findings: Sequence[Finding]) -> State:
    states = {finding.state for finding in findings}
    return "fail" if "fail" in states else "warn" if "warn" in states else "ok"


def upstream_of(provider: Provider, name: str) -> str:
    return provider.models.get(name) or upstream_name(name, provider.kind)


def models_to_try(provider: Provider) -> list[str]:
    """The operator's own names, then the newest current model of each family, as the provider calls them. What an
    OpenAI-compatible server has, only its operator knows."""
    families: dict[str, str] = {}
    for model in () if provider.kind == "openai" and provider.base_url else all_models():
        upstream = upstream_name(model.id, provider.kind)
        if _is_current(model, provider.kind) and matches(provider.allowed_models, [model.id.lower(), upstream.lower()]):
            families.setdefault(model.family, upstream)
    return list(dict.fromkeys([*list(provider.models.values())[:ALIASES_TRIED], *list(families.values())[:MODELS_TRIED]]))


def _is_current(model: Model, kind: str) -> bool:
    lifecycle = model.lifecycle.get(kind)
    vendor = next(iter(PROVIDERS[kind].vendors))  # the one that such a provider is mostly there for
    is_kin = model.mode == "chat" and vendor in (model.vendor, "*")
    return is_kin and serves(kind, model.id) and (lifecycle is None or lifecycle.state == "active")


def _try(provider: Provider, model: str, location: str, account: Account, probe: Probe) -> Finding:
    result = probe(provider, model, location)
    subject = f"provider {provider.id}: {model} at {location}"
    if 200 <= result.status < 300:
        return Finding("ok", subject, f"answered in {result.latency_ms} ms")
    state: State = "warn" if result.status in (404, 429, 529) else "fail"
    words = f"{result.status or 'no answer'}: {result.message[:300] or 'no message'}"
    mend = _mend if has_google_account(provider) else _mend_key
    return Finding(state, subject, words, mend(result.status, model, location, account))


def _mend_key(status: int, model: str, location: str, account: Account) -> str:
    """For keys that a vendor gave out."""
    if status == 401:
        return "the key was deleted or is not this provider's; store the right one where the credential points"
    if status == 403:
        return f"allow the key's account to use {model}, or store another account's key where the credential points"
    if status == 404:
        return "look at the model's name, at the location and at the path of base_url"
    return _mend(status, model, location, account)


def _mend(status: int, model: str, location: str, account: Account) -> str:
    if status == 0:
        return "check the provider's credential and base_url, and that this machine may connect to it"
    if status == 401:
        keys = f": gcloud iam service-accounts keys list --iam-account={account.email}" if account.email else ""
        return f"the key was deleted or disabled, or the clock is wrong; look at the account's keys{keys} and store a new one"
    if status == 403:
        return (
            f"gcloud projects add-iam-policy-binding {account.project} --member={account.member} --role=roles/aiplatform.user; "
            f"gcloud services enable aiplatform.googleapis.com --project={account.project}"
        )
    if status == 404:
        page = f"https://console.cloud.google.com/vertex-ai/publishers/anthropic/model-garden/{model.partition('@')[0]}"
        elsewhere = "" if location == "global" else ", or use another location such as global"
        return f"enable the model in Model Garden ({page}?project={account.project}){elsewhere}"
    if status in (429, 529):
        return f"the credential works; ask for quota of this model at {location}, or add another location"
    return "if it stays, look at the provider's status page" if status >= 500 else "look at the provider's words"
