"""A settled call as spans, after the fact: one for the call, and one below it for each attempt at a provider.

A usage document says how long each attempt took, not when it began. So they are drawn one after the other, the last of
them up to the first word of the answer; an attempt that succeeded lasts until the call ends, as its answer did.
"""

from collections.abc import Iterator

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import Decision, Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context
from opentelemetry.trace.status import Status, StatusCode

from gateway import VERSION
from gateway.canonical.store import Json
from gateway.telemetry import attributes
from gateway.telemetry.observation import Observation
from gateway.telemetry.trace_context import TraceContext, span_id_of, trace_id_of

SCOPE = InstrumentationScope("tollgate", VERSION)
NS_PER_MS = 1_000_000
SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def render_spans(observation: Observation, resource: Resource, sampler: Sampler) -> list[ReadableSpan]:
    """The spans of one call; none if its caller, or the sampler, does not want them."""
    model = observation.document["model"] or observation.document["asked_model"]
    name = f"{attributes.operation_name(observation)} {model[: attributes.TEXT_MAX]}"
    own_trace = observation.context.trace_id if observation.context else trace_id_of(observation.request_id)
    trace_id = int(own_trace, 16)
    parent = _parent(observation.context)
    facts = attributes.of_call(observation)
    around = set_span_in_context(NonRecordingSpan(parent)) if parent else None
    if sampler.should_sample(around, trace_id, name, SpanKind.SERVER, facts).decision is not Decision.RECORD_AND_SAMPLE:
        return []
    context = _context(trace_id, span_id_of(observation.request_id))
    start_ns = round(observation.at * 1e9)
    call = ReadableSpan(
        name,
        context,
        parent,
        resource,
        facts,
        kind=SpanKind.SERVER,
        instrumentation_scope=SCOPE,
        status=_status(observation.document),
        start_time=start_ns,
        end_time=start_ns + observation.document["latency_ms"] * NS_PER_MS,
    )
    return [call, *_attempts(observation, name, call)]


def _parent(found: TraceContext | None) -> SpanContext | None:
    """The caller's span. What it did not say about sampling is taken for yes: the sampler may still say no."""
    if found is None or found.parent_id is None:
        return None
    flags = TraceFlags(TraceFlags.DEFAULT) if found.sampled is False else SAMPLED
    return SpanContext(int(found.trace_id, 16), int(found.parent_id, 16), is_remote=True, trace_flags=flags)


def _context(trace_id: int, span_id: str) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), is_remote=False, trace_flags=SAMPLED)


def _status(document: Json) -> Status:
    """A server's span is in error when the fault is the server's (general HTTP conventions), or when its stream broke."""
    if document["status"] >= 500 or (document["status"] == 200 and document["error_type"]):
        return Status(StatusCode.ERROR, document["error_type"])
    return Status(StatusCode.UNSET)


def _attempts(observation: Observation, name: str, call: ReadableSpan) -> Iterator[ReadableSpan]:
    assert call.context is not None and call.start_time is not None and call.end_time is not None
    for number, (attempt, start_ns, end_ns) in enumerate(_laid_out(observation.document, call.start_time, call.end_time), 1):
        failed = attempt["status"] != 200
        yield ReadableSpan(
            name,
            _context(call.context.trace_id, span_id_of(f"{observation.request_id}/{number}")),
            call.context,
            call.resource,
            attributes.of_attempt(observation, attempt),
            kind=SpanKind.CLIENT,
            instrumentation_scope=SCOPE,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=start_ns,
            end_time=end_ns,
        )


def _laid_out(document: Json, start_ns: int, end_ns: int) -> Iterator[tuple[Json, int, int]]:
    until_ms = document["latency_ms"] if document["ttft_ms"] is None else document["ttft_ms"]
    at_ns = start_ns + max(0, until_ms - sum(attempt["ms"] for attempt in document["attempts"])) * NS_PER_MS
    for attempt in document["attempts"]:
        over_ns = min(end_ns, at_ns + attempt["ms"] * NS_PER_MS)
        yield attempt, at_ns, end_ns if attempt["status"] == 200 else over_ns
        at_ns = over_ns
