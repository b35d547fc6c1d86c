"""Questions that mean the same: what is found, what never is, and what it costs, without a network."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from asking import SEMANTIC, TARGET, call_of, plan_with

from gateway.cache.cache import Cache
from gateway.cache.entry import Entry
from gateway.cache.memory import Memory
from gateway.cache.request_key import read_asked
from gateway.cache.semantic import DIMENSIONS, RESTS_S, Embedded, LookUp, Question, SemanticCache, erase_questions
from gateway.canonical.call import CacheRule, Call, Plan
from gateway.canonical.errors import UpstreamFailed
from gateway.canonical.steps import Steps, run_blocking
from gateway.canonical.store import Json, Store, StoreError, Vector
from gateway.canonical.usage import Tokens, Usage
from gateway.store import open_store

COST = 700
DEGREES = {"How tall is it?": 0, "What is its height?": 20, "How old is it?": 60}


@dataclass
class Clock:
    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Planes:
    """An `Embed` by which a question lies at as many degrees as DEGREES says; or fails."""

    asked: list[str] = field(default_factory=list)
    failure: Exception | None = None

    def __call__(self, call: Call, plan: Plan, text: str) -> Steps[Embedded]:
        self.asked.append(text)
        if self.failure is not None:
            raise self.failure
        angle = math.radians(DEGREES[text])
        return Embedded(Vector((math.cos(angle), math.sin(angle), *([0.0] * (DIMENSIONS - 2)))), COST)
        yield  # steps, of which there are none


@dataclass
class Room:
    semantic: SemanticCache
    embed: Planes
    clock: Clock

    def question(self, call: Call, rule: CacheRule = SEMANTIC, target: Any = TARGET) -> Question:
        asked = read_asked(call, plan_with(rule, target))
        assert asked is not None
        question = self.semantic.read_question(call, asked)
        assert question is not None
        return question

    def look_up(self, text: str = "How tall is it?", *, rule: CacheRule = SEMANTIC, target: Any = TARGET,
                members: Json | None = None, **more: Any) -> LookUp:  # fmt: skip
        call = call_of(body(text, **(members or {})), **more)
        return run_blocking(self.semantic.look_up(call, plan_with(rule, target), self.question(call, rule, target)))

    def keep(self, text: str = "How tall is it?", *, key: str = "a" * 64, rule: CacheRule = SEMANTIC, **more: Any) -> Entry:
        """The question is asked and answered, and both are kept."""
        call = call_of(body(text), **more)
        entry = Entry(
            key=key, project=call.caller.project, user=call.caller.user, stream=False, body=text.encode(), framing="",
            content_type="application/json", provider="vertex", location="global", model="claude-sonnet-4-6", answered_model=None,
            dropped=(), usage=Usage(Tokens(1, 2)), at=self.clock(), max_age_s=rule.max_age_s,
        )  # fmt: skip
        question = self.question(call, rule)
        found = run_blocking(self.semantic.look_up(call, plan_with(rule), question))
        writes = [self.semantic.cache.keep(entry), self.semantic.keep(question, found, entry)]
        self.semantic.store.commit([write for write in writes if write is not None], timeout_s=20)
        return entry


def body(text: str = "How tall is it?", **more: Any) -> Json:
    return {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": text}], **more}


STORES: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": lambda request: f"sqlite:///{request.getfixturevalue('tmp_path')}/gateway.db",
    "firestore": lambda request: request.getfixturevalue("firestore_url"),
}


def room_on(store: Store, clock: Clock) -> Room:
    embed = Planes()
    return Room(SemanticCache(store, Cache(store, Memory(), clock, clock), embed, "planes-1", clock, clock), embed, clock)


@pytest.fixture(params=sorted(STORES))
def room(request: pytest.FixtureRequest) -> Iterator[Room]:
    clock = Clock()
    with contextlib.closing(open_store(STORES[request.param](request), now=clock)) as store:
        store.ping(timeout_s=20)
        yield room_on(store, clock)


@pytest.fixture
def sqlite_room(tmp_path: Path) -> Iterator[Room]:
    clock = Clock()
    with contextlib.closing(open_store(f"sqlite:///{tmp_path}/gateway.db", now=clock)) as store:
        yield room_on(store, clock)


def test_a_question_that_means_the_same_finds_the_answer(room: Room) -> None:
    """Above the threshold, with how alike they are and what it cost; below it nothing is found, at the same cost."""
    kept = room.keep()
    found = room.look_up("What is its height?")
    assert found.entry == kept and found.similarity == pytest.approx(math.cos(math.radians(20)), abs=1e-5)
    assert found.render() == {"ms": 0, "cost_nanodollars": COST, "similarity": found.similarity}
    missed = room.look_up("How old is it?")
    assert missed.entry is None and missed.render() == {"ms": 0, "cost_nanodollars": COST}
    assert room.look_up("How old is it?", rule=replace(SEMANTIC, threshold=0.4)).entry == kept


def test_the_most_alike_answers_first(room: Room) -> None:
    """Of several above the threshold."""
    room.keep("How old is it?", key="b" * 64)
    nearer = room.keep("What is its height?", key="c" * 64)
    assert room.look_up("How tall is it?", rule=replace(SEMANTIC, threshold=0.1)).entry == nearer


def test_a_threshold_of_one_wants_the_same_words(room: Room) -> None:
    """Even the least different question is another one then."""
    room.keep()
    strict = replace(SEMANTIC, threshold=1.0)
    assert room.look_up("How tall is it?", rule=strict).similarity == 1.0
    assert room.look_up("What is its height?", rule=strict).entry is None


@pytest.mark.parametrize(
    "different",
    [
        {"members": {"system": "Be brief."}},
        {"members": {"temperature": 0.5}},
        {"members": {"messages": [{"role": "user", "content": "The tower?"}, {"role": "assistant", "content": "Yes."},
                                  {"role": "user", "content": "How tall is it?"}]}},
        {"caller": {"user": "ben@example.com"}},
        {"caller": {"project": "other"}},
        {"caller": {"user": None}},
        {"target": replace(TARGET, model="claude-opus-4-6")},
        {"dialect": "openai"},
        {"headers": {"anthropic-beta": "context-1m-2025-08-07"}},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_is_found_where_anything_else_differs(sqlite_room: Room, different: Json) -> None:
    """System prompt, parameters, earlier turns, user, project, model, wire format, betas: however alike the question is."""
    sqlite_room.keep()
    assert sqlite_room.look_up(**different).entry is None
    assert sqlite_room.look_up().entry is not None


def test_a_project_may_share_answers_among_its_users(sqlite_room: Room) -> None:
    """With scope `project`; another project's are still out of reach."""
    shared = replace(SEMANTIC, scope="project")
    sqlite_room.keep(rule=shared)
    assert sqlite_room.look_up(rule=shared, caller={"user": "ben@example.com"}).entry is not None
    assert sqlite_room.look_up(rule=shared, caller={"project": "other"}).entry is None
    assert sqlite_room.look_up().entry is None


