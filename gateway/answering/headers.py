"""Where a call went, as every reply says it."""

import re

from gateway.providers.send import Attempt
from gateway.records.document import Outcome

DROPPED_CHARACTERS_MAX = 2_000
UNSHOWABLE = re.compile(r"[^\x20-\x7e]")  # clients choose some of these names


def route_headers(outcome: Outcome, attempt: Attempt | None) -> dict[str, str]:
    headers = {"x-gateway-attempts": str(len(outcome.attempts)), "x-gateway-cache": outcome.cache}
    if outcome.target:
        headers["x-gateway-provider"] = outcome.target.provider.id
        headers["x-gateway-model"] = outcome.target.model
    if attempt and attempt.upstream_request_id:
        headers["x-upstream-request-id"] = attempt.upstream_request_id
    if outcome.dropped:
        headers["x-gateway-dropped"] = UNSHOWABLE.sub("?", ", ".join(outcome.dropped))[:DROPPED_CHARACTERS_MAX]
    return headers


def stream_headers(kind: str) -> dict[str, str]:
    """Of a stream of that media type."""
    return {"content-type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind, "cache-control": "no-cache"}
