"""One target, asked once: credential, request, answer; and the two repairs that need no other target.

A 401 evicts the token and mints anew, once. A 400 that names a beta or a field drops exactly that, once, and is
remembered. Both happen before the first byte of an answer, so a client never sees them.

`send` is a generator: it yields whenever a while passes in silence, so that its driver may ping the client, and
returns an Attempt. It raises GatewayError.
"""

import re
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol

from gateway.canonical.call import AttemptRecord, Call, Target
from gateway.canonical.errors import CredentialRefused, GatewayError, StreamBroken, UpstreamFailed, UpstreamRefused
from gateway.providers import PROVIDERS
from gateway.providers.http1 import Exchange, Head, Origin, Pool, Timeouts
from gateway.providers.lessons import Lessons
from gateway.providers.provider import Outgoing, Provider, Wire

ERROR_BYTES_MAX = 1024 * 1024
PASSED_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
_PRINTABLE = re.compile(r"^[\x20-\x7e]{0,4000}$")
Silence = Generator[None, None, "Attempt"]


class Token(Protocol):
    @property
    def value(self) -> str: ...

    @property
    def fence(self) -> int: ...


class Credentials(Protocol):
    """The token broker, as this room sees it."""

    def token(self, credential: str) -> Token: ...

    def refused(self, credential: str, fence: int) -> bool:
        """True if `token` gives another one now."""

    def project_id(self, credential: str) -> str | None: ...


@dataclass(slots=True)
class Attempt:
    """An answer under way: its head is in hand, its body is read from `exchange`."""

    target: Target
    head: Head
    exchange: Exchange
    dropped: tuple[str, ...]

    @property
    def upstream_request_id(self) -> str | None:
        value = self.head.headers.get("request-id") or self.head.headers.get("x-request-id")
        return value if value and _PRINTABLE.match(value) else None


@dataclass(slots=True)
class Sender:
    """What sending needs. `wait_s` is how long a silence may last before `send` yields."""

    pool: Pool
    credentials: Credentials
    lessons: Lessons
    timeouts: Timeouts
    total_s: float
    wait_s: float
    clock: Callable[[], float] = time.monotonic
    _unanswered: dict[str, Exchange] = field(default_factory=dict)  # by call

    def interrupt(self, call_id: str) -> None:
        """Ends a call's wait for an answer to begin, from another thread."""
        if exchange := self._unanswered.get(call_id):
            exchange.interrupt()

    def send(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Silence:
        """Asks `target`; every request made is added to `tries`."""
        provider: Provider = target.provider
        wire = PROVIDERS[provider.kind].speaks[target.wire]
        operation = call.request.operation
        lesson = self.lessons.known(target, operation)
        reminted = learned = False
        while True:
            token = self.credentials.token(provider.credential)
            project_id = self._project(provider)
            outgoing = wire.prepare(call, target, project_id, lesson)
            attempt = yield from self._post(call, target, wire, outgoing, token.value, tries)
            if attempt.head.status == 200:
                return attempt
            error = yield from self._read_error(call, wire, attempt, project_id)
            if attempt.head.status == 401 and not reminted and self.credentials.refused(provider.credential, token.fence):
                reminted = True
                continue
            taught = None if learned else wire.parse_lesson(outgoing, error)
            if taught is None:
                raise error
            learned = True
            lesson = lesson | taught
            self.lessons.learn(target, operation, taught)

    def _post(
        self, call: Call, target: Target, wire: Wire, outgoing: Outgoing, token: str, tries: list[AttemptRecord]
    ) -> Silence:
        started = self.clock()
        status = 0
        try:
            exchange = self._unanswered[call.id] = self._open(call, target, wire, outgoing, token)
            try:
                while (head := exchange.head(self.wait_s)) is None:
                    yield
            except BaseException:
                exchange.close()
                raise
            status = head.status
        except GatewayError as error:
            status = error.status
            raise
        finally:
            self._unanswered.pop(call.id, None)
            ms = round((self.clock() - started) * 1000)
            tries.append(AttemptRecord(target.provider.id, target.location, status, ms))
        return Attempt(target, head, exchange, outgoing.dropped)

    def _open(self, call: Call, target: Target, wire: Wire, outgoing: Outgoing, token: str) -> Exchange:
        headers = {name: value for name, value in outgoing.headers.items() if _PRINTABLE.match(value)}
        headers["authorization"] = f"Bearer {token}"
        return self.pool.send(
            "POST",
            Origin.parse(wire.base_url(target.provider, target.location)),
            outgoing.path,
            headers,
            outgoing.body,
            timeouts=self.timeouts,
            deadline=call.started + self.total_s,
        )

    def _read_error(self, call: Call, wire: Wire, attempt: Attempt, project_id: str) -> Generator[None, None, GatewayError]:
        """The error that a non-200 answer means; the exchange is over afterwards."""
        headers = {n: v for n, v in attempt.head.headers.items() if n in PASSED_HEADERS and _PRINTABLE.match(v)}
        if attempt.upstream_request_id:
            headers["x-upstream-request-id"] = attempt.upstream_request_id
        try:
            body = yield from self.read_whole(attempt.exchange, ERROR_BYTES_MAX)
        except (StreamBroken, UpstreamFailed):
            body = b""
        error = wire.parse_error(call, attempt.head.status, body, headers, project_id)
        if isinstance(error, UpstreamRefused | CredentialRefused):
            error.reason = f"{error.reason} at {attempt.target.provider.id}/{attempt.target.location}"
        return error

    def read_whole(self, exchange: Exchange, limit_bytes: int) -> Generator[None, None, bytes]:
        """A plain body, yielding in silence. StreamBroken if it ends early, UpstreamFailed beyond the limit."""
        pieces: list[bytes] = []
        size = 0
        try:
            while (data := exchange.read(self.wait_s)) != b"":
                if data is None:
                    yield
                    continue
                pieces.append(data)
                size += len(data)
                if size > limit_bytes:
                    raise UpstreamFailed(f"the provider answered with more than {limit_bytes} bytes; tell the operator")
        finally:
            exchange.close()
        return b"".join(pieces)

    def _project(self, provider: Provider) -> str:
        project = provider.project_id or self.credentials.project_id(provider.credential)
        if not project:
            raise CredentialRefused(
                "the gateway does not know which Google Cloud project to use; tell its operator to set VERTEX_PROJECT_ID "
                "or the provider's project_id",
                reason=f"no project for provider {provider.id}",
            )
        return project
