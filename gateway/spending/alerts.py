"""Alerts: somebody is told when a budget passes a threshold, once for each period and threshold over all instances; and when a
provider refuses the gateway's credential, once until it has been accepted for five minutes, or an hour later if it is not.

Whoever creates `budgets/{id}/alerts/{period}-{threshold}` delivers; the audit entry is in the same commit. So does who creates
`providers/{id}/alerts/credential`, which lives for that hour. What fails, or is cut off by a kill, is found by the sweep and
sent again over the channels that it failed on, with the same id: a channel whose answer got lost may tell twice. Nothing here
is on a call's way: `watch` and `credential` look into memory, a thread does the rest.
"""

import logging
import secrets as random_names
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from gateway.canonical.errors import GatewayError
from gateway.canonical.store import AlreadyExists, Conflict, Create, Document, Json, Missing, Store, StoreError, StoreUnavailable
from gateway.credentials.secrets import SecretError
from gateway.spending.alert import EXAMPLE, Alert, Channel, Message, PostFailed
from gateway.spending.learning import Recent
from gateway.spending.refused_credential import REFUSED_KEPT_S, Refusals, RefusedCredential

RETRY_S = (1.0, 3.0, 10.0, 30.0)
SENDING_S = 120.0  # whoever claimed an alert and has not told by then is gone
ATTEMPTS_MAX = 24
KEPT = timedelta(days=400)
QUEUE_MAX = 1_000
SEEN_KEPT = 10_000
PAGE_DOCUMENTS = 200
TIMEOUT_S = 5.0
WHO = "gateway"
SCHEMA_VERSION = 1
FAILURES = (PostFailed, SecretError, GatewayError)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message on one channel."""

    channel: str
    delivered: bool
    words: str


class Alerts:
    """`now` is unix seconds, `wait` how the thread pauses before it asks a store again that was away."""

    def __init__(
        self,
        store: Store,
        channels: Sequence[Channel],
        now: Callable[[], float],
        *,
        instance: str | None = None,
        wait: Callable[[float], Any] | None = None,
    ) -> None:
        self._store, self._channels, self._now = store, channels, now
        self._instance = instance or uuid.uuid4().hex
        self._closing = threading.Event()
        self._wait = wait or self._closing.wait
        self._lock = threading.Lock()
        self._quiet = threading.Condition(self._lock)
        self._seen: Recent[tuple[str, str], float] = Recent(SEEN_KEPT)  # the highest threshold that was passed on
        self._refusals = Refusals()
        self._waiting: deque[Callable[[], None]] = deque()
        self._working = False

    def watch(self, budget_id: str, period: str, thresholds: Sequence[float], used: int, limit: int, facts: Json) -> None:
        """Tells of each threshold that `used` has passed; returns at once. `facts` may name `unit` and `subject`.

        Limits by the minute or hour are told of once a day: their period is named to the minute or hour."""
        if limit <= 0 or not thresholds or used < limit * min(thresholds):
            return
        name = _daily(period)
        with self._lock:
            known = self._seen.get((budget_id, name)) or 0.0
            passed = sorted(share for share in thresholds if share > known and used >= limit * share)
            if not passed or len(self._waiting) + len(passed) > QUEUE_MAX:
                return
            self._seen.put((budget_id, name), passed[-1])
            for share in passed:
                subject, unit = facts.get("subject"), str(facts.get("unit") or "usd")
                alert_id = f"{name}-{share:g}"
                alert = Alert(alert_id, budget_id, name, subject, share, used, limit, unit, self._moment())
                self._waiting.append(partial(self._tell, alert))
            self._start()

    def credential(self, provider: str, location: str, reason: str | None) -> None:
        """Tells that a provider refuses the gateway's credential, and why; returns at once. None: it is accepted again."""
        now = self._now()
        with self._lock:
            if len(self._waiting) >= QUEUE_MAX:
                return
            if reason is None:
                if (until := self._refusals.accepted(provider, now)) is None:
                    return
                self._waiting.append(partial(self._accepted, provider, until))
            elif self._refusals.is_news(provider, now):
                message = RefusedCredential(provider, location, reason[:500], self._moment())
                self._waiting.append(partial(self._tell, message))
            else:
                return
            self._start()

    def test(self, budget_id: str) -> list[Delivery]:
        """Sends an example over every channel, and says what became of each. Blocks for some seconds."""
        at = self._moment()
        alert = replace(EXAMPLE, id=f"test_{random_names.token_hex(8)}", budget=budget_id, period=at[:10], at=at)
        return [self._send(channel, alert) for channel in self._channels]

    def resend_failed(self) -> int:
        """Sends again what failed, and what was claimed by an instance that is gone; how many were delivered. For the
        sweep: blocks, may run on several instances at once. StoreUnavailable."""
        page = self._store.query("alerts", where=[("state", "in", ["failed", "sending"])], limit=PAGE_DOCUMENTS, group=True)
        return sum(self._resend(document) for document in page.documents)

    def close(self, timeout_s: float) -> bool:
        """Waits until what was passed is told of; at shutdown. False if something was left: the sweep finds what was claimed."""
        self._closing.set()
        with self._quiet:
            return self._quiet.wait_for(lambda: not self._working, timeout_s)

    def _start(self) -> None:
        """Under the lock."""
        if not self._working:
            self._working = True
            threading.Thread(target=self._work, name="alerts", daemon=True).start()

    def _work(self) -> None:
        """In a thread of its own, as long as there is something to tell."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._working = False
                    self._quiet.notify_all()
                    return
                task = self._waiting.popleft()
            try:
                task()
            except Exception:
                log.exception("an alert could not be told")

    def _tell(self, message: Message) -> None:
        if not self._claim(message):
            return
        log.warning("%s", message.sentence())
        self._note(message.path, self._deliver(message, self._channels), attempts=1)

    def _accepted(self, provider: str, until: float) -> None:
        """From then on a refusal is another one, whichever instance meets it."""
        path, ends = RefusedCredential(provider, "", "", "").path, datetime.fromtimestamp(until, UTC)
        try:
            self._store.update(path, {"expires_at": ends}, timeout_s=TIMEOUT_S)
        except Missing:
            return
        except StoreError as error:
            log.warning("that provider %s takes the credential again cannot be written: %s", provider, error)

    def _claim(self, message: Message) -> bool:
        """True for one instance alone. While the store is away it is asked again, a few times."""
        for wait_s in (*RETRY_S, None):
            try:
                self._create(message)
                return True
            except AlreadyExists:
                return self._is_mine(message)
            except StoreUnavailable as error:
                if wait_s is None:
                    log.error("alert %s cannot be claimed: %s", message.message_id, error)
                    self._forget(message)
                    return False
                self._wait(wait_s)
        return False

    def _create(self, message: Message) -> None:
        """AlreadyExists if it is told already. Of a credential it is told again when the document has expired: that only
        `create` allows, so the audit entry follows."""
        kept = timedelta(seconds=REFUSED_KEPT_S) if isinstance(message, RefusedCredential) else KEPT
        at = datetime.fromtimestamp(self._now(), UTC)
        document: Json = {
            **message.facts(), "state": "sending", "attempts": 0, "deliveries": {}, "claimed_by": self._instance,
            "claimed_at": at, "schema_version": SCHEMA_VERSION, "expires_at": at + kept,
        }  # fmt: skip
        entry = {"at": at, "who": WHO, "before": None, **message.audit(), "schema_version": SCHEMA_VERSION}
        audit = Create(f"audit/audit_{random_names.token_hex(10)}", entry)
        if isinstance(message, RefusedCredential):
            self._store.create(message.path, document, timeout_s=TIMEOUT_S)
            self._write_audit(audit)
        else:
            self._store.commit([Create(message.path, document), audit], timeout_s=TIMEOUT_S)

    def _write_audit(self, entry: Create) -> None:
        try:
            self._store.commit([entry], timeout_s=TIMEOUT_S)
        except StoreError as error:
            log.warning("the audit entry of an alert is lost: %s", error)

    def _is_mine(self, message: Message) -> bool:
        """The commit went through, and its answer got lost."""
        try:
            document = self._store.get(message.path, timeout_s=TIMEOUT_S)
        except StoreError:
            return False  # the sweep finds it
        if document is None or document.data.get("claimed_by") != self._instance:
            return False
        return bool(document.data["attempts"] == 0 and document.data["at"] == message.at)

    def _forget(self, message: Message) -> None:
        """The next time the budget is drawn upon, or the credential refused, it is passed on again."""
        with self._lock:
            if isinstance(message, Alert):
                self._seen.pop((message.budget, message.period))
            elif isinstance(message, RefusedCredential):
                self._refusals.forget(message.provider)

    def _deliver(self, message: Message, channels: Sequence[Channel]) -> list[Delivery]:
        return [self._send(channel, message) for channel in channels]

    def _send(self, channel: Channel, message: Message) -> Delivery:
        try:
            channel.send(message, self._now())
        except FAILURES as error:
            log.warning("alert %s was not delivered by %s: %s", message.message_id, channel.name, error)
            return Delivery(channel.name, False, str(error)[:300])
        except Exception as error:  # one channel's fault must not silence the others
            log.exception("alert %s: channel %s failed", message.message_id, channel.name)
            return Delivery(channel.name, False, f"{type(error).__name__}; the log shows more")
        return Delivery(channel.name, True, "delivered")

    def _note(self, path: str, deliveries: Sequence[Delivery], attempts: int) -> None:
        """What became of it: failures are for the sweep. If this cannot be written the sweep sends once more."""
        state = "failed" if any(not one.delivered for one in deliveries) else "delivered"
        if state == "failed" and attempts >= ATTEMPTS_MAX:
            state = "given_up"
        told = {one.channel: {"delivered": one.delivered, "words": one.words} for one in deliveries}
        try:
            self._store.update(path, {"state": state, "attempts": attempts, "deliveries": told}, timeout_s=TIMEOUT_S)
        except StoreError as error:
            log.warning("what became of %s cannot be written: %s", path, error)

    def _resend(self, document: Document) -> bool:
        data, now = document.data, self._now()
        if data["state"] == "sending" and now - data["claimed_at"].timestamp() < SENDING_S:
            return False
        claim = {"state": "sending", "claimed_by": self._instance, "claimed_at": datetime.fromtimestamp(now, UTC)}
        try:
            self._store.update(document.path, claim, if_version=document.version, timeout_s=TIMEOUT_S)
        except (Conflict, Missing):
            return False  # another sweep has it
        before = data.get("deliveries") or {}
        done = [Delivery(name, True, told["words"]) for name, told in before.items() if told["delivered"]]
        left = [channel for channel in self._channels if channel.name not in {one.channel for one in done}]
        deliveries = [*done, *self._deliver(_parse(document), left)]
        self._note(document.path, deliveries, data["attempts"] + 1)
        return all(one.delivered for one in deliveries)

    def _moment(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _parse(document: Document) -> Message:
    data = document.data
    if "provider" in data:
        return RefusedCredential(**{name: data[name] for name in RefusedCredential.__slots__})
    return Alert(document.id, **{name: data[name] for name in Alert.__slots__ if name not in ("id", "test")})


def _daily(period: str) -> str:
    """`2026-11-20T12:05Z~…`, a minute, as its day: `2026-11-20~…`. Longer periods as they are."""
    start, mark, subject = period.partition("~")
    return start.partition("T")[0] + mark + subject if start != "total" else period
