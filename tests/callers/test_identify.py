"""From a request's key to its Caller: through memory, refreshes, stampedes and outages."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.callers.access import matches, may_use
from gateway.callers.identify import TOLD, Callers, parse_known_key
from gateway.callers.keys import find_key, hash_key, new_key
from gateway.canonical.call import Caller
from gateway.canonical.errors import Unauthenticated, Unavailable
from gateway.canonical.steps import run_blocking
from gateway.canonical.store import Document, Json, StoreUnavailable


class Shelf:
    """The part of a store that identification reads. `away` makes it fail; `pause_s` makes it slow."""

    def __init__(self) -> None:
        self.documents: dict[str, Json] = {}
        self.reads: list[str] = []
        self.away = False
        self.pause_s = 0.0

    def get(self, path: str, *, timeout_s: float = 2.0) -> Document | None:
        self.reads.append(path)
        time.sleep(self.pause_s)
        if self.away:
            raise StoreUnavailable("the store is away")
        data = self.documents.get(path)
        return Document(path, data, "1") if data is not None else None

    def add(self, key: str, project: str = "demo", *, project_fields: Json | None = None, **fields: Any) -> None:
        self.documents[f"projects/{project}"] = {"id": project, **(project_fields or {})}
        self.documents[f"keys/{hash_key(key)}"] = {"id": f"key_{len(self.documents)}", "project": project, **fields}


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def callers(shelf: Shelf, clock: Clock) -> Callers:
    return Callers(shelf, refresh_s=60, outage_s=900, now=lambda: 1_800_000_000.0, clock=clock)  # type: ignore[arg-type]


def ask(callers: Callers, key: str) -> Caller:
    return run_blocking(callers.identify({"authorization": f"Bearer {key}"}))


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


# -- where a key is found ----------------------------------------------------------------------------------------------

KEY, OTHER = "gw-" + "a" * 43, "gw-" + "B-_9" + "c" * 39
NOT_KEYS = ["", "sk-ant-" + "a" * 43, "gw-short", "gw-" + "a" * 44, "gw-" + "ä" * 43, "GW-" + "a" * 43, f"x{KEY}", f"{KEY},{KEY}"]


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"authorization": f"Bearer {KEY}"}, KEY),
        ({"authorization": f"bearer   {KEY} "}, KEY),
        ({"authorization": KEY}, KEY),
        ({"x-api-key": KEY}, KEY),
        ({"x-goog-api-key": KEY}, KEY),
        ({"x-portkey-api-key": KEY}, KEY),
        ({"authorization": f"Bearer {KEY}", "x-api-key": OTHER}, KEY),
        ({"x-portkey-api-key": KEY, "x-api-key": OTHER, "x-goog-api-key": OTHER}, KEY),
        ({"x-api-key": KEY, "x-goog-api-key": OTHER}, KEY),
        ({"authorization": "Bearer ya29.google", "x-goog-api-key": KEY}, KEY),
        ({"authorization": "Basic Z3ctYTph", "x-api-key": KEY}, KEY),
        ({"x-api-key": "sk-ant-api03-xyz", "authorization": f"Bearer {OTHER}"}, OTHER),
        ({"cookie": f"key={KEY}", "x-other": KEY}, None),
        ({}, None),
    ],
)
def test_a_key_is_found_where_clients_put_it(headers: dict[str, str], found: str | None) -> None:
    """Authorization first, then x-portkey-api-key, x-api-key, x-goog-api-key; other credentials beside it are ignored."""
    assert find_key(headers) == found


@pytest.mark.parametrize("text", NOT_KEYS)
def test_what_only_resembles_a_key_is_none(text: str) -> None:
    """Exactly `gw-` and 43 URL-safe characters."""
    assert find_key({"x-api-key": text}) is None
    assert find_key({}, text) is None


def test_a_header_wins_over_the_query() -> None:
    """And the query counts only when the door hands it over."""
    assert find_key({"x-api-key": KEY}, OTHER) == KEY
    assert find_key({"x-api-key": "no"}, OTHER) == OTHER


def test_new_keys_are_keys_and_never_the_same() -> None:
    """What is issued is what is recognised."""
    keys = {new_key() for _ in range(50)}
    assert len(keys) == 50 and all(find_key({"x-api-key": key}) == key for key in keys)


# -- who it is ---------------------------------------------------------------------------------------------------------


def test_a_caller_is_key_and_project_joined(callers: Callers, shelf: Shelf) -> None:
    """The key's own labels win over its project's."""
    project = {"providers": ["vertex"], "metadata": {"team": "all", "cost": "1"}, "allowed_models": [], "budget_message": "ask"}
    shelf.add(
        KEY, "acme", project_fields=project, user="ana@x.test", groups=["eng"], metadata={"team": "core"}, allowed_models=["a*"]
    )
    caller = ask(callers, KEY)
    assert (caller.project, caller.user, caller.groups) == ("acme", "ana@x.test", ("eng",))
    assert caller.metadata == {"team": "core", "cost": "1"}
    assert (caller.providers, caller.key_models, caller.project_models) == (("vertex",), ("a*",), ())
    assert caller.budget_message == "ask"


def test_four_faults_are_one_to_the_caller_and_four_in_the_log(callers: Callers, shelf: Shelf) -> None:
    """Whether a key exists is nobody's business; the operator sees which it was."""
    revoked, expired, unknown = new_key(), new_key(), new_key()
    shelf.add(revoked, revoked_at=datetime.now(UTC))
    shelf.add(expired, valid_until=datetime.fromtimestamp(1_800_000_000, UTC))
    told, reasons = set(), []
    for headers in ({}, *({"x-api-key": key} for key in (unknown, revoked, expired))):
        with pytest.raises(Unauthenticated) as refused:
            run_blocking(callers.identify(headers))
        told.add((refused.value.message, refused.value.status, refused.value.kind, str(refused.value.headers())))
        reasons.append(refused.value.reason.split()[0])
    assert told == {(TOLD, 401, "authentication_error", "{'x-should-retry': 'false'}")}
    assert reasons == ["no_key", "unknown_key", "revoked_key", "expired_key"]


