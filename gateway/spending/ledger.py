"""The ledger: money is set aside before a call and settled after it, so that budgets hold.

Each instance borrows an allowance of every budget it draws on and reserves against it in memory, so that most calls touch no
store. `account.py` is the arithmetic of one budget's period, `transfers.py` how it is written, `pace.py` how much is borrowed,
`queue.py` how calls wait for more, `recovery.py` what happens to an allowance whose owner died. This file drives them: it holds
the lock, and asks the store.
"""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from gateway.canonical.call import Call, Plan
from gateway.canonical.steps import Steps
from gateway.canonical.store import Json, Missing, Store, StoreError, StoreUnavailable
from gateway.spending import refusals, transfers
from gateway.spending.account import LIFE_S, Account
from gateway.spending.ageing import Ageing
from gateway.spending.amounts import Estimates
from gateway.spending.bookkeeper import Bookkeeper
from gateway.spending.budgets import Budget, count, parse_budget
from gateway.spending.call_hold import CallHold
from gateway.spending.directory import BudgetDirectory
from gateway.spending.draws import Draw, find_draws, guess, is_counted
from gateway.spending.holds import UNLIMITED, Hold
from gateway.spending.matching import BudgetBook, Match
from gateway.spending.parts import Fate, Part, Transfer, Waiter
from gateway.spending.queue import Queue
from gateway.spending.recovery import Recovery, SweepReport
from gateway.spending.states import BudgetState, read_state

PASSES_MAX = 8
LOOK_AFTER_S = 1.0
log = logging.getLogger(__name__)

Watch = Callable[[str, str, tuple[float, ...], int, int, Json], None]
"""Budget id, period, thresholds, used, limit, facts: told after every write of a period's counters."""


def nobody_watches(budget: str, period: str, thresholds: tuple[float, ...], used: int, limit: int, facts: Json) -> None:
    return None


