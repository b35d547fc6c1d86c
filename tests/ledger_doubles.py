"""Stand-ins for the ledger's tests: calls with a given price, a clock turned by hand, and a store that fails when told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from gateway.canonical.call import Call, Caller, Plan, Request, Target
from gateway.canonical.json_object import JsonObject
from gateway.canonical.money import NANO_PER_DOLLAR
from gateway.canonical.steps import Steps, Until, Wait, Work
from gateway.canonical.store import Create, Json, Put, Store, StoreUnavailable, Write
from gateway.canonical.usage import Tokens, Usage
from gateway.spending.amounts import Amounts, Estimate
from gateway.spending.holds import Hold
from gateway.spending.ledger import Ledger

START = datetime(2026, 11, 20, 12, 0, 30, tzinfo=UTC).timestamp()
DOCUMENT = JsonObject(b'{"model": "claude-sonnet-4-6"}')
REQUEST = Request("generate", "claude-sonnet-4-6", True, DOCUMENT)
TARGET = Target(SimpleNamespace(id="vertex"), "claude-sonnet-4-6", "claude-sonnet-4-6", "global", "anthropic")


@dataclass
class HandClock:
    time: float = START

    def now(self) -> float:
        return self.time


def dollars(amount: float) -> int:
    return round(amount * NANO_PER_DOLLAR)


@dataclass
class StatedEstimates:
    """Estimates that stand in the call's own headers: `guess`, `likely` and `worst` in nano-dollars. `looked_at` are the ids of
    calls that were looked at closely."""

    learned: list[int] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)

    def guess(self, call: Call, target: Target) -> Amounts | None:
        return _amounts(int(call.headers["guess"])) if "guess" in call.headers else None

    def estimate(self, call: Call, target: Target, params: Any = None) -> Estimate:
        self.looked_at.append(call.id)
        likely, worst = int(call.headers["likely"]), int(call.headers["worst"])
        return Estimate(_amounts(likely), _amounts(worst))

    def learn(self, call: Call, target: Target, usage: Usage, cost_nanodollars: int) -> None:
        self.learned.append(cost_nanodollars)


def _amounts(cost: int) -> Amounts:
    return Amounts(cost, cost // 1_000_000, cost // 10_000_000)


def caller(**fields: Any) -> Caller:
    return Caller(**{"key_id": "key_1", "project": "acme", "user": "ana@example.com", **fields})


def call(
    number: int,
    likely: int,
    worst: int | None = None,
    *,
    guess: int | None = None,
    by: Caller | None = None,
    session: str | None = None,
) -> Call:
    """`guess` is what it is taken for at a glance; by default it likely is that. 0: it must be looked at."""
    headers = {"guess": str(likely if guess is None else guess), "likely": str(likely), "worst": str(worst or likely)}
    if guess == 0:
        del headers["guess"]
    return Call(f"call-{number}", by or caller(), "anthropic", REQUEST, headers, START, 0.0, session_id=session)


def plan(model: str = "claude-sonnet-4-6", provider: str = "vertex") -> Plan:
    return Plan((Target(SimpleNamespace(id=provider), model, model, "global", "anthropic"),))


def budget_document(**fields: Any) -> Json:
    whole = {"scope": {"type": "organization", "id": None}, "unit": "usd", "amount": "10.00", "period": "month",
             "mode": "balanced", "on_store_error": "open", "alerts": [], "pooled": False, "raise": None}  # fmt: skip
    return {**whole, **fields}


def put_budget(store: Any, budget_id: str = "bud_1", **fields: Any) -> None:
    getattr(store, "store", store).commit([Put(f"budgets/{budget_id}", budget_document(**fields))])


def usage_document(one: Call, hold: Hold, cost: int) -> Create:
    """As much of one as reconciling reads."""
    holds = hold.render()
    data = {
        "request_id": one.id, "holds": holds, "cost_nanodollars": cost, "completeness": "final",
        "allowance_ids": [part["allowance"] for part in holds if part["allowance"]],
    }  # fmt: skip
    return Create(f"projects/{one.caller.project}/usage/{one.id}", data)


def settle(store: Any, hold: Hold, one: Call, cost: int) -> None:
    """As a call ends: one batch with its usage document."""
    writes = hold.settle(Usage(Tokens(input=cost // 1_000_000, output=cost // 10_000_000)), cost)
    store.commit([usage_document(one, hold, cost), *writes])


def run(steps: Steps[Any], on_pause: Callable[[float], None] = lambda wait_s: None) -> Any:
    """To the end in this thread. A wait passes at once, after `on_pause` with its length; what was told is told."""
    try:
        pause = steps.send(None)
        while True:
            match pause:
                case Work():
                    pause = _work(steps, pause)
                case Until():
                    if not pause.signal.told:
                        on_pause(pause.wait_s)
                    pause = steps.send(pause.signal.told)
                case Wait():
                    raise AssertionError("the ledger waits for no socket")
    except StopIteration as end:
        return end.value


def _work(steps: Steps[Any], pause: Work) -> Any:
    try:
        result = pause.run()
    except Exception as error:
        return steps.throw(error)
    return steps.send(result)


class FailingStore:
    """Passes everything on to a real store, and counts it; turned off, or losing answers, when told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.down = False
        self.lose_answers = 0  # so many commits are applied, and their answers lost
        self.operations: list[str] = []
        self.writes: list[Write] = []

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self.store, name)

        def guarded(*arguments: Any, **more: Any) -> Any:
            if self.down:
                raise StoreUnavailable("the store is turned off")
            self.operations.append(name)
            result = operation(*arguments, **more)
            if name == "commit":
                self._written(arguments[0])
            return result

        return guarded

    def _written(self, writes: Sequence[Write]) -> None:
        self.writes += writes
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the answer got lost")


def rounds(ledger: Ledger, clock: HandClock, seconds: float) -> None:
    """As the ledger's own thread looks after it."""
    until = clock.time + seconds
    while clock.time < until:
        clock.time += 0.5
        ledger.tick()


def make_ledger(store: Any, clock: HandClock, *, estimates: StatedEstimates | None = None, **more: Any) -> Ledger:
    return Ledger(store, estimates or StatedEstimates(), now=clock.now, clock=clock.now, own_thread=False, **more)
