"""The nouns of this room: an access token, the source that mints one, and the error that says why there is none."""

import copy
import re
from dataclasses import dataclass, field
from typing import Protocol, Self

from gateway.canonical.errors import CredentialRefused

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME_S_MAX = 43_200.0
"""Google's longest access token (IAM `serviceAccounts.generateAccessToken`, read 2026-11-20)."""

TOLD_CALLERS = "the gateway has no access token for this provider; tell its operator, who finds the reason in the log"
LOOKS_SECRET = re.compile(r"(?:eyJ|ya29\.|1//)[\w.+/=-]+")


class TokenError(CredentialRefused):
    """There is no access token. Its text says what happened and what to do next, and holds no secret.

    That text is the operator's (log, doctor); a caller is told `message` alone, without account and project names.
    `fault` is one word for logs and tests; `transient` faults may pass by themselves; those with `key_at_fault` are
    mended by another key, so that reading the secret again is worth a try.
    """

    def __init__(self, fault: str, what: str, mend: str, *, transient: bool = False, key_at_fault: bool = False) -> None:
        super().__init__(TOLD_CALLERS, reason=f"{fault}: {what}; {mend}", should_retry=transient)
        self.fault = fault
        self.what = what
        self.mend = mend
        self.transient = transient
        self.key_at_fault = key_at_fault

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"

    def __reduce__(self) -> tuple[object, ...]:
        return _token_error, (self.fault, self.what, self.mend, self.transient, self.key_at_fault)

    def again(self) -> "TokenError":
        """A copy to raise elsewhere: one exception object raised in many threads would collect all their tracebacks."""
        return copy.copy(self)


def _token_error(fault: str, what: str, mend: str, transient: bool, key_at_fault: bool) -> TokenError:
    return TokenError(fault, what, mend, transient=transient, key_at_fault=key_at_fault)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A bearer token. Times are unix seconds. `fence` tells one token from the next: positive ones are shared by all
    instances, negative ones known to this process alone."""

    value: str = field(repr=False)
    fence: int
    expires_at: float
    refresh_at: float

    @classmethod
    def minted(cls, value: str, lifetime_s: float, at: float) -> Self:
        """A new token without a fence yet; `at` is when it was asked for. Due for a new one after 5/6 of its life."""
        lifetime_s = min(lifetime_s, LIFETIME_S_MAX)
        return cls(value=value, fence=0, expires_at=at + lifetime_s, refresh_at=at + lifetime_s * 5 / 6)

    @property
    def usable_until(self) -> float:
        """The expiry less a margin for clocks that disagree and calls on their way: 30 s, less for short-lived tokens."""
        return self.expires_at - min(30.0, (self.expires_at - self.refresh_at) / 4)

    def due_at(self, jitter: float) -> float:
        """When an instance with this jitter (0 to 1) asks for a new one: up to a fifth of the rest later than another."""
        return self.refresh_at + (self.expires_at - self.refresh_at) * 0.2 * jitter


def plain_words(text: str) -> str:
    """Somebody else's words for a message of ours: one short printable line, and nothing that looks like a token."""
    return LOOKS_SECRET.sub("…", " ".join(re.sub(r"[^ -~]+", " ", text).split()))[:200]


class Sealing(Protocol):
    """What it takes to keep a token at rest where others can read."""

    @property
    def fingerprint(self) -> str:
        """An id that only the holder of the key can compute."""

    def seal(self, text: str, context: str) -> bytes: ...

    def open(self, sealed: bytes, context: str) -> str | None:
        """None if it was sealed with another key, for another context, or changed since."""


class TokenSource(Protocol):
    """An account that tokens can be minted for."""

    @property
    def account(self) -> str | None:
        """Its e-mail address, where known: what a role is granted to."""

    @property
    def project_id(self) -> str | None: ...

    @property
    def sealing(self) -> Sealing | None:
        """None: its tokens stay in memory."""

    def mint(self) -> AccessToken:
        """Raises TokenError."""
