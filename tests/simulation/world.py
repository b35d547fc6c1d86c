"""A world of instances with a virtual clock: everything that happens is an event, drawn from one seed.

The ledger is the real one. What it waits for passes in virtual time, and whenever it asks the store, other events may come first:
that is how threads and instances get in each other's way. An instance may crash at any operation, before or after it took effect,
or be paused for minutes; operations may fail, and the store may be away for a while.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from ledger_doubles import StatedEstimates, call, caller, plan, put_budget
from model_store import Line, ModelStore
from traffic_mix import Draft, draw

from gateway.canonical.call import Call
from gateway.canonical.errors import BudgetExceeded, RateExceeded, Unavailable
from gateway.canonical.steps import Steps, Until, Work
from gateway.canonical.store import AlreadyExists, Create, Store, StoreUnavailable, Write
from gateway.canonical.usage import Tokens, Usage
from gateway.spending.directory import FRESH_S, read_budgets
from gateway.spending.holds import Hold
from gateway.spending.lapsed import LOST
from gateway.spending.ledger import Ledger
from gateway.spending.matching import BudgetBook

START = 1_795_176_000.0  # 2026-11-20 12:00:00 UTC
TICK_S = 0.5
LATENCY_S = (0.005, 0.03)
NESTED_MAX = 3
LAPSE_S = 300.0 + 90.0 + 120.0


class Crashed(BaseException):
    """The instance is dead; nothing it still does has an effect."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What kind of world. Rates are per second, probabilities per store operation."""

    seed: int = 1
    instances: int = 4
    calls_per_s: float = 10.0
    open_s: float = 10.0
    burst: int = 1  # calls arrive in clusters of this size
    run_s: float = 300.0
    limit: str = "100.00"
    fields: tuple[tuple[str, Any], ...] = ()
    skew_s: float = 0.0
    interleaved: float = 0.2
    error: float = 0.0
    crash: float = 0.0
    crash_every_s: float = 0.0
    pause_every_s: float = 0.0
    pause_s: float = 120.0
    outages: tuple[tuple[float, float], ...] = ()  # from, to, in seconds after the start


