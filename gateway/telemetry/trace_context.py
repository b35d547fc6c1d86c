"""Which trace a call belongs to: the caller's, or one of its own.

Ids of our own are derived from the request id, which is random: the log line and the span of a call agree on them without
having met. Wire: W3C Trace Context, Recommendation of 2021-11-23, section 3.2 (`traceparent`), and Google's older header
`X-Cloud-Trace-Context: TRACE_ID/SPAN_ID;o=OPTIONS` (https://docs.cloud.google.com/trace/docs/trace-context, 2026-11-21).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_CLOUD_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/([0-9]{1,20}))?(?:;o=([0-9]+))?")
SPAN_IDS = 2**64
LOGGING = "logging.googleapis.com/"


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The caller's trace and the span there that asked us: 32 and 16 hexadecimal digits. `sampled` None: not said."""

    trace_id: str
    parent_id: str | None = None
    sampled: bool | None = None


def parse_trace_context(headers: Mapping[str, str]) -> TraceContext | None:
    """From a request's headers (lower-case names); None without a valid one. `traceparent` goes first, as Google has it."""
    return _parse_traceparent(headers.get("traceparent", "")) or _parse_cloud_trace(headers.get("x-cloud-trace-context", ""))


def trace_id_of(request_id: str) -> str:
    """The trace of a call that came without one."""
    return blake2b(request_id.encode(), digest_size=16).hexdigest()


def span_id_of(request_id: str) -> str:
    """The call's own span; `span_id_of("ID/1")` is that of its first attempt."""
    return blake2b(request_id.encode(), digest_size=8).hexdigest()


def trace_fields(headers: Mapping[str, str], request_id: str, project: str | None, *, traced: bool) -> dict[str, object]:
    """Cloud Logging's fields that put a log line beside its trace. The span is the call's own if the call is `traced`, else
    the caller's that asked us (https://docs.cloud.google.com/trace/docs/trace-log-integration, 2026-11-21)."""
    context = parse_trace_context(headers)
    if context is None and not traced:
        return {}
    trace_id = context.trace_id if context else trace_id_of(request_id)
    span_id = span_id_of(request_id) if traced else context and context.parent_id
    fields: dict[str, object] = {LOGGING + "trace": f"projects/{project}/traces/{trace_id}" if project else trace_id}
    if span_id:
        fields[LOGGING + "spanId"] = span_id
    if context and context.sampled is not None:
        fields[LOGGING + "trace_sampled"] = context.sampled
    return fields


def _parse_traceparent(text: str) -> TraceContext | None:
    """Later versions may append fields; version ff, and ids of zeros alone, are invalid (section 3.2.2)."""
    found = _TRACEPARENT.fullmatch(text.strip())
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not (int(found[2], 16) and int(found[3], 16)):
        return None
    return TraceContext(found[2], found[3], bool(int(found[4], 16) & 1))


def _parse_cloud_trace(text: str) -> TraceContext | None:
    found = _CLOUD_TRACE.fullmatch(text.strip())
    if found is None or not int(found[1], 16):
        return None
    span = int(found[2] or 0)
    parent_id = f"{span:016x}" if 0 < span < SPAN_IDS else None
    return TraceContext(found[1].lower(), parent_id, bool(int(found[3]) & 1) if found[3] else None)
