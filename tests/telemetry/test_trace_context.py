"""Which trace a call belongs to, and how its log line says so."""

import pytest

from gateway.telemetry.trace_context import TraceContext, parse_trace_context, span_id_of, trace_fields, trace_id_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
W3C = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


def test_the_callers_traceparent_is_read() -> None:
    """Trace, span, and whether it is sampled."""
    assert parse_trace_context(W3C) == TraceContext(TRACE, PARENT, True)
    assert parse_trace_context({"traceparent": f"00-{TRACE}-{PARENT}-00"}) == TraceContext(TRACE, PARENT, False)


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """W3C Trace Context, section 3.2.4."""
    assert parse_trace_context({"traceparent": f"cc-{TRACE}-{PARENT}-03-what-comes-next"}) == TraceContext(TRACE, PARENT, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-0١",
        "x" * 100_000,
    ],
)
def test_what_is_no_traceparent_is_ignored(text: str) -> None:
    """The call goes on with a trace of its own."""
    assert parse_trace_context({"traceparent": text}) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{TRACE}/67667974448284343;o=1", TraceContext(TRACE, "00f067aa0ba902b7", True)),
        (f"{TRACE.upper()}/1;o=0", TraceContext(TRACE, "0000000000000001", False)),
        (TRACE, TraceContext(TRACE, None, None)),
        (f"{TRACE}/{2**64}", TraceContext(TRACE, None, None)),
        (f"{TRACE}/one", None),
        ("0" * 32, None),
        ("short", None),
    ],
)
def test_googles_older_header_is_read_too(text: str, found: TraceContext | None) -> None:
    """Its span is a decimal number."""
    assert parse_trace_context({"x-cloud-trace-context": text}) == found


def test_traceparent_goes_before_googles_header() -> None:
    """As Cloud Run itself has it."""
    assert parse_trace_context({**W3C, "x-cloud-trace-context": "1" * 32}) == TraceContext(TRACE, PARENT, True)


def test_a_log_line_stands_beside_its_trace() -> None:
    """With telemetry off under the span that asked us, with telemetry on under the call's own."""
    name = "logging.googleapis.com/"
    assert trace_fields(W3C, "req_1", "my-project", traced=False) == {
        name + "trace": f"projects/my-project/traces/{TRACE}", name + "spanId": PARENT, name + "trace_sampled": True,
    }  # fmt: skip
    assert trace_fields(W3C, "req_1", "my-project", traced=True)[name + "spanId"] == span_id_of("req_1")


def test_a_call_without_a_trace_has_one_of_its_own_only_if_it_is_traced() -> None:
    """The same ids as its span has."""
    assert trace_fields({}, "req_1", None, traced=False) == {}
    assert trace_fields({}, "req_1", None, traced=True)["logging.googleapis.com/trace"] == trace_id_of("req_1")
    assert (len(trace_id_of("req_1")), len(span_id_of("req_1"))) == (32, 16)
    assert span_id_of("req_1") != span_id_of("req_1/1")
