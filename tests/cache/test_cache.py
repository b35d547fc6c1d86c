"""Where kept answers are found, how old they may be, and that a store's trouble is not the caller's."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kept import NOW, entry

from gateway.cache.cache import AWAY_S, Cache, erase_answers
from gateway.cache.entry import BODY_BYTES_MAX, Entry, entry_path, parse_entry, render_entry
from gateway.cache.memory import KEPT_S, OVERHEAD_BYTES, Memory
from gateway.canonical.call import CacheRule
from gateway.canonical.steps import run_blocking
from gateway.canonical.store import Document, Put, Store, StoreUnavailable
from gateway.store import open_store

HOUR = CacheRule("simple")


class Clock:
    """Both clocks of a cache, moved by hand."""

    def __init__(self) -> None:
        self.passed_s = 0.0

    def now(self) -> float:
        return NOW + self.passed_s

    def clock(self) -> float:
        return self.passed_s


class Reads:
    """A store that counts what is read of it, and may fail."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.count = 0
        self.fault: Exception | None = None

    def get(self, path: str, *, timeout_s: float = 2.0) -> Document | None:
        self.count += 1
        assert timeout_s <= 1.0
        if self.fault is not None:
            raise self.fault
        return self._store.get(path, timeout_s=timeout_s)


@pytest.fixture
def time() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, time: Clock) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/cache.db", now=time.now)
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "firestore"])
def every_store(request: pytest.FixtureRequest, tmp_path: Path, time: Clock) -> Iterator[Store]:
    """For what a store must be able to hold and find."""
    url = f"sqlite:///{tmp_path}/every.db" if request.param == "sqlite" else request.getfixturevalue("firestore_url")
    opened = open_store(url, now=time.now)
    yield opened
    opened.close()


@pytest.fixture
def reads(store: Store) -> Reads:
    return Reads(store)


def open_cache(reads: Any, time: Clock) -> Cache:
    return Cache(reads, Memory(), time.now, time.clock)


def find(cache: Cache, key: str = "k", rule: CacheRule = HOUR) -> Entry | None:
    return run_blocking(cache.find(key, rule))


def keep(cache: Cache, store: Store, kept: Entry) -> None:
    put = cache.keep(kept)
    assert put is not None
    store.commit([put])


ODD = entry(user=None, stream=True, body=bytes(range(256)), framing="array", dropped=(), answered_model=None)
LONGEST = entry(body=b"\xff" * BODY_BYTES_MAX)


@pytest.mark.parametrize("kept", [entry(), ODD, LONGEST], ids=["usual", "odd", "longest"])
def test_an_entry_comes_back_from_the_store_as_it_was(every_store: Store, kept: Entry) -> None:
    """Every byte and figure of it."""
    every_store.create(entry_path(kept.key), render_entry(kept), timeout_s=20)
    document = every_store.get(entry_path(kept.key), timeout_s=20)
    assert document is not None and parse_entry(kept.key, document.data) == kept


def test_a_document_of_another_version_is_none(store: Store) -> None:
    """Instances of two versions run beside each other during a deployment."""
    good = render_entry(entry())
    assert parse_entry("k", {**good, "schema_version": 99}) is None
    assert parse_entry("k", {**good, "usage": "{"}) is None
    assert parse_entry("k", {name: value for name, value in good.items() if name != "body"}) is None


def test_what_is_kept_is_at_hand_and_costs_no_read(store: Store, reads: Reads, time: Clock) -> None:
    """For a minute; then the store is asked whether it is still so."""
    cache = open_cache(reads, time)
    keep(cache, store, entry())
    assert find(cache) == find(cache) == entry() and reads.count == 0
    time.passed_s = KEPT_S + 1
    assert find(cache) == entry() and reads.count == 1
    store.delete(entry_path("k"))
    assert find(cache) == entry() and reads.count == 1
    time.passed_s += KEPT_S + 1
    assert find(cache) is None and reads.count == 2


