"""Usage documents on their way to the store: together, briefly waited for, through outages, exactly once."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from gateway.canonical.store import AlreadyExists, Create, Increment, StoreUnavailable, Write
from gateway.records import writer as writer_module
from gateway.records.writer import RecordWriter


class Ledger:
    """A store's `commit`, all or nothing. It may be away, slow, or lose its answers."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {}
        self.created: list[str] = []
        self.counters: dict[str, int] = {}
        self.commits: list[int] = []
        self.away = False
        self.lose_answers = 0
        self.gate: threading.Event | None = None
        self.fault: Exception | None = None

    def commit(self, writes: Sequence[Write], *, timeout_s: float = 2.0) -> list[dict[str, int]]:
        self.commits.append(len(writes))
        if self.gate is not None:
            self.gate.wait(5)
        if self.away:
            raise StoreUnavailable("away")
        paths = [w.path for w in writes if isinstance(w, Create)]
        if any(path.startswith("bad") for path in paths) and self.fault:
            raise self.fault
        if taken := [path for path in paths if path in self.documents]:
            raise AlreadyExists(taken[0])
        for write in writes:
            if isinstance(write, Create):
                self.documents[write.path] = write.data
                self.created.append(write.path)
            elif isinstance(write, Increment):
                for name, amount in write.amounts.items():
                    self.counters[name] = self.counters.get(name, 0) + amount
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the answer got lost")
        return [{} for _ in writes]


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setattr(writer_module, "RETRY_S", (0.02, 0.02))
    yield Ledger()


def record(name: int | str) -> list[Write]:
    return [Create(f"projects/p/usage/{name}", {"n": name}), Increment("budgets/b", {"spent": 1})]


def make(ledger: Ledger, **more: Any) -> RecordWriter:
    return RecordWriter(ledger, **more)  # type: ignore[arg-type]


def test_a_record_is_written_before_its_call_ends(ledger: Ledger) -> None:
    """True means committed."""
    assert make(ledger).write(record(1)) is True
    assert ledger.created == ["projects/p/usage/1"]


def test_calls_that_end_together_share_commits(ledger: Ledger) -> None:
    """A hundred records in a handful of round trips, in order."""
    writer = make(ledger)
    ledger.gate = threading.Event()
    done: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: done.append(writer.write(record(n), wait_s=5))) for n in range(100)]
    for thread in threads:
        thread.start()
    while writer.waiting < 100:
        time.sleep(0.002)
    ledger.gate.set()
    for thread in threads:
        thread.join(5)
    assert done == [True] * 100 and len(set(ledger.created)) == 100
    assert len(ledger.commits) <= 4 and max(ledger.commits) <= writer_module.BATCH_WRITES_MAX


def test_one_record_larger_than_a_batch_is_written_all_the_same(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch holds at least one."""
    monkeypatch.setattr(writer_module, "BATCH_WRITES_MAX", 1)
    writer = make(ledger)
    assert writer.write(record(1)) and writer.write(record(2))
    assert ledger.commits == [2, 2]


def test_waiting_is_bounded(ledger: Ledger) -> None:
    """A store that hangs costs a call its wait and no more; the record is not lost."""
    ledger.gate = threading.Event()
    writer = make(ledger)
    started = time.monotonic()
    assert writer.write(record(1), wait_s=0.1) is False
    assert 0.08 < time.monotonic() - started < 5
    assert writer.waiting == 1
    ledger.gate.set()
    assert writer.flush(2) and ledger.created == ["projects/p/usage/1"]


def test_in_an_outage_nobody_waits_and_nothing_is_lost(ledger: Ledger) -> None:
    """Once the outage is known calls end at once; all is written when the store is back."""
    ledger.away = True
    writer = make(ledger)
    writer.write(record(0), wait_s=0.2)
    started = time.monotonic()
    assert not any(writer.write(record(n), wait_s=2) for n in range(1, 200))
    assert time.monotonic() - started < 20  # each waiting its two seconds they would take seven minutes
    assert writer.waiting == 200 and writer.lost == 0
    ledger.away = False
    assert writer.flush(5)
    assert sorted(ledger.created) == sorted(f"projects/p/usage/{n}" for n in range(200))
    assert ledger.counters == {"spent": 200}
    assert writer.write(record("later")) is True


@pytest.mark.parametrize("together", [1, 5])
def test_a_commit_whose_answer_got_lost_counts_once(ledger: Ledger, together: int) -> None:
    """It is repeated, found written, and no counter moves twice."""
    ledger.gate = threading.Event()
    writer = make(ledger)
    for n in range(together):
        writer.write(record(n), wait_s=0)
    ledger.lose_answers = 2
    ledger.gate.set()
    assert writer.flush(5)
    assert len(ledger.created) == len(set(ledger.created)) == together
    assert ledger.counters == {"spent": together}
    writer.write(record("next"))
    assert writer.flush(5)
    assert ledger.counters == {"spent": together + 1}


def test_nobody_waits_once_an_outage_is_known(ledger: Ledger) -> None:
    """A call that is about to end is let go at the first failure, not after the whole wait."""
    ledger.away = True
    writer = make(ledger)
    started = time.monotonic()
    assert writer.write(record(1), wait_s=10) is False
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("fault", [ValueError("too deep"), TypeError("no JSON"), RuntimeError("odd")])
def test_a_record_that_cannot_be_written_harms_no_other(ledger: Ledger, fault: Exception) -> None:
    """It is in the log; those beside and behind it are in the store."""
    ledger.gate, ledger.fault = threading.Event(), fault
    writer = make(ledger)
    writer.write(record(1), wait_s=0)
    writer.write([Create("bad/1", {})], wait_s=0)
    writer.write(record(2), wait_s=0)
    ledger.gate.set()
    assert writer.flush(3)
    assert writer.write(record(3)) is True
    assert sorted(ledger.created) == ["projects/p/usage/1", "projects/p/usage/2", "projects/p/usage/3"]


def test_a_full_buffer_is_counted(ledger: Ledger) -> None:
    """Memory is bounded; what went is known, and the newest are kept."""
    ledger.away = True
    writer = make(ledger, buffer_max=10)
    for n in range(25):
        writer.write(record(n), wait_s=0.05 if n == 0 else 0)
    assert (writer.waiting, writer.lost) == (10, 15)
    ledger.away = False
    assert writer.flush(5)
    assert ledger.created == [f"projects/p/usage/{n}" for n in range(15, 25)]


def test_flushing_says_whether_all_is_written(ledger: Ledger) -> None:
    """At shutdown, within its time."""
    ledger.away = True
    writer = make(ledger)
    writer.write(record(1), wait_s=0)
    started = time.monotonic()
    assert writer.flush(0.3) is False
    assert time.monotonic() - started < 5
    assert make(Ledger()).flush(1) is True


def test_no_thread_runs_before_the_first_record(ledger: Ledger) -> None:
    """A process may fork until then."""
    before = {thread.ident for thread in threading.enumerate()}
    writer = make(ledger)
    assert {thread.ident for thread in threading.enumerate()} <= before
    writer.write(record(1))
