"""What every store promises, tried on each of them: rooms above may rely on nothing else."""

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.canonical.store import (
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    Document,
    Increment,
    Missing,
    Put,
    Store,
    StoreUnavailable,
    Update,
    Vector,
    Write,
)
from gateway.store import STORES, open_store

HOUR_S = 3600
START = 1_800_000_000.0  # 2027-01-15T08:00:00Z
NOON = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass
class Clock:
    """Unix seconds that move only when a test says so."""

    seconds: float = START

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


URLS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": lambda request: f"sqlite:///{request.getfixturevalue('tmp_path')}/store/gateway.db",
    "firestore": lambda request: request.getfixturevalue("firestore_url"),
}


@pytest.fixture(params=sorted(STORES))
def store_url(request: pytest.FixtureRequest) -> str:
    """A new, empty store; a KeyError here asks for a row in URLS."""
    return URLS[request.param](request)


@pytest.fixture
def store(store_url: str, clock: Clock) -> Iterator[Store]:
    with contextlib.closing(open_store(store_url, now=clock)) as opened:
        opened.ping(timeout_s=20)
        yield opened


def at_once(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """Runs the jobs in threads that start together; their results, or the errors they raised."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        start.wait()
        try:
            return job()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(jobs)) as threads:
        return list(threads.map(run, jobs))


def held(store: Store, path: str) -> dict[str, Any]:
    """What stands at the path, which must be there."""
    document = store.get(path, timeout_s=10)
    assert document is not None
    return document.data


def expires(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def ids(documents: list[Document]) -> list[str]:
    return [document.id for document in documents]


# ---- one document


def test_what_was_created_is_read_back_with_its_version(store: Store) -> None:
    """create returns the version that get shows."""
    version = store.create("keys/a", {"name": "ci"})
    assert store.get("keys/a") == Document("keys/a", {"name": "ci"}, version)
    assert store.get("keys/b") is None


def test_a_document_is_created_once(store: Store) -> None:
    """The second create of a path is refused and changes nothing."""
    store.create("keys/a", {"n": 1})
    with pytest.raises(AlreadyExists):
        store.create("keys/a", {"n": 2})
    assert held(store, "keys/a") == {"n": 1}


def test_of_sixteen_racing_creates_exactly_one_wins(store: Store) -> None:
    """The document is the winner's, and everybody else learns that they lost."""

    def create(n: int) -> int:
        store.create("keys/race", {"n": n}, timeout_s=20)
        return n

    outcomes = at_once([partial(create, n) for n in range(16)])
    winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(winners) == 1
    assert [type(outcome) for outcome in outcomes].count(AlreadyExists) == 15
    assert held(store, "keys/race") == {"n": winners[0]}


def test_an_update_replaces_the_named_fields_alone(store: Store) -> None:
    """Other fields stay; a map is replaced whole, not merged."""
    store.create("keys/a", {"name": "ci", "meta": {"x": 1, "y": {}}, "n": 1})
    version = store.update("keys/a", {"meta": {"z": 2}, "new": None})
    assert store.get("keys/a") == Document("keys/a", {"name": "ci", "meta": {"z": 2}, "n": 1, "new": None}, version)


def test_an_update_of_a_stale_version_is_refused(store: Store) -> None:
    """Compare and set: the version moves with every change, and only the current one is accepted."""
    first = store.create("keys/a", {"n": 1})
    second = store.update("keys/a", {"n": 2}, if_version=first)
    assert second != first
    with pytest.raises(Conflict):
        store.update("keys/a", {"n": 3}, if_version=first)
    assert store.get("keys/a") == Document("keys/a", {"n": 2}, second)


def test_an_update_of_nothing_is_missing(store: Store) -> None:
    """With or without a version, an update never creates."""
    version = store.create("keys/a", {"n": 1})
    store.delete("keys/a")
    for if_version in (None, version):
        with pytest.raises(Missing):
            store.update("keys/a", {"n": 2}, if_version=if_version)
    assert store.get("keys/a") is None


def test_a_document_made_again_is_not_taken_for_the_old_one(store: Store) -> None:
    """A version of a deleted document does not fit the one that follows it at the same path."""
    old = store.create("keys/a", {"n": 1})
    store.delete("keys/a")
    store.create("keys/a", {"n": 1})
    with pytest.raises(Conflict):
        store.update("keys/a", {"n": 2}, if_version=old)


def test_deleting_twice_is_no_error(store: Store) -> None:
    """delete makes sure that the document is gone; its neighbours and children stay."""
    store.commit([Put("keys/a", {}), Put("keys/ab", {}), Put("keys/a/uses/1", {})])
    store.delete("keys/a")
    store.delete("keys/a")
    assert [store.get(path) is None for path in ("keys/a", "keys/ab", "keys/a/uses/1")] == [True, False, False]


def test_no_compare_and_set_is_lost_under_contention(store: Store) -> None:
    """8 threads add 25 each by reading and writing back: the sum is exact."""
    store.create("counters/a", {"n": 0})

    def add_25() -> None:
        done = 0
        while done < 25:
            document = store.get("counters/a", timeout_s=20)
            assert document is not None
            try:
                store.update("counters/a", {"n": document.data["n"] + 1}, if_version=document.version, timeout_s=20)
            except Conflict:
                continue
            done += 1

    assert at_once([add_25] * 8) == [None] * 8
    assert held(store, "counters/a") == {"n": 200}


# ---- increments


def test_an_increment_returns_the_new_values(store: Store) -> None:
    """It creates what is missing, sets fields beside, and leaves other fields alone."""
    assert store.increment("budgets/a", {"spent": 5, "calls": 1}, {"period": "day"}) == {"spent": 5, "calls": 1}
    store.update("budgets/a", {"note": {"x": 1}})
    assert store.increment("budgets/a", {"spent": -7}) == {"spent": -2}
    assert held(store, "budgets/a") == {"spent": -2, "calls": 1, "period": "day", "note": {"x": 1}}


def test_an_increment_replaces_maps_set_beside_it(store: Store) -> None:
    """`fields` are set whole, as update sets them: nothing of an old map stays."""
    store.create("budgets/a", {"by": {"old": 1}, "empty": {"x": 1}})
    store.increment("budgets/a", {"n": 1}, {"by": {"new": 2}, "empty": {}})
    assert held(store, "budgets/a") == {"by": {"new": 2}, "empty": {}, "n": 1}


def test_racing_increments_return_every_value_once(store: Store) -> None:
    """8 threads add 1 fifteen times each: what they are told is a permutation of 1..120."""
    told = at_once([lambda: [store.increment("c/a", {"n": 1}, timeout_s=20)["n"] for _ in range(15)]] * 8)
    assert sorted(value for values in told for value in values) == list(range(1, 121))


def test_increments_are_exact_to_64_bits(store: Store) -> None:
    """No detour over floating point; at the end of the range the value stops."""
    largest = 2**63 - 1
    assert store.increment("c/a", {"n": largest - 10}) == {"n": largest - 10}
    assert store.increment("c/a", {"n": 1}) == {"n": largest - 9}
    assert store.increment("c/a", {"n": 1000}) == {"n": largest}


def test_names_with_dots_and_signs_are_one_field(store: Store) -> None:
    """Model names are field names: a dot is no path."""
    names = {"gemini-2.5-pro": 3, "claude@20250514": 2, "a.b": 1, "ü `\\": 7, "Z": 9, "[x]": 4, "1": 6}
    assert store.increment("rollups/a", names, {"sonnet-4.5": {"in.put": 1}}) == names
    store.update("rollups/a", {"sonnet-4.5": {"out.put": 2}, "x.y": [1]})
    expected = {**names, "sonnet-4.5": {"out.put": 2}, "x.y": [1]}
    assert held(store, "rollups/a") == expected
    found = store.query("rollups", where=[("claude@20250514", ">=", 2)], order_by="claude@20250514").documents
    assert [document.data for document in found] == [expected]


# ---- batches


def test_a_batch_writes_everything_in_order(store: Store) -> None:
    """All five kinds of write, the increments' new values in their places."""
    store.commit([Put("a/old", {"n": 1}), Put("a/gone", {})])
    results = store.commit(
        [
            Create("a/new", {"n": 1}),
            Increment("a/sum", {"z": 2, "b": 3}, {"unit": "usd"}),
            Update("a/old", {"m": 2}),
            Delete("a/gone"),
            Increment("a/new", {"n": 10}),
        ]
    )
    assert results == [{}, {"z": 2, "b": 3}, {}, {}, {"n": 11}]
    assert {d.id: d.data for d in store.query("a").documents} == {
        "new": {"n": 11},
        "old": {"n": 1, "m": 2},
        "sum": {"z": 2, "b": 3, "unit": "usd"},
    }
    assert store.commit([]) == []


def test_one_failing_create_leaves_nothing_of_the_batch(store: Store) -> None:
    """What makes a repeated commit harmless: the increment beside a taken path does not count."""
    batch: list[Write] = [Increment("budgets/a", {"spent": 5}), Create("usage/1", {"cost": 5}), Put("other/a", {})]
    store.commit(batch)
    with pytest.raises(AlreadyExists):
        store.commit([Put("other/b", {}), *batch])
    assert held(store, "budgets/a") == {"spent": 5}
    assert store.get("other/b") is None


def test_conditions_in_a_batch_hold_for_all_of_it(store: Store) -> None:
    """A stale or missing document is Conflict under a version, Missing without; nothing is written."""
    version = store.create("a/1", {"n": 1})
    store.update("a/1", {"n": 2})
    for update, error in (
        (Update("a/1", {"n": 3}, version), Conflict),
        (Update("a/none", {"n": 3}, version), Conflict),
        (Update("a/none", {"n": 3}), Missing),
    ):
        with pytest.raises(error):
            store.commit([Put("a/2", {}), update])
    assert held(store, "a/1") == {"n": 2}
    assert store.get("a/2") is None


def test_a_batch_may_ask_that_a_document_is_not_there(store: Store) -> None:
    """Created and deleted in one batch, it leaves no trace; where it stood already, nothing of the batch is written."""
    place = "budgets/a/reconciled/1"
    batch: list[Write] = [Create(place, {}), Delete(place), Increment("budgets/a", {"n": 1})]
    for _ in range(2):
        store.commit(batch)
    assert store.get(place) is None
    store.create(place, {"charged": 1})
    with pytest.raises(AlreadyExists):
        store.commit(batch)
    assert held(store, "budgets/a") == {"n": 2}
    assert held(store, place) == {"charged": 1}


def test_racing_batches_with_one_create_count_once(store: Store) -> None:
    """Settling a call eight times at once charges its budget once."""
    batch: list[Write] = [Create("usage/1", {}), Increment("budgets/a", {"spent": 5})]
    outcomes = at_once([lambda: store.commit(batch, timeout_s=20)] * 8)
    assert sum(outcome == [{}, {"spent": 5}] for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 7
    assert held(store, "budgets/a") == {"spent": 5}


# ---- queries


@pytest.fixture
def usage(store: Store) -> Store:
    """Twelve calls, one a minute, of two keys; and one in another project."""
    for n in range(12):
        data = {"at": NOON + timedelta(minutes=n), "key": "ab"[n % 2], "n": n, "tags": [f"t{n % 3}", "all"]}
        store.create(f"projects/acme/usage/r{n:02}", data)
    store.create("projects/other/usage/r99", {"at": NOON, "key": "a", "n": 99, "tags": []})
    store.create("projects/acme/usage_of_others/r98", {"at": NOON, "key": "a", "n": 98})
    store.create("projects/acme/usage/r00/usage/deep", {"key": "z"})
    return store


ACME = "projects/acme/usage"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ([("key", "==", "a")], [0, 2, 4, 6, 8, 10]),
        ([("n", "<", 2)], [0, 1]),
        ([("n", "<=", 2)], [0, 1, 2]),
        ([("n", ">", 9)], [10, 11]),
        ([("n", ">=", 9.0)], [9, 10, 11]),
        ([("n", ">", "")], []),
        ([("n", "in", [3, 5, 77])], [3, 5]),
        ([("n", "in", [])], []),
        ([("tags", "array_contains", "t0")], [0, 3, 6, 9]),
        ([("key", "array_contains", "a")], []),
        ([("at", ">=", NOON + timedelta(minutes=3)), ("at", "<", NOON + timedelta(minutes=6))], [3, 4, 5]),
        ([("at", ">", NOON + timedelta(minutes=9)), ("key", "==", "b")], [11]),
        ([("key", "in", ["b"]), ("tags", "array_contains", "t1")], [1, 7]),
        ([("nowhere", "==", None)], []),
    ],
    ids=str,
)
def test_where_finds_the_documents_that_fit(usage: Store, where: Any, expected: list[int]) -> None:
    """Each operator, alone and together, within one collection only."""
    assert [document.data["n"] for document in usage.query(ACME, where=where).documents] == expected


