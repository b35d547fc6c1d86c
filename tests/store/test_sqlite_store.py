"""What only the embedded store must stand: other processes, forks, damaged files, and the disk filling up."""

import contextlib
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.canonical.store import AlreadyExists, Put, StoreUnavailable
from gateway.store import open_store
from gateway.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "gateway.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with contextlib.closing(SqliteStore(path)) as opened:
        yield opened


def held(store: SqliteStore, path: str) -> dict[str, Any]:
    """What stands at the path, which must be there."""
    document = store.get(path, timeout_s=10)
    assert document is not None
    return document.data


def run_python(script: str, *arguments: object) -> str:
    """What a new Python process prints; its errors fail the test."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


def increment_and_race(path: str, results: "multiprocessing.Queue[tuple[list[int], int]]") -> None:
    """In each of several processes: 50 increments, and ten creates that others want too."""
    store = SqliteStore(Path(path))
    values = [store.increment("c/n", {"n": 1}, timeout_s=30)["n"] for _ in range(50)]
    won = 0
    for n in range(10):
        with contextlib.suppress(AlreadyExists):
            store.create(f"race/{n}", {}, timeout_s=30)
            won += 1
    results.put((values, won))


def test_several_processes_write_at_once(path: Path) -> None:
    """Four processes on a file that none of them finds: every increment counts, every create is won once."""
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    workers = [spawn.Process(target=increment_and_race, args=(str(path), results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    told = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(10)
    assert sorted(value for values, _ in told for value in values) == list(range(1, 201))
    assert sum(won for _, won in told) == 10


def test_data_survives_the_death_of_its_process(path: Path) -> None:
    """Killed without closing anything, the process leaves everything it was told was written."""
    script = """
import os, signal, sys
from pathlib import Path
from gateway.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
for n in range(20):
    store.increment("c/n", {"n": 1})
print(flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, timeout=60)
    assert run.returncode == -9
    with contextlib.closing(SqliteStore(path)) as store:
        assert held(store, "c/n") == {"n": 20}


def test_a_fork_leaves_both_sides_a_sound_store(path: Path) -> None:
    """Parent and children go on writing after forks in mid-traffic, and no write of either is lost."""
    script = """
import os, sys, threading
from pathlib import Path
from gateway.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
stop = threading.Event()
def traffic():
    while not stop.is_set():
        store.increment("c/parent", {"n": 1}, timeout_s=20)
threads = [threading.Thread(target=traffic) for _ in range(3)]
for thread in threads: thread.start()
children = []
for n in range(5):
    child = os.fork()
    if child == 0:
        for _ in range(20):
            store.increment("c/children", {"n": 1}, timeout_s=20)
        store.close()
        os._exit(0)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
stop.set()
for thread in threads: thread.join()
n = store.increment("c/parent", {"n": 1})["n"]
print(codes, store.get("c/children").data, n == store.get("c/parent").data["n"])
"""
    assert run_python(script, path) == "[0, 0, 0, 0, 0] {'n': 100} True\n"


def test_a_forked_child_does_not_lose_its_writes_to_the_parent(path: Path) -> None:
    """The parent had the file open, and closes it for good while the child still writes."""
    script = """
import os, sys, time
from pathlib import Path
from gateway.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
store.create("a/parent", {})
ready_r, ready_w = os.pipe()
closed_r, closed_w = os.pipe()
if os.fork() == 0:
    store.create("a/child", {})
    os.write(ready_w, b"x")
    os.read(closed_r, 1)
    store.create("a/later", {})
    os._exit(0)
os.read(ready_r, 1)
store.get("a/parent")
store.close()
os.write(closed_w, b"x")
os.wait()
print([document.id for document in SqliteStore(Path(sys.argv[1])).query("a").documents])
"""
    assert run_python(script, path) == "['child', 'later', 'parent']\n"


