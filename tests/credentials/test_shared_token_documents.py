"""Many instances, one document: one minter at a time, crashes, fences, refusals, and a store that is away.

Every test here takes any store: memory, SQLite, and the Firestore emulator where there is one.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
import requests
from token_doubles import (
    START,
    TOKEN_URI,
    Background,
    HandClock,
    MemoryStore,
    ScriptedAdapter,
    TokenGoogle,
    as_store,
    broker_on,
    key_file,
    session_of,
)

from gateway.credentials.access_token import SCOPE, TokenError
from gateway.credentials.google_tokens import TokenBroker
from gateway.credentials.sealing import sealing_of
from gateway.credentials.secrets import Secrets
from gateway.credentials.service_account import parse_service_account
from gateway.store import open_store

KEY = "env:KEY"


class Killed(BaseException):
    """The instance is gone: nothing of ours runs after this."""


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["memory", "sqlite", "firestore"])
def store(request: pytest.FixtureRequest, clock: HandClock, tmp_path: Any) -> Any:
    """A store with its clock in our hand."""
    if request.param == "memory":
        return MemoryStore(clock.now)
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/tokens.db" if sqlite else request.getfixturevalue("firestore_url")
    opened = open_store(url, now=clock.now)
    request.addfinalizer(opened.close)
    return opened


@pytest.fixture
def google(clock: HandClock) -> TokenGoogle:
    return TokenGoogle(now=clock.now, lifetime_s=3600)


def token_path() -> str:
    key = parse_service_account(key_file())
    return f"tokens/{sealing_of(key.pkcs8(), SCOPE, TOKEN_URI).fingerprint}"


def instances(count: int, clock: HandClock, store: Any, google: TokenGoogle, **options: Any) -> list[TokenBroker]:
    return [broker_on(clock, store, google, instance_id=f"i{n}", **options) for n in range(count)]


def killed_session() -> requests.Session:
    """A session whose instance dies in the middle of its POST."""

    def die(request: requests.PreparedRequest) -> tuple[int, dict[str, Any]]:
        raise Killed

    session = requests.Session()
    session.mount("http://", ScriptedAdapter(die))
    return session


def test_a_token_minted_by_one_serves_all(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """The second instance reads what the first one minted, same value and fence."""
    tokens = [broker.token(KEY) for broker in instances(5, clock, store, google)]
    assert google.asked == 1
    assert len({(token.value, token.fence, token.expires_at) for token in tokens}) == 1


def test_the_document_says_what_readers_need_and_no_secret(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """Times, fence and lease are readable; the token, the account and the key are not."""
    token = broker_on(clock, store, google).token(KEY)
    data = store.get(token_path()).data
    assert data["fence"] == token.fence == int(START)
    assert data["token_expires_at"] == datetime.fromtimestamp(START + 3600, UTC)
    assert data["refresh_at"] == datetime.fromtimestamp(START + 3000, UTC)
    assert (data["lease_owner"], data["lease_until"], data["schema_version"]) == (None, None, 1)
    assert data["expires_at"] == data["token_expires_at"] + timedelta(days=7)
    written = repr(data)
    assert token.value not in written and "ya29" not in written and "demo-project" not in written
    assert token.value.encode() not in data["sealed"]
    assert sealing_of(b"another key" * 100, SCOPE, TOKEN_URI).open(data["sealed"], f"{token_path()}#{int(START)}") is None


def test_a_document_moved_or_forged_is_minted_over(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """Whoever can write to the database can cost a mint, not have their token used."""
    first = broker_on(clock, store, google).token(KEY)
    sealed = store.get(token_path()).data["sealed"]
    for forged in (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"short", "text", None):
        store.update(token_path(), {"sealed": forged})
        again = broker_on(clock, store, google).token(KEY)
        assert again.value == google.granted[-1] != first.value
    assert google.asked == 5


def test_a_fence_that_was_changed_does_not_open(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """An old sealed token put back under a newer fence is not taken for the newer one."""
    broker_on(clock, store, google).token(KEY)
    store.update(token_path(), {"fence": int(START) + 7})
    assert broker_on(clock, store, google).token(KEY).fence == int(START) + 8
    assert google.asked == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"token_expires_at": None},
        {"refresh_at": "soon"},
        {"fence": "1"},
        {"schema_version": 99},
        {"lease_owner": 5, "lease_until": 5, "sealed": b""},
    ],
    ids=str,
)
def test_a_document_of_another_shape_counts_as_none(
    clock: HandClock, store: Any, google: TokenGoogle, fields: dict[str, Any]
) -> None:
    """A field of another type, or another version's document, costs a mint and no crash."""
    broker_on(clock, store, google).token(KEY)
    store.update(token_path(), fields)
    assert broker_on(clock, store, google).token(KEY).value == google.granted[1]
    assert clock.slept_s == 0