def test_a_key_without_its_project_is_unknown(callers: Callers, shelf: Shelf) -> None:
    """A deleted project takes its keys along."""
    shelf.add(KEY)
    del shelf.documents["projects/demo"]
    with pytest.raises(Unauthenticated):
        ask(callers, KEY)


def test_a_key_that_expires_later_works_until_then(callers: Callers, shelf: Shelf) -> None:
    """The clock is looked at on every call, not when the key is read."""
    shelf.add(KEY, valid_until=datetime.fromtimestamp(1_800_000_001, UTC))
    assert ask(callers, KEY).project == "demo"
    later = Callers(shelf, now=lambda: 1_800_000_001.0)  # type: ignore[arg-type]
    with pytest.raises(Unauthenticated, match="expired"):
        ask(later, KEY)


def test_only_a_hash_reaches_the_store(callers: Callers, shelf: Shelf) -> None:
    """The key itself is in no path."""
    shelf.add(KEY)
    ask(callers, KEY)
    assert shelf.reads == [f"keys/{hash_key(KEY)}", "projects/demo"] and KEY not in str(shelf.reads)


def test_a_known_key_costs_no_read(callers: Callers, shelf: Shelf, clock: Clock) -> None:
    """Within half the refresh time memory answers."""
    shelf.add(KEY)
    for _ in range(100):
        ask(callers, KEY)
    assert len(shelf.reads) == 2


def test_a_revocation_holds_after_the_refresh_time(callers: Callers, shelf: Shelf, clock: Clock) -> None:
    """Everywhere, without anyone being told."""
    shelf.add(KEY)
    ask(callers, KEY)
    shelf.documents[f"keys/{hash_key(KEY)}"]["revoked_at"] = datetime.now(UTC)
    clock.at += 29
    ask(callers, KEY)
    clock.at += 32
    with pytest.raises(Unauthenticated):
        ask(callers, KEY)


def test_a_busy_key_is_read_anew_behind_its_callers_backs(callers: Callers, shelf: Shelf, clock: Clock) -> None:
    """Nobody waits for the store at the half of the refresh time."""
    shelf.add(KEY)
    ask(callers, KEY)
    shelf.pause_s = 1.5
    clock.at += 40
    started = time.monotonic()
    ask(callers, KEY)
    assert time.monotonic() - started < 1.2
    until(lambda: len(shelf.reads) == 4)
    until(lambda: threading.active_count() == 1 or not any(t.name == "snapshot" for t in threading.enumerate()))
    clock.at += 25
    ask(callers, KEY)
    assert len(shelf.reads) == 4


def test_forgetting_a_key_makes_its_revocation_hold_at_once(callers: Callers, shelf: Shelf) -> None:
    """On the instance where it was revoked."""
    shelf.add(KEY)
    ask(callers, KEY)
    shelf.documents[f"keys/{hash_key(KEY)}"]["revoked_at"] = datetime.now(UTC)
    callers.forget(hash_key(KEY))
    with pytest.raises(Unauthenticated):
        ask(callers, KEY)


