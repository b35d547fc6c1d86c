"""From a request's key to its Caller: memory first, the store when memory is old, and through outages for a while."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.callers.keys import find_key, hash_key
from gateway.canonical.call import Caller
from gateway.canonical.errors import Unauthenticated, Unavailable
from gateway.canonical.steps import Steps
from gateway.canonical.store import Json, Store, StoreUnavailable
from gateway.store.snapshot import Snapshot

KEYS_REMEMBERED = 10_000
UNKNOWN_REMEMBERED_S = 10.0
# Says nothing of `x-api-key`: Claude Code shows "Not logged in · Please run /login" in place of a 401 with that word in it,
# and this sentence otherwise (2.1.329, measured 2026-11-21).
TOLD = (
    "this gateway key is missing, unknown, expired or revoked; send a valid key (gw-…) as `Authorization: Bearer`, "
    "or ask the operator of this gateway for one"
)


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key's document and its project's, joined."""

    caller: Caller
    valid_until: float | None  # unix seconds
    revoked: bool


class Callers:
    """Identifies callers. A revocation holds everywhere after `refresh_s`; after `forget`, here at once."""

    def __init__(
        self,
        store: Store,
        *,
        refresh_s: float = 60.0,
        outage_s: float = 900.0,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._refresh_s = refresh_s
        self._outage_s = outage_s
        self._now = now
        self._clock = clock
        self._known: OrderedDict[str, Snapshot[KnownKey | None]] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def identify(self, headers: Mapping[str, str], query_key: str | None = None) -> Steps[Caller]:
        """Unauthenticated tells the four faults apart in `reason` only; Unavailable if an unseen key meets an outage."""
        key = find_key(headers, query_key)
        if key is None:
            raise Unauthenticated(TOLD, reason="no_key")
        known = yield from self._look_up(hash_key(key))
        if known is None:
            raise Unauthenticated(TOLD, reason="unknown_key")
        if known.revoked:
            raise Unauthenticated(TOLD, reason=f"revoked_key {known.caller.key_id}")
        if known.valid_until is not None and known.valid_until <= self._now():
            raise Unauthenticated(TOLD, reason=f"expired_key {known.caller.key_id}")
        return known.caller

    def forget(self, key_hash: str) -> None:
        """The next call with this key reads the store."""
        with self._lock:
            self._known.pop(key_hash, None)
            self._unknown.pop(key_hash, None)

    def _look_up(self, key_hash: str) -> Steps[KnownKey | None]:
        with self._lock:
            if self._unknown.get(key_hash, 0.0) > self._clock():
                return None
            snapshot = self._known.get(key_hash)
            if snapshot is None:
                snapshot = Snapshot(
                    lambda: self._read(key_hash), max_age_s=self._refresh_s, outage_s=self._outage_s, now=self._clock
                )
                self._remember(self._known, key_hash, snapshot)
            else:
                self._known.move_to_end(key_hash)
        try:
            known = yield from snapshot.recall()
        except StoreUnavailable as error:
            self.forget(key_hash)
            raise Unavailable(
                "the gateway cannot check keys right now; try again in a moment", reason=str(error), retry_after_s=2
            ) from error
        if known is None:
            self._remember_unknown(key_hash)
        return known

    def _remember_unknown(self, key_hash: str) -> None:
        with self._lock:
            self._known.pop(key_hash, None)
            self._remember(self._unknown, key_hash, self._clock() + UNKNOWN_REMEMBERED_S)

    @staticmethod
    def _remember(memory: OrderedDict, key_hash: str, value: object) -> None:  # type: ignore[type-arg]
        memory[key_hash] = value
        if len(memory) > KEYS_REMEMBERED:
            memory.popitem(last=False)

    def _read(self, key_hash: str) -> KnownKey | None:
        key = self._store.get(f"keys/{key_hash}")
        if key is None:
            return None
        project = self._store.get(f"projects/{key.data['project']}")
        return parse_known_key(key.data, project.data) if project else None


def parse_known_key(key: Json, project: Json) -> KnownKey:
    """`keys/{sha256}` and `projects/{id}` documents as one KnownKey."""
    valid_until: datetime | None = key.get("valid_until")
    return KnownKey(
        caller=Caller(
            key_id=key["id"],
            project=key["project"],
            user=key.get("user"),
            groups=tuple(key.get("groups") or ()),
            metadata={**(project.get("metadata") or {}), **(key.get("metadata") or {})},
            providers=_optional_tuple(project.get("providers")),
            key_models=_optional_tuple(key.get("allowed_models")),
            project_models=_optional_tuple(project.get("allowed_models")),
            budget_message=project.get("budget_message"),
            config=key.get("config") or project.get("config"),
        ),
        valid_until=valid_until.timestamp() if valid_until else None,
        revoked=key.get("revoked_at") is not None,
    )


def _optional_tuple(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
