"""One target, asked once: credential, request, answer; and the two repairs that need no other target.

A 401 evicts the token and mints anew, once. A 400 that names a beta or a field drops exactly that, once, and is
remembered. Both happen before the first byte of an answer, so a client never sees them.

Nothing here blocks: `send` is Steps. A Wait that is answered False was a while of silence, in which its driver may ping
the client.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from gateway.canonical.call import AttemptRecord, Call, Operation, Target
from gateway.canonical.dialect import StreamWatch
from gateway.canonical.errors import (
    CredentialRefused,
    GatewayError,
    InvalidRequest,
    Overloaded,
    StreamBroken,
    UpstreamFailed,
    UpstreamRefused,
)
from gateway.canonical.steps import Steps, Work
from gateway.providers import PROVIDERS, linked_media
from gateway.providers.crossing import Crossing, cross
from gateway.providers.hosts import host_faults
from gateway.providers.http1 import Exchange, Head, Origin, Pool, Timeouts
from gateway.providers.lessons import Lessons
from gateway.providers.provider import Lesson, Outgoing, Provider, Wire

GOOGLE = "google"
CANNOT_CARRY = "cannot_carry"
ERROR_BYTES_MAX = 1024 * 1024
PARTIAL_ANSWER_BYTES_MAX = 64 * 1024 * 1024
JOINED_AT_ONCE_BYTES_MAX = 256 * 1024  # more takes long enough to hold up every other call
PASSED_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry", "x-amzn-errortype")
_PRINTABLE = re.compile(r"^[\x20-\x7e]{0,4000}$")


class Token(Protocol):
    @property
    def value(self) -> str: ...

    @property
    def fence(self) -> int: ...


class Credentials(Protocol):
    """Where the values come from that providers let us in for: access tokens, keys."""

    def token(self, credential: str) -> Token:
        """Blocks until there is one."""

    def at_hand(self, credential: str) -> Token | None:
        """Never blocks; None if there is none in memory."""

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
    crossing: Crossing | None = None
    held: bytes = b""  # what was read of a stream already, up to its first word
    watch: StreamWatch | None = None  # of that stream, if it has seen what is held
    body: bytes | None = None  # of a plain answer that was read already
    beside: tuple[Target, ...] = ()  # who was asked the same at the same time, and cut off

    @property
    def upstream_request_id(self) -> str | None:
        headers = self.head.headers
        value = headers.get("request-id") or headers.get("x-request-id") or headers.get("x-amzn-requestid")
        return value if value and _PRINTABLE.match(value) else None


@dataclass(slots=True)
class Sender:
    """What sending needs. `wait_s` is how long a silence may last before it is noticed, `open_max` how many requests
    one provider may have open at a time, so that a slow one leaves room for the others."""

    pool: Pool
    credentials: Mapping[str, Credentials]  # by Kind.credentials
    lessons: Lessons
    timeouts: Timeouts
    total_s: float
    wait_s: float
    open_max: int = 1000
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _open: Counter[str] = field(default_factory=Counter)  # requests under way, by provider
    _unanswered: dict[str, list[Exchange]] = field(default_factory=dict)  # by call; two where a target is asked beside another
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def interrupt(self, call_id: str) -> None:
        """Ends a call's wait for an answer to begin, from another thread."""
        for exchange in tuple(self._unanswered.get(call_id, ())):
            exchange.interrupt()

    def send(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Steps[Attempt]:
        """Asks `target`; every request made is added to `tries`. GatewayError if it does not answer."""
        split = PROVIDERS[target.provider.kind].splits.get(target.wire)
        if split is None:
            return (yield from self._ask(call, target, tries))
        crossing = cross(call, target)
        carried = crossing.call if crossing else call
        _check_strict(target, crossing.dropped if crossing else ())
        answers: list[bytes] = []
        for part in split.split(carried, target):
            attempt = yield from self._ask(part, target, tries)
            try:
                answers.append((yield from self.read_whole(attempt.exchange, PARTIAL_ANSWER_BYTES_MAX)))
            except StreamBroken as error:
                raise UpstreamFailed("the provider broke off its answer; try again", reason=str(error)) from error
        join = partial(split.join, carried, target, answers)
        attempt.body = join() if sum(map(len, answers)) <= JOINED_AT_ONCE_BYTES_MAX else (yield Work(join))
        if crossing:
            attempt.crossing, attempt.dropped = crossing, (*crossing.dropped, *attempt.dropped)
        return attempt

    def _ask(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Steps[Attempt]:
        provider: Provider = target.provider
        kind = PROVIDERS[provider.kind]
        wire, credentials = kind.speaks[target.wire], self.credentials[kind.credentials]
        operation = call.request.operation
        if operation == "count_tokens" and not kind.counts_tokens:
            raise GatewayError("token counting is not offered there", status=501, kind="not_supported")
        crossing = cross(call, target)
        carried = crossing.call if crossing else call
        if target.wire in kind.without_links:
            carried = yield from linked_media.inline_links(carried, self.pool, self.wait_s)
        lesson = yield from self.lessons.known(target, operation)
        reminted = learned = False
        while True:
            token = credentials.at_hand(provider.credential)
            if token is None:
                token = yield Work(lambda: credentials.token(provider.credential))
            project_id = self._project(provider, credentials) if kind.credentials == GOOGLE else ""
            outgoing = wire.prepare(carried, target, project_id, lesson)
            _check_strict(target, (*(crossing.dropped if crossing else ()), *outgoing.dropped))
            attempt = yield from self._post(call, target, wire, outgoing, token.value, tries)
            if attempt.head.status == 200:
                if crossing:
                    attempt.crossing, attempt.dropped = crossing, (*crossing.dropped, *attempt.dropped)
                return attempt
            error = yield from self._read_error(call, wire, attempt, project_id)
            if attempt.head.status == 401 and not reminted and (yield from self._renew(provider, credentials, token)):
                reminted = True
                continue
            taught = None if learned else wire.parse_lesson(outgoing, error)
            if taught is None:
                try:
                    raise error
                finally:
                    del error  # its traceback knows this frame: a circle that only the garbage collector would end
            learned = True
            lesson = lesson | taught
            yield from self._learn(target, operation, taught)

    def _renew(self, provider: Provider, credentials: Credentials, token: Token) -> Steps[bool]:
        renewed: bool = yield Work(lambda: credentials.refused(provider.credential, token.fence))
        return renewed

    def _learn(self, target: Target, operation: Operation, lesson: Lesson) -> Steps[None]:
        yield Work(lambda: self.lessons.learn(target, operation, lesson))

    def _post(
        self, call: Call, target: Target, wire: Wire, outgoing: Outgoing, token: str, tries: list[AttemptRecord]
    ) -> Steps[Attempt]:
        started = self.clock()
        status = 0
        try:
            exchange = self._open_exchange(call, target, wire, outgoing, token)
            waiting = self._unanswered.setdefault(call.id, [])
            waiting.append(exchange)
            try:
                head = yield from exchange.head(self.wait_s)
            except BaseException:
                exchange.close()
                raise
            finally:
                waiting.remove(exchange)
            status = head.status
        except GatewayError as error:
            status = error.status
            raise
        finally:
            if not self._unanswered.get(call.id):
                self._unanswered.pop(call.id, None)
            ms = round((self.clock() - started) * 1000)
            tries.append(AttemptRecord(target.provider.id, target.location, status, ms))
        return Attempt(target, head, exchange, outgoing.dropped)

    def _open_exchange(self, call: Call, target: Target, wire: Wire, outgoing: Outgoing, token: str) -> Exchange:
        provider: Provider = target.provider
        forwarded = {name: call.headers[name] for name in target.forward_headers if name in call.headers}
        headers = {**forwarded, **outgoing.headers}
        if not all(map(_PRINTABLE.match, headers.values())):
            headers = {name: value for name, value in headers.items() if _PRINTABLE.match(value)}
        if headers != outgoing.headers:
            outgoing = replace(outgoing, headers=headers)
        base_url = wire.base_url(provider, target.location)
        self._check_host(provider, base_url)
        origin = Origin.parse(base_url, guarded=provider.guarded)
        url = f"{origin.scheme}://{origin.host_header}{outgoing.path}"
        proof = PROVIDERS[provider.kind].authorize(token, target.location, url, outgoing, self.now())
        exchange = self.pool.request(
            "POST",
            origin,
            outgoing.path,
            {**headers, **proof},
            outgoing.body,
            timeouts=self.timeouts,
            deadline=call.started + self.total_s,
        )
        with self._lock:
            if self._open[provider.id] >= self.open_max:
                full = f"too many open calls to provider {provider.id} on this instance of the gateway; try again"
                raise Overloaded(full, retry_after_s=1, reason="provider_full")
            self._open[provider.id] += 1
        exchange.on_end = lambda: self._ended(provider.id)
        return exchange

    def _check_host(self, provider: Provider, base_url: str) -> None:
        """Held before every request too: a document may be older than the rule, or have come another way."""
        faults = host_faults(base_url, PROVIDERS[provider.kind].hosts, self.pool.allowed) if provider.guarded else ()
        if faults:
            told = "the gateway may not send its credential to this provider's host; tell its operator"
            raise CredentialRefused(told, reason=f"provider {provider.id}: {'; '.join(faults)}")

    def _ended(self, provider_id: str) -> None:
        with self._lock:
            self._open[provider_id] -= 1

    def _read_error(self, call: Call, wire: Wire, attempt: Attempt, project_id: str) -> Steps[GatewayError]:
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

    def read_whole(self, exchange: Exchange, limit_bytes: int) -> Steps[bytes]:
        """A plain body. StreamBroken if it ends early, UpstreamFailed beyond the limit."""
        pieces: list[bytes] = []
        size = 0
        try:
            while (data := exchange.read()) != b"":
                if data is None:
                    yield exchange.pause(self.wait_s)
                    continue
                pieces.append(data)
                size += len(data)
                if size > limit_bytes:
                    raise UpstreamFailed(f"the provider answered with more than {limit_bytes} bytes; tell the operator")
        finally:
            exchange.close()
        return b"".join(pieces)

    def _project(self, provider: Provider, credentials: Credentials) -> str:
        project = provider.project_id or credentials.project_id(provider.credential)
        if not project:
            raise CredentialRefused(
                "the gateway does not know which Google Cloud project to use; tell its operator to set VERTEX_PROJECT_ID "
                "or the provider's project_id",
                reason=f"no project for provider {provider.id}",
            )
        return project


def _check_strict(target: Target, lost: Sequence[str]) -> None:
    """InvalidRequest for what a strict config does not let go."""
    if target.strict and lost:
        told = f"{', '.join(lost)}: cannot be carried to this model, and the routing config is strict; leave it out"
        raise InvalidRequest(told, reason=CANNOT_CARRY)
