"""The exchange of a signed assertion for an access token, at the endpoint that the operator's settings name.

Wire: https://developers.google.com/identity/protocols/oauth2/service-account, "HTTP/REST" (read 2026-11-20). No
redirect is followed: an assertion is as good as a token for an hour.
"""

import email.utils
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from gateway.credentials.access_token import TokenError, plain_words
from gateway.credentials.timing import Timing

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ATTEMPTS_MAX = 3
ATTEMPT_S = 5.0
EXCHANGE_S = 9.0
ANSWER_BYTES_MAX = 65_536
RETRIED_STATUSES = {408, 429, 500, 503, 504}
RETRIED_ERRORS = {"internal_failure", "server_error", "temporarily_unavailable"}
SETTING = "GATEWAY_GOOGLE_TOKEN_URI"
NEW_KEY = "make a new key (`gcloud iam service-accounts keys create`) and add it as a new version of the secret"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: words of Google's answer, and what they mean to the operator."""

    error: str
    description: str
    kind: str
    what: str
    mend: str
    key_at_fault: bool = True


FAULTS = (
    Fault("", "disabled", "account_disabled", "the service account is disabled",
          "`gcloud iam service-accounts enable ACCOUNT`, or use another account"),
    Fault("invalid_grant", "signature", "key_refused", "Google refused the signature: the key was deleted or rotated",
          NEW_KEY),
    Fault("invalid_grant", "not found", "account_missing", "the service account does not exist any more",
          "make a new account and key, and add the key as a new version of the secret"),
    Fault("invalid_grant", "iat", "clock_skew", "Google refused the assertion's times: this machine's clock is wrong",
          "check the clock (NTP)", key_at_fault=False),
    Fault("invalid_grant", "timeframe", "clock_skew", "Google refused the assertion's times: this machine's clock is wrong",
          "check the clock (NTP)", key_at_fault=False),
    Fault("invalid_grant", "", "key_refused", "Google refused the key", NEW_KEY),
    Fault("invalid_scope", "", "scope_refused", "Google refused the scope cloud-platform for this account",
          "check the account's organization policies", key_at_fault=False),
    Fault("unauthorized_client", "", "client_refused", "Google does not let this account ask for tokens", NEW_KEY),
    Fault("invalid_client", "", "client_refused", "Google does not know this account", NEW_KEY),
    Fault("deleted_client", "", "account_missing", "the service account does not exist any more", NEW_KEY),
)  # fmt: skip


class TokenEndpoint:
    """Safe to call from many threads; each exchange ends within about ten seconds, its few retries included."""

    def __init__(self, url: str, session: requests.Session | None, timing: Timing) -> None:
        self.url = url
        self._session = session or requests.Session()
        self._timing = timing

    def exchange(self, assertion: str, account: str) -> tuple[str, float]:
        """The access token and its lifetime in seconds; TokenError."""
        deadline = self._timing.monotonic() + EXCHANGE_S
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return self._attempt(assertion, account, min(ATTEMPT_S, max(1.0, deadline - self._timing.monotonic())))
            except TokenError as error:
                wait_s = (0.1 + 0.3 * self._timing.draw()) * attempt
                if not error.transient or attempt == ATTEMPTS_MAX or self._timing.monotonic() + wait_s >= deadline - 1:
                    raise
                self._timing.sleep(wait_s)
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, assertion: str, account: str, timeout_s: float) -> tuple[str, float]:
        status, headers, body = self._post(assertion, timeout_s)
        answer = _json_object(body)
        if status == 200:
            return _granted(answer)
        if 300 <= status < 400:
            raise TokenError("redirected", f"the token endpoint answered {status}, a redirect, which is never followed",
                             f"set {SETTING} to the final address")  # fmt: skip
        raise self._fault(status, headers, answer, account)

    def _post(self, assertion: str, timeout_s: float) -> tuple[int, Mapping[str, str], bytes]:
        form = {"grant_type": GRANT_TYPE, "assertion": assertion}
        try:
            with self._session.post(self.url, data=form, timeout=timeout_s, allow_redirects=False, stream=True) as response:
                return response.status_code, response.headers, _bounded_body(response)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise TokenError("unreachable", f"the token endpoint {self.url} could not be reached ({type(error).__name__})",
                             f"check network, DNS and {SETTING}", transient=True) from None  # fmt: skip
        except requests.RequestException as error:
            raise TokenError("unusable_endpoint", f"the token endpoint {self.url} cannot be used ({type(error).__name__})",
                             f"check {SETTING}") from None  # fmt: skip

    def _fault(self, status: int, headers: Mapping[str, str], answer: dict[str, Any], account: str) -> TokenError:
        error, description = _words(answer.get("error")), _words(answer.get("error_description"))
        said = f"status {status}" + (f", {error}" if error else "") + (f": {description}" if description else "")
        if status in RETRIED_STATUSES or error in RETRIED_ERRORS:
            return TokenError("busy", f"the token endpoint did not answer ({said})", "try again in a few seconds", transient=True)
        for row in FAULTS:
            if row.error in error and row.description in f"{error} {description}".lower():
                more = self._clock_difference(headers) if row.kind == "clock_skew" else ""
                what = f"no access token for {account}: {row.what}{more} ({said})"
                return TokenError(row.kind, what, row.mend, key_at_fault=row.key_at_fault)
        return TokenError("refused", f"no access token for {account}: the token endpoint refused ({said})",
                          f"check that {SETTING} names Google's token endpoint")  # fmt: skip

    def _clock_difference(self, headers: Mapping[str, str]) -> str:
        try:
            theirs = email.utils.parsedate_to_datetime(headers.get("date", "")).timestamp()
        except ValueError:
            return ""
        ahead_s = round(self._timing.now() - theirs)
        return f", {abs(ahead_s)} s {'ahead' if ahead_s > 0 else 'behind'}"


def _bounded_body(response: requests.Response) -> bytes:
    body = b""
    for chunk in response.iter_content(16_384):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            return b""
    return body


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _granted(answer: dict[str, Any]) -> tuple[str, float]:
    """`expires_in` may come as a string (google-auth's own reading of the wire, 2.62)."""
    value, lifetime = answer.get("access_token"), answer.get("expires_in")
    try:
        lifetime_s = float(lifetime) if isinstance(lifetime, int | float | str) else 0.0
    except ValueError:
        lifetime_s = 0.0
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value) or not lifetime_s > 0:
        raise TokenError("no_token_in_answer", "the token endpoint answered 200 without a usable access_token and expires_in",
                         f"check that {SETTING} names Google's token endpoint")  # fmt: skip
    return value, lifetime_s


def _words(value: object) -> str:
    return plain_words(value) if isinstance(value, str) else ""
