"""Rollups: whatever is repeated, cut short or spread over instances, the sums are those of the usage documents."""

import contextlib
import random
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.store import Json, Put, Store, StoreUnavailable, Write
from gateway.records.figures import FIGURES, Figures
from gateway.records.rollups import EVERY_S, LATE_S, ROWS_MAX, WRITES_MAX, Rollups, Row, erase_user, read_rollups, row_of
from gateway.records.writer import RecordWriter
from gateway.store import open_store

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = NOON.timestamp()
DAY, NEXT = date(2026, 11, 20), date(2026, 11, 21)


def opened(folder: Path | str) -> contextlib.closing[Store]:
    return contextlib.closing(open_store(f"sqlite:///{folder}/gateway.db", now=lambda: NOW))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as store:
        yield store


def document(**fields: Any) -> Json:
    tokens = {"input": 10, "output": 20, "cache_read": 3, "cache_write_5m": 2, "cache_write_1h": 1, "thinking": 5}
    plain = {
        "project": "acme", "at": NOON, "model": "claude-haiku-4-5", "asked_model": "haiku", "user": "ana", "key_id": "key_1",
        "status": 200, "tokens": tokens, "searches": 1, "cost_nanodollars": 1_000, "completeness": "final", "price_known": True,
    }  # fmt: skip
    return {**plain, **fields}


def of_day(store: Store, project: str = "acme", day: date = DAY) -> dict[Row, Figures]:
    return read_rollups(store, [project], day, day + timedelta(days=1)).get((project, day.isoformat()), {})


def total(store: Store, name: str = "requests", project: str = "acme") -> int:
    return sum(figures.values[name] for figures in of_day(store, project).values())


def test_a_call_is_counted_with_all_its_figures(store: Store) -> None:
    """By model, user and key; under the asked model if none was found."""
    rollups = Rollups()
    rollups.add(document(completeness="partial"))
    rollups.add(document(status=502, cost_nanodollars=5, price_known=False, model=None, user=None))
    store.commit(rollups.take_writes(NOW))
    rows = of_day(store)
    assert rows.keys() == {Row("claude-haiku-4-5", "ana", "key_1"), Row("haiku", None, "key_1")}
    assert rows[Row("claude-haiku-4-5", "ana", "key_1")].render() == {
        "requests": 1, "input_tokens": 10, "output_tokens": 20, "cache_read_tokens": 3, "cache_write_5m_tokens": 2,
        "cache_write_1h_tokens": 1, "thinking_tokens": 5, "searches": 1, "cost_nanodollars": 1_000, "partial_requests": 1,
        "partial_cost_nanodollars": 1_000,
    }  # fmt: skip
    failed = rows[Row("haiku", None, "key_1")].values
    assert (failed["errors"], failed["unpriced_cost_nanodollars"]) == (1, 5)


def test_a_lone_call_is_counted_at_once_and_a_busy_document_now_and_then() -> None:
    """So that on an instance that loses its CPU afterwards nothing waits, and no document is written all the time."""
    rollups = Rollups()
    rollups.add(document())
    assert len(rollups.take_writes(NOW)) == 1
    rollups.add(document())
    assert rollups.take_writes(NOW + EVERY_S - 0.1) == []
    assert len(rollups.take_writes(NOW + EVERY_S)) == 1
    assert rollups.take_writes(NOW + 2 * EVERY_S) == [], "nothing new"
    rollups.add(document())
    assert len(rollups.take_writes(NOW + EVERY_S + 0.1, last=True)) == 1, "at shutdown everything"


def test_a_clock_that_was_set_back_stops_nothing() -> None:
    """Due is whatever was not written in the seconds before."""
    rollups = Rollups()
    rollups.add(document())
    rollups.take_writes(NOW)
    rollups.add(document())
    assert len(rollups.take_writes(NOW - 3_600)) == 1


def test_a_commit_that_is_repeated_counts_once(store: Store) -> None:
    """The whole sum is written, never a difference."""
    rollups = Rollups()
    for second in range(3):
        rollups.add(document())
        writes = rollups.take_writes(NOW + second * EVERY_S)
        store.commit(writes)
        store.commit(writes)
    assert total(store) == 3


def test_instances_add_up(store: Store) -> None:
    """Each writes documents of its own."""
    for _ in range(3):
        rollups = Rollups()
        rollups.add(document())
        rollups.add(document(user="bo"))
        store.commit(rollups.take_writes(NOW))
    assert total(store) == 6 and len(store.query("projects/acme/rollups").documents) == 3


def test_a_document_stays_small(store: Store) -> None:
    """Many users, many documents; no row is lost between them, and no commit grows without bound."""
    rollups = Rollups()
    for number in range(ROWS_MAX * 3 + 7):
        rollups.add(document(user=f"user{number}"))
        rollups.add(document(user="ana"))
    store.commit(rollups.take_writes(NOW))
    assert total(store) == 2 * (ROWS_MAX * 3 + 7)
    assert of_day(store)[Row("claude-haiku-4-5", "ana", "key_1")].values["requests"] == ROWS_MAX * 3 + 7
    assert max(len(d.data["rows"]) for d in store.query("projects/acme/rollups").documents) < 100_000
    for number in range(WRITES_MAX + 20):
        rollups.add(document(project=f"p{number}"))
    first, second = rollups.take_writes(NOW), rollups.take_writes(NOW)
    assert (len(first), len({w.path for w in [*first, *second]})) == (WRITES_MAX, WRITES_MAX + 20)


