"""Without the store every instance goes on by itself; with it back, they share again."""

import pytest
from token_doubles import Background, HandClock, MemoryStore, TokenGoogle, broker_on, key_file

KEY = "env:KEY"


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def google(clock: HandClock) -> TokenGoogle:
    return TokenGoogle(now=clock.now, lifetime_s=3600)


def test_a_store_that_is_down_costs_a_mint_and_no_error(
    clock: HandClock, google: TokenGoogle, caplog: pytest.LogCaptureFixture
) -> None:
    """The token is minted locally, the store is left alone for seconds, and the log says so."""
    store = MemoryStore(clock.now)
    store.down = True
    broker = broker_on(clock, store, google)
    assert broker.token(KEY).fence < 0
    assert broker.health().store_away
    assert (google.asked, store.asked) == (1, 1)
    assert "the store failed" in caplog.text
    clock.move(16)
    assert not broker.health().store_away


def test_other_credentials_do_not_ask_a_store_that_just_failed(clock: HandClock, google: TokenGoogle) -> None:
    """One failure is enough for all credentials of this process."""
    store = MemoryStore(clock.now)
    store.down = True
    broker = broker_on(clock, store, google)
    google.keys.add(1)
    broker.token(KEY)
    broker.token(key_file(1))
    assert store.asked == 1


def test_a_store_that_fails_after_the_mint_loses_nothing(clock: HandClock, google: TokenGoogle) -> None:
    """The token that was just minted is used, not thrown away and minted again."""
    store = MemoryStore(clock.now)

    class FailsWhenPublishing(TokenGoogle):
        def answer(self, form: str) -> tuple[int, dict[str, object]]:
            store.down = True
            return super().answer(form)

    failing = FailsWhenPublishing(now=clock.now)
    token = broker_on(clock, store, failing).token(KEY)
    assert (token.value, failing.asked) == (failing.granted[0], 1)


def test_an_instance_that_minted_alone_joins_the_others_again(clock: HandClock, google: TokenGoogle) -> None:
    """At its next renewal it takes the shared token, without a mint of its own."""
    store, background = MemoryStore(clock.now), Background()
    store.down = True
    alone = broker_on(clock, store, google, background=background)
    alone.token(KEY)
    store.down = False
    clock.move(60)
    shared = broker_on(clock, store, google).token(KEY)
    clock.move(3_000)
    alone.token(KEY)
    background.run()
    assert alone.token(KEY) == shared
    assert google.asked == 2


def test_a_renewal_during_an_outage_goes_on_alone(clock: HandClock, google: TokenGoogle) -> None:
    """An outage of the store never lets a token run out."""
    store, background = MemoryStore(clock.now), Background()
    broker = broker_on(clock, store, google, background=background)
    broker.token(KEY)
    store.down = True
    for _ in range(10 * 60):
        assert broker.token(KEY).expires_at > clock.now()
        background.run()
        clock.move(60)
    assert google.asked == 1 + 11
    assert clock.slept_s == 0
