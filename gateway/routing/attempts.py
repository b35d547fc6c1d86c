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
from gateway.canonical.errors import CredentialRefused, GatewayError, Unavailable, UpstreamFailed
from gateway.canonical.json_object import JsonObject
from gateway.canonical.steps import Signal, Steps
from gateway.dialects import DIALECTS
from gateway.providers.send import CANNOT_CARRY, Attempt, Sender
from gateway.routing.counting import Counting, Send
from gateway.routing.handoff import hand_off, refuses_history
from gateway.routing.health import Health
from gateway.routing.race import race
from gateway.routing.reading import hear_first_word
from gateway.routing.retry import retry_after_s, sleep, wait_before, within

LADDER_STATUSES = (404, 429, 503, 529)  # another location may have room, or the model
GIVEN_UP = 499  # in records: a target that was cut off because another was quicker
MOST_USEFUL = ((429,), (503, 529), (404,), (501,))
ANTHROPIC = "anthropic"


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
    place: int = 0  # the leg that is asked
    hedged: bool = False
    twins: "list[Journey]" = field(default_factory=list)  # while two targets are asked at a time


@dataclass(slots=True)
class Attempts:
    """The one place that decides whether another target is asked. `wait_s` is how long a silence may last before a waiting
    client should be pinged."""

    send: Send
    hear: Hear | None = None
    health: Health | None = None
    clock: Callable[[], float] = time.monotonic
    wait_s: float = 10.0
    _counting: Counting = field(default_factory=Counting)
    _under_way: dict[str, Journey] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def interrupt(self, call_id: str) -> None:
        """Ends a call's trying, from another thread: nobody else is asked."""
        journey = self._under_way.get(call_id)
        if journey is None:
            return
        journey.wake.tell()
        for each in (journey, *journey.twins):
            each.stopped = True
            if (attempt := each.attempt) is not None:
                attempt.exchange.interrupt()

    def first_success(self, call: Call, plan: Plan, tries: list[AttemptRecord]) -> Steps[Attempt]:
        """The answer of the first target that has one. Where all fail, the most useful of the failures is raised."""
        if call.request.operation == "count_tokens":
            return (yield from self._counting.first_success(self.send, call, plan, tries))
        if not plan.legs:
            return (yield from self._ask_only(call, plan.targets[0], tries))
        journey = Journey(call, plan, tries, plan.legs, call.started + plan.deadline_s)
        self._under_way[call.id] = journey
        try:
            return (yield from self._travel(journey))
        finally:
            self._under_way.pop(call.id, None)
            journey.failures.clear()  # their tracebacks know the journey: a circle that only the garbage collector would end

    def _ask_only(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Steps[Attempt]:
        """One target, and nobody to turn to: its answer is handed on as it comes."""
        try:
            attempt = yield from self.send(call, target, tries)
        except CredentialRefused as error:
            if self.health is not None and not error.should_retry:  # no token just now: nothing here would end its rest
                self.health.failed(target, error)
            raise
        if self.health is not None:
            self.health.accepted(target)
        return attempt

    def _travel(self, journey: Journey) -> Steps[Attempt]:
        retries = 0
        while True:
            journey.visited.add(journey.place)
            try:
                return (yield from self._ask_or_hedge(journey))
            except GatewayError as error:
                journey.failures.append(error)
                if journey.stopped or not self._may_go_on(journey):
                    raise self._conclusion(journey) from error
                if refuses_history(error) and not journey.handed:
                    journey.handed = True
                    continue
                following = yield from self._following(journey, journey.place, error, retries)
                if following is None:
                    raise self._conclusion(journey) from error
                retries = retries + 1 if following == journey.place else 0
                journey.place = following

    def _ask_or_hedge(self, journey: Journey) -> Steps[Attempt]:
        leg, hedge_s = journey.legs[journey.place], journey.plan.hedge_s
        if hedge_s is None or journey.hedged:
            return (yield from self._ask(journey, leg))
        journey.hedged = True
        return (yield from self._hedge(journey, leg, hedge_s))

    def _hedge(self, journey: Journey, leg: Leg, hedge_s: float) -> Steps[Attempt]:
        """Asks the next target too, if this one has not said a word in time; the slower one is cut off."""
        here = journey.place
        there = leg.ladder if leg.ladder is not None else leg.exits[0].leg if leg.exits else here
        twins = journey.twins = [replace(journey, tries=[], twins=[])]

        def second() -> Steps[Attempt] | None:
            if journey.stopped or len(journey.tries) + len(twins[0].tries) + 2 > journey.plan.attempts_max:
                return None
            twins.append(replace(journey, tries=[], twins=[]))
            journey.visited.add(there)
            return self._ask(twins[1], journey.legs[there])

        try:
            runners = yield from race(self._ask(twins[0], leg), second, hedge_s, self.clock)
        finally:
            for twin in twins:
                if twin.tries and twin.tries[-1].status == 0:
                    twin.tries[-1] = replace(twin.tries[-1], status=GIVEN_UP)
                journey.tries.extend(twin.tries)
            journey.twins = []
        places = (here, there)
        for number, runner in enumerate(runners):
            if runner.result is not None:
                runner.result.beside = tuple(
                    journey.legs[place].target for place, other in zip(places, runners, strict=False) if other.under_way
                )
                journey.place = places[number]
                return runner.result
        journey.place = places[len(runners) - 1]
        failures = [runner.error for runner in runners if runner.error is not None]
        journey.failures += failures[:-1]
        raise failures[-1]

    def _may_go_on(self, journey: Journey) -> bool:
        failed = sum(1 for each in journey.tries if each.status != 200)  # the others were pieces of an answer, asked for in turn
        return failed < journey.plan.attempts_max and self.clock() < journey.deadline

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
        if journey.stopped or len(journey.visited) == 1 or not _is_targets_fault(last):
            return last
        for statuses in MOST_USEFUL:
            if found := [error for error in failures if error.status in statuses]:
                return found[-1]
        told = f"all targets failed ({len(journey.tries)} attempted); try again, and tell the operator if it persists"
        return UpstreamFailed(told, reason="; ".join(f"{e.status} {e.reason}" for e in failures)[:500])


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


def _is_targets_fault(error: GatewayError) -> bool:
    """As opposed to one of the request's, which every target would refuse."""
    return error.status >= 500 or error.status in (404, 408, 429)