@dataclass(slots=True, eq=False)
class Instance:
    name: str
    ledger: Ledger
    skew_s: float
    dead: bool = False
    paused_until: float = 0.0
    open_calls: "dict[str, Admitted]" = field(default_factory=dict)
    unwritten: list[tuple[str, list[Write]]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Admitted:
    call: Call
    draft: Draft
    hold: Hold
    at: float
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    at: float
    draft: Draft
    true_used: int  # what all admitted calls cost or will have cost


class Budgets:
    """As the ledger's own directory, but for its thread and its lock, which know no virtual time."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._read_at = float("-inf")
        self._book = BudgetBook(())

    def recall(self) -> Steps[BudgetBook]:
        if self._now() - self._read_at > FRESH_S:
            self._read_at, self._book = self._now(), BudgetBook(read_budgets(self._store))
        return self._book
        yield  # steps, of which there are none


class World:
    def __init__(self, setup: Setup, store: Store | None = None) -> None:
        self.setup = setup
        self.time = START
        self.chance = random.Random(setup.seed)
        self.store: Any = store or ModelStore()
        self.admitted: list[Admitted] = []
        self.refused: list[Refused] = []
        self.unavailable = 0
        self.lost_calls: list[Admitted] = []  # open when their instance died
        self.lost_records: list[Admitted] = []  # settled, but their usage document died with the instance
        self.duplicates: list[Admitted] = []  # settled after they had been charged as estimates
        self.true_used = 0  # by all admitted calls, open ones with what they will have used
        self.at_most = 0  # the same, open ones with their worst
        self.instances: list[Instance] = []
        self.faults = True
        self.max_waits_s = 0.0
        self._events: list[tuple[float, int, Instance | None, Callable[[], None]]] = []
        self._order = itertools.count()
        self._numbers = itertools.count(1)
        self._depth = 0
        self._checks: list[Callable[[World], None]] = []
        put_budget(self.store, amount=setup.limit, **dict(setup.fields))
        for _ in range(setup.instances):
            self.add_instance()
        self._plan_arrivals()
        self._plan_faults()

    def run(self, *checks: Callable[["World"], None]) -> None:
        """All traffic, then calm: instances end as on SIGTERM, and the sweep comes when everything has lapsed."""
        self._checks = list(checks)
        self._drain_events(START + self.setup.run_s + 5.0)
        self.faults = False
        self._drain_events(START + self.setup.run_s + 40 * self.setup.open_s + 1_000.0, only_open=True)
        for instance in self.living():
            instance.ledger.close(5.0)
        self._check()

    def settle_down(self) -> None:
        """Everything lapses, and is swept; late records are counted."""
        self.time += LAPSE_S
        sweeper = self.add_instance()
        for _ in range(3):
            sweeper.ledger.sweep()
            self.time += 30.0
            sweeper.ledger.tick()
        sweeper.dead = True
        self._check()

    def living(self) -> list[Instance]:
        return [instance for instance in self.instances if not instance.dead]

    def add_instance(self) -> Instance:
        name = f"i{len(self.instances) + 1}"
        skew_s = self.chance.uniform(-self.setup.skew_s, self.setup.skew_s)
        instance: Instance
        line = Line(self.store, lambda operation: self._before(instance), lambda operation: self._after(instance))
        now = lambda: self.time + skew_s  # noqa: E731
        ledger = Ledger(line, StatedEstimates(), now=now, clock=now, instance=name, own_thread=False)  # type: ignore[arg-type]
        ledger.directory = Budgets(self.store, now)  # type: ignore[assignment]
        instance = Instance(name, ledger, skew_s)
        self.instances.append(instance)
        self.at(self.time + self.chance.uniform(0, TICK_S), lambda: self._tick(instance), instance)
        return instance

    def at(self, when: float, event: Callable[[], None], instance: Instance | None = None) -> None:
        heapq.heappush(self._events, (when, next(self._order), instance, event))

    def _drain_events(self, until: float, *, only_open: bool = False) -> None:
        while self._events and self._events[0][0] <= until:
            if only_open and not any(i.open_calls or i.unwritten or i.paused_until > self.time for i in self.living()):
                return
            self._next_event()
            self._check()

    def _next_event(self) -> None:
        when, _, instance, event = heapq.heappop(self._events)
        self.time = max(self.time, when)
        if instance is None:
            event()
        elif instance.dead:
            return
        elif instance.paused_until > self.time:
            self.at(instance.paused_until + self.chance.random() * 0.1, event, instance)
        else:
            try:
                event()
            except Crashed:
                self._bury(instance)

    def _check(self) -> None:
        if self._depth == 0:
            for check in self._checks:
                check(self)

    def _before(self, instance: Instance) -> None:
        self._meddle(instance)
        if self._is_away() or (self.faults and self.chance.random() < self.setup.error / 2):
            raise StoreUnavailable("it did not happen")

    def _after(self, instance: Instance) -> None:
        self._meddle(instance)
        if self.faults and self.chance.random() < self.setup.error / 2:
            raise StoreUnavailable("it happened, and the answer got lost")

    def _meddle(self, instance: Instance) -> None:
        """Whatever may come between an operation and what its caller makes of it."""
        if instance.dead:
            raise Crashed
        if self.faults and self.setup.crash and self.chance.random() < self.setup.crash:
            raise Crashed
        if self.faults and self._depth < NESTED_MAX and self._events and self.chance.random() < self.setup.interleaved:
            self._depth += 1
            try:
                for _ in range(self.chance.randint(1, 3)):
                    if self._events and self._events[0][0] <= self.time + 0.2:
                        self._next_event()
            finally:
                self._depth -= 1
            if instance.dead:
                raise Crashed

    def _is_away(self) -> bool:
        return any(START + start <= self.time < START + end for start, end in self.setup.outages)

    def _tick(self, instance: Instance) -> None:
        self.at(self.time + TICK_S, lambda: self._tick(instance), instance)
        instance.ledger.tick()

    def _plan_arrivals(self) -> None:
        when = START
        while when < START + self.setup.run_s:
            when += self.chance.expovariate(self.setup.calls_per_s / self.setup.burst)
            for _ in range(self.setup.burst):
                self.at(when, self._arrive)

    def _plan_faults(self) -> None:
        for every_s, fault in ((self.setup.crash_every_s, self._crash), (self.setup.pause_every_s, self._pause)):
            when = START
            while every_s and when < START + self.setup.run_s:
                when += self.chance.expovariate(1 / every_s)
                self.at(when, fault)

    def _crash(self) -> None:
        living = self.living() if self.faults else []
        if living:
            self._bury(self.chance.choice(living))

    def _pause(self) -> None:
        living = self.living() if self.faults else []
        if living:
            self.chance.choice(living).paused_until = self.time + self.chance.expovariate(1 / self.setup.pause_s)

    def _bury(self, instance: Instance) -> None:
        if instance.dead:
            return
        instance.dead = True
        unwritten = {request_id for request_id, _ in instance.unwritten}
        for one in instance.open_calls.values():
            (self.lost_records if one.call.id in unwritten else self.lost_calls).append(one)
            self.at_most += 0 if one.settled else one.draft.cost - one.draft.worst
        self.add_instance()

    def _arrive(self) -> None:
        ready = [instance for instance in self.living() if instance.paused_until <= self.time]
        if not ready:
            return
        instance = self.chance.choice(ready)
        draft = draw(self.chance, self.setup.open_s)
        by = caller(key_id=f"key_{self.chance.randint(1, 20)}")
        one = call(next(self._numbers), draft.likely, draft.worst, guess=draft.guess, by=by)
        steps = instance.ledger.reserve(one, plan())
        began = self.time
        self._guarded(instance, lambda: self._go_on(instance, steps, one, draft, began, None))

    def _guarded(self, instance: Instance, event: Callable[[], None]) -> None:
        try:
            event()
        except Crashed:
            self._bury(instance)

    def _go_on(
        self, instance: Instance, steps: Generator[Any, Any, Hold], one: Call, draft: Draft, began: float, answer: Any
    ) -> None:
        try:
            pause = steps.throw(answer) if isinstance(answer, Exception) else steps.send(answer)
        except StopIteration as end:
            self._admit(instance, Admitted(one, draft, end.value, self.time))
        except (BudgetExceeded, RateExceeded):
            self.refused.append(Refused(self.time, draft, self.true_used))
        except Unavailable:
            self.unavailable += 1
        else:
            self.max_waits_s = max(self.max_waits_s, self.time - began)
            self._pause_call(instance, steps, one, draft, began, pause)

    def _pause_call(
        self, instance: Instance, steps: Generator[Any, Any, Hold], one: Call, draft: Draft, began: float, pause: Any
    ) -> None:
        def resume(answer: Any) -> None:
            self._go_on(instance, steps, one, draft, began, answer)

        if isinstance(pause, Work):

            def work() -> None:
                try:
                    result: Any = pause.run()
                except Exception as error:
                    result = error
                resume(result)

            self.at(self.time + self.chance.uniform(*LATENCY_S), work, instance)
            return
        assert isinstance(pause, Until)
        answered = [False]

        def answer_once(told: bool) -> None:
            if not answered[0]:
                answered[0] = True
                resume(told)

        pause.signal.on_told(lambda: self.at(self.time + 0.001, lambda: answer_once(True), instance))
        self.at(self.time + pause.wait_s, lambda: answer_once(pause.signal.told), instance)

    def _admit(self, instance: Instance, one: Admitted) -> None:
        self.admitted.append(one)
        self.true_used += one.draft.cost
        self.at_most += one.draft.worst
        instance.open_calls[one.call.id] = one
        self.at(self.time + one.draft.open_s, lambda: self._end(instance, one), instance)

    def _end(self, instance: Instance, one: Admitted) -> None:
        """As `answering` ends a call: settled in memory, and its record handed to the writer."""
        cost = one.draft.cost
        writes = one.hold.settle(Usage(Tokens(input=cost // 1_000_000, output=cost // 10_000_000)), cost)
        holds = one.hold.render()
        data = {
            "request_id": one.call.id,
            "holds": holds,
            "cost_nanodollars": cost,
            "allowance_ids": [hold["allowance"] for hold in holds if hold["allowance"]],
        }
        one.settled = True
        self.at_most += cost - one.draft.worst
        document = Create(f"projects/{one.call.caller.project}/usage/{one.call.id}", data)
        instance.unwritten.append((one.call.id, [document, *writes]))
        self.at(self.time + self.chance.uniform(*LATENCY_S), lambda: self._write(instance, one), instance)

    def _write(self, instance: Instance, one: Admitted) -> None:
        entry = next((entry for entry in instance.unwritten if entry[0] == one.call.id), None)
        if entry is None:
            return
        try:
            Line(self.store, lambda _: self._before(instance), lambda _: self._after(instance)).commit(entry[1])
        except StoreUnavailable:
            self.at(self.time + self.chance.uniform(0.5, 5.0), lambda: self._write(instance, one), instance)
            return
        except AlreadyExists:
            self._note_duplicate(one)
        if entry in instance.unwritten:
            instance.unwritten.remove(entry)
            instance.open_calls.pop(one.call.id, None)

    def _note_duplicate(self, one: Admitted) -> None:
        there = self.store.get(f"projects/{one.call.caller.project}/usage/{one.call.id}")
        if there.data.get("error_type") == LOST:
            self.duplicates.append(one)