def test_queries_come_in_the_order_asked_for(usage: Store) -> None:
    """By path without order_by, by the field up or down with it; a limit cuts."""
    assert ids(usage.query(ACME, limit=3).documents) == ["r00", "r01", "r02"]
    assert ids(usage.query(ACME, order_by="at", descending=True, limit=2).documents) == ["r11", "r10"]
    by_key = usage.query(ACME, order_by="key", where=[("n", "in", [1, 2, 3, 4])]).documents
    assert ids(by_key) == ["r02", "r04", "r01", "r03"]
    by_key = usage.query(ACME, order_by="key", where=[("n", "in", [1, 2, 3, 4])], descending=True).documents
    assert ids(by_key) == ["r03", "r01", "r04", "r02"]


def test_documents_without_the_field_are_not_listed_by_it(store: Store) -> None:
    """An order is over those that have the field; null is a value."""
    store.commit([Put("a/1", {"n": 1}), Put("a/2", {}), Put("a/3", {"n": None})])
    assert ids(store.query("a", order_by="n").documents) == ["3", "1"]
    assert ids(store.query("a", where=[("n", "==", None)]).documents) == ["3"]


def test_values_of_different_kinds_have_one_order(store: Store) -> None:
    """null, booleans, numbers, datetimes, text by UTF-8 bytes, bytes, arrays, maps: the same in every store."""
    values = [None, False, True, -1.5, -1, 1, 2**53, 2**53 + 1, 1e300, NOON - timedelta(microseconds=1), NOON,
              "", "Z", "a", "aa", "é", "\uffff", "\U0001f600", b"", b"\x00", b"a",
              [], [1], [1, 2], ["a"], {}, {"a": 1}, {"a": 2}, {"b": 0}]  # fmt: skip
    store.commit([Put(f"a/{n:02}", {"v": value}) for n, value in reversed(list(enumerate(values)))])
    assert [document.data["v"] for document in store.query("a", order_by="v").documents] == values


