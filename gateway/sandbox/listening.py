"""The listening socket: loopback only, one thread per connection."""

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)
BACKLOG = 1024


class Listener:
    """Accepts from the moment it is made. Not http.server's: that one asks the resolver for its own name first."""

    def __init__(self, host: str, port: int, serve: Callable[[socket.socket], None]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=BACKLOG)
        self._serve = serve
        self._open: set[socket.socket] = set()
        self._stopping = False
        self._lock = threading.Lock()
        self._address = self._socket.getsockname()
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._address[1]}"
        self._thread = threading.Thread(target=self._accept, name="sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Closes the port, then every open connection."""
        self._stopping = True
        try:
            socket.create_connection(self._address[:2], timeout=1).close()  # wakes accept, on every system
        except OSError:
            log.debug("the port was closed already")
        self._thread.join(5)
        self._socket.close()
        with self._lock:
            waiting = list(self._open)
        for sock in waiting:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("a connection was gone already")

    def _accept(self) -> None:
        while True:
            sock, _ = self._socket.accept()
            if self._stopping:
                sock.close()
                return
            threading.Thread(target=self._connection, args=(sock,), name="sandbox-connection", daemon=True).start()

    def _connection(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.add(sock)
        try:
            self._serve(sock)
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
