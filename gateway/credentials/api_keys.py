"""Keys that a vendor gave out, by secret reference: asked for with the same words as Google's access tokens.

Nothing is minted here. What can change is the secret behind a reference: it is read again now and then, and at once,
though at most once a minute, when a provider has refused it.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.canonical.secret_reference import is_secret_reference
from gateway.credentials.access_token import TokenError
from gateway.credentials.secrets import SecretError, Secrets

AT_HAND_S = 30.0  # a value read so long ago is looked at again: files and `latest` change


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What a secret holds; `fence` tells one value from the next."""

    value: str = field(repr=False)
    fence: int


@dataclass(slots=True)
class _Known:
    key: ApiKey
    read_at: float


class ApiKeys:
    """Safe to call from many threads. A credential that is no reference is the key itself: the environment's own.

    `monotonic` gives seconds.
    """

    def __init__(self, secrets: Secrets, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._secrets = secrets
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def token(self, credential: str) -> ApiKey:
        """The key as of now; may block while a secret is read. TokenError."""
        return self._keep(credential, self._read(credential, refused=False))

    def at_hand(self, credential: str) -> ApiKey | None:
        """The key if it was read a moment ago; never blocks."""
        known = self._known.get(credential)
        return known.key if known and self._monotonic() - known.read_at < AT_HAND_S else None

    def refused(self, credential: str, fence: int) -> bool:
        """The provider refused the key with this fence. True: another one lies there now, so one retry is worth it."""
        known = self._known.get(credential)
        if known is not None and known.key.fence != fence:
            return True
        return self._keep(credential, self._read(credential, refused=True)).fence != fence

    def project_id(self, credential: str) -> str | None:
        """Keys of other vendors name no Google Cloud project."""
        return None

    def _read(self, credential: str, *, refused: bool) -> str:
        if not is_secret_reference(credential):
            return credential
        try:
            return self._secrets.refresh(credential) if refused else self._secrets.read(credential)
        except SecretError as error:
            fault = TokenError("secret_unreadable", f"{error.reference}: {error.cause}", error.mend)
        raise fault

    def _keep(self, credential: str, value: str) -> ApiKey:
        with self._lock:
            known = self._known.get(credential)
            if known is not None and known.key.value == value:
                known.read_at = self._monotonic()
                return known.key
            key = ApiKey(value, known.key.fence + 1 if known else 1)
            self._known[credential] = _Known(key, self._monotonic())
            return key
