"""What went to the provider and what was written down, as tests of clients look at it."""

from typing import Any

from house import Served

from gateway.sandbox.recording import Recorded


def inference(gateway: Served) -> list[Recorded]:
    """Upstream model calls, oldest first; counting, tokens and secrets are none."""
    return [r for r in gateway.sandbox.requests if "/publishers/" in r.path and "/count-tokens:" not in r.path]


def statuses(gateway: Served) -> list[int | None]:
    return [request.status for request in inference(gateway)]


def betas(request: Recorded) -> set[str]:
    return set(request.headers.get("anthropic-beta", "").split(",")) - {""}


def oldest_first(gateway: Served) -> list[dict[str, Any]]:
    """All usage documents."""
    return sorted(gateway.records(), key=lambda record: record["at"])


def cost_nanodollars(gateway: Served) -> int:
    return sum(record["cost_nanodollars"] for record in gateway.records())


def refused(gateway: Served) -> list[dict[str, Any]]:
    """Log lines of calls that were answered with an error."""
    return [line for line in gateway.log_lines() if line["status"] >= 400 and "reason" in line]
