"""What it takes to cross from one wire format to another, through the canonical form.

Canonical form: an Anthropic Messages body, answer and stream, as plain JSON values (`dict`, `list`, `str` …), API version
2023-06-01. What another format says and Anthropic's cannot is kept under keys of its own in `extras`; what a target cannot
say is dropped, and named.

    request in   → parse_chat     → Chat        → render_chat     → request out
    answer in    → parse_answer   → message     → render_answer   → answer out
    stream in    → parse_stream   → events      → render_stream   → stream out
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.canonical.capabilities import ModelTraits

Json = dict[str, Any]


@dataclass(slots=True)
class Chat:
    """A request in canonical form. `body` is an Anthropic Messages body without `model` and `stream`, `betas` what an
    `anthropic-beta` header would say; `extras` holds, by wire format, what they cannot say and a target of the same
    format can (`{"openai": {"seed": 7}}`).
    `dropped` names what was lost on the way, such as `logit_bias` or `messages.3.content.0.audio`."""

    body: Json
    extras: dict[str, Json] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    betas: tuple[str, ...] = ()


class StreamParser(Protocol):
    """Wire bytes in any cutting → canonical stream events, as Anthropic's (`{"type": "message_start", …}`)."""

    def feed(self, chunk: bytes) -> list[Json]: ...

    def end(self) -> list[Json]:
        """What was still held back. StreamBroken if the stream is not over by its own account."""


class StreamRenderer(Protocol):
    """Canonical stream events → wire bytes."""

    def render(self, event: Json) -> bytes:
        """`b""` where the format has nothing to say."""


class Translation(Protocol):
    """One wire format's half of every crossing. A module in `dialects`; all pure."""

    @property
    def WIRE(self) -> str: ...

    def parse_chat(self, body: Json) -> Chat:
        """A client's request. InvalidRequest names the member that is wrong and what would be right."""

    def render_chat(self, chat: Chat, model: ModelTraits, *, stream: bool) -> tuple[Json, list[str]]:
        """The body for a target (without `model` where the URL names it), and what it cannot carry."""

    def render_count(self, chat: Chat, model: ModelTraits) -> tuple[Json, list[str]]:
        """The body by which a target counts the tokens of a chat: what it would refuse there is left out."""

    def parse_answer(self, body: Json) -> Json:
        """A target's plain answer as an Anthropic message, `usage` in Anthropic's terms."""

    def render_answer(self, message: Json, *, asked_model: str, request: Mapping[str, Any]) -> Json:
        """`request` is the caller's own body: some formats answer by what was asked (`stream_options`, `n`)."""

    def parse_stream(self) -> StreamParser: ...

    def render_stream(self, *, asked_model: str, request: Mapping[str, Any]) -> StreamRenderer: ...