def test_threads_that_die_leave_no_connection_behind(store: SqliteStore, path: Path) -> None:
    """A server makes and ends threads all day; open files stay few."""
    for _ in range(5):
        threads = [threading.Thread(target=lambda: store.increment("c/n", {"n": 1}, timeout_s=20)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert held(store, "c/n") == {"n": 100}
    if Path("/proc/self/fd").exists():
        links = [entry.readlink() for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
        assert sum(link.name == path.name for link in links) <= 8


def test_only_this_user_may_read_the_file(store: SqliteStore, path: Path) -> None:
    """The folder is made 0700 and the database 0600, whatever SQLite adds beside it too."""
    old = os.umask(0)
    try:
        store.create("a/1", {})
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files.keys() >= {"gateway.db", "gateway.db-wal"}
    assert set(files.values()) == {0o600}


def test_a_relative_path_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later change of directory does not move the store."""
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///.gateway/gateway.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.create("a/1", {})
    store.close()
    assert (tmp_path / ".gateway" / "gateway.db").is_file()


def assert_unavailable_in_time(store: SqliteStore, match: str, timeout_s: float = 0.3) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=match):
        store.create("a/new", {}, timeout_s=timeout_s)
    assert time.monotonic() - began < timeout_s + 2


def test_a_locked_file_is_unavailable_in_time_and_readable_meanwhile(store: SqliteStore, path: Path) -> None:
    """Another process in a long write holds up writes alone, for no longer than allowed."""
    store.create("a/1", {"n": 1})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert_unavailable_in_time(store, "another process holds the file")
    assert held(store, "a/1") == {"n": 1}
    other.execute("COMMIT")
    other.close()
    store.create("a/new", {})


def test_writers_queueing_in_one_process_give_up_in_time(store: SqliteStore, path: Path) -> None:
    """The queue before the file counts against the timeout as well."""
    store.create("a/1", {})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    expected = (store, "another process|other threads")
    threads = [threading.Thread(target=assert_unavailable_in_time, args=expected) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    store.create("a/new", {})


def test_a_file_that_is_no_database_is_unavailable(store: SqliteStore, path: Path) -> None:
    """The error names the file and what to do."""
    path.parent.mkdir()
    path.write_bytes(b"these are not the pages you are looking for" * 100)
    assert_unavailable_in_time(store, r"gateway\.db.*no SQLite database; move it away")


def test_a_path_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """A file stands where a folder should be."""
    (tmp_path / "file").write_text("")
    assert_unavailable_in_time(SqliteStore(tmp_path / "file" / "gateway.db"), "GATEWAY_STORE=sqlite:///PATH")


def test_a_file_of_a_newer_gateway_is_left_alone(store: SqliteStore, path: Path) -> None:
    """Going back a version must not spoil data of a schema unknown here."""
    store.create("a/1", {})
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    assert_unavailable_in_time(SqliteStore(path), "schema 99")


VERSION_1 = """
    CREATE TABLE documents (
        key BLOB PRIMARY KEY NOT NULL, collection TEXT NOT NULL, collection_group TEXT NOT NULL,
        data BLOB NOT NULL, version TEXT NOT NULL, expires_at REAL);
    CREATE INDEX documents_by_collection ON documents (collection, key);
    CREATE INDEX documents_by_group ON documents (collection_group, key);
    CREATE INDEX documents_by_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL;
    INSERT INTO documents VALUES (CAST('p' || x'00' || 'a' AS BLOB), 'p', 'p', x'81a16e01', 'v1', NULL);
    INSERT INTO documents VALUES (
        CAST('p' || x'00' || 'a' || x'00' || 'usage' || x'00' || 'r' AS BLOB), 'p/a/usage', 'usage', x'81a16e02', 'v2', NULL);
    PRAGMA user_version = 1;
"""


def test_a_file_of_an_earlier_gateway_is_brought_up(store: SqliteStore, path: Path) -> None:
    """All that it holds is found as before, under the versions it had."""
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as earlier:
        earlier.executescript(VERSION_1)
    found = store.get("p/a")
    assert found is not None and (found.data, found.version) == ({"n": 1}, "v1")
    assert [(each.path, each.data) for each in store.query("usage", group=True).documents] == [("p/a/usage/r", {"n": 2})]
    assert [each.id for each in store.query("p").documents] == ["a"]
    store.create("p/a/usage/s", {"n": 3})
    assert [each.id for each in SqliteStore(path).query("p/a/usage").documents] == ["r", "s"]


def test_a_read_only_file_is_unavailable() -> None:
    """Writing needs permission for file and folder; the error says so."""
    with tempfile.TemporaryDirectory() as folder, as_somebody_else(Path(folder)):
        path = Path(folder) / "gateway.db"
        store = SqliteStore(path)
        store.create("a/1", {})
        store.close()
        path.chmod(0o400)
        Path(folder).chmod(0o500)
        try:
            assert_unavailable_in_time(SqliteStore(path), "writable for this user")
        finally:
            Path(folder).chmod(0o700)


@contextlib.contextmanager
def as_somebody_else(folder: Path) -> Iterator[None]:
    """Root may write anything, so root becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    os.chown(folder, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_query_over_too_many_documents_stops_in_time(store: SqliteStore) -> None:
    """The deadline holds in the middle of a scan."""
    for start in range(0, 20_000, 5_000):
        store.commit([Put(f"a/{n}", {"n": n, "text": "x" * 100}) for n in range(start, start + 5_000)], timeout_s=30)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="took longer than allowed"):
        store.query("a", order_by="n", timeout_s=0.01)
    assert time.monotonic() - began < 2
    assert len(store.query("a", order_by="n", limit=3).documents) == 3


def test_what_expired_long_ago_is_cleaned_away(path: Path) -> None:
    """The file does not grow for ever: a day after their expiry documents go, a few hundred at a time."""
    clock = [1_800_000_000.0]
    store = SqliteStore(path, now=lambda: clock[0])
    soon = datetime.fromtimestamp(clock[0] + 60, UTC)
    store.commit([Put(f"a/{n}", {"expires_at": soon}) for n in range(300)] + [Put("a/stays", {})])
    clock[0] += 2 * 86_400
    for _ in range(210):
        store.increment("c/n", {"n": 1})
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM documents").fetchone() == (2,)