def test_a_group_spans_the_collections_of_one_name(usage: Store) -> None:
    """Every depth counts, nothing with a longer name does, and paths come segment by segment."""
    found = usage.query("usage", where=[("key", "in", ["a", "z"])], group=True).documents
    assert ids(found) == ["r00", "deep", "r02", "r04", "r06", "r08", "r10", "r99"]
    assert ids(usage.query("usage", where=[("n", ">", 10)], group=True).documents) == ["r11", "r99"]
    usage.commit([Put("p/a-/sub/1", {}), Put("p/a/sub/2", {}), Put("p/a/sub/1!", {}), Put("p/a/sub/1", {})])
    paths = [document.path for document in usage.query("sub", group=True).documents]
    assert paths == ["p/a/sub/1", "p/a/sub/1!", "p/a/sub/2", "p/a-/sub/1"]


@pytest.mark.parametrize("page", [1, 5, 6, 12, 100])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"order_by": "at", "descending": True},
        {"order_by": "key"},
        {"order_by": "key", "descending": True},
        {"where": [("n", ">=", 2)], "order_by": "n"},
        {"where": [("key", "==", "a")], "order_by": "at", "descending": True},
    ],
    ids=str,
)
def test_pages_join_without_gaps_or_repeats(usage: Store, asked: dict[str, Any], page: int) -> None:
    """Following the cursors gives what one large page gives; the last page says that it is the last."""
    whole = usage.query(ACME, **asked).documents
    joined: list[Document] = []
    cursor = None
    while True:
        found = usage.query(ACME, **asked, limit=page, cursor=cursor)
        joined += found.documents
        cursor = found.next_cursor
        if cursor is None:
            break
        assert len(found.documents) == page
    assert joined == whole


