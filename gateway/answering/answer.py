"""Where a call is answered. Everything this needs is handed to it by `app`."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.answering.cached import Hit
from gateway.answering.headers import route_headers
from gateway.answering.house import Observe
from gateway.answering.run import Run, dialect_spoken
from gateway.cache.cache import Cache
from gateway.cache.semantic import SemanticCache
from gateway.canonical.call import Call, Plan
from gateway.canonical.errors import GatewayError, InternalError, Overloaded, Unavailable
from gateway.canonical.reply import Reply
from gateway.canonical.steps import Steps
from gateway.canonical.store import Json
from gateway.dialects import DIALECTS
from gateway.providers.send import Sender
from gateway.records.document import Outcome, render_document
from gateway.records.writer import RecordWriter
from gateway.routing.attempts import Attempts
from gateway.routing.counting import offers_no_counting
from gateway.routing.reading import read_document
from gateway.spending.holds import Reserve
from gateway.spending.prices import PriceBook

BYTES_PER_TOKEN = 3.5
WRITTEN_AFTER_THE_END_S = 0.5  # at least, where the store is slow
BROKEN_BEFORE_THE_END_S = 1.0  # what is left of the drain time for the records of streams that were broken


@dataclass(slots=True)
class Answering:
    """Answers calls, and knows which are open."""

    plan: Callable[[Call], Steps[Plan]]
    reserve: Reserve
    attempts: Attempts
    sender: Sender
    prices: PriceBook
    records: RecordWriter
    cache: Cache
    semantic: SemanticCache
    log_line: Callable[[Call, Json], None]
    count: Callable[[Json], None]  # every usage document, for the sums
    observe: Observe | None = None  # telemetry
    retention_days: int = 400
    open_max: int = 1000
    clock: Callable[[], float] = time.monotonic
    draining: bool = False
    drained_by: float = math.inf  # by `clock`: when all must be over
    _open: set[Run] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, call: Call) -> Steps[Reply]:
        """Raises GatewayError if there is no answer; the call is recorded then, if it had been admitted."""
        plan = yield from self.plan(call)
        if call.request.operation == "count_tokens":
            return (yield from self._count(call, plan))
        run, hit = yield from self._begin(call, plan)
        try:
            hit = hit or (yield from run.find_similar())
            if hit is not None:
                return (yield from run.replay(hit))
            return (yield from run.stream() if call.request.stream else run.plain())
        except GatewayError as error:
            told = run.fail(error)
            try:
                yield from run.end()
                if told is not error:
                    raise told from error
                raise
            finally:
                del told  # its traceback knows this frame: a circle that only the garbage collector would end
        except BaseException as error:
            run.fail(InternalError("the gateway failed", reason=repr(error)))
            run.close()
            raise

    def _begin(self, call: Call, plan: Plan) -> Steps[tuple[Run, Hit | None]]:
        """Admits a call: there is room for it, and an answer that is kept, or money for one."""
        run = Run(self, call, plan)
        with self._lock:
            if self.draining:
                raise Unavailable("this instance of the gateway is shutting down; try again", retry_after_s=1)
            if len(self._open) >= self.open_max:
                raise Overloaded("too many open calls on this instance of the gateway; try again", retry_after_s=1)
            self._open.add(run)
        try:
            hit = yield from run.find()
            if hit is None:
                run.hold = yield from self.reserve(call, plan)
        except BaseException:
            self.forget(run)
            raise
        return run, hit

    def forget(self, run: Run) -> None:
        with self._lock:
            self._open.discard(run)

    @property
    def open_calls(self) -> int:
        return len(self._open)

    def drain(self, timeout_s: float) -> None:
        """For SIGTERM: takes no new calls, lets streams finish, breaks those that do not, writes every record. The first to ask
        for it sets the time."""
        with self._lock:
            self.draining = True
            self.drained_by = until = min(self.drained_by, self.clock() + timeout_s)
        self._wait_until_quiet(until - BROKEN_BEFORE_THE_END_S)
        for run in list(self._open):
            run.interrupt()
        self._wait_until_quiet(until)
        for run in list(self._open):
            run.abandon()
        self.records.flush(max(WRITTEN_AFTER_THE_END_S, until - self.clock()))

    def _wait_until_quiet(self, until: float) -> None:
        while self._open and self.clock() < until:
            time.sleep(0.02)

    def _count(self, call: Call, plan: Plan) -> Steps[Reply]:
        """Token counting: never billed, never blocked, no usage document."""
        outcome = Outcome(status=200, target=plan.targets[0])
        dialect = DIALECTS[call.dialect]
        try:
            attempt = yield from self.attempts.first_success(call, plan, outcome.attempts)
            outcome.target, outcome.dropped = attempt.target, attempt.dropped
            body = yield from read_document(self.sender, attempt)
            headers = route_headers(outcome, attempt)
            if attempt.crossing:
                count = dialect_spoken(attempt).parse_token_count(body)
                body = b"" if count is None else dialect.render_token_count(count)
        except GatewayError as error:
            if not offers_no_counting(error):
                raise
            body, headers = b"", route_headers(outcome, None)
        if not body:
            body = dialect.render_token_count(int(len(call.request.document.source) / BYTES_PER_TOKEN))
            headers["x-gateway-estimated"] = "input_tokens"
        outcome.latency_ms = round((self.clock() - call.started) * 1000)
        self.log_line(call, {**render_document(call, outcome, self.retention_days), "operation": "count_tokens"})
        return Reply(200, {**headers, "content-type": "application/json"}, body)
