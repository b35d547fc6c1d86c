"""One credential's token in this process: one thread at a time obtains it, early enough that nobody waits.

While a valid token is at hand `token` returns it at once; when it is due for renewal, one background thread asks for the
next one. Only without a valid token do callers wait, all for the same attempt. A failure is remembered for some seconds,
so that a broken key is not hammered by every request.
"""

import logging
import threading
from collections.abc import Callable

from gateway.credentials.access_token import AccessToken, TokenError
from gateway.credentials.timing import Timing

FAILURE_REMEMBERED_S = 5.0
WAIT_S = 30.0
LOG = logging.getLogger("gateway.credentials")


class Attempt:
    """One go at a new token, that any number of threads may wait for."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._token: AccessToken | None = None
        self._error: TokenError | None = None

    def finish(self, token: AccessToken | None, error: TokenError | None) -> None:
        self._token, self._error = token, error
        self._done.set()

    def result(self) -> AccessToken | None:
        """None: this attempt brought nothing, another one may. TokenError."""
        if not self._done.wait(WAIT_S):
            raise TokenError("slow", f"no access token within {WAIT_S:.0f} s", "try again in a minute", transient=True)
        if self._error is not None:
            raise self._error.again()
        return self._token


class TokenKeeper:
    """`obtain(early, refused)` brings a token, or None when an early one is left to another instance; it may raise
    TokenError. `spawn` runs a function in the background."""

    def __init__(
        self,
        obtain: Callable[[bool, int | None], AccessToken | None],
        timing: Timing,
        jitter: float,
        spawn: Callable[[Callable[[], None]], None],
    ) -> None:
        self._obtain, self._timing, self._jitter, self._spawn = obtain, timing, jitter, spawn
        self._lock = threading.Lock()
        self._token: AccessToken | None = None
        self._attempt: Attempt | None = None
        self._refused: int | None = None
        self._failure: TokenError | None = None
        self._rest_until = float("-inf")

    def token(self) -> AccessToken:
        """A token that is valid now; TokenError."""
        while True:
            token = self.at_hand() or self._next()
            if token is not None:
                return token

    def at_hand(self) -> AccessToken | None:
        """`token` if nobody has to be waited for, else None."""
        token = self.current()
        if token is not None and self._timing.now() >= token.due_at(self._jitter):
            self._renew_early()
        return token

    def current(self) -> AccessToken | None:
        """The token at hand, if it is still valid."""
        token = self._token
        return token if token is not None and self._timing.now() < token.usable_until else None

    def drop(self, fence: int) -> None:
        """The token with this fence was refused upstream: it is not given out again, wherever it is found."""
        with self._lock:
            self._refused = fence
            self._failure = None
            if self._token is not None and self._token.fence == fence:
                self._token = None

    def _next(self) -> AccessToken | None:
        with self._lock:
            if (token := self.current()) is not None:
                return token
            attempt, ours = self._attempt, self._attempt is None
            if attempt is None:
                if self._failure is not None and self._timing.monotonic() < self._rest_until:
                    raise self._failure.again()
                attempt = self._attempt = Attempt()
        if ours:
            self._make(attempt, early=False)
        return attempt.result()

    def _renew_early(self) -> None:
        with self._lock:
            if self._attempt is not None or self._timing.monotonic() < self._rest_until:
                return
            attempt = self._attempt = Attempt()
        try:
            self._spawn(lambda: self._make(attempt, early=True))
        except RuntimeError:  # no thread to be had: the token at hand is valid, and the next call tries again
            self._finish(attempt, None, TokenError("busy", "no thread could be started", "lower the load", transient=True))

    def _make(self, attempt: Attempt, early: bool) -> None:
        token: AccessToken | None = None
        error: TokenError | None = TokenError("internal", "a fault of the gateway itself", "see the log", transient=True)
        try:
            token = self._obtain(early, self._refused)
            error = None
        except TokenError as reason:
            error = reason
            if early:
                LOG.warning("an access token could not be renewed ahead of time; the present one still serves: %s", reason)
        finally:
            self._finish(attempt, token, error)

    def _finish(self, attempt: Attempt, token: AccessToken | None, error: TokenError | None) -> None:
        with self._lock:
            if token is not None and token.fence == self._refused:
                token = None
            if token is not None:
                self._token = token
            self._failure = error
            rest_s = 0.0 if token is not None else FAILURE_REMEMBERED_S * (0.5 + self._timing.draw())
            self._rest_until = self._timing.monotonic() + rest_s
            self._attempt = None
        attempt.finish(token, error)
