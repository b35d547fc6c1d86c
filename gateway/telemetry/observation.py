"""One settled call as telemetry sees it: its usage document and its trace. The request and its body are no part of it."""

from dataclasses import dataclass

from gateway.canonical.call import Call, Operation, Target
from gateway.canonical.store import Json
from gateway.telemetry.trace_context import TraceContext, parse_trace_context


@dataclass(frozen=True, slots=True)
class Observation:
    """`at` is when the call began, unix seconds. `kind` is the kind of the provider that the document names."""

    request_id: str
    at: float
    operation: Operation
    kind: str | None
    context: TraceContext | None
    document: Json


def observe_call(call: Call, document: Json, target: Target | None) -> Observation:
    return Observation(
        request_id=call.id,
        at=call.at,
        operation=call.request.operation,
        kind=target.provider.kind if target else None,
        context=parse_trace_context(call.headers),
        document=document,
    )
