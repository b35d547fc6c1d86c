"""One process: single flight, early renewal in the background, and never a call that waits while a valid token exists."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_doubles import START, Background, HandClock, MemoryStore, TokenGoogle, as_store, broker_on, key_file, session_of

from gateway.credentials.access_token import AccessToken, TokenError
from gateway.credentials.google_tokens import TokenBroker
from gateway.credentials.secrets import Secrets
from gateway.credentials.timing import Timing
from gateway.credentials.token_keeper import TokenKeeper

KEY = "env:KEY"


def live_broker(store: object, google: TokenGoogle) -> TokenBroker:
    """A broker in real time."""
    secrets = Secrets(time.time, environment={"KEY": key_file()})
    return TokenBroker(as_store(store), secrets, "http://token.test/token", session=session_of(google))


def test_sixteen_threads_on_a_cold_start_are_one_mint() -> None:
    """No stampede: one POST, and everybody has its token."""
    google = TokenGoogle(delay_s=0.1)
    broker = live_broker(MemoryStore(), google)
    with ThreadPoolExecutor(16) as threads:
        tokens = list(threads.map(lambda _: broker.token(KEY).value, range(16)))
    assert google.asked == 1
    assert set(tokens) == set(google.granted)


def test_sixteen_threads_share_one_failure() -> None:
    """A broken key is asked about once, and everybody is told."""
    google = TokenGoogle(delay_s=0.1)
    google.refuse_with = 400, {"error": "invalid_scope"}
    broker = live_broker(MemoryStore(), google)

    def ask(_: int) -> str:
        with pytest.raises(TokenError) as caught:
            broker.token(KEY)
        return caught.value.fault

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(ask, range(16))) == {"scope_refused"}
    assert google.asked == 1


def test_a_renewal_in_the_background_keeps_nobody_waiting() -> None:
    """While the endpoint takes its time, every call goes on with the present token; then all have the new one."""
    clock = [time.time()]
    google = TokenGoogle(now=lambda: clock[0])
    broker = TokenBroker(
        as_store(MemoryStore(lambda: clock[0])),
        Secrets(lambda: clock[0], environment={"KEY": key_file()}),
        "http://token.test/token",
        lambda: clock[0],
        session=session_of(google),
    )
    first = broker.token(KEY)
    google.delay_s = 3
    clock[0] += 3_300
    started = time.monotonic()
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(lambda _: broker.token(KEY).value, range(64))) == {first.value}
    assert time.monotonic() - started < 2.5
    deadline = time.monotonic() + 10
    while broker.token(KEY) == first and time.monotonic() < deadline:
        time.sleep(0.02)
    assert broker.token(KEY).value == google.granted[1]
    assert google.asked == 2


def test_a_token_is_renewed_after_fifty_of_sixty_minutes() -> None:
    """Not before, whatever the instance's jitter, and within two minutes after."""
    for draw in (0.0, 0.5, 0.999):
        clock, background = HandClock(), Background()
        google = TokenGoogle(now=clock.now, lifetime_s=3600)
        broker = broker_on(clock, MemoryStore(clock.now), google, background=background, draw=lambda draw=draw: draw)
        broker.token(KEY)
        clock.move(50 * 60 - 1)
        broker.token(KEY)
        assert background.run() == 0
        clock.move(2 * 60 + 1)
        broker.token(KEY)
        assert background.run() == 1
        assert google.asked == 2


def test_instances_draw_different_moments() -> None:
    """The renewal is spread over two minutes, so that instances do not all read the document in one second."""
    token = AccessToken.minted("t", 3600, START)
    moments = [token.due_at(jitter / 10) - START for jitter in range(10)]
    assert moments[0] == 3000 and max(moments) < 3120 and len(set(moments)) == 10


@pytest.mark.parametrize("lifetime_s", [1, 10, 60, 300, 3599, 3600, 43_200])
def test_short_lives_keep_the_order(lifetime_s: int) -> None:
    """Renewal is due before the token stops being used, and that is before it ends, for any lifetime."""
    token = AccessToken.minted("t", lifetime_s, START)
    assert START < token.due_at(0) <= token.due_at(0.999) < token.usable_until < token.expires_at


@pytest.mark.parametrize(("moved_s", "asked"), [(3569.9, 1), (3570.0, 2), (3600.0, 2), (90_000.0, 2)])
def test_an_expired_token_is_never_given_out(moved_s: float, asked: int) -> None:
    """Thirty seconds before its end a token is not used any more: the call waits for a new one."""
    clock = HandClock()
    google = TokenGoogle(now=clock.now, lifetime_s=3600)
    broker = broker_on(clock, MemoryStore(clock.now), google)
    broker.token(KEY)
    clock.move(moved_s)
    assert broker.token(KEY).expires_at > clock.now()
    assert google.asked == asked


