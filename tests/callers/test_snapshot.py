"""A value read from the store and kept: when it is fresh, when someone waits, and how it outlives outages."""

import threading
import time

import pytest

from gateway.canonical.store import StoreUnavailable
from gateway.store.snapshot import Snapshot


class Source:
    """Counts its reads; may be away, slow or broken."""

    def __init__(self) -> None:
        self.reads = 0
        self.at = 0.0
        self.fault: Exception | None = None
        self.gate: threading.Event | None = None

    def load(self) -> int:
        self.reads += 1
        found = self.reads
        if self.gate is not None:
            self.gate.wait(5)
        if self.fault:
            raise self.fault
        return found

    def now(self) -> float:
        return self.at


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def snapshot(source: Source) -> Snapshot[int]:
    return Snapshot(source.load, max_age_s=60, outage_s=900, now=source.now)


def settled(name: str = "snapshot") -> None:
    end = time.monotonic() + 5
    while any(thread.name == name for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_young_value_is_served_as_it_is(source: Source, snapshot: Snapshot[int]) -> None:
    """Half the age, no read."""
    assert snapshot.get() == 1
    source.at = 30
    assert snapshot.get() == 1 and source.reads == 1


def test_an_older_value_is_served_while_it_is_read_anew(source: Source, snapshot: Snapshot[int]) -> None:
    """By one thread, however many ask."""
    snapshot.get()
    source.at, source.gate = 31, threading.Event()
    assert [snapshot.get() for _ in range(10)] == [1] * 10
    source.gate.set()
    settled()
    assert snapshot.get() == 2 and source.reads == 2


def test_an_old_value_is_read_first(source: Source, snapshot: Snapshot[int]) -> None:
    """Beyond the age nobody is served what may be wrong."""
    snapshot.get()
    source.at = 61
    assert snapshot.get() == 2


def test_a_value_survives_an_outage_for_a_while(source: Source, snapshot: Snapshot[int]) -> None:
    """Then the outage shows, and ends as soon as the store is back."""
    snapshot.get()
    source.fault = StoreUnavailable("away")
    source.at = 899
    assert snapshot.get() == 1
    source.at = 902
    with pytest.raises(StoreUnavailable):
        snapshot.get()
    source.fault = None
    source.at = 904
    assert isinstance(snapshot.get(), int)


def test_an_outage_is_found_out_once_a_second(source: Source, snapshot: Snapshot[int]) -> None:
    """Not by every caller; also when nothing was ever read."""
    source.fault = StoreUnavailable("away")
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            snapshot.get()
    assert source.reads == 1
    source.at, source.fault = 1.1, None
    assert snapshot.get() == 2


def test_a_read_that_failed_at_the_half_harms_nobody(source: Source, snapshot: Snapshot[int]) -> None:
    """Whatever the fault: the old value serves until it is too old."""
    snapshot.get()
    source.at, source.fault = 31, KeyError("kind")
    assert snapshot.get() == 1
    settled()
    assert snapshot.get() == 1
    settled()


def test_forgetting_reads_anew(source: Source, snapshot: Snapshot[int]) -> None:
    """The next caller sees the change."""
    snapshot.get()
    snapshot.forget()
    assert snapshot.get() == 2


def test_what_was_being_read_when_it_was_forgotten_is_not_kept(source: Source, snapshot: Snapshot[int]) -> None:
    """A change that lands in the middle of a read is not hidden by that read."""
    snapshot.get()
    source.at, source.gate = 31, threading.Event()
    snapshot.get()
    while source.reads < 2:
        time.sleep(0.001)
    snapshot.forget()
    gate, source.gate = source.gate, None
    gate.set()
    settled()
    assert snapshot.get() == 3
