"""What upstreams refused, remembered for a day: in memory at once, in the store for every instance soon."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gateway.canonical.call import Operation, Target
from gateway.canonical.steps import Steps, run_blocking
from gateway.canonical.store import Put, Store, StoreError
from gateway.providers.provider import Lesson
from gateway.store.snapshot import Snapshot

REMEMBERED = timedelta(hours=24)
REREAD_S = 600.0
SCHEMA_VERSION = 1
KEYS_REMEMBERED = 1_024
NOTHING_LEARNED = Lesson()
log = logging.getLogger(__name__)


class Lessons:
    """Lessons by provider, location, model and operation: token counting takes less than inference does.

    A store that is away costs a lesson its sharing, never a call.
    """

    def __init__(self, store: Store, now: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._lock = threading.Lock()
        self._learned: dict[str, tuple[Lesson, float]] = {}
        self._shared = Snapshot(self._read, max_age_s=REREAD_S, outage_s=float("inf"), now=clock)

    def known(self, target: Target, operation: Operation) -> Steps[Lesson]:
        key = _key(target.provider.id, target.location, target.upstream_model, operation)
        shared = yield from self._from_store()
        lesson = shared.get(key, NOTHING_LEARNED)
        learned, until = self._learned.get(key, (NOTHING_LEARNED, 0.0))
        return lesson | learned if until > self._now() else lesson

    def learn(self, target: Target, operation: Operation, lesson: Lesson) -> None:
        """Blocks while the lesson is shared."""
        key = _key(target.provider.id, target.location, target.upstream_model, operation)
        expires_at = datetime.fromtimestamp(self._now(), UTC) + REMEMBERED
        with self._lock:
            whole = run_blocking(self.known(target, operation)) | lesson
            self._learned[key] = (whole, expires_at.timestamp())
        document = {
            "provider": target.provider.id,
            "location": target.location,
            "model": target.upstream_model,
            "operation": operation,
            "betas": sorted(whole.betas),
            "fields": sorted(whole.fields),
            "learned_at": datetime.fromtimestamp(self._now(), UTC),
            "expires_at": expires_at,
            "schema_version": SCHEMA_VERSION,
        }
        try:
            self._store.commit([Put(f"lessons/{key}", document)], timeout_s=1.0)
        except StoreError as error:
            log.warning("a lesson about %s at %s could not be shared: %s", target.upstream_model, target.location, error)

    def _from_store(self) -> Steps[dict[str, Lesson]]:
        try:
            return (yield from self._shared.recall())
        except StoreError:
            return {}

    def _read(self) -> dict[str, Lesson]:
        page = self._store.query("lessons", limit=500, timeout_s=1.0)
        return {d.id: Lesson(frozenset(d.data["betas"]), frozenset(d.data["fields"])) for d in page.documents}


@lru_cache(maxsize=KEYS_REMEMBERED)
def _key(provider_id: str, location: str, upstream_model: str, operation: Operation) -> str:
    """A document id: readable, and safe whatever the model is called."""
    text = f"{provider_id}.{location}.{upstream_model}.{operation}"
    return f"{text[:200].replace('/', '_')}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"