def test_a_failed_renewal_is_tried_again_and_hurts_nobody() -> None:
    """As long as the old token is valid no call sees the failure; attempts are seconds apart, not one per call."""
    clock, background = HandClock(), Background()
    google = TokenGoogle(now=clock.now, lifetime_s=3600)
    broker = broker_on(clock, MemoryStore(clock.now), google, background=background)
    first = broker.token(KEY)
    google.refuse_with = 400, {"error": "invalid_scope"}
    clock.move(3_300)
    for _ in range(100):
        assert broker.token(KEY) == first
        background.run()
        clock.move(0.1)
    assert 2 <= google.asked <= 4
    health = broker.health()
    assert health.minted == 1 and "scope" in str(health.last_error) and health.last_error_at is not None
    google.refuse_with = None
    clock.move(15)
    broker.token(KEY)
    background.run()
    assert broker.token(KEY) != first


def test_a_failure_is_remembered_for_seconds() -> None:
    """With no token at all, every call is told at once what the last attempt found; a mended key counts within seconds."""
    clock = HandClock()
    google = TokenGoogle(now=clock.now)
    google.refuse_with = 400, {"error": "invalid_scope"}
    broker = broker_on(clock, MemoryStore(clock.now), google)
    for _ in range(50):
        with pytest.raises(TokenError, match="scope"):
            broker.token(KEY)
    assert google.asked == 1
    google.refuse_with = None
    clock.move(7.5)
    assert broker.token(KEY).value


def test_no_thread_to_be_had_is_no_failure() -> None:
    """At the limit of threads the present token serves, and a later call renews."""
    clock = HandClock()
    google = TokenGoogle(now=clock.now)

    def refuse(work: object) -> None:
        raise RuntimeError("can't start new thread")

    broker = broker_on(clock, MemoryStore(clock.now), google, spawn=refuse)
    first = broker.token(KEY)
    clock.move(3_400)
    assert broker.token(KEY) == first
    clock.move(300)
    assert broker.token(KEY) != first


def test_a_fault_of_our_own_leaves_nobody_waiting() -> None:
    """Even an exception that nobody foresaw ends the attempt for all who wait for it."""
    began, go_on = threading.Event(), threading.Event()

    def obtain(early: bool, refused: int | None) -> AccessToken:
        began.set()
        go_on.wait(10)
        raise ZeroDivisionError

    keeper = TokenKeeper(obtain, Timing(), 0.5, lambda work: None)
    with ThreadPoolExecutor(2) as threads:
        leader = threads.submit(keeper.token)
        assert began.wait(10)
        follower = threads.submit(keeper.token)
        time.sleep(0.05)
        go_on.set()
        assert isinstance(leader.exception(10), ZeroDivisionError)
        error = follower.exception(10)
    assert isinstance(error, TokenError) and error.fault == "internal"


def test_a_token_refused_while_it_was_being_fetched_is_not_kept() -> None:
    """A 401 that comes in while another thread takes the same token over wins: the next token is asked for."""
    brought: list[int] = []

    def obtain(early: bool, refused: int | None) -> AccessToken:
        fence = len(brought) + 1
        brought.append(fence)
        if fence == 1:
            keeper.drop(1)
        return AccessToken("t", fence, START + 3600, START + 3000)

    clock = HandClock()
    keeper = TokenKeeper(obtain, Timing(clock.now, clock.now, clock.sleep, lambda: 0.5), 0.5, lambda work: None)
    assert keeper.token().fence == 2


step = st.one_of(
    st.tuples(st.just("ask"), st.just(0.0)),
    st.tuples(st.just("move"), st.floats(0, 5_000)),
    st.tuples(st.just("run"), st.just(0.0)),
    st.tuples(st.just("break"), st.just(0.0)),
    st.tuples(st.just("mend"), st.floats(5, 90_000)),
)


@given(st.lists(step, max_size=60), st.floats(0, 0.999))
@settings(deadline=None, max_examples=300)
def test_never_expired_and_never_waiting_while_valid(steps: list[tuple[str, float]], jitter: float) -> None:
    """Whatever time, failures and slow renewals do: a token given out is valid, and a valid one is given out at once."""
    clock, background = HandClock(), Background()
    lifetime_s, broken, asked = [3600.0], [False], [0]

    def obtain(early: bool, refused: int | None) -> AccessToken:
        asked[0] += 1
        if broken[0]:
            raise TokenError("busy", "down", "wait", transient=True)
        return AccessToken.minted(f"token-{asked[0]}", lifetime_s[0], clock.now())

    keeper = TokenKeeper(obtain, Timing(clock.now, clock.now, clock.sleep, lambda: 0.5), jitter, background.spawn)
    for what, value in steps:
        match what:
            case "move":
                clock.move(value)
            case "run":
                background.run()
            case "break":
                broken[0] = True
            case "mend":
                broken[0], lifetime_s[0] = False, value
            case "ask":
                valid, before = keeper.current(), asked[0]
                try:
                    token = keeper.token()
                except TokenError:
                    assert valid is None
                    continue
                assert token.expires_at > clock.now()
                assert valid is None or (token == valid and asked[0] == before)
                assert len(background.waiting) <= 1
