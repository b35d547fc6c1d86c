"""Providers: references instead of secrets, addresses that may be named, and what a test of one tells."""

import pytest
from office_clock import START, Clock

from gateway.administration.changes import Changes, Who
from gateway.administration.provider_tests import ProbeResult, check_provider_works
from gateway.administration.providers import Providers, is_private
from gateway.administration.refusals import AdminError
from gateway.canonical.store import Store
from gateway.credentials.access_token import AccessToken, TokenError
from gateway.providers.directory import Directory
from gateway.providers.provider import Provider

SECRET = "projects/p/secrets/sa/versions/latest"
INLINE = '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nMIIE\\n"}'


class Accounts:
    """A token broker that knows one account, or none."""

    def __init__(self, fault: TokenError | None = None, email: str | None = "gw@p.iam.gserviceaccount.com") -> None:
        self.fault, self.email = fault, email

    def token(self, credential: str) -> AccessToken:
        if self.fault:
            raise self.fault
        return AccessToken.minted("ya29.never-shown", 3600, START)

    def project_id(self, credential: str) -> str | None:
        return "claude-prod"

    def account_email(self, credential: str) -> str | None:
        return self.email


def test_what_is_added_is_what_calls_use(providers: Providers, store: Store, ana: Who) -> None:
    """The directory of the hot path reads every field."""
    given = {
        "id": "vertex-prod",
        "kind": "vertex-ai",
        "credential": SECRET,
        "project_id": "claude-prod",
        "locations": ["eu", "europe-west1"],
        "base_url": "https://vertex.example.com/",
        "allowed_models": ["claude-*"],
        "models": {"fast": "claude-haiku-4-5@20251001"},
    }
    made = providers.add(given, ana)
    wanted = {**given, "kind": "vertex", "base_url": "https://vertex.example.com", "source": "store"}
    assert {name: made[name] for name in wanted} == wanted
    assert Directory(store, [], 900).all()["vertex-prod"] == Provider(
        id="vertex-prod",
        kind="vertex",
        credential=SECRET,
        project_id="claude-prod",
        locations=("eu", "europe-west1"),
        base_url="https://vertex.example.com",
        allowed_models=("claude-*",),
        models={"fast": "claude-haiku-4-5@20251001"},
        guarded=True,
    )


@pytest.mark.parametrize("credential", [INLINE, "-----BEGIN PRIVATE KEY-----", "AIzaSyTopSecretValue", "ya29.topsecret"])
def test_a_secret_itself_is_refused_and_not_repeated(providers: Providers, ana: Who, credential: str) -> None:
    """With the mend, and without a trace in the store."""
    with pytest.raises(AdminError) as refused:
        providers.add({"id": "vertex-prod", "kind": "vertex", "credential": credential}, ana)
    assert refused.value.code == "invalid" and "projects/P/secrets/S/versions/V" in refused.value.message
    assert credential not in refused.value.message
    assert providers.page()["data"] == []


def test_inline_json_is_told_where_it_belongs(providers: Providers, ana: Who) -> None:
    """The commonest mistake gets its own sentence."""
    with pytest.raises(AdminError, match=r"put it in a file and pass file:PATH"):
        providers.add({"id": "vertex-prod", "kind": "vertex", "credential": INLINE}, ana)


@pytest.mark.parametrize("credential", ["file:/etc/passwd", "env:GATEWAY_ADMIN_KEY"])
def test_files_and_variables_are_named_at_the_machine_only(providers: Providers, ana: Who, remote: Who, credential: str) -> None:
    """Over the network they would read what is the gateway's own."""
    given = {"id": "vertex-prod", "kind": "vertex", "credential": credential}
    with pytest.raises(AdminError, match="on the command line"):
        providers.add(given, remote)
    assert providers.add(given, ana)["credential"] == credential


@pytest.mark.parametrize(
    "url",
    [
        "http://vertex.example.com",
        "https://127.0.0.1",
        "https://[::1]:8443",
        "https://169.254.169.254",
        "https://localhost:8443",
        "https://metadata.google.internal",
        "https://0x7f.1",
        "https://2130706433",
        "https://10.1.2.3",
    ],
)
def test_private_addresses_come_from_the_machine_or_the_settings(providers: Providers, ana: Who, remote: Who, url: str) -> None:
    """An admin over the network names public https addresses, or those that a setting allows."""
    given = {"id": "vertex-prod", "kind": "vertex", "credential": "adc", "base_url": url}
    with pytest.raises(AdminError, match=r"base_url: .*GATEWAY_ALLOW_PRIVATE_UPSTREAMS"):
        providers.add(given, remote)
    assert providers.add({**given, "id": "allowed", "base_url": "http://10.1.2.3:8443"}, remote)["id"] == "allowed"
    assert providers.add(given, ana)["base_url"] == url


@pytest.mark.parametrize("host", ["aiplatform.googleapis.com", "vertex.example.com", "8.8.8.8"])
def test_public_addresses_are_public(host: str) -> None:
    """By name and by number."""
    assert not is_private(host)


