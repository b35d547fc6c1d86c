"""Application Default Credentials: no key at all. Loaded at first use, for it brings google-auth and requests.

Metadata server, `gcloud auth application-default login`, impersonation and workload identity all come through here;
their files are the operator's own and may name any URL. Their tokens stay in memory. `before_request` and
AuthorizedSession are never used: they send the bearer to a further Google host in the background (google-auth 2.55 and
later, https://github.com/googleapis/google-cloud-python/issues/17653, read 2026-11-20).
"""

import datetime
from typing import Any

import google.auth
import requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from google.auth.transport.requests import Request

from gateway.credentials.access_token import SCOPE, AccessToken, TokenError, plain_words
from gateway.credentials.timing import Timing

TIMEOUT_S = 5.0
LOGIN = "run `gcloud auth application-default login`"
NO_IDENTITY = f"on Google Cloud attach a service account to the service; elsewhere {LOGIN}, or name a service-account key"
FAULTS = (
    ("invalid_rapt", "login_expired", "the login of the Application Default Credentials must be renewed", LOGIN),
    ("reauth", "login_expired", "the login of the Application Default Credentials must be renewed", LOGIN),
    ("has not been used in project", "api_disabled", "an API that the Application Default Credentials need is not enabled",
     "`gcloud services enable iamcredentials.googleapis.com sts.googleapis.com`"),
    ("disabled", "account_disabled", "the account of the Application Default Credentials is disabled",
     "`gcloud iam service-accounts enable ACCOUNT`, or use another account"),
    ("invalid_grant", "login_expired", "the login of the Application Default Credentials was revoked or has expired", LOGIN),
    ("getAccessToken", "impersonation_refused", "the Application Default Credentials may not impersonate their target account",
     "grant roles/iam.serviceAccountTokenCreator on the target account to whoever is logged in"),
    ("metadata", "metadata_unavailable", "the metadata server gave no token for the attached service account",
     "check that the service has a service account and that it is enabled"),
)  # fmt: skip
FAILURES = (GoogleAuthError, OSError, ValueError)  # files named in the credentials may be missing or damaged


class BoundedRequest(Request):
    """google-auth's transport, whose own default is to wait 120 s."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Any = None,
        timeout: float | None = TIMEOUT_S,
        **kwargs: Any,
    ) -> Any:
        return super().__call__(url, method, body, headers, timeout=timeout, **kwargs)  # type: ignore[no-untyped-call]


class ApplicationDefault:
    """A TokenSource."""

    sealing = None

    def __init__(self, session: requests.Session | None, timing: Timing) -> None:
        """Raises TokenError if there are none."""
        self._timing = timing
        self._request = BoundedRequest(session)
        try:
            self._credentials, self.project_id = google.auth.default(scopes=[SCOPE], request=self._request)
        except DefaultCredentialsError as error:
            raise TokenError(
                "no_default_credentials", f"there are no Application Default Credentials ({_words(error)})", NO_IDENTITY
            ) from None
        except FAILURES as error:
            raise _fault(error) from None

    @property
    def account(self) -> str | None:
        address = getattr(self._credentials, "service_account_email", None)
        return address if isinstance(address, str) and "@" in address else None

    def mint(self) -> AccessToken:
        """Asks whoever stands behind the credentials; TokenError."""
        at = self._timing.now()
        try:
            self._credentials.refresh(self._request)  # type: ignore[no-untyped-call]
        except FAILURES as error:
            raise _fault(error) from None
        if not self._credentials.token:
            raise TokenError("no_token_in_answer", "the Application Default Credentials gave no token", NO_IDENTITY)
        return AccessToken.minted(self._credentials.token, _lifetime_s(self._credentials.expiry), at)


def _lifetime_s(expiry: datetime.datetime | None) -> float:
    """google-auth keeps a naive UTC time by its own clock; without one an hour is never assumed."""
    if expiry is None:
        return 300.0
    return max(1.0, (expiry.replace(tzinfo=datetime.UTC) - datetime.datetime.now(datetime.UTC)).total_seconds())


def _fault(error: Exception) -> TokenError:
    text = str(error)
    for words, kind, what, mend in FAULTS:
        if words in text:
            return TokenError(kind, f"{what} ({_words(error)})", mend)
    transient = isinstance(error, GoogleAuthError) and bool(error.retryable or not isinstance(error, RefreshError))
    return TokenError(
        "default_credentials_failed",
        f"the Application Default Credentials gave no token ({_words(error)})",
        NO_IDENTITY,
        transient=transient,
    )


def _words(error: Exception) -> str:
    return plain_words(str(error)) or type(error).__name__


def open_source(text: None, token_uri: str, session: requests.Session | None, timing: Timing) -> ApplicationDefault:
    """There is no text, and the token endpoint is not asked; TokenError."""
    return ApplicationDefault(session, timing)