def test_an_unknown_key_is_remembered_briefly(callers: Callers, shelf: Shelf, clock: Clock) -> None:
    """A client with a wrong key does not read the store on every retry, and a key made meanwhile works soon."""
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            ask(callers, KEY)
    assert len(shelf.reads) == 1
    shelf.add(KEY)
    clock.at += 11
    assert ask(callers, KEY).project == "demo"


def test_a_key_made_here_works_at_once(callers: Callers, shelf: Shelf) -> None:
    """`forget` clears the memory of unknown keys too."""
    with pytest.raises(Unauthenticated):
        ask(callers, KEY)
    shelf.add(KEY)
    callers.forget(hash_key(KEY))
    assert ask(callers, KEY).project == "demo"


def test_known_keys_outlive_an_outage_by_fifteen_minutes(callers: Callers, shelf: Shelf, clock: Clock) -> None:
    """Then it is 503, not 401: nobody is told that their key is bad."""
    shelf.add(KEY)
    ask(callers, KEY)
    shelf.away = True
    for _ in range(14):
        clock.at += 60
        assert ask(callers, KEY).project == "demo"
    clock.at += 62
    with pytest.raises(Unavailable) as away:
        ask(callers, KEY)
    assert away.value.status == 503 and away.value.headers() == {"retry-after": "2"}
    shelf.away = False
    clock.at += 2
    assert ask(callers, KEY).project == "demo"


def test_an_unseen_key_in_an_outage_is_no_bad_key(callers: Callers, shelf: Shelf) -> None:
    """503, and it works as soon as the store does."""
    shelf.add(KEY)
    shelf.away = True
    with pytest.raises(Unavailable):
        ask(callers, KEY)
    shelf.away = False
    assert ask(callers, KEY).project == "demo"


def test_an_outage_makes_one_caller_wait_not_all(callers: Callers, shelf: Shelf, clock: Clock) -> None:
    """A store that hangs costs one call its time-out; the others go on with what is known."""
    shelf.add(KEY)
    ask(callers, KEY)
    shelf.away, shelf.pause_s = True, 0.5
    clock.at += 120
    started = time.monotonic()
    threads = [threading.Thread(target=ask, args=(callers, KEY)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert time.monotonic() - started < 5  # one after the other they would take ten
    assert len(shelf.reads) == 3


def test_a_stampede_reads_once(callers: Callers, shelf: Shelf) -> None:
    """Fifty threads with one new key make one read of it and of its project."""
    shelf.add(KEY)
    shelf.pause_s = 0.05
    found: list[Caller] = []
    threads = [threading.Thread(target=lambda: found.append(ask(callers, KEY))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 50 and len(shelf.reads) == 2


def test_many_wrong_keys_do_not_fill_the_memory(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both memories are bounded, oldest out first."""
    monkeypatch.setattr("gateway.callers.identify.KEYS_REMEMBERED", 20)
    for _ in range(100):
        with pytest.raises(Unauthenticated):
            ask(callers, new_key())
    assert len(callers._unknown) <= 20 and len(callers._known) <= 20


def test_a_document_with_little_in_it_is_enough() -> None:
    """Fields that were never set mean no restriction."""
    caller = parse_known_key({"id": "key_1", "project": "p"}, {"id": "p"}).caller
    assert (caller.providers, caller.key_models, caller.project_models, caller.groups, caller.user) == (
        None,
        None,
        None,
        (),
        None,
    )


# -- what they may use -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "project", "names", "allowed"),
    [
        (None, None, ["claude-opus-5-5"], True),
        (("claude-*",), None, ["claude-opus-5-5"], True),
        (("claude-haiku-*",), None, ["claude-opus-5-5"], False),
        (("Claude-OPUS-*",), None, ["claude-opus-5-5"], True),
        ((), None, ["claude-opus-5-5"], False),
        (None, (), ["claude-opus-5-5"], False),
        (("claude-*",), ("*haiku*",), ["claude-opus-5-5"], False),
        (("*haiku*",), ("claude-*",), ["claude-haiku-4-5", "claude-haiku-4-5@20251001"], True),
        (("claude-haiku-4-5@*",), None, ["claude-haiku-4-5", "claude-haiku-4-5@20251001"], True),
        (("gpt-?",), None, ["gpt-5"], True),
    ],
)
def test_key_and_project_must_both_allow_a_model(
    key: tuple[str, ...] | None, project: tuple[str, ...] | None, names: list[str], allowed: bool
) -> None:
    """Globs in any case; nothing listed is no restriction, an empty list allows nothing."""
    assert may_use(Caller("k", "p", key_models=key, project_models=project), names) is allowed


def test_an_empty_list_is_not_no_list() -> None:
    """The difference that locks a key."""
    assert matches(None, ["x"]) and not matches([], ["x"])