def test_pages_of_a_group_join_too(usage: Store) -> None:
    """A cursor names a path, not only a value."""
    seen, cursor = [], None
    for _ in range(7):
        page = usage.query("usage", group=True, order_by="key", limit=2, cursor=cursor)
        seen += [document.path for document in page.documents]
        cursor = page.next_cursor
    assert cursor is None
    assert seen == [document.path for document in usage.query("usage", group=True, order_by="key").documents]
    assert len(seen) == 14


def test_a_cursor_fits_its_own_query_alone(usage: Store) -> None:
    """Another filter, order or collection with the same cursor is refused, as is a made-up one."""
    cursor = usage.query(ACME, order_by="at", limit=1).next_cursor
    assert cursor
    assert ids(usage.query(ACME, order_by="at", limit=2, cursor=cursor).documents) == ["r01", "r02"]
    for asked in ({}, {"order_by": "n"}, {"order_by": "at", "descending": True}, {"where": [("key", "==", "a")]}):
        with pytest.raises(ValueError, match="another query"):
            usage.query(ACME, **asked, cursor=cursor)
    for made_up in ("", "x", "AAAA", "é", cursor[:-3], cursor + "AAAA"):
        with pytest.raises(ValueError, match="cursor"):
            usage.query(ACME, order_by="at", cursor=made_up)


@pytest.mark.parametrize(
    "asked",
    [
        {"where": [("n", "!=", 1)]},
        {"where": [("n", "==", [1])]},
        {"where": [("n", "==", {"a": 1})]},
        {"where": [("n", "<", None)]},
        {"where": [("n", "in", 1)]},
        {"where": [("n", "in", list(range(31)))]},
        {"where": [("n", ">", 1), ("m", ">", 1)]},
        {"where": [("n", ">", 1)], "order_by": "m"},
        {"where": [("", "==", 1)]},
        {"descending": True},
        {"limit": 0},
        {"limit": 10**6},
    ],
    ids=str,
)
def test_queries_that_production_could_not_answer_are_refused_everywhere(store: Store, asked: dict[str, Any]) -> None:
    """A laptop says at once what Firestore would say after deployment."""
    with pytest.raises(ValueError, match=r".+"):
        store.query("a", **asked)


