"""From a plan to an answer: from leg to leg, until the first target that says a word.

Trying ends at the first word, never after it, and before it at the plan's limits of requests and seconds. Every attempt
starts from the caller's own bytes.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway.canonical.call import AttemptRecord, Call, Leg, Plan, Target
from gateway.canonical.errors import CredentialRefused, GatewayError, Unavailable, UpstreamFailed, UpstreamRefused
from gateway.canonical.json_object import JsonObject
from gateway.canonical.steps import Signal, Steps
from gateway.dialects import DIALECTS
from gateway.providers.send import CANNOT_CARRY, Attempt, Sender
from gateway.routing.handoff import hand_off, refuses_history
from gateway.routing.health import Health
from gateway.routing.reading import hear_first_word
from gateway.routing.retry import retry_after_s, sleep, wait_before, within

NO_COUNTING_STATUSES = (400, 404, 501)
LADDER_STATUSES = (404, 429, 503, 529)  # another location may have room, or the model
MOST_USEFUL = ((429,), (503, 529), (404,), (501,))
ANTHROPIC = "anthropic"


class Send(Protocol):
    """Asks one target: the answer under way, or GatewayError."""

    def __call__(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Steps[Attempt]: ...


class Hear(Protocol):
    """Waits for the first word of an answer; GatewayError if there is none."""

    def __call__(self, attempt: Attempt, *, stream: bool) -> Steps[None]: ...


def hearing(sender: Sender) -> Hear:
    return lambda attempt, *, stream: hear_first_word(sender, attempt, stream=stream)


@dataclass(slots=True)
class Journey:
    """One call on its way from target to target. `failures` are in order; `handed` says that the history was made fit for
    another account."""

    call: Call
    plan: Plan
    tries: list[AttemptRecord]
    legs: Sequence[Leg]
    deadline: float
    failures: list[GatewayError] = field(default_factory=list)
    visited: set[int] = field(default_factory=set)
    handed: bool = False
    wake: Signal = field(default_factory=Signal)
    stopped: bool = False
    attempt: Attempt | None = None


@dataclass(slots=True)
class Attempts:
    """The one place that decides whether another target is asked. `wait_s` is how long a silence may last before a waiting
    client should be pinged."""

    send: Send
    hear: Hear | None = None
    health: Health | None = None
    clock: Callable[[], float] = time.monotonic
    wait_s: float = 10.0
    _counts_at: dict[tuple[str, str, str], Target] = field(default_factory=dict)
    _under_way: dict[str, Journey] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def interrupt(self, call_id: str) -> None:
        """Ends a call's trying, from another thread: nobody else is asked."""
        journey = self._under_way.get(call_id)
        if journey is None:
            return
        journey.stopped = True
        journey.wake.tell()
        if (attempt := journey.attempt) is not None:
            attempt.exchange.interrupt()

    def first_success(self, call: Call, plan: Plan, tries: list[AttemptRecord]) -> Steps[Attempt]:
        """The answer of the first target that has one. Where all fail, the most useful of the failures is raised."""
        if call.request.operation == "count_tokens":
            return (yield from self._count(call, plan, tries))
        if not plan.legs:
            return (yield from self._ask_only(call, plan.targets[0], tries))
        journey = Journey(call, plan, tries, plan.legs, call.started + plan.deadline_s)
        self._under_way[call.id] = journey
        try:
            return (yield from self._travel(journey))
        finally:
            self._under_way.pop(call.id, None)

    def _ask_only(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Steps[Attempt]:
        """One target, and nobody to turn to: its answer is handed on as it comes."""
        return (yield from self.send(call, target, tries))

    def _travel(self, journey: Journey) -> Steps[Attempt]:
        place, retries = 0, 0
        while True:
            leg = journey.legs[place]
            journey.visited.add(place)
            try:
                return (yield from self._ask(journey, leg))
            except GatewayError as error:
                journey.failures.append(error)
                if journey.stopped or not self._may_go_on(journey):
                    raise self._conclusion(journey) from error
                if refuses_history(error) and not journey.handed:
                    journey.handed = True
                    continue
                following = yield from self._following(journey, place, error, retries)
                if following is None:
                    raise self._conclusion(journey) from error
                if following == place:
                    retries += 1
                else:
                    place, retries = following, 0

    def _may_go_on(self, journey: Journey) -> bool:
        return len(journey.tries) < journey.plan.attempts_max and self.clock() < journey.deadline

    def _following(self, journey: Journey, here: int, error: GatewayError, retries: int) -> Steps[int | None]:
        """The next leg: the next location at once, the same target after a while, another target, or none."""
        leg = journey.legs[here]
        if leg.ladder is not None and error.status in LADDER_STATUSES:
            return leg.ladder
        wait_s = wait_before(leg.retry, error, retries)
        if wait_s is not None and not isinstance(error, CredentialRefused) and self.clock() + wait_s < journey.deadline:
            yield from sleep(wait_s, journey.wake, self.clock, self.wait_s)
            if journey.stopped:
                raise Unavailable("this instance of the gateway is shutting down; try again", retry_after_s=1)
            return here
        statuses = {error.status}
        if isinstance(error, CredentialRefused) and journey.tries:
            statuses.add(journey.tries[-1].status)
        return next((way.leg for way in leg.exits if statuses & way.statuses or error.reason == CANNOT_CARRY), None)

    def _ask(self, journey: Journey, leg: Leg) -> Steps[Attempt]:
        """One target, until its first word. It is told to its health how that went."""
        target, tries = leg.target, journey.tries
        fitted, lost = self._fit(journey, leg)
        began, made = self.clock(), len(tries)
        until = min(journey.deadline, began + leg.timeout_s) if leg.timeout_s else journey.deadline
        told = f"{target.provider.id} did not say a word within {until - began:.3g} s; try again"
        busy = _Busy(self.health, target)
        try:
            attempt = yield from within(self._answer(journey, fitted, target), until, self.clock, told)
        except GatewayError as error:
            busy.end()
            if len(tries) > made and tries[-1].status in (0, 200):
                tries[-1] = replace(tries[-1], status=error.status, ms=round((self.clock() - began) * 1000))
            if self.health is not None and _is_targets_fault(error):
                self.health.failed(target, error, retry_after_s(error))
            raise
        except BaseException:
            busy.end()
            raise
        if self.health is not None:
            self.health.succeeded(target, self.clock() - began)
        busy.until(attempt)
        attempt.dropped = (*lost, *attempt.dropped)
        return attempt

    def _answer(self, journey: Journey, call: Call, target: Target) -> Steps[Attempt]:
        attempt = yield from self.send(call, target, journey.tries)
        journey.attempt = attempt
        try:
            if journey.stopped:
                attempt.exchange.interrupt()
            if self.hear is not None:
                yield from self.hear(attempt, stream=call.request.stream)
        except BaseException:
            attempt.exchange.close()
            raise
        finally:
            journey.attempt = None
        return attempt

    def _fit(self, journey: Journey, leg: Leg) -> tuple[Call, tuple[str, ...]]:
        """The call as this leg has it: with the config's own parameters, and for another model or account than the first
        with a history that fits there."""
        call, first = journey.call, journey.legs[0].target
        document = call.request.document
        lost: tuple[str, ...] = ()
        if leg.params:
            document = JsonObject(document.edited(put=leg.params))
        elsewhere = (first.provider.id, first.model) != (leg.target.provider.id, leg.target.model)
        if (elsewhere or journey.handed) and DIALECTS[call.dialect].WIRE == ANTHROPIC:
            document, lost = hand_off(document)
        if document is call.request.document:
            return call, ()
        return replace(call, request=replace(call.request, document=document)), lost

    def _conclusion(self, journey: Journey) -> GatewayError:
        """What the caller is told: a fault of the request's own, the failure of the only target, or the most useful."""
        failures = journey.failures
        last = failures[-1]
        if journey.stopped or len(failures) == 1 or not _is_targets_fault(last):
            return last
        targets = {journey.legs[place].target.provider.id for place in journey.visited}
        for statuses in MOST_USEFUL:
            if found := [error for error in failures if error.status in statuses]:
                return found[-1]
        if len(targets) == 1 and len(journey.visited) == 1:
            return last
        told = f"all targets failed ({len(journey.tries)} attempted); try again, and tell the operator if it persists"
        return UpstreamFailed(told, reason="; ".join(f"{e.status} {e.reason}" for e in failures)[:500])

    def _count(self, call: Call, plan: Plan, tries: list[AttemptRecord]) -> Steps[Attempt]:
        """Counting goes on to the next location where one does not offer it; the first refusal is what the caller sees if
        all refuse."""
        first: GatewayError | None = None
        for target in self._counting_order(plan):
            try:
                attempt = yield from self.send(call, target, tries)
                self._counts_at[_place(plan.targets[0])] = target
                return attempt
            except GatewayError as error:
                first = first or error
                if not offers_no_counting(error):
                    raise
        assert first is not None, "a plan has at least one target"
        raise first

    def _counting_order(self, plan: Plan) -> list[Target]:
        """The location that counted last time first."""
        last = self._counts_at.get(_place(plan.targets[0]))
        return sorted(plan.targets, key=lambda target: target != last)


class _Busy:
    """A target has one more call, from now until its answer is over."""

    def __init__(self, health: Health | None, target: Target) -> None:
        self._health = health
        self._target = target
        if health is not None:
            health.begin(target)

    def until(self, attempt: Attempt) -> None:
        if self._health is None:
            return
        if attempt.exchange.finished:
            self.end()
            return
        before = attempt.exchange.on_end

        def ended() -> None:
            before()
            self.end()

        attempt.exchange.on_end = ended

    def end(self) -> None:
        if self._health is not None:
            self._health.end(self._target)


def offers_no_counting(error: GatewayError) -> bool:
    """The location has no token counting for this model, as opposed to a fault in the request: that is told in the
    caller's own wire format by whoever does count."""
    return error.status in NO_COUNTING_STATUSES and not (isinstance(error, UpstreamRefused) and error.wire)


def _is_targets_fault(error: GatewayError) -> bool:
    """As opposed to one of the request's, which every target would refuse."""
    return error.status >= 500 or error.status in (404, 408, 429)


def _place(target: Target) -> tuple[str, str, str]:
    return target.provider.id, target.location, target.model
