"""What passes through an account: the parts that calls have of it, who waits for one, and what is on its way to the store."""

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.canonical.steps import Signal
from gateway.canonical.store import Json
from gateway.spending.budgets import Unit

if TYPE_CHECKING:
    from gateway.spending.account import Account


class Fate(enum.Enum):
    WAITING = "its need is in the next transfer"
    GRANTED = "it has its part"
    SHORT = "the budget has not enough right now"
    AWAY = "the store did not answer"


class OpenCall(Protocol):
    """The call that a part belongs to, as long as it is open."""

    def __call__(self) -> Json:
        """What the allowance's document says of it."""

    def look(self, unit: Unit) -> tuple[int, int]:
        """What it will likely use, and at most. Takes a closer look at the call."""


class Part(msgspec.Struct, eq=False):
    """One call's share of one account. Not `covered`: no allowance pays for it, so it is charged with its own usage document."""

    account: "Account"
    open_call: OpenCall
    held: int
    most: int | None  # what it cannot exceed, if anybody looked
    opened_at: float
    covered: bool = True
    degraded: bool = False
    lost: tuple[str, ...] = ()  # the allowance that covered it once
    settled: int = 0
    allowance_ids: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Waiter:
    need: int
    most: int
    open_call: OpenCall
    fate: Fate = Fate.WAITING
    part: Part | None = None
    signal: Signal = field(default_factory=Signal)

    def end(self, fate: Fate) -> None:
        self.fate = fate
        self.signal.tell()


@dataclass(slots=True)
class Transfer:
    """One commit: allowance `old` ends, `new` begins. The same commit may be repeated until its outcome is known."""

    old: str | None
    new: str | None
    amount: int  # of the new one
    taken: int  # what the period's counters change by
    spent: int
    calls: int
    growth: int  # what becomes usable here; not what covers a debt, for a bill is a fact
    lapses_at: float
    open_calls: list[Json]
    attempts: int = 0
