"""An HTTP request as the doors see it, whichever server took it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.canonical.errors import InvalidRequest, RequestTooLarge


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`path` is decoded. `read_body` takes the largest size allowed and returns the whole body; it raises RequestTooLarge,
    or InvalidRequest if the body ended early."""

    method: str
    path: str
    headers: Mapping[str, str]  # lower-case names
    query: Mapping[str, str]
    read_body: Callable[[int], bytes]


def body_too_large(limit_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"Request exceeds the maximum size of {limit_bytes} bytes that this gateway accepts")


def body_ended_early() -> InvalidRequest:
    return InvalidRequest("the request body ended early; send as many bytes as content-length says")
