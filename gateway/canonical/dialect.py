"""What it takes to be a dialect: a module with these names, every one of them pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.canonical.call import Operation, Request
from gateway.canonical.errors import GatewayError, UpstreamRefused
from gateway.canonical.usage import Usage


class StreamWatch(Protocol):
    """Looks on as a stream passes, in any cutting, and never changes it."""

    @property
    def ended(self) -> bool:
        """The stream's own last event has passed."""

    @property
    def may_end(self) -> bool:
        """Nothing more need come: where the bytes end properly now, the stream is whole."""

    @property
    def spoke(self) -> bool:
        """A first word has passed: something of the answer itself, beyond its announcement and pings."""

    @property
    def at_boundary(self) -> bool:
        """What passed so far ends between two events: another event may be put here."""

    @property
    def answered_model(self) -> str | None: ...

    @property
    def error_kind(self) -> str | None:
        """The kind of an error event that passed, if one did."""

    def feed(self, chunk: bytes) -> None: ...

    def usage(self) -> Usage | None:
        """What the stream said so far; None if it said nothing."""


class Framing(Protocol):
    """A stream's bytes in another outer form; `feed` takes them in any cutting."""

    def feed(self, chunk: bytes) -> bytes: ...

    def end(self) -> bytes: ...


class Dialect(Protocol):
    """`WIRE` names the format of answers; dialects that share it need no translation between them."""

    @property
    def NAME(self) -> str: ...

    @property
    def WIRE(self) -> str: ...

    @property
    def STREAM_TYPE(self) -> str:
        """The media type of streamed answers."""

    @property
    def PATHS(self) -> Sequence[tuple[re.Pattern[str], Operation]]:
        """Inbound POST paths, matched against the end of the decoded path."""

    def parse_request(self, operation: Operation, path: re.Match[str], query: Mapping[str, str],
                      headers: Mapping[str, str], body: bytes) -> Request:  # fmt: skip
        """Raises InvalidRequest with what is wrong and what would be right."""

    def render_error_head(self, error: GatewayError) -> tuple[int, dict[str, str]]:
        """Status and headers, as this format's clients know them."""

    def render_error(self, error: GatewayError, request_id: str) -> bytes: ...

    def render_stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """The same as an event in mid-stream."""

    def render_ping(self) -> bytes: ...

    def render_token_count(self, input_tokens: int) -> bytes: ...

    def parse_token_count(self, body: bytes) -> int | None:
        """None if the body is no answer to a token count."""

    def frame_stream(self, request: Request) -> tuple[str, Framing] | None:
        """Media type and form of a stream whose client asked for another than the usual one; None if it did not."""

    def parse_error(self, status: int, body: bytes, headers: Mapping[str, str]) -> UpstreamRefused | None:
        """The provider's own error, if the body is one of this wire format."""

    def parse_usage(self, body: bytes) -> tuple[Usage, str | None] | None:
        """Usage and answered model of a plain answer; None if it is not one."""

    def watch_stream(self) -> StreamWatch: ...
