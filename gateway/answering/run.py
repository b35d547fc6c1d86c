"""One admitted call under way: holds what must be given back, and settles once, whatever becomes of it.

Settling comes before the last bytes are handed over: on Cloud Run the CPU may be gone once they are out. `close` is the
net for clients that vanish.
"""

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from gateway.answering.framing import framed
from gateway.canonical.call import Call, Plan, Target
from gateway.canonical.dialect import Dialect, StreamWatch
from gateway.canonical.errors import GatewayError, InternalError, StreamBroken, Unavailable, UpstreamFailed
from gateway.canonical.money import format_dollars
from gateway.canonical.reply import Relay, Reply
from gateway.canonical.steps import Signal, Steps, Until, Wait
from gateway.canonical.store import Create, Json
from gateway.canonical.usage import Usage
from gateway.dialects import DIALECTS
from gateway.providers.crossing import dialect_of
from gateway.providers.send import Attempt, Sender
from gateway.records.document import Outcome, document_path, render_document
from gateway.records.writer import RecordWriter
from gateway.routing.attempts import Attempts
from gateway.routing.reading import check_content_type, read_document
from gateway.spending.holds import Hold
from gateway.spending.meter import Meter
from gateway.spending.prices import PriceBook

Observe = Callable[[Call, Json, Target | None], None]
"""Told of every settled call: its usage document, and where it went. Raises nothing, and does not wait."""

RECORD_WAIT_S = 2.0
DROPPED_CHARACTERS_MAX = 2_000
UNSHOWABLE = re.compile(r"[^\x20-\x7e]")  # clients choose some of these names
log = logging.getLogger(__name__)


class House(Protocol):
    """What a run needs of `Answering`."""

    attempts: Attempts
    sender: Sender
    prices: PriceBook
    records: RecordWriter
    retention_days: int

    def log_line(self, call: Call, document: Json) -> None: ...

    def count(self, document: Json) -> None: ...

    @property
    def observe(self) -> Observe | None: ...

    def clock(self) -> float: ...

    def forget(self, run: "Run") -> None: ...


