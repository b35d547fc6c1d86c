"""One admitted call under way: holds what must be given back, and settles once, whatever becomes of it.

Settling comes before the last bytes are handed over: on Cloud Run the CPU may be gone once they are out. `close` is the
net for clients that vanish.
"""

import logging
import threading

from gateway.answering.cached import Hit, Recall, recall, told
from gateway.answering.cost import add_look_up, put_cost, put_savings
from gateway.answering.framing import framed
from gateway.answering.headers import route_headers, stream_headers
from gateway.answering.house import House
from gateway.answering.patience import Patience
from gateway.canonical.call import Call, Plan
from gateway.canonical.dialect import Dialect, StreamWatch
from gateway.canonical.errors import GatewayError, InternalError, StreamBroken, Unavailable, UpstreamFailed
from gateway.canonical.money import format_dollars
from gateway.canonical.reply import Relay, Reply
from gateway.canonical.steps import Signal, Steps, Until
from gateway.canonical.store import Create, Put
from gateway.dialects import DIALECTS
from gateway.providers.crossing import dialect_of
from gateway.providers.send import Attempt
from gateway.records.document import Outcome, document_path, render_document
from gateway.routing.reading import check_content_type, read_document
from gateway.spending.holds import Hold
from gateway.spending.meter import Meter

RECORD_WAIT_S = 2.0
JSON = "application/json"
log = logging.getLogger(__name__)