def test_readers_check_the_end_themselves(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """A document that nobody cleaned up is not a token: its end has passed."""
    broker_on(clock, store, google).token(KEY)
    clock.move(3_600)
    assert broker_on(clock, store, google).token(KEY).value == google.granted[1]


def test_a_week_later_the_document_may_be_gone(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """Whether the cleaning came or not, the next instance mints and writes again."""
    broker_on(clock, store, google).token(KEY)
    clock.move(8 * 86_400)
    assert broker_on(clock, store, google).token(KEY).value == google.granted[1]
    assert broker_on(clock, store, google).token(KEY).value == google.granted[1]


def test_instances_renew_in_turn(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """When renewal is due, the first instance mints and the others take what it wrote."""
    background = Background()
    brokers = instances(5, clock, store, google, background=background)
    for broker in brokers:
        broker.token(KEY)
    clock.move(3_100)
    for broker in brokers:
        broker.token(KEY)
    assert background.run() == 5
    assert google.asked == 2
    assert {broker.token(KEY).value for broker in brokers} == {google.granted[1]}
    assert clock.slept_s == 0


def test_while_one_renews_the_others_keep_the_old_token(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """A live lease is respected without waiting, and looked at again seconds later."""
    background = Background()
    one, other = instances(2, clock, store, google, background=background)
    one.token(KEY), other.token(KEY)
    clock.move(3_100)
    store.update(token_path(), {"lease_owner": "somebody", "lease_until": datetime.fromtimestamp(clock.now() + 10, UTC)})
    for _ in range(20):
        assert other.token(KEY).value == google.granted[0]
        background.run()
    assert (google.asked, clock.slept_s) == (1, 0.0)
    clock.move(10.1)
    other.token(KEY)
    background.run()
    assert other.token(KEY).value == google.granted[1]


def test_a_failed_renewal_holds_the_others_back(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """With a valid token in hand, twenty instances do not ask a broken endpoint twenty times: its lease stays for seconds."""
    background = Background()
    brokers = instances(20, clock, store, google, background=background)
    for broker in brokers:
        broker.token(KEY)
    google.refuse_with = 400, {"error": "invalid_scope"}
    clock.move(3_100)
    for _ in range(10):
        for broker in brokers:
            assert broker.token(KEY).value == google.granted[0]
        background.run()
        clock.move(1)
    assert google.asked == 2


def test_a_minter_that_dies_costs_the_others_five_seconds(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """On a cold start, a lease whose holder is gone is believed for five seconds; then one of the others mints for all."""
    dying = broker_on(clock, store, google, session=killed_session())
    with pytest.raises(Killed):
        dying.token(KEY)
    others = instances(3, clock, store, google)
    tokens = [broker.token(KEY) for broker in others]
    assert 5.0 <= clock.slept_s <= 5.5
    assert google.asked == 1
    assert {token.value for token in tokens} == set(google.granted)


def test_a_minter_that_dies_on_renewal_costs_nobody_anything(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """While the old token is valid nobody waits for the dead, and its lease lapses by itself."""
    background = Background()
    other = broker_on(clock, store, google, background=background)
    first = other.token(KEY)
    clock.move(3_100)
    store.update(token_path(), {"lease_owner": "dead", "lease_until": datetime.fromtimestamp(clock.now() + 10, UTC)})
    seen = []
    for _ in range(20):
        seen.append(other.token(KEY).value)
        background.run()
        clock.move(1)
    assert (seen[0], seen[-1], clock.slept_s) == (first.value, google.granted[1], 0.0)


def test_a_lease_from_a_wrong_clock_binds_nobody(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """A lease that ends in an hour was written by a clock that is wrong."""
    store.create(
        token_path(),
        {"schema_version": 1, "fence": 0, "lease_owner": "x", "lease_until": datetime.fromtimestamp(START + 3600, UTC),
         "expires_at": datetime.fromtimestamp(START + 86_400, UTC)},
    )  # fmt: skip
    assert broker_on(clock, store, google).token(KEY).value == google.granted[0]
    assert clock.slept_s == 0


def test_a_stale_minter_never_overwrites_a_newer_token(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """A minter that slept through its lease keeps its own token to itself; the document keeps the newer one."""
    newer = []

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, Any]]:
        granted = google.answer(str(request.body))
        clock.move(30)  # frozen while the answer was on its way
        newer.append(broker_on(clock, store, google, instance_id="awake").token(KEY))
        return granted

    session = requests.Session()
    session.mount("http://", ScriptedAdapter(answer))
    sleeper = broker_on(clock, store, google, session=session, instance_id="asleep")
    own = sleeper.token(KEY)
    assert own.value == google.granted[0] and own.fence < 0
    assert newer[0].value == google.granted[1] and newer[0].fence > 0
    assert broker_on(clock, store, google).token(KEY) == newer[0]


def test_a_slow_minter_is_waited_for_no_longer_than_seconds(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """If leases keep changing hands without a token, whoever waits mints for itself after seven seconds."""
    background = Background()
    broker = broker_on(clock, MovingLeases(store, clock), google, background=background)
    assert broker.token(KEY).fence < 0
    assert 7.0 <= clock.slept_s <= 7.5


class MovingLeases:
    """A store on which somebody else always has just taken the lease."""

    def __init__(self, store: Any, clock: HandClock) -> None:
        self._store, self._clock, self._count = store, clock, 0

    def get(self, path: str, **options: Any) -> Any:
        self._count += 1
        lease = {"lease_owner": f"x{self._count}", "lease_until": datetime.fromtimestamp(self._clock.now() + 10, UTC)}
        expires = {"expires_at": datetime.fromtimestamp(self._clock.now() + 86_400, UTC)}
        if self._store.get(path) is None:
            self._store.create(path, {"schema_version": 1, "fence": 0, **lease, **expires})
        else:
            self._store.update(path, lease)
        return self._store.get(path)


def test_a_winner_that_fails_lets_the_next_one_try(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """Without a valid token a failed mint gives the lease back at once."""
    broken = broker_on(clock, store, google, session=session_of(TokenGoogle(now=lambda: START + 9_999)))
    with pytest.raises(TokenError, match="clock"):
        broken.token(KEY)
    assert broker_on(clock, store, google).token(KEY).value == google.granted[0]
    assert clock.slept_s == 0


def test_another_token_endpoint_is_another_document(clock: HandClock, store: Any, google: TokenGoogle) -> None:
    """A token from a test endpoint is never served where Google's is asked for."""
    broker_on(clock, store, google).token(KEY)
    broker_on(clock, store, google, token_uri="http://other.test/token").token(KEY)
    assert google.asked == 2


def run_together(work: list[Callable[[], Any]]) -> list[Any]:
    """All at the same moment."""
    gate = threading.Barrier(len(work))

    def go(job: Callable[[], Any]) -> Any:
        gate.wait(10)
        return job()

    with ThreadPoolExecutor(len(work)) as threads:
        return list(threads.map(go, work))


@pytest.mark.parametrize(("count", "threads"), [(8, 4), (20, 1)])
def test_a_cold_start_of_many_instances_is_one_mint(count: int, threads: int, tmp_path: Any) -> None:
    """In real time, all at once: one asks, the others wait for it."""
    for store in (MemoryStore(), open_store(f"sqlite:///{tmp_path}/tokens.db")):
        google = TokenGoogle(delay_s=0.15)
        session = session_of(google)
        secrets = [Secrets(lambda: START, environment={"KEY": key_file()}) for _ in range(count)]
        brokers = [TokenBroker(as_store(store), secrets[n], TOKEN_URI, session=session) for n in range(count)]
        tokens = run_together([partial(broker.token, KEY) for broker in brokers for _ in range(threads)])
        assert google.asked == 1
        assert {token.value for token in tokens} == set(google.granted)
