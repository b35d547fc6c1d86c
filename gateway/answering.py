"""One call's way, top to bottom. Read this file first.

    plan → reserve → first_success → watch → settle → reply

Settling happens once, whatever becomes of the call, and before the last bytes are handed over: on Cloud Run the CPU may
be gone once they are out. `Reply.close` is the net for clients that vanish.
"""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field

from gateway.canonical.call import Call, Plan, Reply
from gateway.canonical.dialect import Dialect
from gateway.canonical.errors import (
    GatewayError,
    InternalError,
    Overloaded,
    StreamBroken,
    Unavailable,
    UpstreamFailed,
    UpstreamRefused,
)
from gateway.canonical.json_object import JsonObject, NotAnObject
from gateway.canonical.money import format_dollars
from gateway.canonical.store import Create
from gateway.canonical.usage import Usage
from gateway.dialects import DIALECTS
from gateway.providers.send import Attempt, Sender
from gateway.records.document import Outcome, document_path, render_document
from gateway.records.writer import RecordWriter
from gateway.routing.attempts import NEXT_COUNTING_STATUSES, Attempts
from gateway.spending.budgets import Hold, Reserve
from gateway.spending.meter import Meter
from gateway.spending.prices import PriceBook

PLAIN_ANSWER_BYTES_MAX = 64 * 1024 * 1024
BYTES_PER_TOKEN = 3.5
log = logging.getLogger(__name__)
Steps = Generator[None, None, Attempt]


@dataclass(slots=True)
class Answering:
    """Answers calls. Everything it needs is handed to it by `app`."""

    plan: Callable[[Call], Plan]
    reserve: Reserve
    attempts: Attempts
    sender: Sender
    prices: PriceBook
    records: RecordWriter
    log_line: Callable[[Call, dict], None]  # type: ignore[type-arg]
    retention_days: int = 400
    open_max: int = 1000
    clock: Callable[[], float] = time.monotonic
    draining: bool = False
    _open: "set[Run]" = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, call: Call) -> Reply:
        """Raises GatewayError if there is no answer; the call is recorded then, if it had been admitted."""
        plan = self.plan(call)
        if call.request.operation == "count_tokens":
            return self._count(call, plan)
        with self._lock:
            if self.draining:
                raise Unavailable("this instance of the gateway is shutting down; try again", retry_after_s=1)
            if len(self._open) >= self.open_max:
                raise Overloaded("too many open calls on this instance of the gateway; try again", retry_after_s=1)
            run = Run(self, call, plan)
            self._open.add(run)
        try:
            run.hold = self.reserve(call, plan)
        except BaseException:
            self.forget(run)
            raise
        try:
            return run.stream() if call.request.stream else run.plain()
        except GatewayError as error:
            error.route = run.headers()
            run.fail(error)
            run.close()
            raise
        except BaseException as error:
            run.fail(InternalError("the gateway failed", reason=repr(error)))
            run.close()
            raise

    def forget(self, run: "Run") -> None:
        with self._lock:
            self._open.discard(run)

    @property
    def open_calls(self) -> int:
        return len(self._open)

    def drain(self, timeout_s: float) -> None:
        """For SIGTERM: takes no new calls, lets streams finish, breaks those that do not, writes every record."""
        with self._lock:
            self.draining = True
        until = self.clock() + timeout_s
        while self._open and self.clock() < until - 1.0:
            time.sleep(0.02)
        for run in list(self._open):
            run.interrupt()
        while self._open and self.clock() < until:
            time.sleep(0.02)
        for run in list(self._open):
            run.settle()
        self.records.flush(max(1.0, until - self.clock()))

    def _count(self, call: Call, plan: Plan) -> Reply:
        """Token counting: never billed, never blocked, no usage document."""
        dialect = DIALECTS[call.dialect]
        outcome = Outcome(status=200)
        try:
            attempt = drive(self.attempts.first_success(call, plan, outcome.attempts))
            outcome.target = attempt.target
            check_content_type(attempt, "application/json")
            body = self.read_document(attempt)
            headers = route_headers(outcome, attempt) | {"content-type": "application/json"}
        except GatewayError as error:
            if not offers_no_counting(error):
                raise
            outcome.target = plan.targets[0]
            body = dialect.render_token_count(int(len(call.request.document.source) / BYTES_PER_TOKEN))
            headers = route_headers(outcome, None) | {"content-type": "application/json", "x-gateway-estimated": "input_tokens"}
        outcome.latency_ms = round((self.clock() - call.started) * 1000)
        document = render_document(call, outcome, self.retention_days)
        self.log_line(call, {**document, "operation": "count_tokens"})
        return Reply(200, headers, [body])

    def read_document(self, attempt: Attempt) -> bytes:
        """A plain answer, whole; UpstreamFailed if it is no JSON object."""
        try:
            body = drive_body(self.sender.read_whole(attempt.exchange, PLAIN_ANSWER_BYTES_MAX))
            JsonObject(body)
        except StreamBroken as error:
            raise UpstreamFailed("the provider broke off its answer; try again", reason=str(error)) from error
        except NotAnObject as error:
            raise UpstreamFailed("the provider's answer is no JSON document; try again", reason=str(error)) from error
        return body


