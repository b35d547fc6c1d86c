"""How calls wait for more of a budget than is at hand.

It is borrowed for all of them at once, by the first to wait. If the budget has not enough, a call waits a moment longer before it
is refused, for open calls here and elsewhere that turn out cheaper than they might have.
"""

import threading
from collections.abc import Callable

from gateway.canonical.steps import Signal, Steps, Until, Work
from gateway.spending import refusals
from gateway.spending.account import Account
from gateway.spending.call_hold import CallHold
from gateway.spending.parts import Fate, Part, Waiter

ASKS_MAX = 2
PARK_S = 1.0
LEADER_WAIT_S = 5.0


class Queue:
    """`lock` is the ledger's. `serve` writes for an account, where blocking is allowed."""

    def __init__(self, lock: threading.Lock, now: Callable[[], float], serve: Callable[[Account], None]) -> None:
        self._lock = lock
        self._now = now
        self._serve = serve

    def wait(self, account: Account, waiter: Waiter, hold: CallHold) -> Steps[Part]:
        """The waiter's part. BudgetExceeded, RateExceeded; Unavailable if the store does not answer and the budget says so."""
        taken = False
        try:
            for asked in range(ASKS_MAX):
                yield from self._borrow(account, waiter)
                if waiter.fate is Fate.SHORT and not account.is_hopeless(waiter.need):
                    yield from self._park(waiter)
                if waiter.part is not None:
                    taken = True
                    return waiter.part
                if waiter.fate is Fate.AWAY:
                    return self._take_degraded(account, waiter, hold)
                if account.is_hopeless(waiter.need) or asked == ASKS_MAX - 1:
                    break
                with self._lock:
                    if waiter.part is None:
                        waiter.fate, waiter.signal = Fate.WAITING, Signal()
            raise refusals.refusal(account, waiter.need, hold.caller, self._now())
        finally:
            with self._lock:
                if waiter in account.waiters:
                    account.waiters.remove(waiter)
                if waiter.part is not None and not taken:
                    account.release(waiter.part, self._now())

    def hand_on(self, account: Account) -> None:
        """Whoever still waits goes on with what is left."""
        with self._lock:
            account.busy = False
            waiting = next((waiter for waiter in account.waiters if waiter.fate is Fate.WAITING), None)
        if waiting is not None:
            waiting.signal.tell()

    def _borrow(self, account: Account, waiter: Waiter) -> Steps[None]:
        """Until the waiter's fate is known: does the borrowing for all who wait, or waits for who does."""
        while True:
            with self._lock:
                if waiter.fate is not Fate.WAITING:
                    return
                leads = not account.busy
                if leads:
                    account.busy = True
                elif waiter.signal.told:
                    waiter.signal = Signal()
            if leads:
                yield from self._lead(account)
            else:
                yield Until(waiter.signal, LEADER_WAIT_S)

    def _lead(self, account: Account) -> Steps[None]:
        """Serves the account, where blocking is allowed. A call that is given up before that begins hands the task on."""
        begun = False

        def serve() -> None:
            nonlocal begun
            with self._lock:
                if begun:
                    return
                begun = True
            self._serve(account)

        try:
            yield Work(serve)
        finally:
            with self._lock:
                given_up, begun = not begun, True
            if given_up:
                self.hand_on(account)

    def _park(self, waiter: Waiter) -> Steps[None]:
        """A moment for money that others give back."""
        with self._lock:
            if waiter.fate is not Fate.SHORT:
                return
            waiter.signal = signal = Signal()
        yield Until(signal, PARK_S)

    def _take_degraded(self, account: Account, waiter: Waiter, hold: CallHold) -> Part:
        now = self._now()
        with self._lock:
            if account.budget.mode == "shadow":
                return Part(account, hold.open_call, waiter.need, waiter.need, now, covered=False)
            part = None
            if account.budget.open_on_store_error:
                part = account.take_degraded(waiter.need, hold.open_call, now)
        if part is None:
            raise refusals.away(account)
        return part
