"""What may go wrong, on purpose: faults as data, scripted by tests or written into a prompt as `[sandbox: …]`."""

import re
import shlex
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

FOREVER = 0
CHOICES = {
    "envelope": ("anthropic", "google", "html"),
    "body": ("html", "empty", "malformed"),
    "cut": ("rst", "fin", "clean"),
}


@dataclass(frozen=True, slots=True, repr=False)
class Fault:
    """What is to be different about an answer; what is not named stays as it is. Fields combine.

    Events are counted from 0 (`message_start`); a negative `at` counts from the end. An unstreamed answer that is cut
    or truncated loses its second half.
    """

    # instead of an answer
    status: int | None = None
    envelope: str | None = None  # anthropic, google, html; default: the one that Vertex AI uses for this status
    kind: str | None = None  # error.type of Anthropic's envelope, error.status of Google's
    message: str | None = None
    retry_after: str | None = None
    should_retry: str | None = None  # x-should-retry
    drop: bool = False  # the connection is reset without a byte
    redirect_to: str | None = None  # 302
    revoke_token: bool = False  # 401, and the token that was used is dead
    body: str | None = None  # html, empty, malformed: in place of the answer, status 200
    # the way it goes out
    wait_s: float = 0.0  # silence before the head
    wait_first_event_s: float = 0.0  # silence after the head
    wait_at_s: float = 0.0  # silence before event `at`
    at: int = 2
    stream_error: str | None = None  # an error event of this type in place of event `at`, then the end
    cut: str | None = None  # before event `at`: rst, fin, or clean (a proper end of the body, without the rest)
    truncate: bool = False  # half of event `at` goes out, then the cut (fin, unless `cut` says otherwise)
    garble: bool = False  # event `at` is no JSON
    gzip: bool = False
    # what is said
    text: str | None = None  # exactly this
    events: int | None = None  # so many text deltas
    interval_s: float = 0.0  # between text deltas
    stamps: bool = False  # each text delta is the monotonic clock in nanoseconds at sending
    huge_mib: int = 0  # a text of this size
    traffic: str | None = None  # Gemini's trafficType: PROVISIONED_THROUGHPUT
    stop_reason: str | None = None  # refusal (empty, with details), pause_turn, model_context_window_exceeded, …
    # how often
    times: int = 1  # requests in a row; 0: every one

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in (None, *known):
                raise ValueError(f"{name} should be one of {', '.join(known)}, not {getattr(self, name)!r}")

    def __repr__(self) -> str:
        said = (f"{field.name}={value!r}" for field in fields(self) if (value := getattr(self, field.name)) != field.default)
        return f"Fault({', '.join(said)})"


NONE = Fault()
SHORTHANDS: dict[str, Mapping[str, Any]] = {
    "overloaded": {"status": 529},
    "refusal": {"stop_reason": "refusal"},
    "slow": {"events": 40, "interval_s": 0.25},
    "expired": {"revoke_token": True},
    "broken": {"cut": "rst", "at": 4},
}
FIELDS = {field.name: field.type for field in fields(Fault)}
DIRECTIVE = re.compile(r"\[sandbox:([^\]]*)\]")


class UnknownWord(ValueError):
    """A directive holds a word that is no field of Fault; says which ones there are."""


def parse(members: Mapping[str, Any]) -> Fault:
    """A Fault from JSON members, or from words of a directive."""
    for name in members:
        if name not in FIELDS:
            raise UnknownWord(f"unknown word `{name}`; known are {', '.join([*FIELDS, *SHORTHANDS])}")
    try:
        return Fault(**{name: _convert(name, value) for name, value in members.items()})
    except (TypeError, ValueError) as error:
        raise UnknownWord(f"a value is wrong: {error}") from error


def _convert(name: str, value: Any) -> Any:
    kind = str(FIELDS[name])
    if value is None:
        return None
    if "bool" in kind:
        return value is True or str(value).lower() in ("true", "1", "yes")
    if "int" in kind:
        return int(value)
    return float(value) if "float" in kind else str(value)


def parse_directive(text: str) -> Fault | None:
    """The Fault that a prompt asks for, as `[sandbox: status=429 retry_after=5]`, `[sandbox: 503]` or a shorthand.

    It holds for every request with that prompt unless it says `times=N`; a token is revoked once.
    """
    match = DIRECTIVE.search(text)
    if not match:
        return None
    members: dict[str, Any] = {"times": FOREVER}
    for word in shlex.split(match.group(1)):
        name, equals, value = word.partition("=")
        if word.isdecimal():
            members["status"] = word
        elif not equals and name in SHORTHANDS:
            members |= SHORTHANDS[name]
        else:
            members[name] = value if equals else True
    if members.get("revoke_token") and members["times"] == FOREVER:
        members["times"] = 1
    return parse(members)


class FaultQueue:
    """Faults that wait for their requests, and how often each prompt's own has struck."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Fault, int]] = deque()  # with the times left
        self._struck: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._waiting.extend((fault, fault.times) for fault in faults)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def take(self, prompt: str = "") -> Fault:
        """The Fault for the next request: a scripted one first, then the prompt's own."""
        with self._lock:
            if self._waiting:
                fault, left = self._waiting.popleft()
                if left == FOREVER or left > 1:
                    self._waiting.appendleft((fault, max(left - 1, FOREVER)))
                return fault
        asked = parse_directive(prompt)
        if asked is None:
            return NONE
        with self._lock:
            struck = self._struck.get(prompt, 0)
            if asked.times != FOREVER and struck >= asked.times:
                return NONE
            if len(self._struck) > 1_000:
                self._struck.clear()
            self._struck[prompt] = struck + 1
        return asked