@pytest.mark.parametrize(
    "url", ["vertex.example.com", "https://h/v1", "https://u:p@h.example", "https://h.example?x=1", "ftp://h", "https://h:x"]
)
def test_a_base_url_is_an_origin(providers: Providers, ana: Who, url: str) -> None:
    """Its path would silently be lost."""
    with pytest.raises(AdminError, match=r"scheme://host\[:port\] without a path"):
        providers.add({"id": "vertex-prod", "kind": "vertex", "credential": "adc", "base_url": url}, ana)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "mistral"}, "kind: should be one of vertex"),
        ({"locations": ["moon"]}, "'moon' is no Vertex AI location"),
        ({"locations": []}, "locations: should name at least one"),
        ({"project_id": "../x"}, "is no Google Cloud project id"),
        ({"models": {"fast": "../../etc"}}, "models: what fast stands for is no model id"),
        ({"models": ["fast"]}, "models: should be an object"),
        ({"region": "eu"}, "'region' is no field here"),
    ],
)
def test_what_would_end_up_in_a_url_is_checked(providers: Providers, ana: Who, change: dict[str, object], told: str) -> None:
    """When it is written, and again when it is changed."""
    good = {"id": "vertex-prod", "kind": "vertex", "credential": "adc"}
    with pytest.raises(AdminError) as refused:
        providers.add({**good, **change}, ana)
    assert told in refused.value.message
    before = providers.add(good, ana)
    with pytest.raises(AdminError) as refused:
        providers.update("vertex-prod", change, ana)
    assert told in refused.value.message and providers.get("vertex-prod") == before


def test_providers_are_updated_replaced_and_deleted(providers: Providers, ana: Who) -> None:
    """A second deletion is told that there is nothing."""
    providers.add({"id": "vertex-prod", "kind": "vertex", "credential": "adc", "locations": ["eu"]}, ana)
    assert providers.update("vertex-prod", {"project_id": "claude-prod"}, ana)["locations"] == ["eu"]
    assert providers.replace("vertex-prod", {"kind": "vertex", "credential": SECRET}, ana)["locations"] == ["global"]
    providers.delete("vertex-prod", ana)
    with pytest.raises(AdminError) as gone:
        providers.delete("vertex-prod", ana)
    assert gone.value.code == "not_found"


def test_the_environments_provider_is_shown_without_its_key(store: Store, changes: Changes, clock: Clock, ana: Who) -> None:
    """It comes first, and is changed where it was set."""
    first = Provider(id="vertex", kind="vertex", credential=INLINE, project_id="claude-prod")
    providers = Providers(store, changes, clock, [first])
    providers.add({"id": "also", "kind": "vertex", "credential": "adc"}, ana)
    assert [(row["id"], row["source"]) for row in providers.page()["data"]] == [("vertex", "environment"), ("also", "store")]
    assert "PRIVATE KEY" not in str(providers.page()) + str(providers.get("vertex"))
    assert [one.id for one in providers.all()] == ["vertex", "also"]
    with pytest.raises(AdminError, match="set up by the environment"):
        providers.update("vertex", {"locations": ["eu"]}, ana)


PROVIDER = Provider(id="vertex-prod", kind="vertex", credential="adc", locations=("global", "us-east5"))


def test_a_provider_that_works_says_so() -> None:
    """A line for the credential, one per model and location."""
    asked = []

    def probe(provider: Provider, model: str, location: str) -> ProbeResult:
        asked.append((model, location))
        return ProbeResult(200, latency_ms=7)

    answer = check_provider_works(PROVIDER, Accounts(), probe, ["claude-haiku-4-5"])
    assert asked == [("claude-haiku-4-5@20251001", "global"), ("claude-haiku-4-5@20251001", "us-east5")]
    assert answer["state"] == "ok" and len(answer["data"]) == 3
    assert "ya29" not in str(answer)


@pytest.mark.parametrize(
    ("status", "state", "mend"),
    [
        (401, "fail", "gcloud iam service-accounts keys list --iam-account=gw@p.iam.gserviceaccount.com"),
        (
            403,
            "fail",
            "gcloud projects add-iam-policy-binding claude-prod --member=serviceAccount:gw@p.iam.gserviceaccount.com "
            "--role=roles/aiplatform.user",
        ),
        (
            404,
            "warn",
            "Model Garden (https://console.cloud.google.com/vertex-ai/publishers/anthropic/model-garden/claude-haiku-4-5?",
        ),
        (429, "warn", "quota"),
        (0, "fail", "base_url"),
        (503, "fail", "status page"),
    ],
)
def test_every_refusal_comes_with_its_mend(status: int, state: str, mend: str) -> None:
    """A command that can be pasted, where there is one."""
    answer = check_provider_works(PROVIDER, Accounts(), lambda *_: ProbeResult(status, "its words"), ["claude-haiku-4-5"])
    assert answer["state"] == state
    assert mend in answer["data"][1]["mend"] and "its words" in answer["data"][1]["words"]


def test_without_a_token_nothing_is_sent() -> None:
    """What the broker says is passed on, with its mend."""
    fault = TokenError("key_fault", "the key file has no private_key", "download the key again")
    answer = check_provider_works(PROVIDER, Accounts(fault), lambda *_: pytest.fail("nothing to send"))
    finding = answer["data"][0]
    assert (answer["state"], finding["words"], finding["mend"]) == (
        "fail",
        "the key file has no private_key",
        "download the key again",
    )


def test_a_few_models_are_tried_unless_some_are_named() -> None:
    """The operator's own names first, then one of each family, within what the provider allows."""
    provider = Provider(
        id="p",
        kind="vertex",
        credential="adc",
        allowed_models=("*haiku*", "*sonnet*"),
        models={"fast": "claude-haiku-4-5@20251001"},
        guarded=True,
    )
    asked: list[str] = []

    def probe(provider: Provider, model: str, location: str) -> ProbeResult:
        asked.append(model)
        return ProbeResult(200)

    check_provider_works(provider, Accounts(), probe)
    assert asked[0] == "claude-haiku-4-5@20251001"
    assert 2 <= len(asked) <= 4 and all("haiku" in model or "sonnet" in model for model in asked)
