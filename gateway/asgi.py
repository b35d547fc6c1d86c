"""The house as an ASGI application: every call goes its way on the event loop, and leaves it only for what must block.

A call that waits, for its provider's first word or the next of its events, costs no thread, so that one process carries
a thousand of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from gateway.callers.keys import find_key
from gateway.canonical.errors import StreamBroken
from gateway.canonical.reply import Relay, Reply
from gateway.canonical.steps import Pause, Steps, Until, Wait
from gateway.doors.http import HttpRequest, body_ended_early, body_too_large
from gateway.doors.inference import InferenceDoor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
log = logging.getLogger(__name__)


class AsgiGateway:
    """`threads` bounds what blocks at the same time: connections being made, a store or a token that is waited for."""

    def __init__(self, door: InferenceDoor, *, threads: int, total_timeout_s: float) -> None:
        self._door = door
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._total_timeout_s = total_timeout_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request. Returning without the end of a body breaks the connection: that is how a broken stream is told."""
        if scope["type"] != "http":
            return
        request = await self._read(scope, receive)
        driver = Driver(asyncio.get_running_loop(), self._threads)
        reply = await driver.run(self._door.handle(request))
        try:
            if isinstance(reply.body, bytes):
                await send(render_start(reply, len(reply.body)))
                await send({"type": "http.response.body", "body": reply.body})
            else:
                await send(render_start(reply, None))
                async with asyncio.timeout(self._total_timeout_s):
                    await self._stream(driver, reply.body, receive, send)
        except TimeoutError:
            log.warning("a stream was broken off after %s s", self._total_timeout_s)
        except Exception:  # the server says nothing of it, since it would also tell of every broken stream
            log.exception("an answer could not be handed over")
        finally:
            driver.stop()
            if not reply.done():
                await asyncio.get_running_loop().run_in_executor(self._threads, _close, reply)

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

    async def _stream(self, driver: "Driver", relay: Relay, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(receive())
        leaving.add_done_callback(lambda _: driver.resolve(False))
        try:
            step = next(relay)
            while not leaving.done():
                if isinstance(step, bytes):
                    await send({"type": "http.response.body", "body": step, "more_body": True})
                    step = next(relay)
                    continue
                try:
                    answer = await driver.see_to(step)
                except Exception as error:
                    step = relay.throw(error)
                else:
                    step = relay.send(answer)
        except StopIteration:
            await send({"type": "http.response.body"})
        except StreamBroken:
            return
        finally:
            leaving.cancel()


class Driver:
    """Sees to what one call has to wait for. Its socket stays registered from one wait to the next, and one timer is moved
    along instead of one being made for each wait: streams wait a thousand times and are silent once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: ThreadPoolExecutor) -> None:
        self._loop = loop
        self._threads = threads
        self._fd: int | None = None
        self._writing = False
        self._waiting: asyncio.Future[bool] | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, steps: Steps[Reply]) -> Reply:
        """To the end."""
        try:
            pause = steps.send(None)
            while True:
                try:
                    answer = await self.see_to(pause)
                except Exception as error:
                    pause = steps.throw(error)
                else:
                    pause = steps.send(answer)
        except StopIteration as end:
            reply: Reply = end.value
            return reply
        finally:
            self.stop()
            steps.close()

    def see_to(self, pause: Pause) -> "asyncio.Future[Any]":
        """Brings what is to be sent back for a pause."""
        if isinstance(pause, Wait):
            return self._ready(pause)
        self._unregister()  # the socket may serve another call meanwhile
        if isinstance(pause, Until):
            return self._told(pause)
        return self._loop.run_in_executor(self._threads, pause.run)

    def resolve(self, answer: bool) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def stop(self) -> None:
        self._unregister()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, wait_s: float) -> "asyncio.Future[bool]":
        waiting = self._waiting = self._loop.create_future()
        self._until = self._loop.time() + wait_s
        if self._timer is not None and self._timer.when() > self._until:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._expire)
        return waiting

    def _ready(self, pause: Wait) -> "asyncio.Future[bool]":
        fd = pause.source.fileno()
        if self._fd != fd or self._writing != pause.writing:
            self._unregister()
            self._fd, self._writing = fd, pause.writing
            self._loop.add_reader(fd, self._wake)
            if pause.writing:
                self._loop.add_writer(fd, self._wake)
        return self._begin(pause.wait_s)

    def _told(self, pause: Until) -> "asyncio.Future[bool]":
        waiting = self._begin(pause.wait_s)
        pause.signal.on_told(lambda: self._tell(waiting))
        return waiting

    def _tell(self, waiting: "asyncio.Future[bool]") -> None:
        """From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._resolve_if, waiting)
        except RuntimeError:
            return  # the loop has ended, and with it whoever waited

    def _resolve_if(self, waiting: "asyncio.Future[bool]") -> None:
        if self._waiting is waiting:
            self.resolve(True)

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
            if self._writing:
                self._loop.remove_writer(self._fd)
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
