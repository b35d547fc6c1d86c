"""When money comes back that instances lost hold of: by the sweep, by whoever is short, and by an owner who was only cut off."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from gateway.canonical.store import Document, Store, StoreError
from gateway.spending import lapsed
from gateway.spending.account import Account
from gateway.spending.transfers import allowance_path

RECLAIM_EVERY_S = 5.0
FOLLOW_UP_S = 30.0  # the record writer has written by then what it can
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepReport:
    reconciled: int = 0
    late: int = 0  # allowances of which usage documents came late


class Recovery:
    """Each step may be repeated, and done by several instances at once."""

    def __init__(self, store: Store, now: Callable[[], float], retention_days: int) -> None:
        self._store = store
        self._now = now
        self._retention_days = retention_days
        self._reclaimed: dict[str, float] = {}  # when, by the period's path

    def sweep(self) -> SweepReport:
        """Every allowance that lapsed, and every late record of those reconciled within a day. StoreUnavailable."""
        now = self._now()
        reconciled = late = 0
        for allowance in lapsed.all_documents(self._store, "allowances", group=True):
            if lapsed.is_lapsed(allowance, now):
                reconciled += self._reconcile(allowance) is not None
        for tombstone in lapsed.all_documents(self._store, "reconciled", group=True):
            late += lapsed.recount(self._store, tombstone) > 0
        return SweepReport(reconciled, late)

    def reclaim(self, account: Account) -> None:
        """Somebody is about to be refused: what dead instances still hold of this budget goes back first."""
        now = self._now()
        if now - self._reclaimed.get(account.path, 0.0) < RECLAIM_EVERY_S:
            return
        self._reclaimed = {path: at for path, at in self._reclaimed.items() if now - at < RECLAIM_EVERY_S}
        self._reclaimed[account.path] = now
        try:
            for allowance in lapsed.all_documents(self._store, f"{account.path}/allowances", group=False):
                if lapsed.is_lapsed(allowance, now):
                    self._reconcile(allowance)
        except StoreError as error:
            log.warning("lapsed allowances of budget %s cannot be reconciled: %s", account.budget.id, error)

    def follow_up(self, account: Account) -> None:
        """Allowances that this process lost: what it wrote too late is counted once more."""
        now = self._now()
        for lost in [one for one in account.gone if now - one[1] >= FOLLOW_UP_S]:
            account.gone.remove(lost)
            if self._is_still_there(account, lost[0]):
                account.gone.append((lost[0], now))

    def _is_still_there(self, account: Account, allowance_id: str) -> bool:
        try:
            tombstone = lapsed.find_tombstone(self._store, account.path, allowance_id)
            if tombstone is not None:
                lapsed.recount(self._store, tombstone)
                return False
            there = self._store.get(allowance_path(account.path, allowance_id))
            return there is not None and not (lapsed.is_lapsed(there, self._now()) and self._reconcile(there) is not None)
        except StoreError as error:
            log.warning("an allowance of budget %s cannot be counted again: %s", account.budget.id, error)
            return True

    def _reconcile(self, allowance: Document) -> int | None:
        returned = lapsed.reconcile(self._store, allowance, self._now(), self._retention_days)
        if returned is not None:
            log.warning("reconciled %s of a lost instance: %s went back to its budget", allowance.path, returned)
        return returned
