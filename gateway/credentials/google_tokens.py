"""Google access tokens for the operator's credentials: minted once, shared by every thread and every instance.

A credential is a secret reference, a service-account key as JSON, the path of one, or `adc`. From the outside in:

    TokenBroker     which credential is meant, what became of it, refusals from upstream
    TokenKeeper     one credential in this process: single flight, early renewal, remembered failures
    SharedTokens    one key across instances: the sealed document, and the lease under which one of them mints
    TokenSource     one account: a key file, or Application Default Credentials; loaded at first use
"""

import importlib
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.canonical.store import Store, StoreError
from gateway.credentials.access_token import AccessToken, TokenError, TokenSource
from gateway.credentials.credential import Credential
from gateway.credentials.secrets import Secrets
from gateway.credentials.shared_tokens import SharedTokens
from gateway.credentials.timing import Timing
from gateway.credentials.token_keeper import TokenKeeper

if TYPE_CHECKING:
    import requests

LOADED_LATE = {
    "key file": "gateway.credentials.key_file",
    "adc": "gateway.credentials.application_default",
}
EVICT_AT_MOST_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    """How this process fares with its tokens. `last_error` stays after it was mended; `last_error_at` is unix seconds."""

    minted: int
    last_error: str | None
    last_error_at: float | None
    store_away: bool


@dataclass(slots=True)
class Account:
    """What the broker keeps for one credential."""

    credential: Credential
    keeper: TokenKeeper
    refusals: threading.Lock
    refused_at: float = float("-inf")


def start_thread(work: Callable[[], None]) -> None:
    """A daemon: an instance that shuts down does not wait for a token."""
    threading.Thread(target=work, name="token-renewal", daemon=True).start()


class TokenBroker:
    """Safe to call from many threads, and to build before a fork: building it starts no thread and opens no connection.

    `token_uri` is where assertions are exchanged, whatever a key file says. `now` is the wall clock in unix seconds.
    """

    def __init__(
        self,
        store: Store,
        secrets: Secrets,
        token_uri: str,
        now: Callable[[], float] = time.time,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
        spawn: Callable[[Callable[[], None]], None] = start_thread,
        session: "requests.Session | None" = None,
        instance_id: str | None = None,
    ) -> None:
        self._secrets, self._token_uri, self._session, self._spawn = secrets, token_uri, session, spawn
        self._timing = Timing(now, monotonic, sleep, draw)
        self._shared = SharedTokens(store, instance_id or uuid.uuid4().hex, self._timing)
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = {}
        self._minted = 0
        self._last_error: tuple[str, float] | None = None

    def token(self, credential: str) -> AccessToken:
        """A valid token; TokenError. Returns at once as long as one is at hand."""
        return self._account(credential).keeper.token()

    def at_hand(self, credential: str) -> AccessToken | None:
        """A valid token if there is one in memory; never blocks. One that is due is renewed in the background."""
        return self._account(credential).keeper.at_hand()

    def refused(self, credential: str, fence: int) -> bool:
        """A 401 came back from upstream for the token with this fence: it is taken away from all instances.

        At most once a minute for one credential. True: `token` gives another one now, so that one retry is worth it.
        """
        account = self._account(credential)
        with account.refusals:
            token = account.keeper.current()
            if token is None or token.fence != fence:
                return True
            if self._timing.monotonic() - account.refused_at < EVICT_AT_MOST_EVERY_S:
                return False
            account.refused_at = self._timing.monotonic()
            if not self._evict(account.credential, fence):
                return False
            self._read_again(account.credential)
            account.keeper.drop(fence)
            return True

    def project_id(self, credential: str) -> str | None:
        """The Google Cloud project that the credential itself names; TokenError."""
        return self._account(credential).credential.known_source().project_id

    def account_email(self, credential: str) -> str | None:
        """Whom a role would be granted to, where that is known; TokenError."""
        return self._account(credential).credential.known_source().account

    def health(self) -> BrokerHealth:
        words, at = self._last_error or (None, None)
        return BrokerHealth(self._minted, words, at, self._shared.away)

    def _account(self, text: str) -> Account:
        with self._lock:
            if text not in self._accounts:
                credential = Credential(text, self._secrets, self._open_source)
                keeper = TokenKeeper(
                    lambda early, refused: self._obtain(credential, early, refused),
                    self._timing,
                    self._shared.jitter,
                    self._spawn,
                )
                self._accounts[text] = Account(credential, keeper, threading.Lock())
            return self._accounts[text]

    def _open_source(self, text: str | None) -> TokenSource:
        module: Any = importlib.import_module(LOADED_LATE["adc" if text is None else "key file"])
        source: TokenSource = module.open_source(text, self._token_uri, self._session, self._timing)
        return source

    def _obtain(self, credential: Credential, early: bool, refused: int | None) -> AccessToken | None:
        try:
            return self._obtain_with_new_key(credential, early, refused)
        except TokenError as error:
            self._last_error = str(error), self._timing.now()
            raise

    def _obtain_with_new_key(self, credential: Credential, early: bool, refused: int | None) -> AccessToken | None:
        """A key that Google refuses may have been replaced since it was read: that is looked up once."""
        source = credential.source()
        try:
            return self._obtain_from(source, early, refused)
        except TokenError as error:
            if not error.key_at_fault:
                raise
            replaced = credential.read_again()
            if replaced is source:
                raise
        return self._obtain_from(replaced, early, refused)

    def _obtain_from(self, source: TokenSource, early: bool, refused: int | None) -> AccessToken | None:
        if source.sealing is not None and not self._shared.away:
            try:
                return self._shared.obtain(source.sealing, lambda: self._mint(source), early=early, refused=refused)
            except StoreError as error:
                self._shared.rest(error)
        return self._shared.unshared(self._mint(source))

    def _mint(self, source: TokenSource) -> AccessToken:
        token = source.mint()
        with self._lock:
            self._minted += 1
        return token

    def _evict(self, credential: Credential, fence: int) -> bool:
        """False: another token was thrown out less than a minute ago."""
        sealing = credential.known_source().sealing
        if sealing is None or fence < 0 or self._shared.away:
            return True
        try:
            return self._shared.evict(sealing, fence) != "too soon"
        except StoreError as error:
            self._shared.rest(error)
            return True

    def _read_again(self, credential: Credential) -> None:
        try:
            credential.read_again()
        except TokenError as error:
            self._last_error = str(error), self._timing.now()
