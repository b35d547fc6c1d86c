"""One token for all instances: the documents `tokens/{fingerprint}`, and the short lease under which one of them mints.

    sealed, fence, token_expires_at, refresh_at     the token; `fence` rises with every token
    lease_owner, lease_until                        who is minting, and until when the others believe it
    evicted_at                                      when a token was last thrown out because it was refused upstream
    expires_at, schema_version                      the TTL field, days after the token's own end; readers check that end

A fence is at least the unix second of its token, so that it names one token even across documents that come and go.
Every change is a compare-and-set on what was read, so that a minter who slept through its lease never overwrites what
came after: it keeps its own token to itself. A lease whose holder died costs the others five seconds when there is no
valid token, and nothing while there is one. Nothing here waits while a valid token exists.
"""

import dataclasses
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gateway.canonical.store import AlreadyExists, Conflict, Document, Missing, Store, StoreError
from gateway.credentials.access_token import AccessToken, Sealing, TokenError
from gateway.credentials.timing import Timing

SCHEMA_VERSION = 1
LEASE_S = 10.0
CLOCK_SKEW_S = 5.0
PATIENCE_S = 5.0  # how long a lease that does not move is believed by those who have no token
POLL_S = (0.03, 0.4)
ALONE_AFTER_S = 7.0
EVICT_AT_MOST_EVERY_S = 60.0
AWAY_S = 15.0
KEPT = timedelta(days=7)
LOG = logging.getLogger("gateway.credentials")
LOST_RACE = (AlreadyExists, Conflict, Missing)
Eviction = Literal["evicted", "moved on", "too soon"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a document said; `version` is None where there is none."""

    version: str | None = None
    fence: int = 0
    token: AccessToken | None = None
    lease: tuple[str, float] | None = None
    evicted_at: float | None = None


class SharedTokens:
    """Safe to call from many threads. `jitter` is how late this instance asks for a new token, from 0 to 1."""

    def __init__(self, store: Store, instance_id: str, timing: Timing) -> None:
        self._store, self._instance_id, self._timing = store, instance_id, timing
        self.jitter = timing.draw()
        self._away_until = float("-inf")
        self._own_fences = itertools.count(1)

    @property
    def away(self) -> bool:
        """The store failed a moment ago and is left in peace."""
        return self._timing.monotonic() < self._away_until

    def rest(self, error: StoreError) -> None:
        """The store failed: leave it alone for some seconds."""
        LOG.warning("the store failed, so this instance mints its access tokens by itself for %d s: %s", AWAY_S, error)
        self._away_until = self._timing.monotonic() + AWAY_S

    def unshared(self, token: AccessToken) -> AccessToken:
        """A token of this process alone."""
        return dataclasses.replace(token, fence=-next(self._own_fences))

    def obtain(
        self, sealing: Sealing, mint: Callable[[], AccessToken], *, early: bool, refused: int | None
    ) -> AccessToken | None:
        """The shared token, minted here if it falls to us. `refused` is the fence of a token not to be taken again.

        With `early` a token is wanted that is not due for renewal, and None is the answer while another instance mints
        it. Raises TokenError, and StoreError as long as nothing was minted.
        """
        started, first_lease = self._timing.monotonic(), None
        while True:
            entry = self._read(sealing)
            if entry.token is not None and entry.token.fence != refused and self._serves(entry.token, early):
                return entry.token
            waited_s = self._timing.monotonic() - started
            first_lease = first_lease or entry.lease
            if not self._is_live(entry.lease) or (waited_s >= PATIENCE_S and entry.lease == first_lease):
                claim = self._claim(sealing, entry)
                if claim is not None:
                    return self._mint(sealing, entry, claim, mint, early)
            elif early:
                return None
            if waited_s >= ALONE_AFTER_S:
                return self.unshared(mint())
            self._timing.sleep(POLL_S[0] + (POLL_S[1] - POLL_S[0]) * self._timing.draw())

    def evict(self, sealing: Sealing, fence: int) -> Eviction:
        """Takes the token with this fence away from everybody; at most once a minute, whoever asks. StoreError."""
        entry = self._read(sealing)
        if entry.fence != fence or entry.token is None or entry.version is None:
            return "moved on"
        if entry.evicted_at is not None and 0 <= self._timing.now() - entry.evicted_at < EVICT_AT_MOST_EVERY_S:
            return "too soon"
        fields = {"sealed": b"", "evicted_at": _moment(self._timing.now())}
        try:
            self._store.update(_path(sealing), fields, if_version=entry.version)
        except LOST_RACE:
            return "moved on"
        return "evicted"

    def _serves(self, token: AccessToken, early: bool) -> bool:
        return self._timing.now() < (token.due_at(self.jitter) if early else token.usable_until)

    def _is_live(self, lease: tuple[str, float] | None) -> bool:
        """A lease that ends later than any lease can comes from a clock that is wrong, and binds nobody."""
        return lease is not None and self._timing.now() < lease[1] <= self._timing.now() + LEASE_S + CLOCK_SKEW_S

    def _read(self, sealing: Sealing) -> Entry:
        document = self._store.get(_path(sealing))
        return _parse_entry(document, sealing) if document is not None else Entry()

    def _claim(self, sealing: Sealing, entry: Entry) -> str | None:
        """Takes the lease; the document's new version, or None if another was faster."""
        until = self._timing.now() + LEASE_S
        fields = {"lease_owner": self._instance_id, "lease_until": _moment(until), "expires_at": _moment(until) + KEPT}
        try:
            if entry.version is None:
                return self._store.create(_path(sealing), {"schema_version": SCHEMA_VERSION, "fence": 0, **fields})
            return self._store.update(_path(sealing), fields, if_version=entry.version)
        except LOST_RACE:
            return None

    def _mint(self, sealing: Sealing, entry: Entry, claim: str, mint: Callable[[], AccessToken], early: bool) -> AccessToken:
        try:
            token = mint()
            token = dataclasses.replace(token, fence=max(entry.fence + 1, int(self._timing.now())))
        except TokenError:
            if not early:  # after a failed early attempt the lease stays: nobody tries again until it lapses
                self._release(sealing, claim)
            raise
        return token if self._publish(sealing, claim, token) else self.unshared(token)

    def _publish(self, sealing: Sealing, claim: str, token: AccessToken) -> bool:
        fields = {
            "schema_version": SCHEMA_VERSION,
            "sealed": sealing.seal(token.value, _context(sealing, token.fence)),
            "fence": token.fence,
            "token_expires_at": _moment(token.expires_at),
            "refresh_at": _moment(token.refresh_at),
            "lease_owner": None,
            "lease_until": None,
            "expires_at": _moment(token.expires_at) + KEPT,
        }
        try:
            self._store.update(_path(sealing), fields, if_version=claim)
        except LOST_RACE:
            return False
        except StoreError as error:
            self.rest(error)
            return False
        return True

    def _release(self, sealing: Sealing, claim: str) -> None:
        try:
            self._store.update(_path(sealing), {"lease_owner": None, "lease_until": None}, if_version=claim)
        except LOST_RACE:
            return
        except StoreError as error:
            self.rest(error)


def _path(sealing: Sealing) -> str:
    return f"tokens/{sealing.fingerprint}"


def _context(sealing: Sealing, fence: int) -> str:
    return f"{_path(sealing)}#{fence}"


def _parse_entry(document: Document, sealing: Sealing) -> Entry:
    """Whatever is not as this version writes it counts as not there."""
    data = document.data
    fence = data.get("fence")
    if data.get("schema_version") != SCHEMA_VERSION or not isinstance(fence, int):
        return Entry(document.version)
    owner, until = data.get("lease_owner"), _seconds(data.get("lease_until"))
    return Entry(
        version=document.version,
        fence=fence,
        token=_open_token(data, fence, sealing),
        lease=(owner, until) if isinstance(owner, str) and until is not None else None,
        evicted_at=_seconds(data.get("evicted_at")),
    )


def _open_token(data: dict[str, Any], fence: int, sealing: Sealing) -> AccessToken | None:
    sealed, expires_at, refresh_at = data.get("sealed"), _seconds(data.get("token_expires_at")), _seconds(data.get("refresh_at"))
    if not isinstance(sealed, bytes) or not sealed or expires_at is None or refresh_at is None or refresh_at > expires_at:
        return None
    value = sealing.open(sealed, _context(sealing, fence))
    return AccessToken(value, fence, expires_at, refresh_at) if value is not None else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(value: object) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None