# ---- vectors


def pointing(degrees: float, length: float = 1.0) -> Vector:
    """A vector of the plane."""
    return Vector((length * math.cos(math.radians(degrees)), length * math.sin(math.radians(degrees))))


def near(store: Store, **asked: Any) -> list[tuple[str, float]]:
    """What lies nearest to 0 degrees, among the documents of scope x."""
    found = store.nearest("p/1/turns", "vector", pointing(0), **{"where": {"scope": "x"}, "timeout_s": 20, **asked})
    return [(document.id, similarity) for document, similarity in found]


@pytest.fixture
def turns(store: Store, clock: Clock) -> Store:
    """Vectors at 10, 30, 60 and 120 degrees, and what no search for scope x in this collection may find."""
    for degrees in (60, 10, 120, 30):
        store.create(f"p/1/turns/{degrees}", {"scope": "x", "vector": pointing(degrees, length=degrees / 7)})
    store.create("p/1/turns/other-scope", {"scope": "y", "vector": pointing(1)})
    store.create("p/2/turns/other-collection", {"scope": "x", "vector": pointing(1)})
    store.create("p/1/turns/longer", {"scope": "x", "vector": Vector((1.0, 0.0, 0.0))})
    store.create("p/1/turns/no-direction", {"scope": "x", "vector": Vector((0.0, 0.0))})
    store.create("p/1/turns/elsewhere", {"scope": "x", "other": pointing(1)})
    store.create("p/1/turns/no-vector", {"scope": "x", "vector": [1.0, 0.0]})
    store.create("p/1/turns/expired", {"scope": "x", "vector": pointing(1), "expires_at": expires(clock.seconds + 1)})
    clock.seconds += 2
    return store


def test_a_vector_comes_back_exactly_by_every_way_of_writing(store: Store, clock: Clock) -> None:
    """Created, put, updated, set beside an increment, and created where an expired document lingers."""
    vector = Vector((0.1, -0.0, 5e-324, 1 / 3, 1.7976931348623157e308))
    data = {"vector": vector, "text": "a", "`odd.name`": Vector((1.0,))}
    store.create("a/1", {"expires_at": expires(clock.seconds + 1)})
    clock.seconds += 2
    store.create("a/1", data)
    assert held(store, "a/1") == data
    store.update("a/1", {"vector": Vector((2.0,))})
    assert held(store, "a/1") == {**data, "vector": Vector((2.0,))}
    store.commit([Put("a/2", data), Increment("a/3", {"n": 1}, {"vector": vector}), Create("a/4", {}), Update("a/4", data)])
    assert [document.data["vector"] for document in store.query("a").documents][1:] == [vector] * 3


def test_the_nearest_vectors_come_first_with_their_similarity(turns: Store) -> None:
    """Their length says nothing, their direction all; expired ones, other fields, lengths, scopes and collections stay out."""
    expected = [(degrees, pytest.approx(math.cos(math.radians(degrees)), abs=2e-6)) for degrees in (10, 30, 60)]
    assert [(int(name), similarity) for name, similarity in near(turns)] == expected
    assert near(turns, limit=1) == near(turns)[:1]
    assert [name for name, _ in near(turns, similarity_min=0.8)] == ["10", "30"]
    assert [name for name, _ in near(turns, similarity_min=-1.0)] == ["10", "30", "60", "120"]
    assert near(turns, where={"scope": "z"}) == []


def test_a_document_that_is_found_is_whole_and_holds_nothing_else(turns: Store) -> None:
    """As get shows it."""
    ((document, _),) = turns.nearest("p/1/turns", "vector", pointing(0), where={"scope": "x"}, limit=1, timeout_s=20)
    assert document == turns.get("p/1/turns/10")


def test_the_same_vector_is_alike_by_exactly_one(store: Store) -> None:
    """A threshold of 1 finds it, however long it is, and however the numbers are added up."""
    values = tuple(math.sin(n * n) / 7 for n in range(768))
    store.create("p/1/turns/same", {"scope": "x", "vector": Vector(values)})
    store.create("p/1/turns/close", {"scope": "x", "vector": Vector((*values[:-1], values[-1] + 0.02))})
    asked = Vector(tuple(value * 3 for value in values))
    found = store.nearest("p/1/turns", "vector", asked, where={"scope": "x"}, similarity_min=1.0, timeout_s=20)
    assert [(document.id, similarity) for document, similarity in found] == [("same", 1.0)]