def test_questions_with_other_numbers_are_other_questions(sqlite_room: Room) -> None:
    """Embeddings can hardly tell them apart."""
    two, three = (call_of(body(f"What is {number} times 5?")) for number in (2, 3))
    assert sqlite_room.question(two).scope_key != sqlite_room.question(three).scope_key
    again = call_of(body("How much is 2 by 5?"))
    assert sqlite_room.question(two).scope_key == sqlite_room.question(again).scope_key


def test_vectors_of_another_embedding_model_are_not_compared(sqlite_room: Room) -> None:
    """They lie in another space."""
    sqlite_room.keep()
    sqlite_room.semantic.model = "planes-2"
    assert sqlite_room.look_up().entry is None


def test_an_answer_that_is_too_old_is_not_found(room: Room) -> None:
    """By the rule that it was kept by, and by the reader's."""
    room.keep()
    room.clock.seconds += 100
    assert room.look_up(rule=replace(SEMANTIC, max_age_s=50)).entry is None
    assert room.look_up().entry is not None
    room.clock.seconds += SEMANTIC.max_age_s
    assert room.look_up().entry is None


def test_whoever_asks_for_a_fresh_answer_gets_the_vector_only(sqlite_room: Room) -> None:
    """By which the fresh answer is kept."""
    sqlite_room.keep()
    found = sqlite_room.look_up(cache_asked="refresh")
    assert found.entry is None and found.vector is not None and found.cost_nanodollars == COST


