"""The gateway under gunicorn: one process of threads, ended by SIGTERM within the drain time.

The application knows nothing of the server; this file is all there is to exchange.
"""

import os
import signal
import threading
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from gateway.settings import Settings
from gateway.start import Running, run_house

THREADS_FOR_PROBES = 16


class Server(BaseApplication):  # type: ignore[misc]
    """Serves until SIGTERM or SIGINT. The house is built in the worker, after the fork."""

    def __init__(self, settings: Settings, host: str, port: int) -> None:
        self._settings = settings
        self._bind = f"{host}:{port}"
        self._running: Running | None = None
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._bind,
            "workers": 1,
            "worker_class": "gthread",
            "threads": self._settings.max_open_calls + THREADS_FOR_PROBES,
            "timeout": 0,
            "keepalive": 75,
            "graceful_timeout": int(self._settings.drain_s) + 1,
            "loglevel": "error",
            "post_worker_init": self._after_fork,
            "worker_exit": self._at_exit,
            "control_socket_disable": True,
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        self._running = run_house(os.environ)
        return self._running.app

    def _after_fork(self, worker: ThreadWorker) -> None:
        """Draining begins with the signal, not after the last stream: gunicorn alone would only wait."""
        stop = worker.handle_exit

        def drain(number: int, frame: FrameType | None) -> None:
            threading.Thread(target=self._drain, name="drain", daemon=True).start()
            stop(number, frame)

        signal.signal(signal.SIGTERM, drain)
        signal.signal(signal.SIGINT, drain)

    def _drain(self) -> None:
        if self._running is not None:
            self._running.house.answering.drain(self._settings.drain_s)

    def _at_exit(self, server: Any, worker: ThreadWorker) -> None:
        if self._running is not None:
            self._running.close()