def test_what_has_expired_takes_no_live_documents_place(store: Store, clock: Clock) -> None:
    """However many dead ones lie nearer."""
    for n in range(25):
        store.create(f"p/1/turns/{n}", {"scope": "x", "vector": pointing(n), "expires_at": expires(clock.seconds + 1)})
    store.create("p/1/turns/alive", {"scope": "x", "vector": pointing(40)})
    clock.seconds += 2
    assert [name for name, _ in near(store, limit=2)] == ["alive"]


@pytest.mark.parametrize("vector", [(), (1,), (float("nan"),), (float("inf"), 1.0), [1.0], (1.0,) * 2049, ("1",)], ids=ascii)
def test_a_vector_that_some_store_could_not_keep_is_refused(store: Store, vector: Any) -> None:
    """By every write and search; so are vectors below the top level, and searches that Firestore could not make."""
    for attempt in (
        lambda: store.create("a/1", {"v": Vector(vector)}),
        lambda: store.commit([Put("a/1", {"v": Vector(vector)})]),
        lambda: store.commit([Put("a/1", {"v": {"w": Vector((1.0,))}})]),
        lambda: store.commit([Put("a/1", {"v": [Vector((1.0,))]})]),
        lambda: store.nearest("a", "v", Vector(vector), where={}),
    ):
        with pytest.raises(ValueError, match=r".+"):
            attempt()


@pytest.mark.parametrize(
    "asked",
    [{"vector": Vector((0.0, 0.0))}, {"limit": 0}, {"limit": 1001}, {"similarity_min": 1.1}, {"where": {"scope": ["x"]}},
     {"where": {"scope": Vector((1.0,))}}, {"field": ""}, {"collection": "a/b"}],
    ids=str,
)  # fmt: skip
def test_searches_that_production_could_not_answer_are_refused_everywhere(store: Store, asked: dict[str, Any]) -> None:
    """A laptop says at once what Firestore would say after deployment."""
    usual: dict[str, Any] = {"collection": "a", "field": "v", "vector": Vector((1.0, 0.0)), "where": {}}
    with pytest.raises(ValueError, match=r".+"):
        store.nearest(**{**usual, **asked})


# ---- expiry


def test_what_has_expired_is_not_shown(store: Store, clock: Clock) -> None:
    """get and query look at the clock they were given, not at what the backend has cleaned away."""
    store.create("a/1", {"expires_at": expires(clock.seconds + HOUR_S)})
    store.create("a/2", {"expires_at": None})
    store.create("a/3", {})
    clock.seconds += HOUR_S - 1
    assert ids(store.query("a").documents) == ["1", "2", "3"]
    clock.seconds += 1
    assert store.get("a/1") is None
    assert ids(store.query("a").documents) == ["2", "3"]
    assert ids(store.query("a", group=True).documents) == ["2", "3"]


def test_pages_pass_over_what_has_expired(store: Store, clock: Clock) -> None:
    """A page is full as long as there are live documents, however many dead ones lie between."""
    for n in range(40):
        lives_s = 60 if n % 5 == 0 else 0
        store.commit([Put(f"a/{n:02}", {"n": n, "expires_at": expires(clock.seconds + lives_s)})])
    page = store.query("a", limit=3)
    assert ids(page.documents) == ["00", "05", "10"]
    assert ids(store.query("a", limit=10, cursor=page.next_cursor).documents) == ["15", "20", "25", "30", "35"]
    assert ids(store.query("a", order_by="n", descending=True, limit=2).documents) == ["35", "30"]


def test_an_expired_document_may_be_created_again(store: Store, clock: Clock) -> None:
    """create takes the place of what lingers, wholly, and then the path is taken as before."""
    store.create("a/1", {"old": 1, "both": {"x": 1}, "expires_at": expires(clock.seconds + 1)})
    clock.seconds += 2
    version = store.create("a/1", {"new": {}, "both": {"y": 1}, "expires_at": expires(clock.seconds + 1)})
    data = {"new": {}, "both": {"y": 1}, "expires_at": expires(clock.seconds + 1)}
    assert store.get("a/1") == Document("a/1", data, version)
    with pytest.raises(AlreadyExists):
        store.create("a/1", {})
    clock.seconds += 2
    store.create("a/1", {})
    assert held(store, "a/1") == {}


def test_of_racing_creates_over_an_expired_document_one_wins(store: Store, clock: Clock) -> None:
    """A lease that ran out is taken over by exactly one of those who want it."""
    store.create("leases/a", {"owner": -1, "expires_at": expires(clock.seconds)})
    new = expires(clock.seconds + 60)

    def take(n: int) -> int:
        store.create("leases/a", {"owner": n, "expires_at": new}, timeout_s=20)
        return n

    outcomes = at_once([partial(take, n) for n in range(8)])
    winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert [type(outcome) for outcome in outcomes].count(AlreadyExists) == 7
    assert held(store, "leases/a") == {"owner": winners[0], "expires_at": new}


