"""Every error a caller can meet, in one tree.

    GatewayError
    ├── InvalidRequest        400  the body or a header is wrong; says which and what would be right
    ├── RequestTooLarge       413
    ├── Unauthenticated       401  no, unknown, revoked or expired key: told apart in the log only
    ├── NotFound              404  no such path, or a model this key may not use
    ├── MethodNotAllowed      405
    ├── BudgetExceeded        429  a budget is used up: no retry before it is reset
    ├── RateExceeded          429  too many calls or tokens for this minute, or too many open calls
    ├── Overloaded            529  too many open calls on this instance
    ├── CredentialRefused     502  the gateway's own credential was refused upstream
    ├── UpstreamFailed        502  connection refused, reset, or an answer that is not one
    ├── UpstreamTimeout       504
    ├── UpstreamRefused       any  the provider's own error, body kept for callers of the same wire format
    └── InternalError         500  a fault of ours

`kind` uses Anthropic's error vocabulary; each dialect maps it to its own words. `reason` is for the log alone.
"""

from collections.abc import Mapping


class GatewayError(Exception):
    """Something a caller is told, in their own dialect."""

    status = 500
    kind = "api_error"
    should_retry: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: str | None = None,
        reason: str = "",
        retry_after_s: int | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status or self.status
        self.kind = kind or self.kind
        self.reason = reason or type(self).__name__
        self.retry_after_s = retry_after_s
        if should_retry is not None:
            self.should_retry = should_retry
        self.route: dict[str, str] = {}  # headers that say where the call had been when it failed
        self.recorded = False  # a usage document and its log line tell of it

    def headers(self) -> dict[str, str]:
        """Response headers that steer the client's retries."""
        headers = dict(self.route)
        if self.retry_after_s is not None:
            headers["retry-after"] = str(self.retry_after_s)
        if self.should_retry is not None:
            headers["x-should-retry"] = "true" if self.should_retry else "false"
        return headers


class InvalidRequest(GatewayError):
    status, kind = 400, "invalid_request_error"


class RequestTooLarge(GatewayError):
    status, kind = 413, "request_too_large"


class Unauthenticated(GatewayError):
    """401. Without `x-should-retry: false` Claude Code retries a 401 for minutes (measured 2026-11-20)."""

    status, kind, should_retry = 401, "authentication_error", False


class NotFound(GatewayError):
    status, kind = 404, "not_found_error"


class MethodNotAllowed(GatewayError):
    """405. `allow` lists the right methods, as its header has them (RFC 9110 section 15.5.6)."""

    status, kind = 405, "invalid_request_error"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow

    def headers(self) -> dict[str, str]:
        return {**super().headers(), "allow": self.allow}


class BudgetExceeded(GatewayError):
    """429 `billing_error`: Claude Code shows the sentence and stops. `shown` are further headers that tell clients how full the
    budget is and when it is reset (Claude apps gateway protocol, read 2026-11-20)."""

    status, kind, should_retry = 429, "billing_error", False

    def __init__(self, message: str, *, reason: str = "", retry_after_s: int | None = None,
                 shown: Mapping[str, str] | None = None) -> None:  # fmt: skip
        super().__init__(message, reason=reason, retry_after_s=retry_after_s)
        self.shown = dict(shown or {})

    def headers(self) -> dict[str, str]:
        return {**super().headers(), **self.shown}


class RateExceeded(GatewayError):
    """429 `rate_limit_error`: the same call goes through after `retry_after_s`."""

    status, kind = 429, "rate_limit_error"


class Overloaded(GatewayError):
    status, kind = 529, "overloaded_error"


class CredentialRefused(GatewayError):
    """502, never 401 or 403: the caller need not log in, the operator must mend something."""

    status, kind, should_retry = 502, "api_error", False


class UpstreamFailed(GatewayError):
    status, kind = 502, "api_error"


class UpstreamTimeout(GatewayError):
    status, kind = 504, "timeout_error"


class Unavailable(GatewayError):
    status, kind = 503, "api_error"


class InternalError(GatewayError):
    status, kind = 500, "api_error"


class UpstreamRefused(GatewayError):
    """The provider said no. `body` is its answer, byte for byte, when that is already in wire format `wire`."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str,
        body: bytes = b"",
        wire: str = "",
        passed_headers: Mapping[str, str] | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message, status=status, kind=kind, reason=reason)
        self.body = body
        self.wire = wire
        self.passed_headers = dict(passed_headers or {})

    def headers(self) -> dict[str, str]:
        return {**super().headers(), **self.passed_headers}


class StreamBroken(Exception):
    """The upstream ended a stream before its end. The client's stream is broken too, never ended cleanly."""
