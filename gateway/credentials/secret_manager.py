"""Google Secret Manager, through its own client. Loaded at first use, for the client takes a third of a second to import.

Every call passes `retry` and `timeout`: with the client's defaults a call with a timeout of 6 s blocked for 49 s
(measured 2026-11-20).
"""

import re

import requests
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError
from google.cloud import secretmanager_v1

from gateway.credentials.secrets import SecretError

ATTEMPT_S = 2.0
PASSING = (
    exceptions.ServiceUnavailable,
    exceptions.InternalServerError,
    exceptions.GatewayTimeout,
    exceptions.BadGateway,
    exceptions.TooManyRequests,
    requests.ConnectionError,
    requests.Timeout,
)
RETRY = Retry(predicate=if_exception_type(*PASSING), initial=0.1, maximum=0.5, multiplier=2.0, timeout=1.5)
ADMIT = (
    "`gcloud secrets add-iam-policy-binding {secret} --project={project} --role=roles/secretmanager.secretAccessor "
    "--member=serviceAccount:ACCOUNT`, with the account that the gateway runs as"
)
FAULTS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...] = (
    (exceptions.NotFound, "no such secret or version",
     "`gcloud secrets versions list {secret} --project={project}` shows what there is"),
    (exceptions.Forbidden, "the gateway may not read it", ADMIT),
    ((exceptions.BadRequest, exceptions.PreconditionFailed), "this version cannot be read: disabled or destroyed",
     "enable it, or add a newer one with `gcloud secrets versions add {secret} --project={project}`; `latest` is the "
     "highest number, enabled or not"),
    (exceptions.Unauthorized, "Secret Manager did not accept the gateway's own identity",
     "attach a service account, or run `gcloud auth application-default login`"),
    (GoogleAuthError, "the gateway has no Google identity to ask with",
     "attach a service account, or run `gcloud auth application-default login`"),
    ((exceptions.RetryError, *PASSING), "Secret Manager did not answer", "check network and GATEWAY_SECRET_MANAGER_URL"),
)  # fmt: skip


class SecretManager:
    """Safe to call from many threads; a call ends within a few seconds."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._client: secretmanager_v1.SecretManagerServiceClient | None = None

    def fetch(self, reference: str) -> str:
        """The text of one secret version; SecretError."""
        try:
            payload = self._built().access_secret_version(request={"name": reference}, retry=RETRY, timeout=ATTEMPT_S).payload
        except (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
            fault = _fault(reference, error)
        else:
            return _text(reference, payload)
        raise fault

    def _built(self) -> secretmanager_v1.SecretManagerServiceClient:
        """Built by the first call, so that a missing identity is a fault of that call, which may be mended meanwhile."""
        if self._client is None:
            plain = bool(self._url) and str(self._url).startswith("http://")
            self._client = secretmanager_v1.SecretManagerServiceClient(
                transport="rest",
                credentials=AnonymousCredentials() if plain else None,  # type: ignore[no-untyped-call]
                client_options={"api_endpoint": self._url} if self._url else None,
            )
        return self._client


def _fault(reference: str, error: Exception) -> SecretError:
    _, project, _, secret, *_ = reference.split("/")
    words = re.sub(r"^\d+ GET \S+ ", "", " ".join(str(error).split()))[:200]
    for kind, cause, mend in FAULTS:
        if isinstance(error, kind):
            return SecretError(reference, f"{cause} ({words})", mend.format(project=project, secret=secret))
    return SecretError(reference, f"Secret Manager failed ({words})", "check GATEWAY_SECRET_MANAGER_URL")


def _text(reference: str, payload: secretmanager_v1.SecretPayload) -> str:
    data: bytes = payload.data
    if "data_crc32c" in payload and payload.data_crc32c != crc32c(data):
        raise SecretError(reference, "its checksum does not match: it was damaged on the way", "try again")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    raise SecretError(reference, "it is not UTF-8 text", "store the text itself, not an archive or key store")


def _crc32c_row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC32C_TABLE = tuple(_crc32c_row(byte) for byte in range(256))


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 3720 appendix B.4), which Secret Manager states for every payload.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = CRC32C_TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF
