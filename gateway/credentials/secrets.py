"""Secrets by reference: Secret Manager, a file, or an environment variable. Values stay in memory and in no message.

    projects/P/secrets/S/versions/V   a number: read once; `latest` or an alias: read again every few minutes
    file:PATH                         read again when the file changes
    env:NAME

White space around a value is no part of it: `echo … | gcloud secrets versions add` leaves a line break behind.
"""

import importlib
import logging
import os
import re
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.canonical.secret_reference import FORMS

LOG = logging.getLogger("gateway.credentials")
SECRET_MANAGER = "gateway.credentials.secret_manager"
LATEST_TTL_S = 300.0
REFRESH_AT_MOST_EVERY_S = 60.0
FAILURE_REMEMBERED_S = 5.0
OUTAGE_RETRY_S = 30.0
SECRET = re.compile(r"projects/[^/\s]+/secrets/[^/\s]+/versions/([^/\s]+)")


class SecretError(Exception):
    """A secret could not be read. Names the reference, the cause and the mend; never the value."""

    def __init__(self, reference: str, cause: str, mend: str) -> None:
        super().__init__(f"{reference}: {cause}; {mend}")
        self.reference = reference
        self.cause = cause
        self.mend = mend

    def __reduce__(self) -> tuple[Any, ...]:
        return SecretError, (self.reference, self.cause, self.mend)


@dataclass(slots=True)
class Kept:
    """What is remembered of one reference. `until` is when it is read again, `stamp` what its source looked like."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: str | None = field(default=None, repr=False)
    until: float = 0.0
    stamp: Hashable = None
    failure: SecretError | None = None
    failure_until: float = 0.0
    refreshed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """One row of SCHEMES. `ttl_s` says how long a value holds, `stamp` what must not change meanwhile."""

    prefix: str
    fetch: Callable[["Secrets", str], str]
    ttl_s: Callable[["Secrets", str], float]
    stamp: Callable[[str], Hashable] = lambda reference: None
    remote: bool = False  # failures are remembered, and the last good value outlives them


class Secrets:
    """Reads references; safe to call from many threads, each reference by one thread at a time.

    `now` gives unix seconds. `secret_manager_url` replaces Google's endpoint; over plain http no credential is sent.
    """

    def __init__(
        self,
        now: Callable[[], float],
        secret_manager_url: str | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._now = now
        self.secret_manager_url = secret_manager_url
        self.environment = environment
        self._kept: dict[str, Kept] = {}
        self._lock = threading.Lock()
        self._secret_manager: Any = None

    def read(self, reference: str) -> str:
        """The value; SecretError. Whoever has a value that is only due for another look never waits for it."""
        scheme = _scheme(reference)
        kept = self._kept_of(reference)
        if self._holds(scheme, reference, kept):
            return _value(kept)
        if not kept.lock.acquire(blocking=kept.value is None or not scheme.remote):
            return _value(kept)
        try:
            return _value(kept) if self._holds(scheme, reference, kept) else self._fetch(scheme, reference, kept)
        finally:
            kept.lock.release()

    def refresh(self, reference: str) -> str:
        """The value, read again now because it was refused somewhere; at most once a minute per reference."""
        scheme = _scheme(reference)
        kept = self._kept_of(reference)
        with kept.lock:
            now = self._now()
            recently = kept.refreshed_at is not None and 0 <= now - kept.refreshed_at < REFRESH_AT_MOST_EVERY_S
            if not recently and scheme.ttl_s(self, reference) != float("inf"):
                kept.refreshed_at = now
                kept.failure = None
                return self._fetch(scheme, reference, kept)
        return self.read(reference)

    def secret_manager(self) -> Any:
        """The Secret Manager client, loaded and built at first use."""
        with self._lock:
            if self._secret_manager is None:
                self._secret_manager = importlib.import_module(SECRET_MANAGER).SecretManager(self.secret_manager_url)
            return self._secret_manager

    def _kept_of(self, reference: str) -> Kept:
        with self._lock:
            return self._kept.setdefault(reference, Kept())

    def _holds(self, scheme: Scheme, reference: str, kept: Kept) -> bool:
        now = self._now()
        if kept.value is None:
            if kept.failure is not None and 0 < kept.failure_until - now <= FAILURE_REMEMBERED_S:
                raise SecretError(kept.failure.reference, kept.failure.cause, kept.failure.mend)
            return False
        return now < kept.until and kept.stamp == scheme.stamp(reference)

    def _fetch(self, scheme: Scheme, reference: str, kept: Kept) -> str:
        now = self._now()
        try:
            stamp = scheme.stamp(reference)
            value = scheme.fetch(self, reference).strip("\ufeff \t\r\n")
            if not value:
                raise SecretError(reference, "it is empty", "store a value there")
        except SecretError as error:
            if not scheme.remote:
                raise
            if kept.value is not None:
                LOG.warning("%s; the value read before stays in use", error)
                kept.until = now + OUTAGE_RETRY_S
                return kept.value
            kept.failure, kept.failure_until = error, now + FAILURE_REMEMBERED_S
            raise
        kept.value, kept.stamp, kept.failure = value, stamp, None
        kept.until = now + scheme.ttl_s(self, reference)
        return value


def _scheme(reference: str) -> Scheme:
    for scheme in SCHEMES:
        if reference.startswith(scheme.prefix):
            return scheme
    # The text is not echoed: what is no reference may be the secret itself, put in the wrong place.
    raise SecretError(f"a text of {len(reference)} characters", "it is no secret reference", f"write {FORMS}")


def _value(kept: Kept) -> str:
    assert kept.value is not None
    return kept.value


def _read_secret_manager(secrets: Secrets, reference: str) -> str:
    if not SECRET.fullmatch(reference):
        raise SecretError(
            reference[:200],
            "it is no full secret version name",
            "write projects/P/secrets/S/versions/V, where V is a number or `latest`",
        )
    value: str = secrets.secret_manager().fetch(reference)
    return value


def _secret_manager_ttl_s(secrets: Secrets, reference: str) -> float:
    return float("inf") if reference.rpartition("/")[2].isdecimal() else LATEST_TTL_S


def _read_file(secrets: Secrets, reference: str) -> str:
    try:
        return Path(reference.removeprefix("file:")).expanduser().read_text("utf-8")
    except UnicodeDecodeError:
        cause = "it is not UTF-8 text"
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "it is not a path"
    raise SecretError(reference[:200], cause, "check the path and that the gateway's user may read it")


def _file_stamp(reference: str) -> Hashable:
    try:
        status = Path(reference.removeprefix("file:")).expanduser().stat()
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_environment(secrets: Secrets, reference: str) -> str:
    value = secrets.environment.get(reference.removeprefix("env:"))
    if value is None:
        raise SecretError(reference[:200], "this variable is not set", "set it where the gateway is started")
    return value


SCHEMES = (
    Scheme("projects/", _read_secret_manager, _secret_manager_ttl_s, remote=True),
    Scheme("file:", _read_file, lambda secrets, reference: float("inf"), _file_stamp),
    Scheme("env:", _read_environment, lambda secrets, reference: 0.0),
)
