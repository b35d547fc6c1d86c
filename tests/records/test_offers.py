"""Answers for the cache on their way to the store beside usage documents: along if they can, and never at a record's cost."""

import threading
from collections.abc import Sequence

import pytest
from wire import eventually

from gateway.canonical.store import Create, Json, Put, StoreUnavailable, Vector, Write
from gateway.records.writer import OFFERED_BYTES_MAX, OFFERED_WAITING_BYTES_MAX, RecordWriter


class Commits:
    """A store's `commit`, which remembers batches; it may be away, held, or refuse some document."""

    def __init__(self) -> None:
        self.batches: list[list[Write]] = []
        self.away = False
        self.refused = ""
        self.gate = threading.Event()
        self.gate.set()

    def commit(self, writes: Sequence[Write], *, timeout_s: float = 2.0) -> list[Json]:
        assert self.gate.wait(10)
        if self.away:
            raise StoreUnavailable("away")
        if self.refused and any(write.path == self.refused for write in writes):
            raise ValueError("too large")
        self.batches.append(list(writes))
        return [{} for _ in writes]

    @property
    def paths(self) -> list[str]:
        return [write.path for batch in self.batches for write in batch]


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def writer(commits: Commits) -> RecordWriter:
    return RecordWriter(commits)  # type: ignore[arg-type]


def record(name: str) -> list[Write]:
    return [Create(f"projects/p/usage/{name}", {"n": name})]


def answer(name: str, size_bytes: int = 100) -> Put:
    return Put(f"cache/{name}", {"body": b"x" * size_bytes})


def test_an_answer_is_kept_in_the_commit_of_its_record(commits: Commits, writer: RecordWriter) -> None:
    """Whoever waits for the record has waited for both; only the record counts as one."""
    assert writer.hand_over(record("1"), offered=answer("a")).wait(10)
    assert commits.batches == [[answer("a"), *record("1")]]
    assert (writer.records_written, writer.waiting) == (1, 0)


def test_answers_that_are_large_together_go_in_several_commits(commits: Commits, writer: RecordWriter) -> None:
    """Firestore takes 10 MiB at once."""
    commits.gate.clear()
    for number in range(20):
        writer.hand_over(record(str(number)), offered=answer(str(number), 700_000))
    commits.gate.set()
    assert writer.flush(10)
    sizes = [sum(len(write.data["body"]) for write in batch if isinstance(write, Put)) for batch in commits.batches]
    assert sum(sizes) == 20 * 700_000 and max(sizes) <= OFFERED_BYTES_MAX
    assert writer.records_written == 20


def test_more_than_memory_should_hold_is_dropped(commits: Commits, writer: RecordWriter) -> None:
    """The answers beyond the bound, none of the records."""
    commits.gate.clear()
    for number in range(40):
        writer.hand_over(record(str(number)), offered=answer(str(number), 700_000))
    commits.gate.set()
    assert writer.flush(10)
    kept = [path for path in commits.paths if path.startswith("cache/")]
    assert len(kept) == OFFERED_WAITING_BYTES_MAX // 700_000 < 40
    assert (writer.records_written, writer.lost) == (40, 0)
    writer.offer(answer("later", 700_000))
    assert eventually(lambda: "cache/later" in commits.paths)


def test_in_an_outage_records_wait_and_answers_are_dropped(commits: Commits, writer: RecordWriter) -> None:
    """A commit that failed may have failed for their size."""
    commits.away = True
    assert writer.hand_over(record("1"), offered=answer("1")).wait(10)
    assert eventually(lambda: writer.waiting == 1)
    writer.hand_over(record("2"), offered=answer("2"))
    assert writer.waiting == 2
    commits.away = False
    assert writer.flush(10)
    assert commits.paths == ["projects/p/usage/1", "projects/p/usage/2"]
    assert writer.hand_over(record("3"), offered=answer("3")).wait(10)
    assert "cache/3" in commits.paths


def test_offers_never_push_a_record_out_of_a_full_buffer(commits: Commits) -> None:
    """While the store is slow but answers: they make room."""
    writer = RecordWriter(commits, buffer_max=20)  # type: ignore[arg-type]
    commits.gate.clear()
    for number in range(20):
        writer.offer(answer(f"question {number}"))
        writer.hand_over(record(str(number)), offered=answer(str(number)))
        assert writer.waiting <= 20
    commits.gate.set()
    assert writer.flush(10)
    assert (writer.records_written, writer.lost) == (20, 0)


def test_vectors_count_by_what_they_take_in_memory(commits: Commits, writer: RecordWriter) -> None:
    """A thousand of them are more than a thousand small answers."""
    commits.gate.clear()
    for number in range(1_000):
        writer.offer(Put(f"projects/p/embeddings/{number}", {"embedding": Vector((0.5,) * 768)}))
    assert writer.waiting < 800
    commits.gate.set()
    assert writer.flush(10)


def test_an_answer_that_cannot_be_written_harms_no_record(commits: Commits, writer: RecordWriter) -> None:
    """They are written singly then."""
    commits.refused = "cache/bad"
    entry = writer.hand_over(record("1"), offered=answer("bad"))
    assert entry.wait(10) and entry.written
    assert commits.paths == ["projects/p/usage/1"]
