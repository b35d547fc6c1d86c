"""A credential as the operator wrote it, and the token source that it stands for."""

import re
import threading
from collections.abc import Callable

from gateway.canonical.secret_reference import is_secret_reference
from gateway.credentials.access_token import TokenError, TokenSource
from gateway.credentials.secrets import SecretError, Secrets

ADC = "adc"
PATH = re.compile(r"[^\n\"{}]{1,512}")


class Credential:
    """One credential. The source is kept as long as the text behind it stays the same. Safe to call from many threads."""

    def __init__(self, text: str, secrets: Secrets, open_source: Callable[[str | None], TokenSource]) -> None:
        """`open_source` takes a key file's text, or None for Application Default Credentials."""
        self._inline, self._reference = _understood(text)
        self._secrets, self._open_source = secrets, open_source
        self._lock = threading.Lock()
        self._text: str | None = None
        self._source: TokenSource | None = None

    def source(self) -> TokenSource:
        """The source as of now: what lies behind a reference may have changed. TokenError."""
        return self._opened(self._read())

    def known_source(self) -> TokenSource:
        """The source as last opened. TokenError."""
        return self._source or self.source()

    def read_again(self) -> TokenSource:
        """The source after a refusal: its secret is read anew, at most once a minute. TokenError."""
        if self._reference is None and self._inline is None:
            self._source = None
        return self._opened(self._read(refused=True))

    def _read(self, refused: bool = False) -> str | None:
        if self._reference is None:
            return self._inline
        try:
            return self._secrets.refresh(self._reference) if refused else self._secrets.read(self._reference)
        except SecretError as error:
            fault = TokenError("secret_unreadable", f"{error.reference}: {error.cause}", error.mend)
        raise fault

    def _opened(self, text: str | None) -> TokenSource:
        with self._lock:
            if self._source is None or text != self._text:
                self._source = self._open_source(text)
                self._text = text
            return self._source


def _understood(text: str) -> tuple[str | None, str | None]:
    """Inline text and reference, at most one of them. What could not be a path is taken for a key, and never echoed."""
    if text == ADC:
        return None, None
    if is_secret_reference(text):
        return None, text
    if PATH.fullmatch(text) and "PRIVATE KEY" not in text:
        return None, f"file:{text}"
    return text, None
