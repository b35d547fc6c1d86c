"""Answers to questions that mean the same: found by the embedding of the last turn, where all else of the request is equal.

    read_question → look_up: embed → the nearest → its answer        keep: that embedding, beside the new answer

The embeddings lie at `projects/{project}/embeddings/{key}`, apart from the answers at `cache/{key}`: a search reads several of
them. A question's words are stored nowhere; what an embedding is like says something of them, so it is erased with a person's
answers. Firestore finds the nearest by the index in infra/firestore.indexes.json, SQLite by comparing them all.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gateway.cache.cache import Cache, erase_of
from gateway.cache.entry import Entry
from gateway.cache.last_turn import is_text_alone, read_last_turn
from gateway.cache.request_key import Asked
from gateway.canonical.call import CacheRule, Call, Plan
from gateway.canonical.steps import Steps, Work
from gateway.canonical.store import Document, Json, Put, Store, Vector

COLLECTION = "embeddings"
FIELD = "embedding"
SCHEMA_VERSION = 1
DIMENSIONS = 768  # as the index has it; plenty for one question, and a quarter of what the longest would cost to keep
SEARCH_S = 1.0
RESTS_S = 10.0  # a project whose look-up failed makes none for so long: its calls would wait for nothing
PROJECTS_MAX = 1_000
NEAREST = 5  # of which the first that can be answered from is taken
READ_MAX = 2


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's vector, and what it cost."""

    vector: Vector
    cost_nanodollars: int


Embed = Callable[[Call, Plan, str], Steps[Embedded]]
"""The vector of a text, of 768 dimensions, on behalf of a call and where its data may go. GatewayError if there is none."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked last, and `scope_key`: all within which another question may mean the same."""

    project: str
    user: str | None
    scope_key: str
    text: str = field(repr=False)
    rule: CacheRule

    @property
    def collection(self) -> str:
        return f"projects/{self.project}/{COLLECTION}"


@dataclass(frozen=True, slots=True)
class LookUp:
    """What looking for an answer cost, took and found: `similarity` is the cosine to the question that `entry` answered."""

    ms: int = 0
    cost_nanodollars: int = 0
    vector: Vector | None = None
    entry: Entry | None = None
    similarity: float | None = None

    def render(self) -> Json:
        """As the usage document has it."""
        facts: Json = {"ms": self.ms, "cost_nanodollars": self.cost_nanodollars}
        return facts if self.similarity is None else {**facts, "similarity": self.similarity}


def may_be_kept(asked: Asked) -> bool:
    """Whether the request's rule is for such as this: one by meaning is for text alone."""
    return asked.rule.mode != "semantic" or is_text_alone(asked)


@dataclass(slots=True)
class SemanticCache:
    """`model` names what `embed` embeds by: vectors of different models are never compared. `now` is unix seconds, `clock`
    monotonic ones."""

    store: Store
    cache: Cache
    embed: Embed
    model: str
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    search_s: float = SEARCH_S
    _rest_until: dict[str, float] = field(default_factory=dict)  # by project

    def read_question(self, call: Call, asked: Asked) -> Question | None:
        """None if only the very same request may be answered alike."""
        if asked.rule.mode != "semantic":
            return None
        last = read_last_turn(asked)
        if last is None:
            return None
        around = {"rest": last.rest, "numbers": last.numbers, "embedded_by": self.model}
        return Question(call.caller.project, call.caller.user, asked.context_key(around), last.text, asked.rule)

    def look_up(self, call: Call, plan: Plan, question: Question) -> Steps[LookUp]:
        """Never fails a call: without embedder or store nothing is found. A caller who wants a fresh answer gets the vector
        only, to keep that answer by."""
        if self.clock() < self._rest_until.get(question.project, 0.0):
            return LookUp()
        started = self.clock()
        found = LookUp()
        try:
            embedded = yield from self.embed(call, plan, question.text)
            found = LookUp(cost_nanodollars=embedded.cost_nanodollars, vector=embedded.vector)
            if call.cache_asked != "refresh":
                found = yield from self._nearest(question, found, embedded.vector)
        except Exception as error:  # whatever it is: the provider can still answer
            self._rest(question.project)
            self.cache.complain(f"the semantic cache of project {question.project} cannot be asked", error)
        return replace(found, ms=round((self.clock() - started) * 1000))

    def _nearest(self, question: Question, found: LookUp, vector: Vector) -> Steps[LookUp]:
        near: list[tuple[Document, float]] = yield Work(
            lambda: self.store.nearest(
                question.collection,
                FIELD,
                vector,
                where={"scope_key": question.scope_key},
                limit=NEAREST,
                similarity_min=question.rule.threshold,
                timeout_s=self.search_s,
            )
        )
        young = [pair for pair in near if self._is_young(pair[0], question.rule)]
        for document, similarity in young[:READ_MAX]:
            entry = yield from self.cache.find(document.id, question.rule)
            if entry is not None:
                return replace(found, entry=entry, similarity=similarity)
        return found

    def keep(self, question: Question, found: LookUp, entry: Entry) -> Put | None:
        """The write by which others find `entry`; None without the question's vector. Goes with the entry's own."""
        if found.vector is None:
            return None
        at = datetime.fromtimestamp(entry.at, UTC)
        fields = {
            "scope_key": question.scope_key,
            FIELD: found.vector,
            "user": question.user,
            "at": at,
            "schema_version": SCHEMA_VERSION,
            "expires_at": at + timedelta(seconds=entry.max_age_s),
        }
        return Put(f"{question.collection}/{entry.key}", fields)

    def _is_young(self, document: Document, rule: CacheRule) -> bool:
        at = document.data.get("at")
        return isinstance(at, datetime) and self.now() - at.timestamp() <= rule.max_age_s

    def _rest(self, project: str) -> None:
        if len(self._rest_until) >= PROJECTS_MAX:
            self._rest_until.clear()
        self._rest_until[project] = self.clock() + RESTS_S


def erase_questions(store: Store, user: str) -> int:
    """Deletes the embeddings of what one person asked, in every project; how many."""
    return erase_of(store, COLLECTION, user, group=True)
