"""The house as an ASGI application: every call goes its way on the event loop, and leaves it only for what must block.

A call that waits, for its provider's first word or the next of its events, costs no thread, so that one process carries
a thousand of them.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from gateway.callers.keys import find_key
from gateway.canonical.errors import StreamBroken
from gateway.canonical.reply import Relay, Reply
from gateway.canonical.steps import Pause, Until, Wait
from gateway.doors.http import HttpRequest, body_ended_early, body_too_large
from gateway.doors.inference import InferenceDoor, is_admin
from gateway.doors.late import Door

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Write = Callable[[bytes], "asyncio.Future[None] | None"]
ADMIN_BYTES_MAX = 1024 * 1024
log = logging.getLogger(__name__)


class AsgiGateway:
    """`threads` bounds what blocks at the same time: connections being made, a store or a token that is waited for."""

    def __init__(self, door: InferenceDoor, admin: Door, *, threads: int, total_timeout_s: float) -> None:
        self._door = door
        self._admin = admin
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._total_timeout_s = total_timeout_s

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request. Returning without the end of a body breaks the connection: that is how a broken stream is told."""
        if scope["type"] != "http":
            return
        loop = asyncio.get_running_loop()
        request = await self._read(scope, receive)
        driver = Driver(loop, self._threads)
        if is_admin(request.path):
            reply = await loop.run_in_executor(self._threads, self._admin.handle, request)
        else:
            reply = await driver.drive(self._door.handle(request))
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
                await loop.run_in_executor(self._threads, _close, reply)

    async def _read(self, scope: Message, receive: Receive) -> HttpRequest:
        """The request with its body. From strangers without a key no body is taken in."""
        headers = read_headers(scope)
        text = scope["query_string"].decode("latin-1")
        query = dict(parse_qsl(text, keep_blank_values=True)) if text else {}
        body, fault = b"", None
        administers = is_admin(scope["path"])
        known = "authorization" in headers if administers else find_key(headers) or self._door.allow_query_key
        if scope["method"] not in ("GET", "HEAD") and known:
            limit_bytes = ADMIN_BYTES_MAX if administers else self._door.max_request_bytes
            body, fault = await read_body(headers, receive, limit_bytes)

        def take_body(limit_bytes: int) -> bytes:
            if fault is not None:
                raise fault
            return body

        return HttpRequest(scope["method"], scope["path"], headers, query, take_body)

    async def _stream(self, driver: "Driver", relay: Relay, receive: Receive, send: Send) -> None:
        over = driver.drive(relay, lambda chunk: begin(send({"type": "http.response.body", "body": chunk, "more_body": True})))
        leaving = asyncio.ensure_future(receive())
        leaving.add_done_callback(lambda _: over.cancel())
        try:
            await over
            await send({"type": "http.response.body"})
        except StreamBroken:
            return
        except asyncio.CancelledError:
            if not leaving.done():
                raise
        finally:
            leaving.cancel()


class Driver:
    """Takes one call its way, a step at a time, from the loop's own callbacks: a task would have to be woken for each.

    Its socket stays registered from one wait to the next, and one timer is moved along instead of one being made for each
    wait: streams wait a thousand times and are silent once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: ThreadPoolExecutor) -> None:
        self._loop = loop
        self._threads = threads
        self._way: Generator[Any, Any, Any] | None = None
        self._write: Write | None = None
        self._over: asyncio.Future[Any] | None = None
        self._waiting: object = None  # what for; None while a step is taken
        self._fd: int | None = None
        self._writing = False
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def drive(self, way: Generator[Any, Any, Any], write: "Write | None" = None) -> "asyncio.Future[Any]":
        """The way's result. Bytes that it yields go to `write`. Cancelled, it goes no further, and is closed by nobody."""
        self._way, self._write = way, write
        over = self._over = self._loop.create_future()
        self._step(way.send, None)
        return over

    def stop(self) -> None:
        self._waiting = None
        self._unregister()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _step(self, move: Callable[[Any], Any], word: Any) -> None:
        """Goes on until there is something to wait for."""
        way, over = self._way, self._over
        assert way is not None and over is not None
        if over.done():
            return None
        self._waiting = None
        try:
            step = move(word)
            while isinstance(step, bytes):
                assert self._write is not None
                if (slow := self._write(step)) is not None:
                    return self._await(slow)
                step = way.send(None)
            self._see_to(step)
        except StopIteration as end:
            self._unregister()  # now: whoever comes next may have this socket from the pool, or its number
            over.set_result(end.value)
        except BaseException as error:
            self._unregister()
            over.set_exception(error)

    def _see_to(self, pause: Pause) -> None:
        """Brings what is to be sent back for a pause."""
        self._waiting = pause
        if isinstance(pause, Wait):
            self._register(pause.source.fileno(), pause.writing)
            self._patience(pause.wait_s)
            return
        self._unregister()  # the socket may serve another call meanwhile
        if isinstance(pause, Until):
            self._patience(pause.wait_s)
            pause.signal.on_told(lambda: self._tell(pause))
        else:
            self._await(self._loop.run_in_executor(self._threads, pause.run))

    def _await(self, future: "asyncio.Future[Any]") -> None:
        self._waiting = future
        future.add_done_callback(self._done)

    def _done(self, future: "asyncio.Future[Any]") -> None:
        assert self._way is not None
        if future.cancelled() or self._waiting is not future:
            return
        if (error := future.exception()) is not None:
            self._step(self._way.throw, error)
        else:
            self._step(self._way.send, future.result())

    def _answer(self, answer: bool) -> None:
        assert self._way is not None
        self._step(self._way.send, answer)

    def _tell(self, pause: Until) -> None:
        """From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._told, pause)
        except RuntimeError:
            return  # the loop has ended, and with it whoever waited

    def _told(self, pause: Until) -> None:
        if self._waiting is pause:
            self._answer(True)

    def _ready(self) -> None:
        if isinstance(self._waiting, Wait):
            self._answer(True)
        else:
            self._unregister()  # nobody asks just now, and the loop would tell it over and over

    def _patience(self, wait_s: float) -> None:
        """Answers False after a while."""
        self._until = self._loop.time() + wait_s
        if self._timer is not None and self._timer.when() > self._until:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._until, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if not isinstance(self._waiting, Wait | Until):
            return
        if self._loop.time() >= self._until:
            self._answer(False)
        else:
            self._timer = self._loop.call_at(self._until, self._expire)

    def _register(self, fd: int, writing: bool) -> None:
        if self._fd == fd and self._writing == writing:
            return
        self._unregister()
        self._fd, self._writing = fd, writing
        self._loop.add_reader(fd, self._ready)
        if writing:
            self._loop.add_writer(fd, self._ready)

    def _unregister(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            if self._writing:
                self._loop.remove_writer(self._fd)
            self._fd = None


def begin(sending: Awaitable[None]) -> "asyncio.Future[None] | None":
    """Runs a coroutine as far as it goes at once: None if that is to its end, as it mostly is, or what to wait for."""
    steps = sending.__await__()
    try:
        first = next(steps)
    except StopIteration:
        return None
    return asyncio.ensure_future(_finish(steps, first))


async def _finish(steps: Generator[Any, Any, None], waiting: Any) -> None:
    while True:
        await asyncio.wait([waiting])  # not awaited itself: it is already, by the coroutine
        try:
            waiting = next(steps)
        except StopIteration:
            return


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