class Ledger:
    """`now` is the wall clock in unix seconds, `clock` a monotonic one. Nothing is read or started before the first call.

    `instance` names this process in the store; by default a new one is made up in every process.
    """

    def __init__(
        self,
        store: Store,
        estimates: Estimates,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        watch: Watch = nobody_watches,
        retention_days: int = 400,
        instance: str | None = None,
        own_thread: bool = True,
    ) -> None:
        self.directory = BudgetDirectory(store, clock)
        self.estimates = estimates
        self.now = now
        self.lock = threading.Lock()
        self._store = store
        self._watch = watch
        self._recovery = Recovery(store, now, retention_days)
        self._instance = instance
        self._process: int | None = None
        self._number = 0
        self._accounts: dict[tuple[str, str], Account] = {}
        self._current: dict[tuple[str, str | None], Account] = {}  # of these, the one that calls draw on now, by `Match.name`
        self._budgets: dict[str, Budget] = {}
        self._ageing: dict[str, Ageing] = {}  # by unit
        self._queue = Queue(self.lock, now, self._serve)
        self._keeper = Bookkeeper(self.tick) if own_thread else None

    def reserve(self, call: Call, plan: Plan) -> Steps[Hold]:
        """Sets aside what the call may cost, in every budget that counts it. BudgetExceeded, RateExceeded, Unavailable."""
        book = yield from self.directory.recall()
        if not book:
            return UNLIMITED
        matches = book.matching(call, plan.targets[0])
        if not matches and not is_counted(book, call, plan):
            return UNLIMITED
        self._budgets = book.by_id
        if self._keeper is not None:
            self._keeper.start()
        admitted = self._admit_on_a_guess(book, matches, call, plan)
        if admitted is not None:
            return admitted
        draws, likely = find_draws(book, matches, call, plan, self.estimates)
        hold = CallHold(self, book, call, plan.targets, likely, self.now())
        try:
            self._take_at_hand(draws, hold)
            for match, need, most in draws[len(hold.parts) :]:
                part = yield from self._take(match, need, most, hold)
                hold.parts.append(part)
        except BaseException:
            hold.release()
            raise
        return hold

    def tick(self) -> None:
        """One round of looking after all accounts, every half a second."""
        now = self.now()
        with self.lock:
            accounts = list(self._accounts.items())
        for name, account in accounts:
            self._recovery.follow_up(account)
            self._look_closely(account)
            with self.lock:
                budget = self._budgets.get(account.budget.id)
                if budget is not None:
                    account.follow(budget, now)
                if account.is_over(now):
                    self._forget(name, account)
                    continue
                account.grow(now)
                if account.busy or now < account.away_until:
                    continue
                account.busy = True
            self._serve(account)
            self._list(account)

    def _look_closely(self, account: Account) -> None:
        """At calls that were admitted on a guess and are open for some time already: most are over before."""
        if not account.can_grow:
            return
        before = self.now() - LOOK_AFTER_S
        with self.lock:
            guessed = [part for part in account.parts if part.most is None and part.opened_at <= before]
        for part in guessed:
            if part not in account.parts:
                continue  # over meanwhile
            try:
                likely, most = part.open_call.look(account.budget.unit)
            except Exception:  # one call must not keep all others from being looked after
                log.exception("an open call could not be looked at; it keeps what it holds")
                likely = most = part.held
            with self.lock:
                account.looked_at(part, likely, most)

    def sweep(self) -> SweepReport:
        """Reconciles every allowance that lapsed, on all instances' behalf; for the scheduler. StoreUnavailable."""
        return self._recovery.sweep()

    def close(self, timeout_s: float) -> None:
        """Gives back everything that no open call holds. What cannot be given back in time lapses, and is reconciled."""
        until = time.monotonic() + timeout_s
        if self._keeper is not None:
            self._keeper.stop(timeout_s)
        with self.lock:
            accounts = list(self._accounts.values())
        for account in accounts:
            while account.busy and time.monotonic() < until:
                time.sleep(0.01)
            with self.lock:
                if account.busy or time.monotonic() > until:
                    continue
                account.busy = True
            self._serve(account, closing=True)

    def state(self, budget_id: str, subject: str | None = None) -> BudgetState:
        """How a budget stands in its current period. LookupError if there is none of that id; StoreUnavailable."""
        document = self._store.get(f"budgets/{budget_id}")
        if document is None:
            raise LookupError(f"there is no budget {budget_id}; `budget list` shows which there are")
        return read_state(self._store, parse_budget(document.id, document.data), subject, self.now())

    def _admit_on_a_guess(self, book: BudgetBook, matches: Sequence[Match], call: Call, plan: Plan) -> CallHold | None:
        """Nobody looks at a call closely where much more is at hand, in every budget, than one of its length usually needs."""
        likely = guess(book, call, plan, self.estimates)
        if likely is None:
            return None
        needs, now = count(likely), self.now()
        hold = CallHold(self, book, call, plan.targets, likely, now)
        draws = []
        with self.lock:
            for match in matches:
                account, need = self.account(match, now), needs[match.budget.unit] or 1
                if not account.has_plenty(need, now):
                    return None
                draws.append((account, need))
            hold.parts = [account.take_guessed(need, hold.open_call, now) for account, need in draws]
        return hold

    def _take_at_hand(self, draws: Sequence[Draw], hold: CallHold) -> None:
        """The call's parts from memory, up to the first that has to be borrowed, or is refused."""
        now, open_call, parts = self.now(), hold.open_call, hold.parts
        with self.lock:
            for match, need, most in draws:
                part = self.account(match, now).take(need, most, open_call, now)
                if part is None:
                    return
                parts.append(part)

    def _take(self, match: Match, need: int, most: int, hold: CallHold) -> Steps[Part]:
        """The call's part of one account: from memory, or borrowed."""
        now = self.now()
        with self.lock:
            account = self.account(match, now)
            if account.is_hopeless(need):
                raise refusals.refusal(account, need, hold.caller, now)
            part = account.take(need, most, hold.open_call, now)
            if part is not None:
                return part
            waiter = Waiter(need, most, hold.open_call)
            account.waiters.append(waiter)
            if now < account.away_until:
                waiter.fate = Fate.AWAY
            elif now < account.short_until:
                waiter.fate = Fate.SHORT
        return (yield from self._queue.wait(account, waiter, hold))

    def account(self, match: Match, at: float) -> Account:
        """Of the period in which `at` lies, by the budget as it is now: a call that has ended may come with an older one. The
        lock is held."""
        budget = self._budgets.get(match.budget.id, match.budget)
        account = self._current.get(match.name)
        if account is not None and account.budget is budget and account.since <= at < account.until:
            return account
        period, now = budget.period_at(at), self.now()
        name = (budget.id, match.account_id(period.id))
        account = self._accounts.get(name)
        if account is None:
            path = f"budgets/{name[0]}/periods/{name[1]}"
            ageing = self._ageing.setdefault(budget.unit, Ageing())
            account = self._accounts[name] = Account(budget, period, path, match.subject, now, ageing)
        else:
            account.follow(budget, now)
        self._current[match.name] = account
        return account

    def _forget(self, name: tuple[str, str], account: Account) -> None:
        del self._accounts[name]
        if self._current.get(account.name) is account:
            del self._current[account.name]

    def _serve(self, account: Account, *, closing: bool = False) -> None:
        """Writes for an account while there is something to write. `busy` was set by the caller: one at a time."""
        try:
            for _ in range(PASSES_MAX):
                with self.lock:
                    doubtful = account.is_doubtful()
                if doubtful and not self._look(account):
                    return
                with self.lock:
                    account.grant(self.now())
                    transfer = account.plan(self.now(), new_id=self._new_id, closing=closing)
                if transfer is None or not self._write(account, transfer):
                    return
                if self.now() < account.short_until:
                    self._recovery.reclaim(account)
        finally:
            self._queue.hand_on(account)

    def _write(self, account: Account, transfer: Transfer) -> bool:
        """False if the store did not answer; the transfer is then repeated later, unchanged but for its lapse."""
        if transfer.attempts:
            transfer.lapses_at = self.now() + LIFE_S
        transfer.attempts += 1
        try:
            counters = transfers.commit(self._store, account, transfer)
        except StoreError as error:
            log.warning("budget %s cannot be written: %s", account.budget.id, error)
            with self.lock:
                account.away(self.now())
            return False
        with self.lock:
            if account.pending is not transfer:
                return True  # the allowance lapsed meanwhile
            if counters is None:
                account.detach(self.now())
                return True
            transfer.lapses_at = counters.lapses_at
            account.applied(transfer, counters.taken, counters.spent, self.now())
            limit = account.budget.limit(self.now())
        if limit is not None and account.budget.alerts:
            self._watch(account.budget.id, account.path.rpartition("/")[2], account.budget.alerts, counters.spent, limit,
                        account.facts())  # fmt: skip
        return True

    def _look(self, account: Account) -> bool:
        """Reads the counters. False if the store did not answer."""
        try:
            period = self._store.get(account.path)
        except StoreError as error:
            log.warning("budget %s cannot be read: %s", account.budget.id, error)
            with self.lock:
                account.away(self.now())
            return False
        if period is not None:
            with self.lock:
                account.looked(period.data["taken"], period.data["spent"], self.now())
        if self.now() < account.short_until:
            self._recovery.reclaim(account)
        return True

    def _list(self, account: Account) -> None:
        """Names the open calls in the allowance's document, and renews it."""
        with self.lock:
            fields = None if account.busy else account.listing(self.now())
            if fields is None or account.allowance is None:
                return
            account.busy = True
            path = transfers.allowance_path(account.path, account.allowance)
        try:
            self._store.update(path, transfers.render_listing(fields["open_calls"], fields["settled"], fields["lapses_at"]))
            with self.lock:
                account.lapses_at = max(account.lapses_at, fields["lapses_at"])
        except Missing:
            with self.lock:
                account.detach(self.now())
        except StoreUnavailable as error:
            log.warning("the allowance of budget %s cannot be renewed: %s", account.budget.id, error)
            with self.lock:
                account.changed = True
        finally:
            with self.lock:
                account.busy = False

    def _new_id(self) -> str:
        if self._process != os.getpid():  # a forked process is another instance
            self._process = os.getpid()
            self._named = self._instance or secrets.token_hex(6)
        self._number += 1
        return f"{self._named}-{self._number}"
