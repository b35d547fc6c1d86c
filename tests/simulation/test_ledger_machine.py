"""Whatever is done to instances, in whatever order: hypothesis looks for a way to lose money, and says the shortest."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_doubles import HandClock, call, make_ledger, plan, put_budget, run, usage_document
from model_store import ModelStore
from world import Budgets

from gateway.canonical.errors import GatewayError
from gateway.canonical.store import AlreadyExists, StoreUnavailable
from gateway.canonical.usage import Usage
from gateway.spending.ledger import Ledger

LIMIT = 12


class Store(ModelStore):
    """Fails when told: before it did anything, or after."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def commit(self, writes: Any, *, timeout_s: float = 2.0) -> Any:
        fault = self.faults.pop() if self.faults else "none"
        if fault == "before":
            raise StoreUnavailable("it did not happen")
        result = super().commit(writes, timeout_s=timeout_s)
        if fault == "after":
            raise StoreUnavailable("it happened, and the answer got lost")
        return result


class LedgerMachine(RuleBasedStateMachine):
    """Three instances under one strict budget of twelve calls."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.store = Store()
        put_budget(self.store, unit="requests", amount=str(LIMIT), mode="strict", on_store_error="closed")
        self.names = 0
        self.calls = 0
        self.ledgers = [self.new_ledger() for _ in range(3)]
        self.open: list[tuple[int, Any, Any]] = []
        self.admitted = 0
        self.crashed = False
        self.used = 0

    def new_ledger(self) -> Ledger:
        self.names += 1
        ledger = make_ledger(self.store, self.clock, instance=f"i{self.names}")
        ledger.directory = Budgets(self.store, self.clock.now)  # type: ignore[assignment, arg-type]
        return ledger

    @rule(which=st.integers(0, 2))
    def reserve(self, which: int) -> None:
        self.calls += 1
        one = call(self.calls, 1)
        try:
            self.open.append((which, one, run(self.ledgers[which].reserve(one, plan()))))
        except GatewayError:
            return
        self.admitted += 1

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 1000), released=st.booleans())
    def end(self, which: int, released: bool) -> None:
        _, one, hold = self.open.pop(which % len(self.open))
        if released:
            hold.release()
            self.admitted -= 1
            return
        writes = hold.settle(Usage(), 1)
        for _ in range(4):
            try:
                self.store.commit([usage_document(one, hold, 1), *writes])
                break
            except StoreUnavailable:
                continue
            except AlreadyExists:
                break

    @rule(which=st.integers(0, 2))
    def tick(self, which: int) -> None:
        self.ledgers[which].tick()

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0, 60.0, 200.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.time += seconds

    @rule(fault=st.sampled_from(["before", "after"]))
    def store_fails_once(self, fault: str) -> None:
        self.store.faults.append(fault)

    @rule(which=st.integers(0, 2))
    def crash(self, which: int) -> None:
        self.crashed = True
        self.ledgers[which] = self.new_ledger()
        self.open = [entry for entry in self.open if entry[0] != which]

    @rule(which=st.integers(0, 2))
    def sigterm(self, which: int) -> None:
        if not any(entry[0] == which for entry in self.open):
            self.ledgers[which].close(1.0)
            self.ledgers[which] = self.new_ledger()

    @rule(which=st.integers(0, 2))
    def sweep(self, which: int) -> None:
        try:
            self.ledgers[which].sweep()
        except StoreUnavailable:
            return

    @invariant()
    def nothing_appears_or_vanishes(self) -> None:
        lent = sum(data["amount"] for path, data in self.store.budget_documents() if "/allowances/" in path)
        for path, data in self.store.budget_documents():
            if path.count("/") == 3:
                assert data["taken"] - data["spent"] == lent

    @invariant()
    def never_beyond_the_limit(self) -> None:
        assert self.admitted <= LIMIT

    def teardown(self) -> None:
        """Everything ends, lapses and is swept: no money is locked, and every call with a document was charged once."""
        self.store.faults.clear()
        for _, one, hold in self.open:
            writes = hold.settle(Usage(), 1)
            try:
                self.store.commit([usage_document(one, hold, 1), *writes])
            except AlreadyExists:
                continue
        for ledger in self.ledgers:
            ledger.close(1.0)
        for _ in range(3):
            self.clock.time += 500
            self.ledgers[0].sweep()
        periods = [data for path, data in self.store.budget_documents() if path.count("/") == 3]
        charged = sum(hold["settled"] for data in self.store.usage_documents() for hold in data["holds"])
        for data in periods:
            assert data["taken"] == data["spent"] >= charged
            assert charged <= LIMIT
            # What a dead instance borrowed without hearing of it counts as spent in strict, though nobody spent it.
            assert self.crashed or data["spent"] <= LIMIT


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)


@pytest.mark.full
def test_ledger_machine_at_length() -> None:
    """The same, twenty times as long."""

    class Longer(LedgerMachine.TestCase):  # type: ignore[name-defined, misc]
        settings = settings(max_examples=600, stateful_step_count=80, deadline=None, derandomize=True)

    Longer().runTest()
