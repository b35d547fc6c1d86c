"""Asking an HTTP server one thing, for the doctor: an answer or the reason why there is none, never an exception.

No redirects: what was asked must answer itself. `requests` is loaded at the first question.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

LIBRARY = "requests"
TIMEOUT_S = 10.0
ANSWER_BYTES_MAX = 4 * 1024 * 1024
Fault = Literal["", "certificate", "connection"]


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: there was none, and `fault` and `words` say why. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fault: Fault = ""
    words: str = ""

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; empty if it is none."""
        try:
            found = msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


Ask = Callable[[str, str, Mapping[str, str], bytes | None], Answer]
"""Method, URL, headers, body."""


class Web:
    """An `Ask` over one session: that of `requests`, or one that is handed in."""

    def __init__(self, session: Any = None) -> None:
        self._session = session

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        library: Any = importlib.import_module(LIBRARY)
        if self._session is None:
            self._session = library.Session()
        try:
            with self._session.request(
                method, url, headers=dict(headers), data=body, timeout=TIMEOUT_S, allow_redirects=False, stream=True
            ) as response:
                content = response.raw.read(ANSWER_BYTES_MAX, decode_content=True)
                return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, content)
        except library.exceptions.SSLError as error:
            return Answer(0, fault="certificate", words=_innermost(error))
        except (library.RequestException, OSError, ValueError) as error:
            return Answer(0, fault="connection", words=_innermost(error))


def _innermost(error: BaseException) -> str:
    """Libraries wrap what happened many times over."""
    while isinstance(inner := getattr(error, "reason", None) or (error.args[0] if error.args else None), BaseException):
        error = inner
    return f"{type(error).__name__}: {str(error)[:200]}"
