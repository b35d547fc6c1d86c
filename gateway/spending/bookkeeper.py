"""The ledger's own thread: renews, refills, lists and gives back."""

import logging
import os
import threading
from collections.abc import Callable

TICK_S = 0.5
log = logging.getLogger(__name__)


class Bookkeeper:
    """Started at the first use after a process began or was forked."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: int | None = None  # whose thread it is
        self._stopping = threading.Event()

    def start(self) -> None:
        """Cheap when it runs already."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process != os.getpid() and not self._stopping.is_set():
                thread = threading.Thread(target=self._run, name="ledger", daemon=True)
                thread.start()
                self._thread, self._process = thread, os.getpid()  # now: if it could not be started, the next call tries again

    def stop(self, timeout_s: float) -> None:
        self._stopping.set()
        thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                self._tick()
            except Exception:
                log.exception("the ledger's round failed; the next one is in %s s", TICK_S)