def test_an_expired_document_cannot_be_updated(store: Store, clock: Clock) -> None:
    """With a version or without: too late is Missing."""
    version = store.create("a/1", {"n": 1, "expires_at": expires(clock.seconds + 1)})
    clock.seconds += 1
    for if_version in (None, version):
        with pytest.raises(Missing):
            store.update("a/1", {"n": 2}, if_version=if_version)


def test_a_renewal_moves_the_expiry(store: Store, clock: Clock) -> None:
    """An update may prolong or lift the expiry, and the versions it returns know that."""
    version = store.create("a/1", {"n": 1, "expires_at": expires(clock.seconds + 10)})
    version = store.update("a/1", {"expires_at": expires(clock.seconds + 60)}, if_version=version)
    clock.seconds += 30
    version = store.update("a/1", {"n": 2}, if_version=version)
    assert store.get("a/1") == Document("a/1", {"n": 2, "expires_at": expires(clock.seconds + 30)}, version)
    version = store.update("a/1", {"expires_at": None}, if_version=version)
    clock.seconds += HOUR_S
    version = store.update("a/1", {"n": 3}, if_version=version)
    assert store.get("a/1") == Document("a/1", {"n": 3, "expires_at": None}, version)


def test_a_batch_looks_at_no_expiry(store: Store, clock: Clock) -> None:
    """In a batch an expired document is still there: taken for create, the base of update and increment."""
    store.create("a/1", {"n": 1, "expires_at": expires(clock.seconds)})
    with pytest.raises(AlreadyExists):
        store.commit([Create("a/1", {})])
    assert store.commit([Increment("a/1", {"n": 1}), Update("a/1", {"expires_at": None})]) == [{"n": 2}, {}]
    assert held(store, "a/1") == {"n": 2, "expires_at": None}


# ---- values

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.text(st.characters(exclude_categories=["Cs"], min_codepoint=32), min_size=1, max_size=12).filter(
    lambda name: not (name.startswith("__") and name.endswith("__"))
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=11))])
MOMENTS = st.tuples(st.datetimes(datetime.min + timedelta(days=1), datetime.max - timedelta(days=1)), ZONES).map(
    lambda pair: pair[0].replace(tzinfo=pair[1])
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.binary(max_size=20)
    | MOMENTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def test_odd_values_come_back_exactly(store: Store) -> None:
    """Types, microseconds and the smallest differences survive."""
    data = {
        "text": "naïve \U0001f600 \x00 \u2028",
        "dots": {"gemini-2.5": {"in.put": {"a/b": {"`x`": 1, "\\": 2}}}},
        "moment": NOON,
        "first": datetime(1, 1, 1, tzinfo=UTC),
        "last": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
        "bytes": bytes(range(256)),
        "large": [2**63 - 1, -(2**63), 2**53 + 1],
        "floats": [0.1, 1.0, -0.0, 5e-324, 1.7976931348623157e308],
        "none": None,
        "flags": [True, False],
        "empty": [{}, [], "", b"", [[]], [{}]],
        "nested": [[1, [2, [3]]], {"[]": [1]}, {"{}": {"[]": [[1]]}}, {"[]": 1, "{}": 2}],
        "[]": {"[]": [1]},
    }
    store.create("a/1", data)
    back = held(store, "a/1")
    assert back == data
    assert [type(value) for value in back["floats"]] == [float] * 5
    assert [type(value) for value in back["flags"]] == [bool, bool]
    assert type(back["moment"]) is datetime
    assert back["moment"].utcoffset() == timedelta(0)
    assert store.query("a").documents[0].data == data


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(NAMES, JSON, max_size=5), other=st.dictionaries(NAMES, JSON, min_size=1, max_size=3))
def test_any_document_survives_every_way_of_writing(store: Store, data: dict[str, Any], other: dict[str, Any]) -> None:
    """Put, update and the fields of an increment all keep what they are given."""
    counter = "n" * 13  # longer than any generated name
    store.commit([Put("a/1", data), Update("a/1", other), Put("a/2", data), Increment("a/2", {counter: 2}, other)])
    assert repr_typed(held(store, "a/1")) == repr_typed({**data, **other})
    assert repr_typed(held(store, "a/2")) == repr_typed({**data, **other, counter: 2})


def repr_typed(value: Any) -> str:
    """Equal only if the types are equal too; datetimes as moments, maps without order."""
    match value:
        case dict():
            return "{" + ",".join(f"{name!r}:{repr_typed(value[name])}" for name in sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(repr_typed, value)) + "]"
        case datetime():
            return value.astimezone(UTC).isoformat()
        case _:
            return f"{type(value).__name__}:{value!r}"