class Run:
    """One admitted call under way: holds what must be given back, and settles once."""

    def __init__(self, house: Answering, call: Call, plan: Plan) -> None:
        self.hold: Hold | None = None
        self._house = house
        self._call = call
        self._dialect: Dialect = DIALECTS[call.dialect]
        self._steps: Steps | None = None
        self._plan = plan
        self._attempt: Attempt | None = None
        self._meter: Meter | None = None
        self._outcome = Outcome(status=200, target=plan.targets[0])
        self._settled = False
        self._lock = threading.Lock()

    # -- plain answers ---------------------------------------------------------------------------------------------

    def plain(self) -> Reply:
        steps = self._house.attempts.first_success(self._call, self._plan, self._outcome.attempts)
        attempt = self._take(drive(steps))
        return self._whole(attempt)

    def _whole(self, attempt: Attempt) -> Reply:
        """Reads the whole body, settles, then hands it over."""
        content_type = check_content_type(attempt, "application/json")
        self._meter = Meter(len(self._call.request.document.source), None)
        body = self._house.read_document(attempt)
        self._first_word()
        found = self._dialect.parse_usage(body)
        usage, self._outcome.answered_model = found if found else (None, None)
        self._meter.settle_plain(usage, len(body))
        self.settle()
        headers = self.headers() | {"content-type": content_type, "content-length": str(len(body))}
        headers["x-gateway-cost-usd"] = format_dollars(self._outcome.cost_nanodollars)
        return Reply(200, headers, [body], self.close)

    # -- streams ---------------------------------------------------------------------------------------------------

    def stream(self) -> Reply:
        """Replies as soon as the provider does, or with a ping of ours if it is silent for long: that commits to 200,
        and a failure after it is an error event."""
        self._steps = self._house.attempts.first_success(self._call, self._plan, self._outcome.attempts)
        found = advance(self._steps)
        if found is not None:
            attempt = self._take(found)
            if attempt.head.headers.get("content-type", "").startswith("application/json"):
                return self._whole(attempt)
            check_content_type(attempt, "text/event-stream")
        headers = self.headers() | {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
        return Reply(200, headers, self._relay(), self.close)

    def _relay(self) -> Iterator[bytes]:
        try:
            yield from self._silence()
            yield from self._chunks()
        except GatewayError as error:  # nothing of the provider's has passed: the stream can end properly
            self.fail(error)
            self.settle()
            yield self._dialect.render_stream_error(error, self._call.id)
        except GeneratorExit:
            self._outcome.client_gone = True
            raise
        except StreamBroken:
            raise
        except Exception as error:
            log.exception("call %s failed in mid-stream", self._call.id)
            self.fail(InternalError("the gateway failed", reason=repr(error)))
            raise StreamBroken("the gateway failed") from error
        finally:
            self.close()

    def _silence(self) -> Iterator[bytes]:
        """Pings until the provider's head is there."""
        while self._attempt is None:
            assert self._steps is not None
            yield self._dialect.render_ping()
            found = advance(self._steps)
            if found is not None:
                check_content_type(self._take(found), "text/event-stream")

    def _chunks(self) -> Iterator[bytes]:
        """The provider's bytes as they arrive. Settled before the chunk that ends the stream is handed over."""
        assert self._attempt is not None
        exchange, wait_s = self._attempt.exchange, self._house.sender.wait_s
        watch = self._dialect.watch_stream()
        self._meter = meter = Meter(len(self._call.request.document.source), watch)
        try:
            while (chunk := exchange.read(wait_s)) != b"":
                if chunk is None:
                    if watch.at_boundary:
                        yield self._dialect.render_ping()
                    continue
                self._first_word()
                meter.watch(chunk)
                if watch.ended:
                    self._outcome.answered_model = watch.answered_model
                    self.settle()
                yield chunk
            if not watch.ended and watch.error_kind is None:
                raise StreamBroken("the provider ended its stream before the end")
            self._outcome.error_type = self._outcome.error_type or watch.error_kind
        except (StreamBroken, GatewayError) as error:
            self._outcome.answered_model = watch.answered_model
            yield from self._break(error, watch.at_boundary)
        finally:
            self._outcome.answered_model = watch.answered_model

    def _break(self, error: Exception, at_boundary: bool) -> Iterator[bytes]:
        """The provider's stream broke: the client is told so, and its connection is cut, never ended cleanly."""
        told = error if isinstance(error, GatewayError) else UpstreamFailed(f"{error}; try again")
        if self._house.draining:
            told = Unavailable("this instance of the gateway is shutting down; try again")
        self.fail(told)
        self.settle()
        if at_boundary:
            yield self._dialect.render_stream_error(told, self._call.id)
        raise StreamBroken(str(error)) from error

    # -- the end ---------------------------------------------------------------------------------------------------

    def fail(self, error: GatewayError) -> None:
        self._outcome.status = error.status
        self._outcome.error_type = error.kind
        log.info("call %s failed: %s", self._call.id, error.reason)

    def interrupt(self) -> None:
        """Cuts the provider's answer off, from another thread."""
        if self._attempt is not None:
            self._attempt.exchange.interrupt()

    def close(self) -> None:
        """Gives everything back; may be called again."""
        if self._attempt is not None:
            self._attempt.exchange.close()
        if self._steps is not None:
            self._steps.close()
        if not self._settled and self._outcome.error_type is None and self._call.request.stream:
            self._outcome.client_gone = True
        self.settle()

    def settle(self) -> None:
        """Prices what was used, writes the record and its log line. Once."""
        with self._lock:
            if self._settled:
                return
            self._settled = True
        house, outcome, call = self._house, self._outcome, self._call
        try:
            outcome.latency_ms = round((house.clock() - call.started) * 1000)
            outcome.usage = self._meter.usage() if self._meter else Usage()
            self._price()
            writes = self.hold.settle(outcome.cost_nanodollars) if self.hold else []
            outcome.holds = self.hold.render() if self.hold else []
            document = render_document(call, outcome, house.retention_days)
            house.log_line(call, document)
            house.records.write([Create(document_path(call), document), *writes])
        except Exception:  # the answer is on its way to the client: a fault in book-keeping must not break it
            log.exception("call %s could not be settled", call.id)
        finally:
            house.forget(self)

    def _price(self) -> None:
        target, outcome = self._outcome.target, self._outcome
        if target is None or not self._meter:
            return
        cost = self._house.prices.cost(target.model, target.provider.kind, target.location, outcome.usage)
        outcome.cost_nanodollars, outcome.price_version, outcome.price_known = cost.nanodollars, cost.price_version, cost.known

    # -- small things ----------------------------------------------------------------------------------------------

    def _take(self, attempt: Attempt) -> Attempt:
        self._attempt = attempt
        self._outcome.target = attempt.target
        self._outcome.dropped = attempt.dropped
        self._outcome.upstream_request_id = attempt.upstream_request_id
        return attempt

    def _first_word(self) -> None:
        if self._outcome.ttft_ms is None:
            self._outcome.ttft_ms = round((self._house.clock() - self._call.started) * 1000)

    def headers(self) -> dict[str, str]:
        return route_headers(self._outcome, self._attempt)


def route_headers(outcome: Outcome, attempt: Attempt | None) -> dict[str, str]:
    """Where the call went, as every reply says it."""
    headers = {"x-gateway-attempts": str(len(outcome.attempts)), "x-gateway-cache": "off"}
    if outcome.target:
        headers["x-gateway-provider"] = outcome.target.provider.id
        headers["x-gateway-model"] = outcome.target.model
    if attempt and attempt.upstream_request_id:
        headers["x-upstream-request-id"] = attempt.upstream_request_id
    if attempt and attempt.dropped:
        headers["x-gateway-dropped"] = ", ".join(attempt.dropped)
    return headers


def offers_no_counting(error: GatewayError) -> bool:
    """The provider has no token counting for this model anywhere allowed, as opposed to a fault in the request."""
    return error.status in NEXT_COUNTING_STATUSES and not (isinstance(error, UpstreamRefused) and error.wire)


def check_content_type(attempt: Attempt, wanted: str) -> str:
    """The answer's content type; UpstreamFailed if a 200 is not what a model answers (a login page, say), or packed,
    which was not asked for."""
    found = attempt.head.headers.get("content-type", "")
    encoding = attempt.head.headers.get("content-encoding", "identity")
    if not found.startswith(wanted) or encoding != "identity":
        raise UpstreamFailed(
            f"the provider answered with {found or 'no content type'} ({encoding}) instead of {wanted}; tell the operator",
            reason=f"content type {found!r}, encoding {encoding!r}",
        )
    return found


def advance(steps: Steps) -> Attempt | None:
    """One step: the attempt, or None if a while passed in silence."""
    try:
        next(steps)
    except StopIteration as end:
        attempt: Attempt = end.value
        return attempt
    return None


def drive(steps: Steps) -> Attempt:
    while (attempt := advance(steps)) is None:
        pass
    return attempt


def drive_body(steps: Generator[None, None, bytes]) -> bytes:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            body: bytes = end.value
            return body
