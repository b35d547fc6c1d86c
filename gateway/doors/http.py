"""An HTTP request as the doors see it, whichever server took it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`path` is decoded. `read_body` takes the largest size allowed and returns the whole body; it raises RequestTooLarge,
    or InvalidRequest if the body ended early."""

    method: str
    path: str
    headers: Mapping[str, str]  # lower-case names
    query: Mapping[str, str]
    read_body: Callable[[int], bytes]
