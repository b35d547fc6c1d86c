"""The house as an ASGI application: calls are answered in threads, streams are relayed on the event loop.

A call needs a thread until its provider begins to answer. From then on its stream costs a few microseconds of the loop
for each chunk and no thread, so that one process carries a thousand of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from gateway.callers.keys import find_key
from gateway.canonical.errors import StreamBroken
from gateway.canonical.reply import Relay, Reply, Wait, Work, do_work, next_step
from gateway.doors.http import HttpRequest, body_ended_early, body_too_large
from gateway.doors.inference import InferenceDoor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
log = logging.getLogger(__name__)


class AsgiGateway:
    """`threads` bounds the calls that wait for their provider's first word, and what blocks beside them."""

    def __init__(self, door: InferenceDoor, *, threads: int, total_timeout_s: float) -> None:
        self._door = door
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="call")
        self._total_timeout_s = total_timeout_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request. Returning without the end of a body breaks the connection: that is how a broken stream is told."""
        if scope["type"] != "http":
            return
        loop = asyncio.get_running_loop()
        request = await self._read(scope, receive)
        reply = await loop.run_in_executor(self._threads, self._door.handle, request)
        try:
            if isinstance(reply.body, bytes):
                await send(render_start(reply, len(reply.body)))
                await send({"type": "http.response.body", "body": reply.body})
            else:
                await send(render_start(reply, None))
                async with asyncio.timeout(self._total_timeout_s):
                    await self._stream(reply.body, receive, send)
        except TimeoutError:
            log.warning("a stream was broken off after %s s", self._total_timeout_s)
        except Exception:  # the server says nothing of it, since it would also tell of every broken stream
            log.exception("an answer could not be handed over")
        finally:
            if not reply.done():
                await loop.run_in_executor(self._threads, _close, reply)

    async def _read(self, scope: Message, receive: Receive) -> HttpRequest:
        """The request with its body. From strangers without a key no body is taken in."""
        headers = read_headers(scope)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        body, fault = b"", None
        if scope["method"] not in ("GET", "HEAD") and (find_key(headers) or self._door.allow_query_key):
            body, fault = await read_body(headers, receive, self._door.max_request_bytes)

        def take_body(limit_bytes: int) -> bytes:
            if fault is not None:
                raise fault
            return body

        return HttpRequest(scope["method"], scope["path"], headers, query, take_body)

    async def _stream(self, relay: Relay, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        readiness = Readiness(loop)
        leaving = asyncio.ensure_future(receive())
        leaving.add_done_callback(lambda _: readiness.resolve(False))
        readable: bool | None = None
        try:
            while (step := next_step(relay, readable)) is not None:
                readable = None
                while isinstance(step, Work):
                    readiness.stop()  # the socket may serve another call while this one is written down
                    step = await loop.run_in_executor(self._threads, do_work, relay, step)
                if step is None:
                    break
                if isinstance(step, Wait):
                    readable = await readiness.wait(step.source.fileno(), step.wait_s)
                else:
                    await send({"type": "http.response.body", "body": step, "more_body": True})
                if leaving.done():
                    return
            readiness.stop()
            await send({"type": "http.response.body"})
        except StreamBroken:
            return
        finally:
            readiness.stop()
            leaving.cancel()


class Readiness:
    """Waits for a provider's socket on the loop. The socket stays registered from one wait to the next, and one timer is
    moved along instead of one being made for each wait: streams wait a thousand times and are silent once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fd: int | None = None
        self._waiting: asyncio.Future[bool] | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, fd: int, wait_s: float) -> "asyncio.Future[bool]":
        """True as soon as there is something to read, False after `wait_s`."""
        self._waiting = self._loop.create_future()
        self._until = self._loop.time() + wait_s
        if self._fd != fd:
            self._unregister()
            self._loop.add_reader(fd, self._wake)
            self._fd = fd
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._expire)
        return self._waiting

    def resolve(self, readable: bool) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(readable)

    def stop(self) -> None:
        self._unregister()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        if self._waiting is None:
            self._unregister()  # nobody asks just now, and the loop would tell it over and over
        else:
            self.resolve(True)

    def _expire(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() >= self._until:
            self.resolve(False)
        else:
            self._timer = self._loop.call_at(self._until, self._expire)

    def _unregister(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            self._fd = None


def _close(reply: Reply) -> None:
    if not isinstance(reply.body, bytes):
        reply.body.close()
    reply.close()


def read_headers(scope: Message) -> dict[str, str]:
    """Lower-case names; a repeated header's values joined, as RFC 9110 section 5.2 has it."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


async def read_body(headers: dict[str, str], receive: Receive, limit_bytes: int) -> tuple[bytes, Exception | None]:
    """The body, or why there is none."""
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > limit_bytes:
        return b"", body_too_large(limit_bytes)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"", body_ended_early()
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit_bytes:
            return b"", body_too_large(limit_bytes)
        if not message.get("more_body", False):
            return b"".join(pieces), None


def render_start(reply: Reply, length: int | None) -> Message:
    headers = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in reply.headers.items()]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return {"type": "http.response.start", "status": reply.status, "headers": headers}
