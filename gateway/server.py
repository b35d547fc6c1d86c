"""The gateway under uvicorn: one process, streams on its event loop, ended by SIGTERM within the drain time.

Chosen by measurement (docs/performance.md). The doors know nothing of the server; this file and `asgi.py` are all there
is to exchange.
"""

import os
import socket
import threading
from types import FrameType

import uvicorn

from gateway.asgi import AsgiGateway
from gateway.settings import Settings
from gateway.start import Running, run_house

THREADS_FOR_PROBES = 16
BACKLOG = 2048


class Server(uvicorn.Server):
    """Draining begins with the signal: the server alone would only wait for its streams."""

    def __init__(self, config: uvicorn.Config, running: Running, drain_s: float) -> None:
        super().__init__(config)
        self._running = running
        self._drain_s = drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            drain = self._running.house.answering.drain
            threading.Thread(target=drain, args=(self._drain_s,), name="drain", daemon=True).start()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """The listening socket; OSError if the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def run(settings: Settings, listening: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT."""
    running = run_house(os.environ)
    app = AsgiGateway(
        running.house.door,
        threads=settings.max_open_calls + THREADS_FOR_PROBES,
        total_timeout_s=settings.total_timeout_s,
    )
    config = uvicorn.Config(
        app,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="critical",
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.drain_s) + 1,
        backlog=BACKLOG,
    )
    try:
        Server(config, running, settings.drain_s).run(sockets=[listening])
    finally:
        running.close()