class Run:
    """Either `plain` or `stream` is called, once."""

    def __init__(self, house: House, call: Call, plan: Plan) -> None:
        self.hold: Hold | None = None
        self._house = house
        self._call = call
        self._dialect: Dialect = DIALECTS[call.dialect]
        self._plan = plan
        self._steps: Steps[Attempt] | None = None
        self._heard: Any = None  # what the next of these steps is told
        self._attempt: Attempt | None = None
        self._meter: Meter | None = None
        self._outcome = Outcome(status=200, target=plan.targets[0])
        self._interrupted = False
        self._settled = False
        self._lock = threading.Lock()

    def plain(self) -> Steps[Reply]:
        self._steps = self._house.attempts.first_success(self._call, self._plan, self._outcome.attempts)
        return (yield from self._whole(self._take((yield from self._steps))))

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
        yield from self.settle()
        headers = {
            **route_headers(self._outcome, attempt),
            **self._budget_headers(),
            "content-type": "application/json" if attempt.crossing else attempt.head.headers["content-type"],
            "x-gateway-cost-usd": format_dollars(self._outcome.cost_nanodollars),
        }
        return Reply(200, headers, body)

    def stream(self) -> Steps[Reply]:
        """Replies as soon as the provider does, or with a ping of ours if it is silent for long: that commits to 200,
        and a failure after it is an error event."""
        self._steps = self._house.attempts.first_success(self._call, self._plan, self._outcome.attempts)
        found = yield from self._until_silence(self._steps)
        if found is not None:
            attempt = self._take(found)
            if attempt.head.headers.get("content-type", "").startswith("application/json"):
                return (yield from self._whole(attempt))
            check_content_type(attempt, dialect_spoken(attempt).STREAM_TYPE)
        kind, relay = self._dialect.STREAM_TYPE, self._relay()
        if other := self._dialect.frame_stream(self._call.request):
            kind, relay = other[0], framed(relay, other[1])
        headers = {**route_headers(self._outcome, self._attempt), **self._budget_headers()}
        headers |= {"content-type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind, "cache-control": "no-cache"}
        return Reply(200, headers, relay, self.close, self._done)

    def _budget_headers(self) -> dict[str, str]:
        return self.hold.headers() if self.hold else {}

    def _until_silence(self, steps: Steps[Attempt]) -> Steps[Attempt | None]:
        """The attempt, or None when a while has passed in silence: call again to go on."""
        began, wait_s = self._house.clock(), self._house.sender.wait_s
        try:
            pause = steps.send(self._heard)
            while True:
                try:
                    answer = yield pause
                except Exception as error:  # what the work raised is for those who asked for it
                    pause = steps.throw(error)
                    continue
                silent = isinstance(pause, Wait | Until) and not answer and pause.wait_s >= wait_s
                if silent or self._house.clock() - began >= wait_s:
                    self._heard = answer
                    return None
                pause = steps.send(answer)
        except StopIteration as end:
            attempt: Attempt = end.value
            return attempt

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
        assert self._steps is not None
        while self._attempt is None:
            if ping := self._dialect.render_ping():
                yield ping
            found = yield from self._until_silence(self._steps)
            if found is not None:
                check_content_type(self._take(found), dialect_spoken(found).STREAM_TYPE)

    def _chunks(self) -> Relay:
        """What the provider says as it arrives: its own bytes, or carried over. Settled before the bytes that end the stream
        are handed over."""
        assert self._attempt is not None
        exchange, crossing = self._attempt.exchange, self._attempt.crossing
        wait_s = self._house.sender.wait_s
        watch = dialect_spoken(self._attempt).watch_stream()
        carrier = crossing.carry_stream() if crossing else None
        self._meter = meter = Meter(len(self._call.request.document.source), watch)
        try:
            while (chunk := self._attempt.held.pop(0) if self._attempt.held else exchange.read()) != b"":
                if chunk is None:
                    silent = not (yield exchange.pause(wait_s))
                    if silent and (carrier or watch.at_boundary) and (ping := self._dialect.render_ping()):
                        yield ping
                    continue
                self._first_word()
                meter.watch(chunk)
                if carrier:
                    chunk = carrier.carry(chunk)
                if watch.ended or watch.error_kind:
                    yield from self._settle_stream(watch)
                if chunk:
                    yield chunk
            if not watch.may_end and watch.error_kind is None:
                raise StreamBroken("the provider ended its stream before the end")
            rest = carrier.end() if carrier else b""
            yield from self._settle_stream(watch)
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
            yield from self.settle()

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
        if self._steps is not None:
            self._steps.close()

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
            self._price()
            writes = self.hold.settle(outcome.usage, outcome.cost_nanodollars) if self.hold else []
            outcome.holds = self.hold.render() if self.hold else []
            document = render_document(call, outcome, house.retention_days)
            try:
                house.log_line(call, {**document, "reason": outcome.reason})
            finally:
                house.count(document)
                written = house.records.hand_over([Create(document_path(call), document), *writes])
            if house.observe is not None:
                house.observe(call, document, outcome.target)
            return written
        except Exception:  # the answer is on its way to the client: a fault in book-keeping must not break it
            log.exception("call %s could not be settled", call.id)
            return None
        finally:
            house.forget(self)

    def _price(self) -> None:
        outcome, target = self._outcome, self._outcome.target
        if target is None or self._meter is None:
            return
        outcome.usage = self._meter.usage()
        cost = self._house.prices.cost(target.model, target.provider.kind, target.location, outcome.usage)
        outcome.cost_nanodollars, outcome.price_version, outcome.price_known = cost.nanodollars, cost.price_version, cost.known
        for other in self._attempt.beside if self._attempt else ():
            outcome.cost_nanodollars += self._cost_of_prompt(other, outcome.usage)

    def _cost_of_prompt(self, target: Target, usage: Usage) -> int:
        """Of one that was asked beside and cut off: it read the same prompt, and had not said a word."""
        prompt = replace(usage, tokens=replace(usage.tokens, output=0, thinking=0), iterations=(), searches=0)
        return self._house.prices.cost(target.model, target.provider.kind, target.location, prompt).nanodollars

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


def route_headers(outcome: Outcome, attempt: Attempt | None) -> dict[str, str]:
    """Where the call went, as every reply says it."""
    headers = {"x-gateway-attempts": str(len(outcome.attempts)), "x-gateway-cache": "off"}
    if outcome.target:
        headers["x-gateway-provider"] = outcome.target.provider.id
        headers["x-gateway-model"] = outcome.target.model
    if attempt and attempt.upstream_request_id:
        headers["x-upstream-request-id"] = attempt.upstream_request_id
    if attempt and attempt.dropped:
        headers["x-gateway-dropped"] = UNSHOWABLE.sub("?", ", ".join(attempt.dropped))[:DROPPED_CHARACTERS_MAX]
    return headers
