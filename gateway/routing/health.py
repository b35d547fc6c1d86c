"""Which targets are resting because they failed: known here at once, to the other instances soon.

A target that fails three times in a row rests, one that is out of quota or does not serve a model rests at once, and one
that refuses our credential rests longer, of which the operator is told. Resting is no refusal: such a target is asked last.
When its time is over one call tries it; the others go elsewhere until that is known to have gone well.
"""

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.canonical.call import Target
from gateway.canonical.errors import CredentialRefused, GatewayError
from gateway.canonical.store import Put, Store, StoreError

FAILURES_UNTIL_REST = 3
REST_S = 10.0  # doubled each time a probe fails
REST_S_MAX = 300.0
QUOTA_REST_S = 5.0
QUOTA_REST_S_MAX = 60.0
NOT_SERVED_REST_S = 600.0
CREDENTIAL_REST_S = 300.0
PROBE_S = 30.0  # a probe that was not heard of for so long has failed
SHARED_READ_S = 5.0  # how old what the others say may be
TELL_EVERY_S = 1.0  # a target may change with every call, its document is written no more often
KEPT_MAX = 5_000
SLOW_SHARE = 0.2  # how much the last call weighs in the mean of a target's latencies
OUR_FAULT = (429, 529)
log = logging.getLogger(__name__)
Place = tuple[str, str, str]
Tell = Callable[[str, str, str | None], None]
"""A provider, a location, and why the gateway's credential is refused there; None: it is accepted again. Returns at once."""


def place_of(target: Target) -> Place:
    return target.provider.id, target.location, target.upstream_model


@dataclass(slots=True)
class Condition:
    """What is known of one target. Times are unix seconds."""

    failures: int = 0
    rests: int = 0  # one after the other
    until: float = 0.0
    probing_until: float = 0.0
    reason: str = ""
    refused: bool = False  # the credential, and not accepted since
    first_word_s: float | None = None
    measured_at: float = 0.0
    open_calls: int = 0


def _tell_nobody(provider: str, location: str, reason: str | None) -> None:
    """Where no operator is to be told."""


