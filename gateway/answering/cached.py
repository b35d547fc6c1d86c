"""What the cache has to do with one call: the answer found there, or the answer gathered to be kept there."""

from dataclasses import dataclass, replace

from gateway.cache.cache import Cache
from gateway.cache.entry import BODY_BYTES_MAX, Entry
from gateway.cache.refusals import is_refused
from gateway.cache.replay import replay
from gateway.cache.request_key import Asked, answers_for, read_asked
from gateway.cache.semantic import LookUp, Question, SemanticCache, may_be_kept
from gateway.canonical.call import Call, Plan, Target
from gateway.canonical.reply import Relay
from gateway.canonical.steps import Steps, Work
from gateway.canonical.store import Put
from gateway.dialects import DIALECTS
from gateway.providers.send import Attempt
from gateway.records.document import Outcome

CHUNK_BYTES = 64 * 1024
SMALL_BYTES = 64 * 1024
LARGE_MAX = 64  # answers above that which are gathered at one time: memory is bounded, and few are
READ_AT_ONCE_BYTES = 128 * 1024  # the digest of a longer request would hold up the other calls


@dataclass(frozen=True, slots=True)
class Hit:
    """A kept answer, told as this call wants it. `target` is the plan's: whence it came."""

    entry: Entry
    target: Target
    body: bytes
    age_s: float


@dataclass(slots=True, eq=False, weakref_slot=True)
class Recall:
    """One call and the cache. `find` first; then either a Hit answers, or every piece of the answer is shown to `gather`, its
    good end is told to `end`, and `keep` gives the write that keeps it."""

    cache: Cache
    semantic: SemanticCache
    call: Call
    plan: Plan
    asked: Asked
    key: str
    question: Question | None  # None: only the very same request is answered alike
    pieces: list[bytes] | None  # None: not to be kept, any more
    size_bytes: int = 0
    content_type: str | None = None  # None: not whole yet
    stream: bool = False
    looked_up: LookUp | None = None
    kept: Entry | None = None

    def find(self) -> Steps[Hit | None]:
        if self.call.cache_asked == "refresh":
            return None
        entry = yield from self.cache.find(self.key, self.asked.rule)
        return self.tell(entry) if entry is not None else None

    def find_similar(self) -> Steps[Hit | None]:
        """The answer to a question that means the same. What it took to look is in `looked_up`, found or not."""
        if self.question is None:
            return None
        self.looked_up = found = yield from self.semantic.look_up(self.call, self.plan, self.question)
        hit = self.tell(found.entry) if found.entry is not None else None
        if hit is None:
            self.looked_up = replace(found, entry=None, similarity=None)
        return hit

    def tell(self, entry: Entry) -> Hit | None:
        """None if the entry's target is none that this call may go to, or it cannot be told in this call's form."""
        target = target_of(entry, self.plan)
        body = replay(entry, self.call) if target is not None else None
        if target is None or body is None:
            return None
        return Hit(entry, target, body, entry.age_s(self.cache.now()))

    def gather(self, piece: bytes) -> None:
        """What is handed to the client of the provider's words, before an outer form is put on it."""
        if self.pieces is None:
            return
        self.pieces.append(piece)
        self.size_bytes += len(piece)
        if self.size_bytes > BODY_BYTES_MAX or (self.size_bytes > SMALL_BYTES and not self._may_be_large()):
            self.pieces = None

    def _may_be_large(self) -> bool:
        """Some may; they are forgotten with their calls."""
        large = self.cache.large
        if self not in large and len(large) >= LARGE_MAX:
            return False
        large.add(self)
        return True

    def end(self, content_type: str, *, stream: bool) -> None:
        """The answer came to a good end."""
        self.content_type, self.stream = content_type, stream

    def keep(self, attempt: Attempt, outcome: Outcome) -> Put | None:
        """The write that keeps what was gathered, once: an answer to what was asked, with the provider's own closing figures.
        A stream that is still missing its end in the client's format may be asked for again. Refusals are not kept."""
        if self.pieces is None or self.content_type is None or outcome.usage.completeness != "final":
            return None
        body = b"".join(self.pieces)
        carried = self.stream and attempt.crossing is not None
        if not answers_for(attempt.target, self.plan) or (carried and not self._is_whole(body)):
            return None
        self.pieces = None
        if is_refused(body):
            return None
        target, caller = attempt.target, self.call.caller
        self.kept = entry = Entry(
            key=self.key,
            project=caller.project,
            user=caller.user,
            stream=self.stream,
            body=body,
            content_type=self.content_type,
            framing=self.call.request.framing if carried else "",
            provider=target.provider.id,
            location=target.location,
            model=target.model,
            answered_model=outcome.answered_model,
            dropped=outcome.dropped,
            usage=outcome.usage,
            at=self.cache.now(),
            max_age_s=self.asked.rule.max_age_s,
        )
        return self.cache.keep(entry)

    def keep_question(self) -> Put | None:
        """The write by which others find what was kept; once."""
        entry, self.kept = self.kept, None
        if entry is None or self.question is None or self.looked_up is None:
            return None
        return self.semantic.keep(self.question, self.looked_up, entry)

    def _is_whole(self, body: bytes) -> bool:
        watch = DIALECTS[self.call.dialect].watch_stream()
        watch.feed(body)
        return watch.may_end and watch.error_kind is None


def recall(cache: Cache, semantic: SemanticCache, call: Call, plan: Plan) -> Steps[Recall | None]:
    """None if the cache has nothing to do with this call."""
    if len(call.request.document.source) <= READ_AT_ONCE_BYTES:
        return _recall(cache, semantic, call, plan)
    read: Recall | None = yield Work(lambda: _recall(cache, semantic, call, plan))
    return read


def _recall(cache: Cache, semantic: SemanticCache, call: Call, plan: Plan) -> Recall | None:
    asked = read_asked(call, plan)
    if asked is None or not may_be_kept(asked):
        return None
    try:
        return Recall(cache, semantic, call, plan, asked, asked.key(), semantic.read_question(call, asked), [])
    except RecursionError:  # what can just be read may be nested too deeply to be written
        return None


def target_of(entry: Entry, plan: Plan) -> Target | None:
    """The plan's target that gave this answer. What came from one that this call may not go to any more is not handed out."""
    origin = (entry.provider, entry.location, entry.model)
    return next((t for t in plan.targets if (t.provider.id, t.location, t.model) == origin), None)


def told(body: bytes) -> Relay:
    """All of a stream, at once."""
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]
