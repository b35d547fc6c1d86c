"""Traces and metrics for OpenTelemetry, made from what a settled call already knows; read hook.py first.

    hook.py            what calls are told to: passes on, and loads the rest when there is something to pass on
    trace_context.py   which trace a call belongs to
    observation.py     one settled call, without its prompt
    attributes.py      the names that OpenTelemetry has for its facts
    exporting.py       the SDK put together: where spans and metrics go
    spans.py, metrics.py

Only hook.py, trace_context.py and observation.py are loaded by a gateway whose telemetry is off.
"""
