"""What a settled call looks like as a trace."""

from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_ON, Sampler
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode
from settled import AT, KEY, PARENT, PERSON, PROMPT, TRACE, observation, target

from gateway.canonical.call import AttemptRecord
from gateway.providers import PROVIDERS
from gateway.telemetry.attributes import PROVIDER_NAMES
from gateway.telemetry.spans import render_spans
from gateway.telemetry.trace_context import span_id_of, trace_id_of

START = round(AT * 1e9)
MS = 1_000_000


def spans(sampler: Sampler = DEFAULT_ON, headers: dict[str, str] | None = None, **fields: Any) -> list[ReadableSpan]:
    return render_spans(observation(headers, **fields), Resource({}), sampler)


def test_a_call_is_a_server_span_with_its_attempts_below_it() -> None:
    """Names, kinds, parents."""
    call, *attempts = spans()
    assert call.name == "chat claude-opus-5-5" and call.kind is SpanKind.SERVER and call.parent is None
    assert call.context is not None
    assert call.context.trace_id == int(trace_id_of("req_0123456789abcdef01234567"), 16)
    assert call.context.span_id == int(span_id_of("req_0123456789abcdef01234567"), 16)
    assert [attempt.kind for attempt in attempts] == [SpanKind.CLIENT, SpanKind.CLIENT]
    assert {attempt.parent.span_id for attempt in attempts if attempt.parent} == {call.context.span_id}
    assert len({span.context.span_id for span in (call, *attempts) if span.context}) == 3


def test_a_call_says_what_it_used_and_cost() -> None:
    """Under the names of the conventions; input tokens include cached ones."""
    facts = dict(spans()[0].attributes or {})
    assert facts["gen_ai.provider.name"] == "gcp.vertex_ai" and facts["gen_ai.operation.name"] == "chat"
    assert (facts["gen_ai.request.model"], facts["gen_ai.response.model"]) == ("claude-opus-5-5", "claude-opus-5-5-20260801")
    assert (facts["gen_ai.usage.input_tokens"], facts["gen_ai.usage.output_tokens"]) == (22, 21)
    assert facts["gen_ai.usage.cache_creation.input_tokens"] == 7
    assert facts["gen_ai.response.time_to_first_chunk"] == 0.5
    assert facts["gateway.cost_usd"] == 1.5 and facts["gateway.project"] == "acme" and facts["gateway.key_id"] == "key_1"
    assert facts["gen_ai.conversation.id"] == "s-1" and facts["http.response.status_code"] == 200


def test_a_trace_names_no_person_and_holds_no_prompt() -> None:
    """Nor keys, nor the caller's own labels: it may go to a third party."""
    told = repr([(span.name, dict(span.attributes or {})) for span in spans()])
    assert not any(secret in told for secret in (PROMPT, KEY, PERSON, "core"))


def test_names_that_a_caller_chose_are_cut_short() -> None:
    """A model's name may be as long as a request."""
    long = replace(target(), model="m" * 10_000)
    call, *attempts = spans(target=long, answered_model="a" * 10_000)
    assert len(call.name) < 250
    values = [value for span in (call, *attempts) for value in (span.attributes or {}).values()]
    assert max(len(value) for value in values if isinstance(value, str)) == 200


def test_attempts_stand_one_after_the_other_before_the_first_word() -> None:
    """The one that succeeded lasts until the call ends."""
    call, refused, answered = spans()
    assert (call.start_time, call.end_time) == (START, START + 2000 * MS)
    assert (refused.start_time, refused.end_time) == (START + 100 * MS, START + 200 * MS)
    assert (answered.start_time, answered.end_time) == (START + 200 * MS, START + 2000 * MS)
    assert refused.status.status_code is StatusCode.ERROR and dict(refused.attributes or {})["error.type"] == "429"


def test_attempts_never_begin_before_their_call() -> None:
    """Even if their rounded times add up to more than it took."""
    call, *attempts = spans(latency_ms=350, ttft_ms=350)
    assert attempts[0].start_time == call.start_time
    assert all(a.start_time <= a.end_time <= call.end_time for a in attempts)  # type: ignore[operator]


def test_the_callers_trace_goes_on() -> None:
    """W3C traceparent: same trace, its span the parent."""
    call, *attempts = spans(headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert call.parent is not None and call.parent.span_id == int(PARENT, 16) and call.parent.is_remote
    assert {span.context.trace_id for span in (call, *attempts) if span.context} == {int(TRACE, 16)}


@pytest.mark.parametrize(("sampler", "flags", "count"), [
    (DEFAULT_ON, "01", 3), (DEFAULT_ON, "00", 0), (ALWAYS_ON, "00", 3), (ALWAYS_OFF, "01", 0),
])  # fmt: skip
def test_the_sampler_decides_and_the_usual_one_follows_the_caller(sampler: Sampler, flags: str, count: int) -> None:
    """A caller that does not keep a trace gets no spans of ours, unless the operator wants all."""
    assert len(spans(sampler, {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"})) == count


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": 502, "error_type": "api_error"}, StatusCode.ERROR),
        ({"status": 200, "error_type": "overloaded_error"}, StatusCode.ERROR),
        ({"status": 400, "error_type": "invalid_request_error"}, StatusCode.UNSET),
    ],
)
def test_an_error_of_the_callers_is_no_error_of_ours(fields: dict[str, Any], code: StatusCode) -> None:
    """5xx and broken streams are; a refused request is answered well."""
    call = spans(**fields)[0]
    assert call.status.status_code is code and dict(call.attributes or {})["error.type"] == fields["error_type"]


def test_an_attempt_without_an_answer_says_so() -> None:
    """Status 0 in the record is no HTTP status."""
    facts = dict(spans(attempts=[AttemptRecord("prod", "global", 0, 5000)], status=502, ttft_ms=None)[1].attributes or {})
    assert facts["error.type"] == "no_answer" and "http.response.status_code" not in facts


def test_every_kind_of_provider_has_a_name_of_the_conventions() -> None:
    """A new kind needs a row there."""
    assert PROVIDERS.keys() == PROVIDER_NAMES.keys()
    assert dict(spans(target=target("bedrock"))[0].attributes or {})["gen_ai.provider.name"] == "aws.bedrock"
