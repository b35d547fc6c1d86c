"""What the sandbox was asked, kept for those who test: the last requests whole, all of them as counts."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

REQUESTS_KEPT_MAX = 1_000
BODY_BYTES_KEPT_MAX = 64 * 1024 * 1024
PATHS_COUNTED_MAX = 1_000


@dataclass(slots=True)
class Recorded:
    """One request. `status` is None until the answer's head is out; `ended` is "answered", "cut", "client gone" or "failed"."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    status: int | None = None
    ended: str | None = None


class Recorder:
    """Bounded in requests and in bytes of bodies; the oldest go first."""

    def __init__(self) -> None:
        self._requests: deque[Recorded] = deque()
        self._bytes = 0
        self._counts: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()

    def begin(self, recorded: Recorded) -> None:
        with self._lock:
            self._requests.append(recorded)
            self._bytes += len(recorded.body)
            while len(self._requests) > REQUESTS_KEPT_MAX or self._bytes > BODY_BYTES_KEPT_MAX:
                self._bytes -= len(self._requests.popleft().body)

    def answer(self, recorded: Recorded, status: int) -> None:
        """The head of an answer is about to go out."""
        recorded.status = status
        self._count(recorded, str(status))

    def end(self, recorded: Recorded, ended: str) -> None:
        recorded.ended = ended
        if recorded.status is None:
            self._count(recorded, ended)

    def _count(self, recorded: Recorded, outcome: str) -> None:
        path = f"{recorded.method} {recorded.path}"
        with self._lock:
            if path not in self._counts and len(self._counts) >= PATHS_COUNTED_MAX:
                path = "other"
            outcomes = self._counts.setdefault(path, {})
            outcomes[outcome] = outcomes.get(outcome, 0) + 1

    def requests(self) -> list[Recorded]:
        with self._lock:
            return list(self._requests)

    def counts(self) -> dict[str, dict[str, int]]:
        with self._lock:
            return {path: dict(statuses) for path, statuses in self._counts.items()}
