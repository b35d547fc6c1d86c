"""One period of one budget in this process's memory: what was borrowed, held and settled here, and who waits for more.

Pure: no store and no clock, and the ledger's lock is held around every method. Three amounts tell the story:

    amount   what this process may use, of which
    held     is set aside for open calls, which `grown` by their age (`ageing.py`), and
    settled  was used by calls that are over, since the last transfer told the store

`stored` is what the store thinks was borrowed. It is more than `amount` only for a moment, when a transfer went beyond the
limit: that part is never used, and given back by the next one.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from gateway.canonical.store import Increment, Json, Write
from gateway.spending.ageing import Ageing, growth
from gateway.spending.budgets import Budget
from gateway.spending.pace import Pace
from gateway.spending.parts import Fate, OpenCall, Part, Transfer, Waiter
from gateway.spending.periods import FOREVER, Period

ENDLESS = 2**60
NOTHING = -1
NEVER = float("-inf")
PERIODS_KEPT = timedelta(days=400)
LIFE_S = 300.0
RENEW_S = 100.0
IDLE_S = 5.0
REMEMBERED_S = 120.0
PLENTY = 8  # usual calls: where so many find room, one that was only guessed at does no harm
CALM_S = 1.0  # between two transfers for which nobody waits
SETTLED_S_MAX = 30.0
SETTLED_S_AT_THE_END = 3.0  # so that others soon know that nothing will come back
SETTLED_CALLS_MAX = 2_000  # bounds what reconciling has to read


class Account:
    def __init__(
        self, budget: Budget, period: Period, path: str, subject: str | None, now: float, ageing: Ageing | None = None
    ) -> None:
        self.budget = budget
        self.period = period
        self.path = path
        self.period_id = path.rpartition("/")[2]
        self.subject = subject
        self.name = budget.id, subject  # as `Match.name`
        self.limit = ENDLESS
        self.allowance: str | None = None
        self.lapses_at = 0.0
        self.written_at = now  # when the allowance was last written
        self.transferred_at = NEVER
        self.amount = self.stored = 0
        self.held = self.grown = self.settled = self.settled_calls = 0
        self.settled_at: float | None = None  # when the oldest of it was
        self.parts: dict[Part, None] = {}
        self.changed = False  # the open calls, since they were last listed in the store
        self.waiters: list[Waiter] = []
        self.busy = False  # somebody is writing for this account
        self.pending: Transfer | None = None  # its outcome is not known
        self.short_until = self.away_until = NEVER
        self.taken = self.spent = 0  # as the store said last
        self.degraded = 0
        self.pace = Pace()
        self.ageing = ageing or Ageing()
        self.used_at = now
        self.gone: list[tuple[str, float]] = []  # allowances that others reconciled, or will, and when that was noticed
        self.follow(budget, now)

    def follow(self, budget: Budget, now: float) -> None:
        """The budget as it is now. What was borrowed beyond a lowered limit is not used."""
        self.budget = budget
        raised = now < budget.raised_until
        self.since = self.period.start if raised else max(self.period.start, budget.raised_until)
        self.until = min(self.period.end, budget.raised_until) if raised else self.period.end
        is_certain = budget.unit in ("requests", "parallel")
        self.can_grow = budget.mode != "strict" and not is_certain  # strict holds are the worst case already
        self.room_for_guesses = 1.0 if is_certain else PLENTY if self.can_grow else math.inf
        limit = budget.limit(now)
        was, self.limit = self.limit, ENDLESS if limit is None or budget.mode == "shadow" else limit
        if self.limit < was and self.amount:
            self.amount = min(self.amount, self.settled + self.cover)
        if self.limit > was:
            self.short_until = NEVER

    @property
    def unused(self) -> int:
        return self.amount - self.settled - self.cover

    @property
    def cover(self) -> int:
        """What open calls are expected to use, all together."""
        return self.held + self.grown

    @property
    def used(self) -> int:
        """Of the whole period, as far as this process knows."""
        return self.spent + self.settled

    def facts(self) -> Json:
        """What the period's document says beside its counters. It dies long after its period."""
        facts: Json = {"budget": self.budget.id, "subject": self.subject, "unit": self.budget.unit}
        if self.period.end != FOREVER:
            facts["expires_at"] = datetime.fromtimestamp(self.period.end, UTC) + PERIODS_KEPT
        return facts

    def is_hopeless(self, need: int) -> bool:
        """It would not fit even if every instance gave back what it does not use: what is spent stays spent."""
        return need > self.limit - self.used

    def is_over(self, now: float) -> bool:
        """Nothing is left to be done for it."""
        idle = not (self.parts or self.waiters or self.allowance or self.busy or self.pending or self.gone)
        return idle and (now >= self.period.end or now - self.used_at > REMEMBERED_S)

    def take(self, need: int, most: int, open_call: OpenCall, now: float) -> Part | None:
        """A part of what is at hand, if there is enough: then it cannot be hopeless either."""
        return self._admit(need, most, open_call, now) if self._free(now) >= need else None

    def has_plenty(self, need: int, now: float) -> bool:
        """So much is at hand that a call may be admitted on a guess of its need."""
        return self._free(now) >= need * self.room_for_guesses

    def take_guessed(self, need: int, open_call: OpenCall, now: float) -> Part:
        """A part for a call that nobody looked at closely. There is plenty."""
        return self._admit(need, None, open_call, now)

    def looked_at(self, part: Part, likely: int, most: int) -> None:
        """What a closer look at an open call says of it, in place of the guess."""
        part.most = most
        if part in self.parts and likely > part.held:
            self.held += likely - part.held
            part.held = likely
            self.changed = True

    def _free(self, now: float) -> int:
        """What a call can have at once; below 0 without an allowance. A debt of the budget comes first: what calls leave over
        pays for those that were dearer. What this process borrowed too much is no debt, for it goes back unused."""
        self.used_at = now
        if self.allowance is None:
            return NOTHING
        if now >= self.lapses_at:
            self.detach(now)
            return NOTHING
        free = self.amount - self.settled - self.held - self.grown
        if self.taken > self.limit:
            free -= max(0, self.taken - (self.stored - self.amount) - self.limit)
        return free

    def _admit(self, need: int, most: int | None, open_call: OpenCall, now: float) -> Part:
        part = Part(self, open_call, need, most, now)
        self.parts[part] = None
        self.held += need
        self.changed = True
        self.pace.admit(need, now)
        return part

    def take_degraded(self, need: int, open_call: OpenCall, now: float) -> Part | None:
        """While the store is away: a bounded amount, each call of which is charged with its usage document. None of it if the
        last that was heard is that nothing is left."""
        remaining = self.pace.remaining
        bound = self.budget.degraded_limit(now) if remaining is None else min(self.budget.degraded_limit(now), remaining)
        if self.degraded + need > bound:
            return None
        self.degraded += need
        return Part(self, open_call, need, need, now, covered=False, degraded=True)

    def settle(self, part: Part, used: int, now: float) -> list[Write]:
        """What to commit with the usage document: nothing, if an allowance stands for it."""
        self.used_at = now
        part.settled = used
        if now >= self.lapses_at:
            self._check_life(now)
        if not part.covered:
            return self._settle_uncovered(part, used, now)
        self._let_go(part)
        if self.can_grow and now > part.opened_at:
            self.ageing.learn(part.held, used, now - part.opened_at, now)
        self.settled += used
        self.settled_calls += 1
        if self.settled_at is None:
            self.settled_at = now
        part.allowance_ids = self._allowance_ids()
        if self.waiters:
            self.grant(now)
        return []

    def join(self, used: int, open_call: OpenCall, now: float) -> Part:
        """A part for a call that is over, and turned out to be this budget's: paid by the allowance if there is enough."""
        return self.take(used, used, open_call, now) or Part(self, open_call, used, used, now, covered=False)

    def _settle_uncovered(self, part: Part, used: int, now: float) -> list[Write]:
        """In strict, whoever reconciles a lost allowance charges all of it: its document then only has to name it."""
        if part.degraded:
            self.degraded = max(0, self.degraded + used - part.held)
        if part.lost and self.budget.mode == "strict":
            part.allowance_ids = part.lost
            self.gone += [(lost, now) for lost in part.lost]
            return []
        return [Increment(self.path, {"taken": used, "spent": used}, self.facts())] if used else []

    def release(self, part: Part, now: float) -> None:
        if part.covered:
            self._let_go(part)
            self.grant(now)
        elif part.degraded:
            self.degraded = max(0, self.degraded - part.held)

    def grant(self, now: float) -> None:
        """Serves whoever waits and fits, the longest waiting first."""
        for waiter in list(self.waiters):
            part = self.take(waiter.need, waiter.most, waiter.open_call, now)
            if part is not None:
                self.waiters.remove(waiter)
                waiter.part = part
                waiter.end(Fate.GRANTED)

    def grow(self, now: float) -> None:
        """Open calls hold more as they get older. Counted anew each round, not for each call."""
        if self.can_grow:
            known = [(part.held, part.most, now - part.opened_at) for part in self.parts if part.most is not None]
            self.grown = growth(known, self.ageing.line())

    def plan(self, now: float, *, new_id: Callable[[], str], closing: bool = False) -> Transfer | None:
        """The next thing to write, if there is a reason to. The pending one comes first: its outcome must be known."""
        self._check_life(now)
        if self.pending is not None:
            return self.pending
        wanted = sum(waiter.need for waiter in self.waiters if waiter.fate is Fate.WAITING)
        is_idle = not wanted and now - self.pace.admitted_at > IDLE_S
        spare = 0 if closing or is_idle else self._spare(wanted, now)
        due = self._may_close() if closing else self._is_due(spare, now)
        if not (wanted or due or self.stored > self.amount):
            return None
        return self._transfer(self.cover + wanted + spare, now, new_id)

    def applied(self, transfer: Transfer, taken: int, spent: int, now: float) -> None:
        """The store has it. Beyond the limit nothing is used, so that what all may use never exceeds it."""
        self.pending = None
        self.taken, self.spent = taken, spent
        self.pace.look(taken, self.limit, now)
        beyond = min(max(0, taken - self.limit), max(0, transfer.growth))
        self.allowance, self.stored, self.amount = transfer.new, transfer.amount, transfer.amount - beyond
        self.settled -= transfer.spent
        self.settled_calls -= transfer.calls
        self.settled_at = now if self.settled_calls else None
        self.lapses_at = transfer.lapses_at
        self.degraded = 0
        self.away_until = NEVER
        self.grant(now)
        if taken > self.limit:
            self._refuse_for_now(now)

    def is_doubtful(self) -> bool:
        """Somebody waits, and the last that was heard is that not even the least of them would fit: look before writing."""
        needs = [waiter.need for waiter in self.waiters if waiter.fate is Fate.WAITING]
        remaining = self.pace.remaining
        return bool(needs) and self.pending is None and remaining is not None and remaining + max(0, self.unused) < min(needs)

    def looked(self, taken: int, spent: int, now: float) -> None:
        """The counters, read and not written."""
        self.taken, self.spent = taken, spent
        self.pace.look(taken, self.limit, now)
        if self.is_doubtful():
            self._refuse_for_now(now)

    def away(self, now: float) -> None:
        """The store did not answer; those who wait need not."""
        self.away_until = now + CALM_S
        for waiter in list(self.waiters):
            self.waiters.remove(waiter)
            waiter.end(Fate.AWAY)

    def detach(self, now: float) -> None:
        """The allowance is not ours any more: whoever reconciles it counts its settled calls by their usage documents, and its
        open calls are charged with theirs."""
        self.gone += [(lost, now) for lost in self._allowance_ids()]
        for part in self.parts:
            part.covered = False
            part.lost = self._allowance_ids()
        self.parts.clear()
        self.allowance = self.pending = self.settled_at = None
        self.amount = self.stored = self.held = self.grown = self.settled = self.settled_calls = 0
        self.changed = False

    def listing(self, now: float) -> Json | None:
        """What the allowance's document should say, if it must be written anew: it lapses unless it is renewed."""
        if self.allowance is None or self.pending is not None:
            return None
        listed = self.changed and now - self.written_at >= CALM_S
        renewed = now - self.written_at >= RENEW_S
        if not (listed or renewed):
            return None
        self.written_at = now
        self.changed = False
        return {"settled": self.settled, "open_calls": self._open_calls(), "lapses_at": now + LIFE_S}

    def _refuse_for_now(self, now: float) -> None:
        self.short_until = now + CALM_S
        for waiter in self.waiters:
            if waiter.fate is Fate.WAITING:
                waiter.end(Fate.SHORT)

    def _check_life(self, now: float) -> None:
        if self.allowance is not None and now >= self.lapses_at:
            self.detach(now)

    def _let_go(self, part: Part) -> None:
        del self.parts[part]
        if self.grown:
            self.grown -= self.grown * part.held // max(1, self.held)
        self.held -= part.held
        self.changed = True

    def _allowance_ids(self) -> tuple[str, ...]:
        """While a transfer's outcome is unknown, either may be the one that stands in the store."""
        if self.pending is None:
            return () if self.allowance is None else (self.allowance,)
        ids = (self.pending.new, self.allowance)
        return tuple(one for one in ids if one is not None)

    def _spare(self, wanted: int, now: float) -> int:
        if self.budget.unit == "parallel":
            return min(self.held // 8, max(0, (self.pace.remaining or 0) // 32))
        spare = self.pace.spare(now, self.period.length_s)
        return min(spare, max(0, (self.pace.remaining or 0) - wanted) // 2) if wanted else spare

    def _is_due(self, spare: int, now: float) -> bool:
        """Whether to write although nobody waits."""
        since_s = now - self.transferred_at
        if self.allowance is None or since_s < CALM_S:
            return False
        if now - self.pace.admitted_at > IDLE_S:
            excess = self.unused > (0 if since_s > IDLE_S else 2 * self.pace.linger())
        else:
            excess = self.unused > max(2 * spare, self.pace.linger())
        flush_s = SETTLED_S_AT_THE_END if self.pace.is_near_the_end() else SETTLED_S_MAX
        stale = self.settled_at is not None and now - self.settled_at > flush_s
        done = now >= self.period.end and self.unused > 0
        lacking = self.unused < (spare // 4 or -self.pace.negligible())
        return excess or lacking or stale or done or self.settled_calls >= SETTLED_CALLS_MAX

    def _may_close(self) -> bool:
        return self.allowance is not None and bool(self.unused or self.settled_calls or not self.parts)

    def _transfer(self, amount: int, now: float, new_id: Callable[[], str]) -> Transfer | None:
        new = new_id() if amount or self.parts else None
        if new is None and self.allowance is None:
            return None
        transfer = Transfer(
            old=self.allowance,
            new=new,
            amount=amount,
            taken=amount + self.settled - self.stored,
            spent=self.settled,
            calls=self.settled_calls,
            growth=amount + self.settled - max(self.amount, self.settled + self.cover),
            lapses_at=now + LIFE_S,
            open_calls=self._open_calls(),
        )
        self.pending = transfer
        self.amount = min(self.amount, amount + self.settled)
        self.transferred_at = self.written_at = now
        self.changed = False
        return transfer

    def _open_calls(self) -> list[Json]:
        return [{**part.open_call(), "held": part.held} for part in self.parts]
