"""Who may come in: whoever holds the admin key, and for the sweep alone Google's scheduler.

Keys are compared as digests and in constant time. Without an admin key there is no admin API at all.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping

from gateway.administration.changes import Who
from gateway.canonical.errors import Unauthenticated, Unavailable
from gateway.canonical.secret_reference import is_secret_reference
from gateway.credentials.identity_tokens import IdentityRefused
from gateway.credentials.secrets import SecretError, Secrets
from gateway.settings import ADMIN_KEY_CHARACTERS_MIN

ADMIN = Who("admin")
TOLD = "the admin key is missing or wrong; send it as `Authorization: Bearer` (GATEWAY_ADMIN_KEY)"
Email = Callable[[str, str], str]
"""The verified e-mail address in an identity token made for an audience; IdentityRefused."""


class Guard:
    """`admin_key` is the setting: a key or a reference to one. `sweep_email` may ask for the sweep, with an identity token made
    for `public_url`."""

    def __init__(
        self, admin_key: str | None, secrets: Secrets, *, email: Email, public_url: str | None, sweep_email: str | None
    ) -> None:
        self._setting = admin_key
        self._secrets = secrets
        self._email = email
        self._public_url = public_url
        self._sweep_email = sweep_email

    @property
    def stands(self) -> bool:
        """Whether there is an admin API."""
        return bool(self._setting)

    def identify(self, headers: Mapping[str, str], *, sweeping: bool) -> Who:
        """Unauthenticated; Unavailable if the admin key cannot be read."""
        scheme, _, given = headers.get("authorization", "").strip().partition(" ")
        given = given.strip()
        if scheme.lower() != "bearer" or not given:
            raise Unauthenticated(TOLD, reason="no_admin_key")
        if sweeping and given.count(".") == 2 and self._public_url and self._sweep_email:
            return self._identify_scheduler(given, self._public_url, self._sweep_email)
        if not self._is_admin_key(given):
            raise Unauthenticated(TOLD, reason="wrong_admin_key")
        return ADMIN

    def _identify_scheduler(self, token: str, audience: str, expected: str) -> Who:
        try:
            email = self._email(token, audience)
        except IdentityRefused as refused:
            raise Unauthenticated(TOLD, reason=f"identity token: {refused}") from refused
        if email.casefold() != expected.casefold():
            raise Unauthenticated(TOLD, reason=f"identity token of {email[:100]}, not of GATEWAY_SWEEP_EMAIL")
        return Who(email)

    def _is_admin_key(self, given: str) -> bool:
        setting = self._setting or ""
        if not is_secret_reference(setting):
            return _same(given, setting)
        try:
            # A key that was exchanged a moment ago holds at once: a wrong one makes us look again, once a minute at most.
            return _same(given, _checked(self._secrets.read(setting))) or _same(given, _checked(self._secrets.refresh(setting)))
        except SecretError as error:
            raise Unavailable("the admin key cannot be read right now; see the gateway's log", reason=str(error)) from error


def _checked(key: str) -> str:
    """What a reference leads to has not been seen when the settings were checked."""
    if len(key) < ADMIN_KEY_CHARACTERS_MIN:
        raise Unavailable(
            "the admin key is not usable; see the gateway's log",
            reason=f"GATEWAY_ADMIN_KEY refers to a key of less than {ADMIN_KEY_CHARACTERS_MIN} characters",
        )
    return key


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(expected.encode()).digest())
