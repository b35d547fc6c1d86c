"""The ledger on the Firestore emulator: its writes as Firestore takes them, and eight real processes, killed ones among them."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ledger_doubles import HandClock, StatedEstimates, call, dollars, make_ledger, plan, put_budget, run, settle

from gateway.canonical.errors import BudgetExceeded
from gateway.canonical.steps import run_blocking
from gateway.canonical.store import Store
from gateway.spending.ledger import Ledger
from gateway.store import open_store

REPOSITORY = Path(__file__).parents[2]
PROCESSES, KILLED = 8, 3
LIMIT, COST, WORST = 40.0, 0.02, 0.03


class Process:
    """One instance, and everything it said."""

    def __init__(self, store_url: str) -> None:
        script = Path(__file__).with_name("ledger_instance.py")
        figures = ["8", str(dollars(COST)), str(dollars(WORST)), str(dollars(WORST)), "1.0"]
        paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
        self.process = subprocess.Popen(
            [sys.executable, str(script), store_url, *figures],
            env=os.environ | {"PYTHONPATH": paths}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.said: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def wait_for(self, word: str, timeout_s: float = 30.0) -> None:
        until = time.monotonic() + timeout_s
        while not any(word in fact for fact in self.said):
            assert time.monotonic() < until, f"no {word} within {timeout_s} s; it said {self.said[-3:]}"
            time.sleep(0.02)

    def begin(self) -> None:
        assert self.process.stdin
        self.process.stdin.write("begin\n")
        self.process.stdin.flush()

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.wait_for("closed", 60.0)
        self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)

    def facts(self, word: str) -> dict[str, dict[str, Any]]:
        return {fact[word]: fact for fact in self.said if word in fact}


@pytest.fixture(params=["sqlite", "firestore"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    url: str = request.getfixturevalue("firestore_url")
    return url


def test_a_call_is_borrowed_for_settled_and_given_back(store_url: str) -> None:
    """Every write of the ledger, as both stores take it: nothing of the budget stays locked."""
    clock = HandClock()
    store = open_store(store_url, now=clock.now)
    put_budget(store)
    store.get("budgets/bud_1", timeout_s=20.0)
    ledger = make_ledger(store, clock)
    for number in range(3):
        one = call(number, dollars(1))
        hold = run(ledger.reserve(one, plan()))
        clock.time += 2
        ledger.tick()
        settle(store, hold, one, dollars(0.4))
        clock.time += 2
        ledger.tick()
    ledger.close(5.0)
    assert ledger.state("bud_1").spent == dollars(1.2)
    assert store.query("allowances", group=True).documents == []
    store.close()


def test_a_dead_instance_is_reconciled(store_url: str) -> None:
    """Its settled call is charged exactly, its open call as an estimate, once, and the rest goes back."""
    clock = HandClock()
    store = open_store(store_url, now=clock.now)
    put_budget(store)
    store.get("budgets/bud_1", timeout_s=20.0)
    dead, other = make_ledger(store, clock), make_ledger(store, clock)
    calls = [call(number, dollars(2)) for number in range(2)]
    holds = [run(dead.reserve(one, plan())) for one in calls]
    clock.time += 2
    dead.tick()
    settle(store, holds[0], calls[0], dollars(0.5))
    clock.time += 400
    assert other.sweep().reconciled == 1
    assert other.sweep().reconciled == 0
    assert other.state("bud_1").spent == dollars(2.5)
    document = store.get("projects/acme/usage/call-1")
    assert document is not None and document.data["completeness"] == "estimated"
    store.close()


def check_nothing_was_lost(store: Store, processes: list[Process], killed: set[Process]) -> None:
    used = {number: fact["used"] for process in processes for number, fact in process.facts("settled").items()}
    assert sum(used.values()) <= dollars(LIMIT)
    documents = {d.data["request_id"]: d.data for d in _all_usage(store)}
    for process in processes:
        if process not in killed:
            for number in process.facts("admitted"):
                assert documents[f"call-{number}"]["cost_nanodollars"] == used[number]
    charged = sum(hold["settled"] for data in documents.values() for hold in data["holds"])
    period = next(d.data for d in store.query("budgets/bud_1/periods").documents)
    assert period["taken"] == period["spent"]
    assert charged <= period["spent"] <= dollars(LIMIT)


def _all_usage(store: Store) -> list[Any]:
    found, cursor = [], None
    while True:
        page = store.query("projects/acme/usage", limit=1000, cursor=cursor)
        found += page.documents
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.full
@pytest.mark.parametrize("mode", ["strict", "balanced"])
def test_eight_processes_share_one_budget_and_some_are_killed(firestore_url: str, mode: str) -> None:
    """Calls of 1 to 2 cents against $40 until it is refused, SIGKILL for three: never more is spent, no call is lost or charged
    twice, and once the allowances of the dead have lapsed nothing is locked."""
    store = open_store(firestore_url)
    put_budget(store, amount=str(LIMIT), mode=mode)
    processes = [Process(firestore_url) for _ in range(PROCESSES)]
    try:
        for process in processes:
            process.wait_for("ready", 60.0)
        for process in processes:
            process.begin()
        killed = set()
        for process in processes[:KILLED]:
            time.sleep(6)
            process.kill()
            killed.add(process)
        time.sleep(25)
        for process in processes[KILLED:]:
            process.end()
        later = Ledger(store, None, now=lambda: time.time() + 500, own_thread=False)  # type: ignore[arg-type]
        later.sweep()
        check_nothing_was_lost(store, processes, killed)
    finally:
        for process in processes:
            process.kill()
        store.close()


def test_thirty_parallel_calls_of_three_cents_spend_no_more_than_ten(store_url: str) -> None:
    """Thirty at once against a cap of 10 cents, 3 cents each at worst: three are admitted, in threads as they come."""
    store = open_store(store_url)
    put_budget(store, amount="0.10", mode="strict")
    store.get("budgets/bud_1", timeout_s=20.0)
    ledger = Ledger(store, StatedEstimates(), own_thread=False)
    admitted, refused = [], []

    def one_call(number: int) -> None:
        try:
            admitted.append(run_blocking(ledger.reserve(call(number, dollars(0.03)), plan())))
        except BudgetExceeded as error:
            refused.append(error)

    threads = [threading.Thread(target=one_call, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (len(admitted), len(refused)) == (3, 27)
    assert "resets" in str(refused[0]) and refused[0].headers()["x-should-retry"] == "false"
    ledger.close(5.0)
    store.close()

