"""The broker as the rest of the house uses it: credentials in every form, refusals, rotation, and what doctor reads."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import responses
from token_doubles import EMAIL, Background, HandClock, MemoryStore, TokenGoogle, broker_on, key_file, pem_of, private_key

from gateway.credentials.access_token import TokenError
from gateway.credentials.google_tokens import TokenBroker
from gateway.credentials.secrets import Secrets

KEY = "env:KEY"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def store(clock: HandClock) -> MemoryStore:
    return MemoryStore(clock.now)


@pytest.fixture
def google(clock: HandClock) -> TokenGoogle:
    return TokenGoogle(now=clock.now, lifetime_s=3600)


@pytest.fixture
def environment() -> dict[str, str]:
    return {"KEY": key_file()}


@pytest.fixture
def broker(clock: HandClock, store: MemoryStore, google: TokenGoogle, environment: dict[str, str]) -> TokenBroker:
    return broker_on(clock, store, google, secrets=Secrets(clock.now, environment=environment))


def test_a_credential_may_be_written_in_four_ways(broker: TokenBroker, google: TokenGoogle, tmp_path: Path) -> None:
    """Reference, file reference, plain path and the JSON itself are one key, so they share one token."""
    path = tmp_path / "service account.json"
    path.write_text(key_file() + "\n")
    credentials = [KEY, f"file:{path}", str(path), key_file(), f"\n  {key_file()}\n"]
    assert {broker.token(credential).value for credential in credentials} == set(google.granted)
    assert google.asked == 1
    assert {broker.project_id(credential) for credential in credentials} == {"demo-project"}
    assert {broker.account_email(credential) for credential in credentials} == {EMAIL}


@responses.activate
def test_the_token_endpoint_is_the_settings_and_never_the_keys(clock: HandClock, store: MemoryStore) -> None:
    """An uploaded key that names its own endpoint is not followed there."""
    evil = responses.post("https://evil.example/token", json={"access_token": "x", "expires_in": 3600})
    good = responses.post("https://oauth2.googleapis.com/token", json={"access_token": "ya29.good", "expires_in": 3600})
    credential = key_file(token_uri="https://evil.example/token", universe_domain="evil.example")
    broker = broker_on(clock, store, TokenGoogle(), session=None, token_uri="https://oauth2.googleapis.com/token")
    assert broker.token(credential).value == "ya29.good"
    assert (evil.call_count, good.call_count) == (0, 1)


@pytest.mark.parametrize(
    ("credential", "fault", "words"),
    [
        ("env:MISSING", "secret_unreadable", "env:MISSING: this variable is not set; set it"),
        ("./no/such/key.json", "secret_unreadable", "file:./no/such/key.json: No such file"),
        ("projects/p/secrets/s", "secret_unreadable", "versions/V"),
        ('{"type": "authorized_user"}', "key_fault", "type authorized_user"),
        (json.dumps(key_file()), "key_fault", "encoded twice"),
        (pem_of(private_key()), "key_fault", "not JSON"),
        (key_file()[1:], "key_fault", "not JSON"),
        ("QUJD" * 300, "key_fault", "not JSON"),
        ("", "key_fault", "it is empty"),
    ],
    ids=["variable", "path", "reference", "type", "string", "pem", "cut off", "base64", "empty"],
)
def test_a_credential_that_is_none_is_a_token_error(broker: TokenBroker, credential: str, fault: str, words: str) -> None:
    """One kind of error for everything that may be wrong, with the mend, and without a byte of what was written."""
    with pytest.raises(TokenError) as caught:
        broker.token(credential)
    assert (caught.value.fault, words in str(caught.value)) == (fault, True)
    assert caught.value.mend
    if len(credential) > 100:
        assert credential[40:80] not in str(caught.value) + caught.value.reason + caught.value.message
    assert broker.health().last_error == str(caught.value)


def test_a_401_from_upstream_evicts_everywhere_and_mints_anew(
    clock: HandClock, store: MemoryStore, google: TokenGoogle, broker: TokenBroker
) -> None:
    """The refused token is gone for all instances; one new mint serves them all."""
    other = broker_on(clock, store, google)
    refused = broker.token(KEY)
    assert other.token(KEY) == refused
    assert broker.refused(KEY, refused.fence)
    fresh = broker.token(KEY)
    assert fresh.fence > refused.fence and fresh.value != refused.value
    assert other.refused(KEY, refused.fence)
    assert other.token(KEY) == fresh
    assert google.asked == 2


def test_a_refusal_counts_once_a_minute(clock: HandClock, google: TokenGoogle, broker: TokenBroker) -> None:
    """An upstream that refuses every token does not make the gateway mint for every request."""
    for _ in range(100):
        broker.refused(KEY, broker.token(KEY).fence)
        clock.move(0.5)
    assert google.asked == 2
    assert not broker.refused(KEY, broker.token(KEY).fence), "no other token, so no retry"
    clock.move(60)
    assert broker.refused(KEY, broker.token(KEY).fence)


def test_a_refusal_counts_once_a_minute_without_the_store_too(
    clock: HandClock, store: MemoryStore, google: TokenGoogle, broker: TokenBroker
) -> None:
    """Tokens of this process alone are rationed by the process itself."""
    store.down = True
    for _ in range(100):
        broker.refused(KEY, broker.token(KEY).fence)
        clock.move(0.5)
    assert google.asked == 2


def test_refusals_are_rationed_across_instances(clock: HandClock, store: MemoryStore, google: TokenGoogle) -> None:
    """Twenty instances behind such an upstream mint once a minute together, not once each."""
    brokers = [broker_on(clock, store, google) for _ in range(20)]
    for _ in range(3):
        for broker in brokers:
            broker.refused(KEY, broker.token(KEY).fence)
            clock.move(0.5)
    assert google.asked == 2


def test_a_late_refusal_of_an_old_token_changes_nothing(clock: HandClock, google: TokenGoogle, broker: TokenBroker) -> None:
    """Only the token that was used is thrown out: a 401 for its predecessor leaves the new one alone."""
    old = broker.token(KEY)
    broker.refused(KEY, old.fence)
    new = broker.token(KEY)
    clock.move(120)
    assert broker.refused(KEY, old.fence), "there is another token: a retry is worth it"
    assert broker.token(KEY) == new
    assert google.asked == 2


def test_a_refused_token_is_not_taken_back_from_the_document(
    clock: HandClock, store: MemoryStore, google: TokenGoogle, broker: TokenBroker
) -> None:
    """If the store was away when a token was refused, what stands there still is not served again."""
    refused = broker.token(KEY)
    store.down = True
    assert broker.refused(KEY, refused.fence)
    store.down = False
    clock.move(16)
    assert broker.token(KEY).value != refused.value
    assert broker_on(clock, store, google).token(KEY).value == google.granted[1]


def test_a_refusal_reads_the_secret_again(
    clock: HandClock, store: MemoryStore, google: TokenGoogle, broker: TokenBroker, environment: dict[str, str]
) -> None:
    """A key that was rotated counts from the first 401 on, and its tokens stand in a document of their own."""
    google.keys = {0, 1}
    old = broker.token(KEY)
    environment["KEY"] = key_file(1)
    assert broker.token(KEY) == old
    clock.move(10)
    assert broker.refused(KEY, old.fence)
    new = broker.token(KEY)
    assert new.value == google.granted[1]
    assert len(store.documents) == 2
    clock.move(120)
    broker.refused(KEY, old.fence)
    assert broker.token(KEY) == new, "a late refusal of the old key's token does not touch the new one"


def test_a_refusal_reads_the_secret_again_without_the_store_too(
    clock: HandClock, store: MemoryStore, google: TokenGoogle, broker: TokenBroker, environment: dict[str, str]
) -> None:
    """An outage of the store does not keep a rotated key from counting."""
    google.keys = {0, 1}
    old = broker.token(KEY)
    environment["KEY"] = key_file(1)
    store.down = True
    assert broker.refused(KEY, old.fence)
    assert broker.token(KEY).value == google.granted[1]


class Versions:
    """A secret whose value is only seen after `refresh`, as with a cached `latest`."""

    def __init__(self, *values: str) -> None:
        self.values, self.at, self.refreshed = values, 0, 0

    def read(self, reference: str) -> str:
        return self.values[self.at]

    def refresh(self, reference: str) -> str:
        self.refreshed += 1
        self.at = min(self.at + 1, len(self.values) - 1)
        return self.read(reference)


def test_a_key_that_google_refuses_is_looked_up_once_more(clock: HandClock, store: MemoryStore, google: TokenGoogle) -> None:
    """invalid_grant with a rotated key behind it: the caller gets a token and never sees the old key's refusal."""
    google.keys = {1}
    versions = Versions(key_file(0), key_file(1))
    broker = broker_on(clock, store, google, secrets=versions)
    assert broker.token("projects/p/secrets/s/versions/latest").value == google.granted[0]
    assert (google.asked, versions.refreshed) == (2, 1)