class Run:
    """One of `plain`, `stream` and `replay` is called, once."""

    def __init__(self, house: House, call: Call, plan: Plan) -> None:
        self.hold: Hold | None = None
        self._house = house
        self._call = call
        self._dialect: Dialect = DIALECTS[call.dialect]
        self._plan = plan
        self._patience: Patience | None = None
        self._attempt: Attempt | None = None
        self._meter: Meter | None = None
        self._outcome = Outcome(status=200, target=plan.targets[0])
        self._recall: Recall | None = None
        self._interrupted = False
        self._settled = False
        self._lock = threading.Lock()

    def find(self) -> Steps[Hit | None]:
        """The answer out of the cache, if it is kept there."""
        if self._plan.cache is not None:
            self._recall = yield from recall(self._house.cache, self._house.semantic, self._call, self._plan)
        if self._recall is None:
            return None
        self._outcome.cache = "miss"
        return (yield from self._recall.find())

    def find_similar(self) -> Steps[Hit | None]:
        """The answer to a question that means the same. It costs something to look for, so the call must have been admitted."""
        if self._recall is None:
            return None
        hit = yield from self._recall.find_similar()
        if self._recall.looked_up is not None:
            self._outcome.cache_lookup = self._recall.looked_up.render()
        if self._interrupted:
            raise Unavailable("this instance of the gateway is shutting down; try again", retry_after_s=1)
        return hit

    def replay(self, hit: Hit) -> Steps[Reply]:
        """A kept answer, recorded like any other before it is handed over."""
        outcome, entry = self._outcome, hit.entry
        outcome.cache, outcome.target = "hit", hit.target
        outcome.answered_model, outcome.dropped = entry.answered_model, entry.dropped
        put_savings(self._house.prices, outcome, entry.usage)
        self._first_word()
        yield from self.settle()
        headers = {**route_headers(outcome, None), **self._budget_headers(), "age": str(int(hit.age_s))}
        if self._call.request.stream:
            return self._streamed(told(hit.body), headers)
        cost = {"x-gateway-cost-usd": format_dollars(outcome.cost_nanodollars)}
        return Reply(200, {**headers, "content-type": JSON if entry.stream else entry.content_type, **cost}, hit.body)

    def plain(self) -> Steps[Reply]:
        return (yield from self._whole(self._take((yield from self._ask().steps))))

    def _ask(self) -> Patience:
        house = self._house
        steps = house.attempts.first_success(self._call, self._plan, self._outcome.attempts)
        self._patience = Patience(steps, house.clock, house.sender.wait_s)
        return self._patience

    def _whole(self, attempt: Attempt) -> Steps[Reply]:
        """Reads the whole body, settles, then hands it over."""
        self._meter = Meter(len(self._call.request.document.source), None)
        body = yield from read_document(self._house.sender, attempt)
        self._first_word()
        found = dialect_spoken(attempt).parse_usage(body)
        usage, self._outcome.answered_model = found if found else (None, None)
        self._meter.settle_plain(usage, len(body))
        if attempt.crossing is not None:
            body = attempt.crossing.carry_answer(body)
        content_type = JSON if attempt.crossing else attempt.head.headers["content-type"]
        if self._recall is not None:
            self._recall.gather(body)
            self._recall.end(content_type, stream=False)
        yield from self.settle()
        headers = {
            **route_headers(self._outcome, attempt),
            **self._budget_headers(),
            "content-type": content_type,
            "x-gateway-cost-usd": format_dollars(self._outcome.cost_nanodollars),
        }
        return Reply(200, headers, body)

    def stream(self) -> Steps[Reply]:
        """Replies as soon as the provider does, or with a ping of ours if it is silent for long: that commits to 200,
        and a failure after it is an error event."""
        found = yield from self._ask().until_silence()
        if found is not None:
            attempt = self._take(found)
            if attempt.head.headers.get("content-type", "").startswith(JSON):
                return (yield from self._whole(attempt))
            check_content_type(attempt, dialect_spoken(attempt).STREAM_TYPE)
        return self._streamed(self._relay(), {**route_headers(self._outcome, self._attempt), **self._budget_headers()})

    def _streamed(self, relay: Relay, headers: dict[str, str]) -> Reply:
        """In the outer form that the client asked for."""
        kind = self._dialect.STREAM_TYPE
        if other := self._dialect.frame_stream(self._call.request):
            kind, relay = other[0], framed(relay, other[1])
        return Reply(200, {**headers, **stream_headers(kind)}, relay, self.close, self._done)

    def _budget_headers(self) -> dict[str, str]:
        return self.hold.headers() if self.hold else {}

    def _relay(self) -> Relay:
        try:
            yield from self._head()
            yield from self._chunks()
        except GatewayError as error:  # nothing of the provider's has passed: the stream can end properly
            told = self.fail(error)
            yield from self.settle()
            yield self._dialect.render_stream_error(told, self._call.id)
        except (GeneratorExit, StreamBroken):
            raise
        except Exception as error:
            log.exception("call %s failed in mid-stream", self._call.id)
            self.fail(InternalError("the gateway failed", reason=repr(error)))
            raise StreamBroken("the gateway failed") from error

    def _head(self) -> Relay:
        """Pings until the provider's head is there."""
        assert self._patience is not None
        while self._attempt is None:
            if ping := self._dialect.render_ping():
                yield ping
            found = yield from self._patience.until_silence()
            if found is not None:
                check_content_type(self._take(found), dialect_spoken(found).STREAM_TYPE)

    def _chunks(self) -> Relay:
        """What the provider says as it arrives: its own bytes, or carried over. Settled before the bytes that end the stream
        are handed over."""
        assert self._attempt is not None
        exchange, crossing, held = self._attempt.exchange, self._attempt.crossing, self._attempt.held
        self._attempt.held = b""
        wait_s = self._house.sender.wait_s
        watch = self._attempt.watch or dialect_spoken(self._attempt).watch_stream()
        carrier = crossing.carry_stream() if crossing else None
        gather = self._recall.gather if self._recall is not None else None
        self._meter = meter = Meter(len(self._call.request.document.source), watch)
        try:
            while (chunk := held or exchange.read()) != b"":
                if chunk is None:
                    silent = not (yield exchange.pause(wait_s))
                    if silent and (carrier or watch.at_boundary) and (ping := self._dialect.render_ping()):
                        yield ping
                    continue
                self._first_word()
                if held:
                    meter.count(held)
                    held = b""
                else:
                    meter.watch(chunk)
                if carrier:
                    chunk = carrier.carry(chunk)
                if gather is not None:
                    gather(chunk)
                if watch.ended or watch.error_kind:
                    yield from self._settle_stream(watch)
                if chunk:
                    yield chunk
            if not watch.may_end and watch.error_kind is None:
                raise StreamBroken("the provider ended its stream before the end")
            rest = carrier.end() if carrier else b""
            if gather is not None:
                gather(rest)
            yield from self._settle_stream(watch)
            if late := self._kept():
                self._house.records.offer(late)
            if rest:
                yield rest
        except (StreamBroken, GatewayError) as error:
            yield from self._break(error, carrier is not None or watch.at_boundary)
        finally:
            self._outcome.answered_model = watch.answered_model

    def _settle_stream(self, watch: StreamWatch) -> Steps[None]:
        if not self._settled:
            self._outcome.answered_model = watch.answered_model
            self._outcome.error_type = watch.error_kind
            if self._recall is not None and watch.error_kind is None:
                self._recall.end(self._dialect.STREAM_TYPE, stream=True)
            yield from self.settle()

    def _kept(self) -> Put | None:
        """The write that keeps the answer, if it is to be kept."""
        if self._recall is None or self._attempt is None:
            return None
        try:
            put = self._recall.keep(self._attempt, self._outcome)
            if put is not None and (question := self._recall.keep_question()):
                self._house.records.offer(question)
            return put
        except Exception:  # an answer that cannot be kept must still be recorded
            log.exception("the answer to call %s could not be kept", self._call.id)
            return None

    def _break(self, error: StreamBroken | GatewayError, at_boundary: bool) -> Relay:
        """The provider's stream broke: the client is told so, and its connection is cut, never ended cleanly.

        Told as `overloaded_error`: Claude Code then streams again at once, and asks unstreamed with its full `max_tokens`
        after any other kind (2.1.329, measured 2026-11-21).
        """
        if isinstance(error, StreamBroken):
            error = UpstreamFailed(f"{error}; try again", kind="overloaded_error")
        told = self.fail(error)
        yield from self.settle()
        if at_boundary:
            yield self._dialect.render_stream_error(told, self._call.id)
        raise StreamBroken(str(error)) from error

    def fail(self, error: GatewayError) -> GatewayError:
        """The call ends with an error: recorded, and told with the way it went. Returns the one to tell: a call that was
        cut off by us is no fault of the provider's."""
        if self._interrupted:
            error = Unavailable("this instance of the gateway is shutting down; try again", retry_after_s=1)
        error.route = route_headers(self._outcome, self._attempt)
        error.recorded = True
        self._outcome.status = error.status
        self._outcome.error_type = error.kind
        self._outcome.reason = error.reason
        return error

    def interrupt(self) -> None:
        """Cuts the provider's answer off, or the wait for it, from another thread."""
        self._interrupted = True
        if self._attempt is not None:
            self._attempt.exchange.interrupt()
        else:
            self._house.attempts.interrupt(self._call.id)
            self._house.sender.interrupt(self._call.id)

    def abandon(self) -> None:
        """Records a call whose own way will not get to it any more."""
        if not self._settled:
            self.fail(UpstreamFailed("the call was cut off"))
            self._record()

    def end(self) -> Steps[None]:
        """Gives everything back."""
        self._let_go()
        yield from self.settle()

    def close(self) -> None:
        """`end`, where waiting is allowed; may be called again. What is not settled by now lost its client."""
        self._let_go()
        if not self._settled and self._outcome.error_type is None:
            self._outcome.client_gone = True
        if written := self._record():
            written.wait(RECORD_WAIT_S)

    def _let_go(self) -> None:
        if self._attempt is not None:
            self._attempt.exchange.close()
        if self._patience is not None:
            self._patience.steps.close()

    def _done(self) -> bool:
        return self._settled and (self._attempt is None or self._attempt.exchange.finished)

    def settle(self) -> Steps[None]:
        """Records the call, and waits a while until that is written. Once."""
        if written := self._record():
            yield Until(written, RECORD_WAIT_S)

    def _record(self) -> Signal | None:
        """Prices what was used, hands over the record and writes its log line. None if that was done before."""
        with self._lock:
            if self._settled:
                return None
            self._settled = True
        house, outcome, call = self._house, self._outcome, self._call
        try:
            outcome.latency_ms = round((house.clock() - call.started) * 1000)
            if self._meter is not None:
                put_cost(house.prices, outcome, self._meter.usage(), self._attempt.beside if self._attempt else ())
            add_look_up(outcome)
            writes = self.hold.settle(outcome.usage, outcome.cost_nanodollars, outcome.target) if self.hold else []
            outcome.holds = self.hold.render() if self.hold else []
            document = render_document(call, outcome, house.retention_days)
            try:
                house.log_line(call, {**document, "reason": outcome.reason})
            finally:
                house.count(document)
                record = [Create(document_path(call), document), *writes]
                written = house.records.hand_over(record, offered=self._kept())
            if house.observe is not None:
                house.observe(call, document, outcome.target)
            return written
        except Exception:  # the answer is on its way to the client: a fault in book-keeping must not break it
            log.exception("call %s could not be settled", call.id)
            return None
        finally:
            house.forget(self)

    def _take(self, attempt: Attempt) -> Attempt:
        self._attempt = attempt
        if self._interrupted:
            attempt.exchange.interrupt()
        self._outcome.target = attempt.target
        self._outcome.dropped = attempt.dropped
        self._outcome.upstream_request_id = attempt.upstream_request_id
        return attempt

    def _first_word(self) -> None:
        if self._outcome.ttft_ms is None:
            self._outcome.ttft_ms = round((self._house.clock() - self._call.started) * 1000)


def dialect_spoken(attempt: Attempt) -> Dialect:
    """The provider's side, by which its answer is read."""
    return DIALECTS[dialect_of(attempt.target.wire)]
