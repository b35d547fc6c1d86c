"""The gateway under uvicorn: one process, streams on its event loop, ended by SIGTERM within the drain time.

Chosen by measurement (docs/performance.md). The doors know nothing of the server; this file and `asgi.py` are all there
is to exchange.
"""

import ctypes
import gc
import os
import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn

from gateway.app import House
from gateway.asgi import AsgiGateway
from gateway.start import run_house

THREADS = 64  # for what blocks: calls themselves need none
BACKLOG = 2048
COLLECT_AFTER = 10_000  # new objects; a call leaves none behind that only the collector would find
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # glibc's <malloc.h>
ARENAS_MAX = 2  # each keeps its own; the interpreter's lock lets one thread at a time ask anyway
KEPT_BYTES_MAX = 32 * 1024 * 1024
HEAP_BLOCK_BYTES_MAX = 1024 * 1024
KEEP_ALIVE_S = 75  # above the minute that front ends keep a silent connection, so that they end it and not we


class Server(uvicorn.Server):
    """Draining begins with the signal: the server alone would only wait for its streams."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._house = house

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """In place of uvicorn's own, which raises the signal once more when it is done: SIGTERM would then end the process
        before the house is closed."""
        if not self.should_exit:
            drain_s = self._house.settings.drain_s
            threading.Thread(target=self._house.answering.drain, args=(drain_s,), name="drain", daemon=True).start()
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """The listening socket; OSError if the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def make_config(house: House) -> uvicorn.Config:
    settings = house.settings
    app = AsgiGateway(
        house.door,
        house.admin,
        threads=THREADS,
        total_timeout_s=settings.total_timeout_s,
    )
    return uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        log_level="critical",  # it reports broken streams as errors of ours; the records tell of them
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.drain_s) + 1,
        backlog=BACKLOG,
    )


def settle_memory() -> None:
    """For a process that serves from now on. What is loaded stays, so the collector need not look through it time and again.
    And prompts of 100 KB come and go with every call: glibc would give their pages back, and have each cleared anew, which costs
    as much as passing them on. What is freed is kept instead, up to a bound."""
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS_MAX)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES_MAX)
        mallopt(M_MMAP_THRESHOLD, HEAP_BLOCK_BYTES_MAX)


def run(listening: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, with the settings of the environment."""
    running = run_house(os.environ)
    settle_memory()
    try:
        Server(make_config(running.house), running.house).run(sockets=[listening])
    finally:
        running.close()
