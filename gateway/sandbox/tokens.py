"""The token endpoint: signed assertions in, access tokens out, and the check of the tokens that come back.

Service-account flow of oauth2.googleapis.com as of 2026-11-20; error texts are Google's own.
"""

import base64
import binascii
import json
import secrets
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.sandbox.errors import google, oauth

AUDIENCE = "https://oauth2.googleapis.com/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = "https://www.googleapis.com/auth/"
CLOUD_PLATFORM = SCOPES + "cloud-platform"
ASSERTION_S_MAX = 3600
SKEW_S_MAX = 300
TOKENS_KEPT_MAX = 10_000
SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
EXPECTED = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


class TokenOffice:
    """Knows one service account and every token it was given."""

    def __init__(self, *, email: str, key: RSAPublicKey, now: Callable[[], float], expires_in_s: int) -> None:
        self.expires_in_s = expires_in_s
        self.mints = 0
        self._email = email
        self._key = key
        self._now = now
        self._tokens: dict[str, tuple[float, str]] = {}  # token → end of life, scope
        self._lock = threading.Lock()

    def exchange(self, body: bytes) -> dict[str, Any]:
        """Answers a form that holds a signed assertion; Refusal with the endpoint's own errors."""
        form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
        if form.get("grant_type") != GRANT:
            raise oauth("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        if "assertion" not in form:
            raise oauth("invalid_request", "Missing required parameter: assertion")
        scope = self._check_claims(self._read_assertion(form["assertion"]))
        token = self.issue(scope)
        with self._lock:
            self.mints += 1
        return {"access_token": token, "expires_in": self.expires_in_s, "token_type": "Bearer"}

    def _read_assertion(self, assertion: str) -> dict[str, Any]:
        """Claims of a JWT whose signature is right."""
        parts = assertion.split(".")
        try:
            header: dict[str, Any] = json.loads(_decode(parts[0]))
            claims: dict[str, Any] = json.loads(_decode(parts[1]))
            signature = _decode(parts[2])
        except (ValueError, IndexError, binascii.Error) as error:
            raise oauth("invalid_request", "Bad Request") from error
        if header.get("alg") != "RS256":
            raise oauth("invalid_grant", "Invalid JWT Signature.")
        if claims.get("iss") != self._email:
            raise oauth("invalid_grant", "Invalid grant: account not found")
        try:
            self._key.verify(signature, ".".join(parts[:2]).encode(), PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise oauth("invalid_grant", "Invalid JWT Signature.") from error
        return claims

    def _check_claims(self, claims: dict[str, Any]) -> str:
        """The scope that may be granted."""
        if claims.get("aud") != AUDIENCE:
            raise oauth("invalid_grant", f"Invalid JWT: Failed audience check. The right audience is {AUDIENCE}")
        begin, end, now = claims.get("iat"), claims.get("exp"), self._now()
        if not isinstance(begin, int | float) or not isinstance(end, int | float):
            raise oauth("invalid_grant", SHORT_LIVED)
        if not 0 < end - begin <= ASSERTION_S_MAX or end <= now or begin > now + SKEW_S_MAX:
            raise oauth("invalid_grant", SHORT_LIVED)
        scope = str(claims.get("scope") or "").strip()
        if not scope:
            raise oauth("invalid_scope", "Empty or missing scope not allowed.")
        if not all(word.startswith(SCOPES) for word in scope.split()):
            raise oauth("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return scope

    def issue(self, scope: str = CLOUD_PLATFORM) -> str:
        """A token without an assertion; not counted as minted."""
        token = "ya29.c." + secrets.token_urlsafe(150)
        with self._lock:
            if len(self._tokens) >= TOKENS_KEPT_MAX:
                self._tokens.pop(next(iter(self._tokens)))
            self._tokens[token] = (self._now() + self.expires_in_s, scope)
        return token

    def check(self, authorization: str | None, *, method: str) -> str:
        """The token of an `Authorization` header that may call `method` of Vertex AI."""
        about = {"service": "aiplatform.googleapis.com", "method": method}
        realm = 'Bearer realm="https://accounts.google.com/"'
        if not authorization:
            message = f"Request is missing required authentication credential. {EXPECTED}"
            headers = {"www-authenticate": realm}
            raise google(401, message, reason="CREDENTIALS_MISSING", metadata=about, headers=headers)
        kind, _, token = authorization.partition(" ")
        end, scope = self._tokens.get(token, (0.0, ""))
        if kind.lower() != "bearer" or end <= self._now():
            reason = "ACCESS_TOKEN_EXPIRED" if token.startswith("ya29.") else "ACCESS_TOKEN_TYPE_UNSUPPORTED"
            message = f"Request had invalid authentication credentials. {EXPECTED}"
            headers = {"www-authenticate": f'{realm}, error="invalid_token"'}
            raise google(401, message, reason=reason, metadata=about, headers=headers)
        if CLOUD_PLATFORM not in scope.split():
            message = "Request had insufficient authentication scopes."
            raise google(403, message, reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT", metadata=about)
        return token

    def revoke(self, token: str) -> None:
        with self._lock:
            self._tokens.pop(token, None)

    def revoke_all(self) -> None:
        with self._lock:
            self._tokens.clear()


def _decode(part: str) -> bytes:
    if "=" in part:
        raise ValueError("a JWT has no padding")
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