class Health:
    """Safe to use from many threads; never blocks a call: the store is read and written beside it."""

    def __init__(self, store: Store | None, now: Callable[[], float] = time.time, tell: Tell = _tell_nobody) -> None:
        self._store = store
        self._now = now
        self._tell_operator = tell
        self._refusing = 0  # how many places refuse the credential
        self._lock = threading.Lock()
        self._known: OrderedDict[Place, Condition] = OrderedDict()
        self._shared: dict[str, float] = {}  # document id → until when the others let it rest
        self._read_at = float("-inf")
        self._untold: dict[Place, tuple[Target, float, str]] = {}  # what the others are yet to hear
        self._telling = False

    def resting(self, target: Target) -> bool:
        """Whether others should be asked first: it failed, or one call is just trying it again."""
        now, place = self._now(), place_of(target)
        self._look_around(now)
        if self._shared and self._shared.get(_document_id(place), 0.0) > now and not self._recovered(place):
            return True
        with self._lock:
            known = self._known.get(place)
            return known is not None and max(known.until, known.probing_until) > now

    def forget(self) -> None:
        """Every target is taken to be well, until it fails again. What the others say is read again."""
        with self._lock:
            self._known.clear()
            self._untold = {place: change for place, change in self._untold.items() if not change[1]}
            self._refusing = 0
            self._shared, self._read_at = {}, float("-inf")

    def _recovered(self, place: Place) -> bool:
        """It is well again, and the others are yet to hear of it."""
        with self._lock:
            change = self._untold.get(place)
            return change is not None and not change[1]

    def seen(self, target: Target) -> Condition:
        """What is known of it now, for reading; empty if nothing is."""
        with self._lock:
            return self._known.get(place_of(target)) or Condition()

    def begin(self, target: Target) -> None:
        """A call goes there. If its rest has ended, this one finds out for all."""
        now = self._now()
        with self._lock:
            condition = self._condition(target)
            condition.open_calls += 1
            if 0 < condition.until <= now:
                condition.probing_until = now + PROBE_S

    def end(self, target: Target) -> None:
        with self._lock:
            condition = self._condition(target)
            condition.open_calls = max(0, condition.open_calls - 1)

    def succeeded(self, target: Target, first_word_s: float) -> None:
        with self._lock:
            known = self._condition(target)
            before = first_word_s if known.first_word_s is None else known.first_word_s
            known.first_word_s = before + SLOW_SHARE * (first_word_s - before)
            known.measured_at = self._now()
            recovered, accepted = self._recover(known)
        self._tell_recovery(target, recovered, accepted)

    def accepted(self, target: Target) -> None:
        """It took the gateway's credential. For calls with nobody else to turn to: all else is the same to them."""
        if not self._refusing:
            return
        with self._lock:
            known = self._known.get(place_of(target))
            if known is None or not known.refused:
                return
            recovered, accepted = self._recover(known)
        self._tell_recovery(target, recovered, accepted)

    def failed(self, target: Target, error: GatewayError, retry_after_s: float | None = None) -> None:
        """A failure of the target's. What the caller did wrong is none."""
        refused = _refuses_credential(error)
        with self._lock:
            known = self._condition(target)
            known.failures += 1
            if refused and known.refused and self._now() < known.until:
                return  # asked although it rests: nobody else was left
            rest_s = self._rest_s(known, error, retry_after_s)
            if rest_s is None:
                return
            known.rests += 1
            known.until, known.probing_until = self._now() + rest_s, 0.0
            known.reason = error.reason
            until = known.until
            self._refusing += refused and not known.refused
            known.refused = known.refused or refused
        if refused:
            log.error("provider %s refuses the gateway's credential at %s; it rests for %d s; run `doctor`: %s",
                      target.provider.id, target.location, rest_s, error.reason)  # fmt: skip
            self._tell_operator(target.provider.id, target.location, error.reason)
        self._tell(target, until, error.reason)

    def _recover(self, known: Condition) -> tuple[bool, bool]:
        """Whether it had rested, and whether because of the credential. Under the lock."""
        was = known.until > 0, known.refused
        self._refusing -= known.refused
        known.failures = known.rests = 0
        known.until = known.probing_until = 0.0
        known.refused = False
        return was

    def _tell_recovery(self, target: Target, recovered: bool, accepted: bool) -> None:
        if recovered:
            self._tell(target, 0.0, "recovered")
        if accepted:
            self._tell_operator(target.provider.id, target.location, None)

    def _rest_s(self, known: Condition, error: GatewayError, retry_after_s: float | None) -> float | None:
        if _refuses_credential(error):
            return CREDENTIAL_REST_S
        if error.status == 404:
            return NOT_SERVED_REST_S
        if error.status in OUR_FAULT:
            return min(QUOTA_REST_S_MAX, max(QUOTA_REST_S, retry_after_s or 0.0))
        if known.failures >= FAILURES_UNTIL_REST or known.until:
            return min(REST_S_MAX, REST_S * 2.0 ** min(known.rests, 10))
        return None

    def _condition(self, target: Target) -> Condition:
        known = self._known.get(place_of(target))
        if known is None:
            known = self._known[place_of(target)] = Condition()
            if len(self._known) > KEPT_MAX:
                self._refusing -= self._known.popitem(last=False)[1].refused
        return known

    def _look_around(self, now: float) -> None:
        """Reads what the others say, beside the call, if that was not done for a while."""
        if self._store is None or now - self._read_at < SHARED_READ_S:
            return
        self._read_at = now
        threading.Thread(target=self._read, name="health", daemon=True).start()

    def _read(self) -> None:
        assert self._store is not None
        try:
            page = self._store.query("health", limit=500, timeout_s=2.0)
        except StoreError as error:
            log.warning("the health of targets could not be read: %s", error)
            return
        self._shared = {document.id: document.data["until"].timestamp() for document in page.documents}

    def _tell(self, target: Target, until: float, reason: str) -> None:
        if self._store is None:
            return
        with self._lock:
            self._untold[place_of(target)] = target, until, reason
            if self._telling:
                return
            self._telling = True
        threading.Thread(target=self._tell_others, name="health", daemon=True).start()

    def _tell_others(self) -> None:
        """One write for each place, of all that changed since the last: near the end of a quota every other call fails."""
        while True:
            with self._lock:
                untold, self._untold = self._untold, {}
                self._telling = bool(untold)
            if not untold:
                return
            for change in untold.values():
                try:
                    self._write(*change)
                except Exception:
                    log.exception("the health of a target could not be shared")
            time.sleep(TELL_EVERY_S)

    def _write(self, target: Target, until: float, reason: str) -> None:
        assert self._store is not None
        at, name = datetime.fromtimestamp(until or self._now(), UTC), _document_id(place_of(target))
        document = {
            "provider": target.provider.id,
            "location": target.location,
            "model": target.upstream_model,
            "reason": reason[:200],
            "until": at,
            "expires_at": at + timedelta(seconds=60),
            "schema_version": 1,
        }
        if not until:
            self._shared.pop(name, None)
        try:
            self._store.commit([Put(f"health/{name}", document)], timeout_s=2.0)
        except StoreError as error:
            log.warning("the health of %s at %s could not be shared: %s", target.provider.id, target.location, error)


def _refuses_credential(error: GatewayError) -> bool:
    """As opposed to a token that could not be had just now."""
    return isinstance(error, CredentialRefused) and not error.should_retry


def _document_id(place: Place) -> str:
    text = ".".join(place)
    return f"{text[:200].replace('/', '_')}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"
