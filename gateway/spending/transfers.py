"""A transfer as one atomic commit, which may be repeated as often as it takes: it counts once.

    Create   …/allowances/{new}     fails if it was written already
    Update   …/allowances/{old}     fails if the old allowance is not ours any more
    Delete   …/allowances/{old}
    Increment  the period's counters, whose new values come back: no read, no lock

So an allowance lives from one transfer to the next, and either it or its successor stands in the store. A first one has no old
allowance whose absence would stop a repetition that comes too late. So repeating it also asks that nobody reconciled the new one:

    Create   …/reconciled/{new}     fails if others closed what an earlier attempt borrowed
    Delete   …/reconciled/{new}
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.canonical.store import AlreadyExists, Conflict, Create, Delete, Increment, Json, Missing, Store, Update, Write
from gateway.spending.account import Account
from gateway.spending.parts import Transfer

COMMIT_TIMEOUT_S = 2.0
LAPSED_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Counters:
    """`taken`: spent or lent to somebody. `lapses_at` is the new allowance's."""

    taken: int
    spent: int
    lapses_at: float


def commit(store: Store, account: Account, transfer: Transfer) -> Counters | None:
    """The period's counters afterwards; None if the allowance was reconciled by others. StoreUnavailable: nobody knows."""
    try:
        values = store.commit(render_transfer(account, transfer), timeout_s=COMMIT_TIMEOUT_S)[-1]
    except (AlreadyExists, Missing, Conflict):
        return _find_out(store, account, transfer)
    return Counters(values["taken"], values["spent"], transfer.lapses_at)


def render_transfer(account: Account, transfer: Transfer) -> list[Write]:
    writes: list[Write] = []
    if transfer.old is not None:
        path = allowance_path(account.path, transfer.old)
        writes += [Update(path, {"settled": transfer.spent}), Delete(path)]
    elif transfer.new is not None and transfer.attempts > 1:
        path = tombstone_path(account.path, transfer.new)
        writes += [Create(path, {}), Delete(path)]
    if transfer.new is not None:
        writes.append(Create(allowance_path(account.path, transfer.new), _render_allowance(account, transfer)))
    return [*writes, Increment(account.path, {"taken": transfer.taken, "spent": transfer.spent}, account.facts())]


def render_listing(open_calls: Sequence[Json], settled: int, lapses_at: float) -> Json:
    """The fields of an allowance's document that change while it lives."""
    moment = datetime.fromtimestamp(lapses_at, UTC)
    return {
        "settled": settled,
        "held": sum(open_call["held"] for open_call in open_calls),
        "open_calls": msgspec.json.encode(open_calls).decode(),
        "lapses_at": moment,
        "expires_at": moment + LAPSED_KEPT,  # for what nobody reconciled; the document must outlive its lapse to be seen
    }


def allowance_path(period_path: str, allowance_id: str) -> str:
    return f"{period_path}/allowances/{allowance_id}"


def tombstone_path(period_path: str, allowance_id: str) -> str:
    """Where it stands for a day that an allowance was reconciled."""
    return f"{period_path}/reconciled/{allowance_id}"


def _render_allowance(account: Account, transfer: Transfer) -> Json:
    budget = account.budget
    return {
        "budget": budget.id,
        "period": account.path.rpartition("/")[2],
        "unit": budget.unit,
        "strict": budget.mode == "strict",
        "amount": transfer.amount,
        **render_listing(transfer.open_calls, 0, transfer.lapses_at),
    }


def _find_out(store: Store, account: Account, transfer: Transfer) -> Counters | None:
    """The commit failed because of what stands in the store: an earlier attempt of it, or somebody reconciled the allowance."""
    if transfer.new is None:
        return None
    mine = store.get(allowance_path(account.path, transfer.new))
    period = store.get(account.path)
    if mine is None or period is None:
        return None
    return Counters(period.data["taken"], period.data["spent"], mine.data["lapses_at"].timestamp())