def test_a_call_counts_on_the_day_it_began(store: Store) -> None:
    """In UTC, whenever it ended; days do not mix."""
    rollups = Rollups()
    rollups.add(document(at=datetime(2026, 11, 21, 0, 30, tzinfo=UTC).astimezone()))
    rollups.add(document(at=datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)))
    store.commit(rollups.take_writes(NOW + 43_200, last=True))
    assert total(store) == 1
    assert [figures.values["requests"] for figures in of_day(store, day=NEXT).values()] == [1]


def test_what_comes_too_late_is_left_to_reconciling() -> None:
    """After that a day's sums are made from its usage documents: nobody may add to them any more."""
    end = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    rollups = Rollups()
    rollups.add(document())
    assert len(rollups.take_writes(end + LATE_S)) == 1
    rollups.add(document())
    assert rollups.take_writes(end + LATE_S + 1, last=True) == [] and rollups.left_out == 1


def test_days_gone_by_are_forgotten() -> None:
    """An instance that lives for months holds two days."""
    rollups = Rollups()
    for day in range(60):
        at = NOON + timedelta(days=day)
        rollups.add(document(at=at))
        rollups.take_writes(at.timestamp())
    assert len(rollups._open) <= 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**12), st.integers(0, 2)), max_size=40), st.randoms())
@settings(max_examples=40, deadline=None)
def test_sums_equal_the_documents_whatever_is_flushed_when(calls: list[tuple[str, int, int]], draw: random.Random) -> None:
    """Two instances, writes taken at any time, committed once, twice, or again later."""
    expected: dict[Row, Figures] = {}
    with tempfile.TemporaryDirectory() as folder, opened(folder) as store:
        instances, now = [Rollups(), Rollups()], NOW
        for user, cost, instance in calls:
            one = document(user=user, cost_nanodollars=cost)
            expected.setdefault(row_of(one), Figures()).add(one)
            instances[instance % 2].add(one)
            now += draw.choice([0.1, 10.0])
            writes = instances[draw.randrange(2)].take_writes(now)
            for _ in range(draw.randint(1, 2)):
                store.commit(writes)
        for rollups in instances:
            store.commit(rollups.take_writes(now, last=True))
        assert of_day(store) == expected


def test_an_erased_person_s_spend_stays_without_a_name(store: Store) -> None:
    """Two keys become one nameless row; others keep theirs."""
    rollups = Rollups()
    for one in (document(), document(key_id="key_2"), document(user="bo")):
        rollups.add(one)
    store.commit(rollups.take_writes(NOW))
    assert erase_user(store, ["acme"], "ana") == 1
    assert {row: figures.values["requests"] for row, figures in of_day(store).items()} == {
        Row("claude-haiku-4-5", erased=True): 2, Row("claude-haiku-4-5", "bo", "key_1"): 1,
    }  # fmt: skip
    assert "ana" not in str(store.query("projects/acme/rollups").documents)
    assert erase_user(store, ["acme"], "ana") == 0


class Outage:
    """A store that is away as long as it is told to, in front of another."""

    def __init__(self, store: Store) -> None:
        self.store, self.away, self.commits = store, False, 0

    def commit(self, writes: list[Write], *, timeout_s: float = 2.0) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        self.commits += 1
        return self.store.commit(writes, timeout_s=timeout_s)


def record(name: str) -> list[Write]:
    return [Put(f"projects/acme/usage/{name}", {"n": name})]


def test_sums_go_along_with_the_records(store: Store) -> None:
    """In the same commit, without a thread of their own; the rest at shutdown."""
    rollups, outage = Rollups(every_s=3_600), Outage(store)
    writer = RecordWriter(outage, beside=lambda last: rollups.take_writes(NOW, last=last))  # type: ignore[arg-type]
    rollups.add(document())
    assert writer.write(record("1"))
    assert (total(store), outage.commits) == (1, 1)
    rollups.add(document())
    assert writer.write(record("2"))
    assert (total(store), outage.commits) == (1, 2), "not due yet"
    assert writer.flush(2)
    assert total(store) == 2
    for number in range(WRITES_MAX + 5):
        rollups.add(document(project=f"p{number}"))
    assert writer.flush(5)
    assert total(store, project=f"p{WRITES_MAX + 4}") == 1, "in as many commits as it takes"


def test_sums_outlive_an_outage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are written when the store is back, as often as it takes."""
    monkeypatch.setattr("gateway.records.writer.RETRY_S", (0.02, 0.02))
    rollups, outage = Rollups(every_s=0), Outage(store)
    writer = RecordWriter(outage, beside=lambda last: rollups.take_writes(NOW, last=last))  # type: ignore[arg-type]
    outage.away = True
    for number in range(5):
        rollups.add(document())
        writer.write(record(str(number)), wait_s=0.05)
    outage.away = False
    assert writer.flush(3)
    assert total(store) == 5


def test_a_fault_in_sums_keeps_no_record_from_being_written(store: Store) -> None:
    """Records are what sums can be made from again."""

    def broken(last: bool) -> list[Write]:
        raise RuntimeError("odd")

    writer = RecordWriter(store, beside=broken)
    assert writer.write(record("1")) and writer.flush(1)


def test_every_figure_is_one_that_reports_show() -> None:
    """The names are those of the usage report."""
    assert set(FIGURES) <= set(Figures({"requests": 1}).values)
    with pytest.raises(TypeError):
        hash(Figures())
