"""The prompt cache: which prefixes were marked, for how long they are kept, and what a request reads and writes of them."""

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.sandbox.errors import invalid
from gateway.sandbox.usage import Part, total_tokens

TTL_S = {"5m": 300.0, "1h": 3600.0}
MARKERS_MAX = 4
LOOKBACK_BLOCKS = 20
ENTRIES_KEPT_MAX = 20_000


@dataclass(frozen=True, slots=True)
class CacheUse:
    """Input tokens by price class; together they are the whole prompt."""

    uncached: int
    read: int = 0
    write_5m: int = 0
    write_1h: int = 0


class PromptCache:
    """Remembers marked prefixes by their hash, per scope (project, location and model)."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._kept: dict[bytes, tuple[float, str]] = {}  # prefix → end of life, time to live
        self._lock = threading.Lock()

    def use(self, scope: str, parts: Sequence[Part], tokens_min: int) -> CacheUse:
        """What this prompt finds, and leaves behind. A prefix below `tokens_min` is not cached."""
        check_markers(parts)
        marked = [i for i, part in enumerate(parts) if part.ttl]
        total = total_tokens(parts)
        if not marked:
            return CacheUse(total)
        keys, sums = _prefixes(scope, parts[: marked[-1] + 1])
        if sums[-1] < tokens_min:
            return CacheUse(total)
        now = self._now()
        with self._lock:
            found = self._find(keys, marked, now)
            writes = {"5m": 0, "1h": 0}
            position = found
            for i in marked:
                if i > position and sums[i] >= tokens_min:
                    writes[parts[i].ttl or "5m"] += sums[i] - (sums[position] if position >= 0 else 0)
                    position = i
                self._keep(keys[i], parts[i].ttl or "5m", now)
            if found >= 0:
                self._keep(keys[found], "5m", now)
        read = sums[found] if found >= 0 else 0
        return CacheUse(total - read - sum(writes.values()), read, writes["5m"], writes["1h"])

    def _find(self, keys: Sequence[bytes], marked: Sequence[int], now: float) -> int:
        """The end of the longest known prefix, sought up to 20 blocks before each marker; -1 if there is none."""
        for marker in reversed(marked):
            for i in range(marker, max(-1, marker - LOOKBACK_BLOCKS), -1):
                if self._kept.get(keys[i], (0.0, ""))[0] > now:
                    return i
        return -1

    def _keep(self, key: bytes, ttl: str, now: float) -> None:
        """Keeps or refreshes a prefix; a longer time to live stays."""
        end, before = self._kept.pop(key, (0.0, ttl))
        ttl = max(ttl, before, key=TTL_S.__getitem__) if end > now else ttl
        if len(self._kept) >= ENTRIES_KEPT_MAX:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = (now + TTL_S[ttl], ttl)


def check_markers(parts: Sequence[Part]) -> None:
    """At most four, and those of an hour first."""
    ttls = [part.ttl for part in parts if part.ttl]
    if len(ttls) > MARKERS_MAX:
        raise invalid(f"A maximum of {MARKERS_MAX} blocks with cache_control may be provided. Found {len(ttls)}.")
    if ttls != sorted(ttls):  # "1h" before "5m"
        raise invalid(
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "
            "Note that blocks are processed in the following order: `tools`, `system`, `messages`."
        )


def _prefixes(scope: str, parts: Sequence[Part]) -> tuple[list[bytes], list[int]]:
    """The hash, and the number of tokens, of the prompt up to and including each part."""
    running, total = hashlib.sha256(scope.encode()), 0
    keys, sums = [], []
    for part in parts:
        content = {name: value for name, value in part.content.items() if name != "cache_control"}
        running.update(f"{part.role}\n{json.dumps(content, sort_keys=True)}\n".encode())
        total += part.tokens
        keys.append(running.digest())
        sums.append(total)
    return keys, sums
