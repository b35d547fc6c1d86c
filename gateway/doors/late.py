"""A door that is built when somebody first knocks, so that a cold start does not pay for it."""

import threading
from collections.abc import Callable
from typing import Protocol

from gateway.canonical.reply import Reply
from gateway.doors.http import HttpRequest


class Door(Protocol):
    """Blocking; never raises."""

    def handle(self, http: HttpRequest) -> Reply: ...


class LateDoor:
    """`build` runs once, in the thread of the first request."""

    def __init__(self, build: Callable[[], Door]) -> None:
        self._build = build
        self._door: Door | None = None
        self._lock = threading.Lock()

    def handle(self, http: HttpRequest) -> Reply:
        if self._door is None:
            with self._lock:
                self._door = self._door or self._build()
        return self._door.handle(http)
