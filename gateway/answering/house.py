"""What a call under way needs of the house around it."""

from collections.abc import Callable
from typing import Any, Protocol

from gateway.cache.cache import Cache
from gateway.cache.semantic import SemanticCache
from gateway.canonical.call import Call, Target
from gateway.canonical.store import Json
from gateway.providers.send import Sender
from gateway.records.writer import RecordWriter
from gateway.routing.attempts import Attempts
from gateway.spending.prices import PriceBook

Observe = Callable[[Call, Json, Target | None], None]
"""Told of every settled call: its usage document, and where it went. Raises nothing, and does not wait."""


class House(Protocol):
    """What a run needs of `Answering`."""

    attempts: Attempts
    sender: Sender
    prices: PriceBook
    records: RecordWriter
    cache: Cache
    semantic: SemanticCache
    retention_days: int

    def log_line(self, call: Call, document: Json) -> None: ...

    def count(self, document: Json) -> None: ...

    @property
    def observe(self) -> Observe | None: ...

    def clock(self) -> float: ...

    def forget(self, run: Any) -> None:
        """The run is settled."""
