"""The usage document: what happened to one call, under `projects/{project}/usage/{request_id}`, and its log line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from gateway.canonical.call import AttemptRecord, Call, Target
from gateway.canonical.store import Json
from gateway.canonical.usage import Usage

SCHEMA_VERSION = 1
LEFT_OUT_IF_EMPTY = frozenset({type(None), list, dict})  # of log lines


@dataclass(slots=True)
class Outcome:
    """How a call ended. `cost_nanodollars` is priced with `price_version`; an unpriced model is flagged, never free.
    `saved_nanodollars` is what a hit of the cache would have cost at its target now."""

    status: int
    error_type: str | None = None
    reason: str | None = None  # for the log alone
    target: Target | None = None
    attempts: list[AttemptRecord] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    cost_nanodollars: int = 0
    price_version: str = ""
    price_known: bool = True
    answered_model: str | None = None
    dropped: tuple[str, ...] = ()
    client_gone: bool = False
    latency_ms: int = 0
    ttft_ms: int | None = None
    upstream_request_id: str | None = None
    holds: list[Json] = field(default_factory=list)
    cache: Literal["hit", "miss", "off"] = "off"
    saved_nanodollars: int = 0
    cache_lookup: Json | None = None  # what looking for a kept answer took: `ms`, `cost_nanodollars`, and what it found


def document_path(call: Call) -> str:
    return f"projects/{call.caller.project}/usage/{call.id}"


def render_document(call: Call, outcome: Outcome, retention_days: int) -> Json:
    """The document's fields. Prompts and answers are no part of it."""
    at = datetime.fromtimestamp(call.at, UTC)
    target, usage = outcome.target, outcome.usage
    tokens = usage.total()
    return {
        "request_id": call.id,
        "at": at,
        "project": call.caller.project,
        **call.facts(),
        "model": target.model if target else None,
        "answered_model": outcome.answered_model,
        "provider": target.provider.id if target else None,
        "location": target.location if target else None,
        "status": outcome.status,
        "error_type": outcome.error_type,
        "attempts": [
            {"provider": a.provider, "location": a.location, "status": a.status, "ms": a.ms} for a in outcome.attempts
        ],
        "cache": outcome.cache,
        **({"saved_nanodollars": outcome.saved_nanodollars} if outcome.cache == "hit" else {}),
        **({"cache_lookup": outcome.cache_lookup} if outcome.cache_lookup else {}),
        "tokens": {
            "input": tokens.input,
            "output": tokens.output,
            "cache_read": tokens.cache_read,
            "cache_write_5m": tokens.cache_write_5m,
            "cache_write_1h": tokens.cache_write_1h,
            "thinking": tokens.thinking,
        },
        "searches": usage.searches,
        "cost_nanodollars": outcome.cost_nanodollars,
        "price_version": outcome.price_version,
        "price_known": outcome.price_known,
        "completeness": usage.completeness,
        "client_gone": outcome.client_gone,
        "dropped": list(outcome.dropped),
        "latency_ms": outcome.latency_ms,
        "ttft_ms": outcome.ttft_ms,
        "ms_per_output_token": _ms_per_output_token(outcome, tokens.output),
        "upstream_request_id": outcome.upstream_request_id,
        "holds": outcome.holds,
        "allowance_ids": [hold["allowance"] for hold in outcome.holds if hold.get("allowance")],
        "schema_version": SCHEMA_VERSION,
        "expires_at": at + timedelta(days=retention_days),
    }


def _ms_per_output_token(outcome: Outcome, output_tokens: int) -> float | None:
    if outcome.ttft_ms is None or output_tokens < 2:
        return None
    return round((outcome.latency_ms - outcome.ttft_ms) / output_tokens, 2)


def severity_of(status: int) -> str:
    """Cloud Logging's severity for a call that ended with this status."""
    return "INFO" if status < 400 else "WARNING" if status < 500 else "ERROR"


def render_log_line(document: Json, http: Mapping[str, object], trace: Mapping[str, object]) -> Json:
    """The same facts as one structured line (Cloud Logging's special fields: severity, httpRequest, and those of `trace`)."""
    line = {name: value for name, value in document.items() if value or type(value) not in LEFT_OUT_IF_EMPTY}
    del line["expires_at"]
    line["severity"] = severity_of(document["status"])
    line["message"] = f"{document['dialect']} {document['asked_model']} {document['status']}"
    line["httpRequest"] = dict(http)
    line.update(trace)
    return line