def test_other_instances_find_it_in_the_store(store: Store, reads: Reads, time: Clock) -> None:
    """Once read it is at hand there too; what is not there is asked for again."""
    other = open_cache(reads, time)
    assert find(other) is None and find(other) is None and reads.count == 2
    keep(open_cache(Reads(store), time), store, entry())
    assert find(other) == find(other) == entry() and reads.count == 3


def test_it_is_as_old_as_its_reader_allows(store: Store, reads: Reads, time: Clock) -> None:
    """And never older than whoever kept it allowed."""
    cache = open_cache(reads, time)
    keep(cache, store, entry())
    time.passed_s = 50
    assert find(cache, rule=CacheRule("simple", max_age_s=49)) is None
    assert find(cache, rule=CacheRule("simple", max_age_s=51)) == entry()
    keep(cache, store, entry("brief", max_age_s=10, at=time.now()))
    time.passed_s += 11
    assert find(cache, "brief", CacheRule("simple", max_age_s=86_400)) is None


def test_clocks_that_lie_apart_do_no_harm(store: Store, reads: Reads, time: Clock) -> None:
    """An answer of the future is a fresh one."""
    cache = open_cache(reads, time)
    keep(cache, store, entry(at=NOW + 5))
    found = find(cache)
    assert found is not None and found.age_s(time.now()) == 0


@pytest.mark.parametrize("fault", [StoreUnavailable("away"), ValueError("odd")])
def test_a_store_that_fails_is_a_miss_and_is_left_alone_for_a_while(
    store: Store, reads: Reads, time: Clock, caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    """Told once a minute, not with every call."""
    cache = open_cache(reads, time)
    reads.fault = fault
    with caplog.at_level(logging.WARNING):
        assert [find(cache) for _ in range(5)] == [None] * 5 and reads.count == 1
        time.passed_s = AWAY_S + 1
        assert find(cache) is None and reads.count == 2
        assert len(caplog.records) == 1
        time.passed_s = 70
        assert find(cache) is None and len(caplog.records) == 2
    reads.fault = None
    time.passed_s += AWAY_S + 1
    keep(open_cache(reads, time), store, entry())
    assert find(cache) == entry()


def test_what_no_document_can_hold_is_not_kept(reads: Reads, time: Clock) -> None:
    """Nor remembered: an instance would answer what the next one does not know."""
    cache = open_cache(reads, time)
    assert cache.keep(entry(body=b"x" * (BODY_BYTES_MAX + 1))) is None and find(cache) is None
    assert cache.keep(entry(body=b"x" * BODY_BYTES_MAX)) is not None


def test_a_new_answer_takes_the_old_ones_place(store: Store, reads: Reads, time: Clock) -> None:
    """At hand and in the store."""
    cache = open_cache(reads, time)
    for body in (b"old", b"new"):
        keep(cache, store, entry(body=body))
    found, stored = find(cache), store.get(entry_path("k"))
    assert found is not None and found.body == b"new"
    assert stored is not None and stored.data["body"] == b"new"


def test_memory_is_bounded_by_bytes_and_forgets_what_was_not_asked_for() -> None:
    """The one used last stays longest; an entry beyond the bound is none."""
    memory = Memory(bytes_max=3 * (1_000 + OVERHEAD_BYTES))
    for name in "abc":
        memory.put(entry(name, b"x" * 1_000), 0.0)
    assert memory.get("a", 1.0) is not None
    memory.put(entry("d", b"x" * 1_000), 2.0)
    assert [name for name in "abcd" if memory.get(name, 3.0)] == ["a", "c", "d"]
    memory.put(entry("e", b"x" * 10_000), 3.0)
    assert [name for name in "abcde" if memory.get(name, 3.0)] == []


def test_erasing_takes_all_of_one_person(every_store: Store) -> None:
    """However many they are."""
    owned = [(f"a{number}", "ana@example.com") for number in range(130)] + [("b", "ben@example.com")]
    every_store.commit([Put(entry_path(key), render_entry(entry(key, user=user))) for key, user in owned], timeout_s=20)
    assert erase_answers(every_store, "ana@example.com") == 130
    assert [document.id for document in every_store.query("cache").documents] == ["b"]