def test_what_a_caller_keeps_is_not_the_stored_document(store: Store) -> None:
    """Changing the dict that was stored, or the one that was read, changes nothing in the store."""
    data: dict[str, Any] = {"list": [1], "map": {"x": 1}}
    store.create("a/1", data)
    data["list"].append(2)
    held(store, "a/1")["map"]["x"] = 2
    assert held(store, "a/1") == {"list": [1], "map": {"x": 1}}


@pytest.mark.parametrize(
    "value",
    [
        *(2**63, -(2**63) - 1, float("nan"), float("inf"), Decimal("0.1"), {1}),
        *(datetime(2026, 1, 1), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))),
        *("\ud800", {"\ud800": 1}, {"": 1}, {"__x__": 1}, {1: 2}, {"a\rb": 1}, {"x" * 1501: 1}, {"é" * 751: 1}),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_values_that_some_store_could_not_keep_are_refused(store: Store, value: Any) -> None:
    """Refused before anything is sent, by every write."""
    for attempt in (
        lambda: store.create("a/1", {"v": value}),
        lambda: store.update("a/1", {"v": [value]}),
        lambda: store.increment("a/1", {"n": 1}, {"v": {"w": value}}),
        lambda: store.commit([Put("a/2", {}), Put("a/1", {"v": value})]),
    ):
        with pytest.raises(ValueError, match=r".+"):
            attempt()
    assert store.query("a").documents == []


def test_documents_may_be_nested_twenty_deep_and_no_deeper(store: Store) -> None:
    """Firestore's limit, kept by all; an array in an array counts twice."""
    deep: Any = 1
    for _ in range(20):
        deep = {"a": deep}
    store.create("a/1", {"v": deep})
    assert held(store, "a/1") == {"v": deep}
    lists: Any = 1
    for _ in range(10):
        lists = [lists]
    store.create("a/2", {"v": lists})
    assert held(store, "a/2") == {"v": lists}
    for too_deep in ({"a": deep}, [[[lists]]]):
        with pytest.raises(ValueError, match="levels"):
            store.create("a/3", {"v": too_deep})


def test_amounts_are_integers_and_nothing_is_both_set_and_added(store: Store) -> None:
    """A counter that silently became a float would be wrong money."""
    wrong: list[Any] = [{"n": 1.5}, {"n": True}, {"n": 2**63}, {"": 1}, {}]
    for amounts, fields in [*((amounts, {}) for amounts in wrong), ({"n": 1}, {"n": 1})]:
        with pytest.raises(ValueError, match=r".+"):
            store.increment("a/1", amounts, fields)
    with pytest.raises(ValueError, match="at least one"):
        store.update("a/1", {})


BAD_DOCUMENTS = ["", "a", "a/b/c", "/a/b", "a/b/", "a//b/c", "a/.", "a/..", "a/__x__", "a/b\0", "a/\ud800",
                 "a/" + "x" * 1501]  # fmt: skip
BAD_COLLECTIONS = ["", "a/b", "a/b/", "/a", "a//b", "../b/c"]


@pytest.mark.parametrize("path", BAD_DOCUMENTS, ids=lambda path: ascii(path)[:20])
def test_a_path_that_names_no_document_is_refused(store: Store, path: str) -> None:
    """Odd numbers of segments, empty ids, reserved ones: ValueError from every method."""
    for attempt in (
        lambda: store.get(path),
        lambda: store.create(path, {}),
        lambda: store.update(path, {"n": 1}),
        lambda: store.delete(path),
        lambda: store.increment(path, {"n": 1}),
        lambda: store.commit([Put(path, {})]),
    ):
        with pytest.raises(ValueError, match=r".+"):
            attempt()


@pytest.mark.parametrize("path", BAD_COLLECTIONS)
def test_a_path_that_names_no_collection_is_refused(store: Store, path: str) -> None:
    """A query wants an odd number of segments, a group exactly one."""
    with pytest.raises(ValueError, match=r".+"):
        store.query(path)
    with pytest.raises(ValueError, match=r".+"):
        store.query("a/b/c", group=True)


# ---- life


def test_a_second_store_on_the_same_url_sees_the_documents(store: Store, store_url: str) -> None:
    """Documents outlive the object that wrote them; ping and close are there for everyone."""
    version = store.create("a/1", {"n": 1})
    store.close()
    second = open_store(store_url)
    second.ping(timeout_s=5)
    assert second.get("a/1", timeout_s=5) == Document("a/1", {"n": 1}, version)
    second.close()


def test_a_closed_store_says_so(store: Store) -> None:
    """Closing twice is fine; using it afterwards is StoreUnavailable."""
    store.create("a/1", {})
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.get("a/1")
