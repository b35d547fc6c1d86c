"""Google identity tokens (OIDC): who calls us, when Cloud Scheduler does, proven by Google's signature.

Wire: https://cloud.google.com/scheduler/docs/http-target-auth, https://developers.google.com/identity/openid-connect (read
2026-11-21). Certificates come from one fixed address; they are kept for an hour, and an unknown key is looked for once a
minute at most, so that nobody can make us ask Google as often as they like.
"""

import importlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import requests

LIBRARY = "google.oauth2.id_token"
CERTIFICATES_URL = "https://www.googleapis.com/oauth2/v1/certs"
TIMEOUT_S = 5.0
KEPT_S = 3_600.0
ASKED_EVERY_S = 60.0
SKEW_S = 10
TOKEN_CHARACTERS_MAX = 8_192


class IdentityRefused(Exception):
    """The token proves nothing; the words are for the log."""


def fetch_certificates() -> bytes:
    """Google's current certificates, by key id. requests.RequestException."""
    response = requests.get(CERTIFICATES_URL, timeout=TIMEOUT_S, allow_redirects=False)
    response.raise_for_status()
    return response.content


class Certificates:
    """Called as google-auth calls its transport; asks Google seldom."""

    def __init__(self, now: Callable[[], float], fetch: Callable[[], bytes]) -> None:
        self._now = now
        self._fetch = fetch
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self.status = 200
        self.data = b"{}"

    def __call__(self, url: str, method: str = "GET", **unused: Any) -> "Certificates":
        return self

    def refresh_for(self, key_id: str) -> None:
        """IdentityRefused if Google cannot be asked."""
        with self._lock:
            age_s = self._now() - self._asked_at
            if age_s < ASKED_EVERY_S or (age_s < KEPT_S and key_id in json.loads(self.data)):
                return
            self._asked_at = self._now()
            try:
                self.data = self._fetch()
            except requests.RequestException as error:
                raise IdentityRefused(f"Google's certificates cannot be read: {type(error).__name__}") from error


class GoogleIdentity:
    """Verifies tokens. `fetch` returns what CERTIFICATES_URL does."""

    def __init__(self, now: Callable[[], float], fetch: Callable[[], bytes] = fetch_certificates) -> None:
        self._certificates = Certificates(now, fetch)

    def email(self, token: str, audience: str) -> str:
        """The verified e-mail address of whoever the token was made for, if it was made for `audience`; IdentityRefused."""
        if len(token) > TOKEN_CHARACTERS_MAX or token.count(".") != 2:
            raise IdentityRefused("it is no identity token")
        library: Any = importlib.import_module(LIBRARY)
        try:
            key_id = str(library.jwt.decode_header(token).get("kid"))
            self._certificates.refresh_for(key_id)
            claims: Mapping[str, Any] = library.verify_oauth2_token(token, self._certificates, audience, SKEW_S)
        except (ValueError, TypeError, AttributeError, KeyError, library.exceptions.GoogleAuthError) as error:
            raise IdentityRefused(str(error)[:200]) from error
        if claims.get("email_verified") is not True or not isinstance(claims.get("email"), str):
            raise IdentityRefused("it names no verified e-mail address")
        return str(claims["email"])
