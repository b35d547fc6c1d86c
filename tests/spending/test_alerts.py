"""Alerts: each threshold is told once a period over all instances, whatever fails on the way, and no call waits for it."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.administration.changes import list_audit
from gateway.canonical.store import Json, Store, StoreUnavailable, Write
from gateway.spending.alert import Alert, PostFailed
from gateway.spending.alerts import ATTEMPTS_MAX, SENDING_S, Alerts, Delivery
from gateway.store import open_store

START = 1_795_000_000.0
SHARES = (0.5, 0.8, 1.0)
FACTS: Json = {"unit": "usd", "subject": None}
DOLLAR = 1_000_000_000


@dataclass
class Ear:
    """A channel that hears, or fails."""

    name: str = "webhook"
    heard: list[Alert] = field(default_factory=list)
    fails: bool | Exception = False
    takes_s: float = 0.0

    def send(self, alert: Alert, now: float) -> None:
        time.sleep(self.takes_s)
        if self.fails:
            raise self.fails if isinstance(self.fails, Exception) else PostFailed("x.test answered 500 (no); check the URL")
        self.heard.append(alert)

    @property
    def shares(self) -> list[float]:
        return [alert.threshold for alert in self.heard]


@dataclass
class Clock:
    seconds: float = START

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Faulty:
    """A store in front of another that loses answers or is away for some operations."""

    store: Store
    away: int = 0
    lose_answers: int = 0

    def commit(self, writes: list[Write], *, timeout_s: float = 2.0) -> Any:
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        done = self.store.commit(writes, timeout_s=timeout_s)
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the answer got lost")
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with contextlib.closing(open_store(f"sqlite:///{tmp_path}/gateway.db", now=clock)) as opened:
        yield opened


def make(store: Any, clock: Clock, *channels: Ear) -> Alerts:
    return Alerts(store, channels, clock, wait=lambda wait_s: time.sleep(0.01))


def spend(alerts: Alerts, used: int, *, limit: int = 100 * DOLLAR, period: str = "2026-11", budget: str = "bud_1") -> None:
    alerts.watch(budget, period, SHARES, used, limit, FACTS)


def state(store: Store, share: str = "0.5", period: str = "2026-11") -> Json:
    document = store.get(f"budgets/bud_1/alerts/{period}-{share}")
    assert document is not None
    return document.data


def test_each_threshold_is_told_once(store: Store, clock: Clock) -> None:
    """As it is passed, and never again in that period, also if the limit is raised and passed anew."""
    ear = Ear()
    alerts = make(store, clock, ear)
    for used in (1, 49, 50, 51, 79, 80, 81, 99, 100, 130):
        spend(alerts, used * DOLLAR)
    assert alerts.close(20)
    assert ear.shares == [0.5, 0.8, 1.0]
    spend(alerts, 300 * DOLLAR, limit=200 * DOLLAR)
    assert alerts.close(20) and len(ear.heard) == 3
    spend(alerts, 60 * DOLLAR, period="2026-12")
    assert alerts.close(20) and ear.heard[-1].period == "2026-12"


def test_what_is_told_is_what_was_used(store: Store, clock: Clock) -> None:
    """In the message, in the document, and in the audit."""
    ear = Ear()
    alerts = make(store, clock, ear)
    alerts.watch("bud_1", "2026-11", (0.8,), 81 * DOLLAR, 100 * DOLLAR, {"unit": "usd", "subject": "ana"})
    assert alerts.close(20)
    alert = ear.heard[0]
    assert alert.sentence() == "Budget bud_1 for ana has used 80 % of its limit in 2026-11: $81.00 of $100.00."
    written = state(store, "0.8")
    assert (written["state"], written["used"], written["subject"]) == ("delivered", 81 * DOLLAR, "ana")
    assert written["deliveries"] == {"webhook": {"delivered": True, "words": "delivered"}}
    entry = list_audit(store)["data"][0]
    assert (entry["who"], entry["action"], entry["target"]) == ("gateway", "budget.alert", "budgets/bud_1")
    assert entry["after"]["threshold"] == 0.8 and len(list_audit(store)["data"]) == 1


def test_a_call_that_passes_several_thresholds_tells_of_each(store: Store, clock: Clock) -> None:
    """In order."""
    ear = Ear()
    alerts = make(store, clock, ear)
    spend(alerts, 500 * DOLLAR)
    assert alerts.close(20) and ear.shares == [0.5, 0.8, 1.0]


def test_over_all_instances_one_tells(store: Store, clock: Clock) -> None:
    """Whoever claims it first."""
    ears = [Ear() for _ in range(8)]
    instances = [make(store, clock, ear) for ear in ears]
    threads = [threading.Thread(target=spend, args=(alerts, 90 * DOLLAR)) for alerts in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(alerts.close(10) for alerts in instances)
    assert sorted(share for ear in ears for share in ear.shares) == [0.5, 0.8]
    assert len(list_audit(store)["data"]) == 2


def test_a_budget_that_blocks_or_is_unlimited_has_no_thresholds(store: Store, clock: Clock) -> None:
    """Nothing of nothing is no share."""
    ear = Ear()
    alerts = make(store, clock, ear)
    spend(alerts, 5, limit=0)
    alerts.watch("bud_1", "2026-11", (), 5, 1, FACTS)
    assert alerts.close(20) and ear.heard == []


def test_limits_by_the_minute_are_told_of_once_a_day(store: Store, clock: Clock) -> None:
    """A rate that is used up every minute would send a thousand messages; members are told apart."""
    ear = Ear()
    alerts = make(store, clock, ear)
    for period in ("2026-11-20T12:05Z", "2026-11-20T12:06Z", "2026-11-20T13Z", "2026-11-20T12:05Z~abc", "2026-11-21T00:00Z"):
        spend(alerts, 60 * DOLLAR, period=period)
    assert alerts.close(20)
    assert [alert.period for alert in ear.heard] == ["2026-11-20", "2026-11-20~abc", "2026-11-21"]


def test_what_fails_is_sent_again_by_the_sweep(store: Store, clock: Clock) -> None:
    """Over the channels that it failed on, and only until they took it; always under the same id."""
    good, bad, odd = Ear("chat"), Ear("webhook", fails=True), Ear("topic", fails=RuntimeError("odd"))
    alerts = make(store, clock, bad, good, odd)
    spend(alerts, 50 * DOLLAR)
    assert alerts.close(20)
    assert state(store)["state"] == "failed" and "answered 500" in state(store)["deliveries"]["webhook"]["words"]
    assert len(good.heard) == 1, "one channel's fault does not silence another"
    other = make(store, clock, bad, good, odd)
    assert other.resend_failed() == 0 and state(store)["attempts"] == 2
    bad.fails = odd.fails = False
    assert other.resend_failed() == 1
    assert (len(good.heard), len(bad.heard), len(odd.heard)) == (1, 1, 1)
    assert bad.heard[0].message_id == good.heard[0].message_id and bad.heard[0] == good.heard[0]
    assert other.resend_failed() == 0 and state(store)["state"] == "delivered"


def test_a_message_that_nobody_takes_is_given_up_at_last(store: Store, clock: Clock) -> None:
    """The audit still tells of it."""
    alerts = make(store, clock, Ear(fails=True))
    spend(alerts, 50 * DOLLAR)
    assert alerts.close(20)
    for _ in range(ATTEMPTS_MAX):
        alerts.resend_failed()
    assert (state(store)["state"], state(store)["attempts"]) == ("given_up", ATTEMPTS_MAX)


def test_an_alert_whose_instance_was_killed_is_sent_by_the_sweep(store: Store, clock: Clock) -> None:
    """Not before its instance had the time to do it."""
    killed = make(store, clock)
    killed._claim(Alert("2026-11-0.5", "bud_1", "2026-11", None, 0.5, 50, 100, "usd", "2026-11-18T11:06:40Z"))
    ear = Ear()
    sweep = make(store, clock, ear)
    assert sweep.resend_failed() == 0
    clock.seconds += SENDING_S
    assert sweep.resend_failed() == 1 and ear.shares == [0.5]


def test_two_sweeps_at_once_send_once(store: Store, clock: Clock) -> None:
    """Whoever claims it."""
    alerts = make(store, clock, Ear(fails=True))
    spend(alerts, 50 * DOLLAR)
    assert alerts.close(20)
    ears = [Ear(takes_s=0.05) for _ in range(4)]
    threads = [threading.Thread(target=make(store, clock, ear).resend_failed) for ear in ears]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(len(ear.heard) for ear in ears) == 1


def test_an_outage_of_the_store_delays_an_alert(store: Store, clock: Clock) -> None:
    """It is claimed when the store is back, or the next time that the budget is drawn upon."""
    ear, faulty = Ear(), Faulty(store, away=2)
    alerts = make(faulty, clock, ear)
    spend(alerts, 50 * DOLLAR)
    assert alerts.close(20) and ear.shares == [0.5]
    faulty.away = 100
    spend(alerts, 80 * DOLLAR)
    assert alerts.close(20) and ear.shares == [0.5]
    faulty.away = 0
    spend(alerts, 80 * DOLLAR)
    assert alerts.close(20) and ear.shares == [0.5, 0.8]


def test_a_claim_whose_answer_got_lost_is_told_once(store: Store, clock: Clock) -> None:
    """The claim is found to be this instance's own."""
    ear = Ear()
    alerts = make(Faulty(store, lose_answers=1), clock, ear)
    spend(alerts, 50 * DOLLAR)
    assert alerts.close(20) and ear.shares == [0.5] and len(list_audit(store)["data"]) == 1