def test_a_key_that_stays_refused_is_an_error_after_one_look(clock: HandClock, store: MemoryStore, google: TokenGoogle) -> None:
    """The same key again is not tried again."""
    google.keys = set()
    versions = Versions(key_file(0))
    broker = broker_on(clock, store, google, secrets=versions)
    with pytest.raises(TokenError, match=r"deleted or rotated.*make a new key"):
        broker.token("projects/p/secrets/s/versions/latest")
    assert (google.asked, versions.refreshed) == (1, 1)


def test_a_broken_key_in_a_new_version_does_not_take_a_valid_token_away(
    clock: HandClock, store: MemoryStore, google: TokenGoogle, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The token at hand serves to its end; the log names the fault, without the key."""
    background = Background()
    broker = broker_on(clock, store, google, background=background, secrets=Secrets(clock.now, environment=environment))
    token = broker.token(KEY)
    environment["KEY"] = key_file()[:500]
    clock.move(3_200)
    with caplog.at_level(logging.WARNING):
        assert broker.token(KEY) == token
        background.run()
    assert broker.token(KEY) == token
    assert "not JSON" in caplog.text and "PRIVATE" not in caplog.text
    clock.move(400)
    with pytest.raises(TokenError, match="not JSON"):
        broker.token(KEY)


def test_health_counts_this_process_s_mints(
    clock: HandClock, store: MemoryStore, google: TokenGoogle, broker: TokenBroker
) -> None:
    """A token taken over from another instance is none."""
    other = broker_on(clock, store, google)
    broker.token(KEY), other.token(KEY)
    assert (broker.health().minted, other.health().minted) == (1, 0)
    assert broker.health().last_error is None


def test_no_repr_shows_a_secret(broker: TokenBroker) -> None:
    """Tokens and keys may be logged by accident without harm."""
    token = broker.token(KEY)
    account: Any = broker._account(KEY)
    shown = repr(token) + repr(account.credential.source()) + repr(account)
    assert token.value not in shown and "BEGIN" not in shown


def simulated_mints_per_hour(instances: int, hours: int = 20, ask_every_s: float = 30.0) -> float:
    """Mints per hour of instances that are all in use, in hand-turned time, the cold start left out."""
    clock, background = HandClock(), Background()
    store, google = MemoryStore(clock.now), TokenGoogle(now=clock.now, lifetime_s=3600)
    brokers = [
        broker_on(clock, store, google, background=background, draw=lambda jitter=n / instances: jitter) for n in range(instances)
    ]
    for _ in range(int(hours * 3600 / ask_every_s)):
        for broker in brokers:
            assert broker.token(KEY).expires_at > clock.now()
        background.run()
        clock.move(ask_every_s)
    assert clock.slept_s == 0, "nobody ever waited"
    return (google.asked - 1) / hours


@pytest.mark.parametrize("instances", [1, 10, 50])
def test_any_number_of_instances_mints_once_in_fifty_minutes(instances: int) -> None:
    """The figure we publish: tokens minted per hour do not grow with the fleet."""
    assert 1.1 <= simulated_mints_per_hour(instances) <= 60 / 50
