"""What settled calls are told to. Telemetry must never cost a call its answer: nothing here raises, waits or grows.

Observations wait in a bounded queue, and one thread makes spans and metrics of them, some at a time: that takes 0.2 ms a call
(measured 2026-11-21), which is too much for an event loop. The thread begins with the first observation, or when the gateway
warms up, so that a fork before does no harm; it is also the one that loads OpenTelemetry (0.15 s).
"""

import importlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.canonical.call import Call, Target
from gateway.canonical.store import Json
from gateway.telemetry.observation import Observation, observe_call

LOADED_LATE = {"exporting": "gateway.telemetry.exporting"}
WAITING_MAX = 4_096
LINGER_S = 0.25
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Readings:
    """What is read at every export of metrics; each returns at once."""

    open_calls: Callable[[], int]
    records_waiting: Callable[[], int]
    records_lost: Callable[[], int]
    tokens_minted: Callable[[], int]


@dataclass(frozen=True, slots=True)
class GoogleAccess:
    """For Google's own endpoint. Both may block, and raise TokenError: they are asked by the exporters' threads."""

    token: Callable[[], str]
    project_id: Callable[[], str | None]


class Sink(Protocol):
    """Where observations go once everything is loaded."""

    def call(self, observation: Observation) -> None: ...

    def refusal(self, status: int, error_type: str) -> None: ...

    def budget(self, budget_id: str, period: str, used: int, limit: int, unit: str) -> None: ...

    def close(self, timeout_s: float) -> None: ...


class Nowhere:
    """The sink of a gateway whose telemetry could not be set up."""

    def call(self, observation: Observation) -> None:
        return None

    def refusal(self, status: int, error_type: str) -> None:
        return None

    def budget(self, budget_id: str, period: str, used: int, limit: int, unit: str) -> None:
        return None

    def close(self, timeout_s: float) -> None:
        return None


class Telemetry:
    """Safe to call from many threads. `open_sink` is asked once, in the thread that does the work."""

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open_sink = open_sink
        self._waiting: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=WAITING_MAX)
        self._dropped = 0
        self._more = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._sink: Sink = Nowhere()
        self._lock = threading.Lock()

    def observe(self, call: Call, document: Json, target: Target | None) -> None:
        """One settled call."""
        try:
            self._tell("call", observe_call(call, document, target))
        except Exception:
            log.exception("call %s is missing in the telemetry", call.id)

    def refused(self, line: Json) -> None:
        """The log line of a request that never became a call."""
        self._tell("refusal", int(line.get("status") or 0), str(line.get("error_type") or "unknown"))

    def watch(self, budget_id: str, period: str, thresholds: tuple[float, ...], used: int, limit: int, facts: Json) -> None:
        """A budget's counters, as the ledger has just written them."""
        self._tell("budget", budget_id, period, used, limit, str(facts.get("unit") or "usd"))

    def start(self) -> None:
        """Loads what it takes, in the background; once."""
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._work, name="telemetry", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # the process is ending, or may have no more threads
                log.error("there is no telemetry: %s", error)

    def close(self, timeout_s: float) -> None:
        """Sends what is left, and gives up after `timeout_s`. What comes later is lost."""
        until = time.monotonic() + timeout_s
        self._closing.set()
        self._more.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout_s)
        sink, self._sink = self._sink, Nowhere()
        sink.close(max(0.1, until - time.monotonic()))

    def _tell(self, what: str, *facts: Any) -> None:
        if len(self._waiting) == WAITING_MAX:
            self._dropped += 1
        self._waiting.append((what, facts))
        if self._thread is None:
            self.start()
        if not self._more.is_set():
            self._more.set()

    def _work(self) -> None:
        try:
            self._sink = self._open_sink()
        except Exception as error:
            log.error("there is no telemetry: %s; mend that and restart, or set GATEWAY_TELEMETRY=off", error)
        while True:
            self._more.wait()
            closing = self._closing.wait(LINGER_S)
            self._more.clear()
            self._pass_on()
            if closing:
                return

    def _pass_on(self) -> None:
        if self._dropped:
            log.warning("telemetry: %d observations were dropped, more came than could be passed on", self._dropped)
            self._dropped = 0
        while self._waiting:
            what, facts = self._waiting.popleft()
            try:
                getattr(self._sink, what)(*facts)
            except Exception:
                log.exception("telemetry lost one %s", what)


def open_telemetry(destination: str, readings: Readings, google: GoogleAccess) -> Telemetry | None:
    """`destination` is GATEWAY_TELEMETRY: `off`, `otlp` or `google`. None when it is off."""
    if destination == "off":
        return None

    def open_sink() -> Sink:
        exporting: Any = importlib.import_module(LOADED_LATE["exporting"])
        sink: Sink = exporting.open_exporting(readings, google if destination == "google" else None)
        return sink

    return Telemetry(open_sink)