def test_a_simple_rule_compares_nothing(sqlite_room: Room) -> None:
    """Nor is anything embedded for it."""
    rule = CacheRule("simple")
    call = call_of(body())
    asked = read_asked(call, plan_with(rule))
    assert asked is not None and sqlite_room.semantic.read_question(call, asked) is None


@pytest.mark.parametrize("failure", [UpstreamFailed("no embedding"), RuntimeError("a fault of ours")])
def test_an_embedder_that_fails_harms_no_call_and_is_left_alone_for_a_while(
    sqlite_room: Room, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is found; the next calls do not wait for it, those of other projects do; told once a minute."""
    sqlite_room.embed.failure = failure
    assert sqlite_room.look_up() == LookUp()
    assert sqlite_room.look_up() == LookUp() and len(sqlite_room.embed.asked) == 1
    sqlite_room.look_up(caller={"project": "other"})
    assert len(sqlite_room.embed.asked) == 2
    assert len([one for one in caplog.messages if "semantic cache of project demo" in one]) == 1
    sqlite_room.clock.seconds += RESTS_S
    sqlite_room.embed.failure = None
    assert sqlite_room.look_up().vector is not None
    assert len(caplog.messages) == 1


class WithoutIndex:
    """A store that cannot search, as Firestore without its index."""

    def nearest(self, *_: Any, **__: Any) -> Any:
        raise StoreError("Missing vector index configuration; deploy infra/firestore.indexes.json")


def test_a_search_that_fails_costs_what_the_embedding_cost(sqlite_room: Room) -> None:
    """It was paid for; the answer that follows is kept by it."""
    sqlite_room.semantic.store = WithoutIndex()  # type: ignore[assignment]
    found = sqlite_room.look_up()
    assert found.entry is None and found.cost_nanodollars == COST and found.vector is not None


def test_a_question_is_stored_as_its_embedding_alone(sqlite_room: Room) -> None:
    """No word of it, nor of what was said before; it is forgotten when its answer is."""
    entry = sqlite_room.keep()
    document = sqlite_room.semantic.store.get(f"projects/demo/embeddings/{entry.key}")
    assert document is not None and document.data.keys() == {
        "scope_key", "embedding", "user", "at", "schema_version", "expires_at"
    }  # fmt: skip
    assert document.data["expires_at"].timestamp() == entry.at + entry.max_age_s
    assert "tall" not in str(document.data)


def test_a_persons_questions_are_erased_in_every_project(room: Room) -> None:
    """Theirs alone."""
    for number, (user, project) in enumerate([("ana", "demo"), ("ana", "other"), ("ben", "demo")]):
        room.keep(key=f"{number}" * 64, caller={"user": user, "project": project})
    assert erase_questions(room.semantic.store, "ana") == 2
    assert erase_questions(room.semantic.store, "ana") == 0
    assert room.look_up(caller={"user": "ben"}).entry is not None
    assert room.look_up(caller={"user": "ana"}).entry is None


def test_a_question_tells_nothing_of_itself_in_its_repr(sqlite_room: Room) -> None:
    """It may end up in a log."""
    assert "tall" not in repr(sqlite_room.question(call_of(body())))