def test_no_call_waits_for_an_alert(store: Store, clock: Clock) -> None:
    """However slow the channels are; and no thread runs before there is something to tell."""
    before = set(threading.enumerate())
    alerts = make(store, clock, Ear(takes_s=2.5))
    started = time.monotonic()
    for number in range(10_000):
        spend(alerts, 10 * DOLLAR + number)
    assert set(threading.enumerate()) <= before
    for number in range(10_000):
        spend(alerts, 90 * DOLLAR + number)
    assert time.monotonic() - started < 2.3
    assert alerts.close(0.01) is False and alerts.close(20) is True


def test_a_test_alert_goes_to_every_channel_at_once(store: Store, clock: Clock) -> None:
    """And says what became of each; nothing is written down."""
    good, bad = Ear("chat"), Ear("webhook", fails=True)
    alerts = make(store, clock, good, bad)
    assert alerts.test("bud_1") == [
        Delivery("chat", True, "delivered"), Delivery("webhook", False, "x.test answered 500 (no); check the URL"),
    ]  # fmt: skip
    assert good.heard[0].test and good.heard[0].sentence().startswith("This is a test: budget bud_1 has used 80 %")
    assert alerts.test("bud_1")[0].delivered and good.heard[0].id != good.heard[1].id
    assert store.query("alerts", group=True).documents == [] and list_audit(store)["data"] == []


def test_without_a_channel_the_audit_tells(store: Store, clock: Clock) -> None:
    """An operator who configured none finds it there."""
    alerts = make(store, clock)
    spend(alerts, 50 * DOLLAR)
    assert alerts.close(20) and state(store)["state"] == "delivered"
    assert len(list_audit(store)["data"]) == 1 and alerts.test("bud_1") == []


def test_what_is_claimed_dies_some_day(store: Store, clock: Clock) -> None:
    """Long after its period."""
    alerts = make(store, clock)
    spend(alerts, 50 * DOLLAR)
    assert alerts.close(20)
    assert state(store)["expires_at"].timestamp() > START + 300 * 86_400
