"""Sums and alerts on the store of production: several instances at once, mending, and claims that only one wins."""

import contextlib
import threading
import time
from datetime import UTC, datetime

from test_reconcile import DAY_S, document, settle

from gateway.administration.changes import Changes, Who, list_audit
from gateway.administration.reconcile import reconcile_rollups
from gateway.records.rollups import Rollups
from gateway.spending.alert import Alert, PostFailed
from gateway.spending.alerts import Alerts
from gateway.store import open_store


def test_sums_are_mended_on_firestore(firestore_url: str, ana: Who) -> None:
    """Two instances, one of them killed before its sums were written."""
    day = datetime.now(UTC).replace(hour=12).timestamp() - 3 * DAY_S
    with contextlib.closing(open_store(firestore_url)) as store:
        store.create("projects/acme", {"id": "acme"})
        settle(store, Rollups(), [document(f"r{number}", at=day, user=f"u{number % 3}") for number in range(9)])
        settle(store, Rollups(), [document("r9", at=day)], summed=False)
        changes = Changes(store, time.time)
        assert len(reconcile_rollups(store, {}, time.time, fix=(changes, ana))["data"]) == 1
        answer = reconcile_rollups(store, {}, time.time)
        assert (answer["data"], answer["totals"]["rolled_requests"]) == ([], 10)
        assert [entry["action"] for entry in list_audit(store)["data"]] == ["rollups.mend"]


def test_alerts_are_claimed_once_on_firestore(firestore_url: str) -> None:
    """By one of many instances; what failed is found by the sweep, over all budgets."""
    heard: list[Alert] = []
    fails = threading.Event()

    class Ear:
        name = "webhook"

        def send(self, alert: Alert, now: float) -> None:
            if fails.is_set():
                raise PostFailed("x.test answered 500")
            heard.append(alert)

    def told(budget: str) -> None:
        instances = [Alerts(store, [Ear()], time.time) for _ in range(4)]
        for alerts in instances:
            alerts.watch(budget, "2026-11", (0.5, 1.0), 60, 100, {"unit": "requests"})
        assert all(alerts.close(20) for alerts in instances)

    with contextlib.closing(open_store(firestore_url)) as store:
        told("bud_1")
        assert [alert.threshold for alert in heard] == [0.5]
        fails.set()
        told("bud_2")
        fails.clear()
        sweep = Alerts(store, [Ear()], time.time)
        assert (sweep.resend_failed(), sweep.resend_failed()) == (1, 0)
        assert [alert.budget for alert in heard] == ["bud_1", "bud_2"]
