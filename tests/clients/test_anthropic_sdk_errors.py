"""What goes wrong, as users of the official SDK see it: the right exception, upstream's own words, and never half an
answer that looks whole."""

import time
from typing import Any

import anthropic
import httpx2
import pytest
from house import Served
from test_anthropic_sdk import MODEL, SDK, ask, turn
from traffic import inference, oldest_first, statuses
from wire import eventually

from gateway.sandbox import Fault

BROKEN = (anthropic.APIError, httpx2.HTTPError)  # an error event, or the connection's own fault
CUTS: list[dict[str, Any]] = [{"cut": "rst"}, {"cut": "fin"}, {"cut": "clean"}, {"truncate": True}]


def fail(sdk: SDK, *, stream: bool = False, **fields: Any) -> anthropic.APIStatusError:
    """The error that a call ends with."""
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(sdk, stream=stream, **{"model": MODEL, **fields})
    return raised.value


@pytest.mark.parametrize("dialect", ["messages", "vertex"])
@pytest.mark.parametrize("key", ["", "gw-" + "x" * 43, "sk-ant-something-else"])
def test_a_wrong_key_is_an_authentication_error(gateway: Served, dialect: str, key: str) -> None:
    """In one request, although the client would retry: no key, an unknown one, somebody else's."""
    made: SDK
    if dialect == "messages":
        made = anthropic.Anthropic(base_url=gateway.url, api_key=key or "-", max_retries=2)
    else:
        url = f"{gateway.url}/v1"
        made = anthropic.AnthropicVertex(base_url=url, access_token=key or "-", project_id="p", region="eu", max_retries=2)
    with made as sdk:
        error = fail(sdk)
    assert isinstance(error, anthropic.AuthenticationError)
    assert error.type == "authentication_error"
    assert "missing, unknown, expired or revoked" in error.message
    assert error.request_id
    assert len(gateway.log_lines()) == 1


def test_a_model_that_is_not_there_is_not_found(sdk: SDK, gateway: Served) -> None:
    """The message names models that the key may use."""
    error = fail(sdk, model="gpt-ferret")
    assert isinstance(error, anthropic.NotFoundError)
    assert (error.type, "claude-opus-5-5" in error.message) == ("not_found_error", True)
    assert inference(gateway) == []


@pytest.mark.parametrize("stream", [False, True], ids=["unstreamed", "streamed"])
def test_a_bad_request_is_told_in_upstreams_own_words(
    sdk: SDK, direct_sdk: anthropic.AnthropicVertex, gateway: Served, stream: bool
) -> None:
    """Clients repair themselves by these words: they travel unmodified."""
    wrong: Any = {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}], "stream": stream}
    ours, theirs = fail(sdk, **wrong), fail(direct_sdk, **wrong)
    assert isinstance(ours, anthropic.BadRequestError)
    assert isinstance(ours.body, dict)
    assert isinstance(theirs.body, dict)
    assert ours.body["error"] == theirs.body["error"]
    assert ours.status_code == theirs.status_code == 400
    assert [record["status"] for record in gateway.records()] == [400]


def test_what_a_version_forbids_stays_forbidden(sdk: SDK) -> None:
    """The SDK's API version 2026-10-21 travels into the body: it has no `temperature`."""
    error = fail(sdk, extra_body={"temperature": 0.5})
    assert isinstance(error, anthropic.BadRequestError)
    assert "temperature: Extra inputs are not permitted" in error.message


def test_a_rate_limit_says_when_to_come_back(sdk: SDK, gateway: Served) -> None:
    """Google's envelope is translated, without its project names; `retry-after` travels."""
    gateway.sandbox.script(Fault(status=429, retry_after="7"))
    error = fail(sdk)
    assert isinstance(error, anthropic.RateLimitError)
    assert (error.type, error.response.headers["retry-after"]) == ("rate_limit_error", "7")
    assert "Quota exceeded" in error.message


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (402, "billing_error", anthropic.APIStatusError),
        (413, "request_too_large", anthropic.RequestTooLargeError),
        (500, "api_error", anthropic.InternalServerError),
        (503, "api_error", anthropic.ServiceUnavailableError),
        (504, "timeout_error", anthropic.DeadlineExceededError),
        (529, "overloaded_error", anthropic.OverloadedError),
    ],
)
def test_each_status_is_its_own_exception(sdk: SDK, gateway: Served, status: int, kind: str, expected: type) -> None:
    """Status and type agree, whichever envelope upstream chose."""
    gateway.sandbox.script(Fault(status=status))
    error = fail(sdk)
    assert isinstance(error, expected)
    assert (error.status_code, error.type) == (status, kind)
    assert [record["error_type"] for record in gateway.records()] == [kind]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_of_the_gateway_is_no_fault_of_the_caller(gateway: Served, status: int) -> None:
    """502, not to be retried: the SDK asks once. The caller is told of no role and no project."""
    gateway.sandbox.script(Fault(status=status, times=0))
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=2) as sdk:
        error = fail(sdk)
    assert (error.status_code, error.response.headers["x-should-retry"]) == (502, "false")
    assert "sandbox-project" not in str(error.body)
    assert set(statuses(gateway)) == {status}
    assert len(gateway.records()) == 1


@pytest.mark.parametrize("dialect", ["messages", "vertex"])
@pytest.mark.parametrize("fault", CUTS, ids=str)
@pytest.mark.parametrize("at", [0, 1, 4, -2], ids=lambda at: f"at {at}")
def test_half_a_stream_is_never_taken_for_a_whole_one(
    request: pytest.FixtureRequest, gateway: Served, dialect: str, fault: dict[str, Any], at: int
) -> None:
    """However upstream breaks off, and wherever: the SDK raises. A clean end of the connection would be a success to it."""
    sdk: SDK = request.getfixturevalue(f"{dialect}_sdk")
    gateway.sandbox.script(Fault(at=at, **fault))
    with pytest.raises(BROKEN):
        ask(sdk, stream=True, model=MODEL)
    (record,) = gateway.records()
    assert (record["status"], record["error_type"]) == (502, "overloaded_error")
    assert record["completeness"] in ("partial", "estimated")


@pytest.mark.parametrize("fault", [{"cut": "rst"}, {"cut": "fin"}, {"truncate": True}], ids=str)
def test_half_a_plain_answer_is_an_error(sdk: SDK, gateway: Served, fault: dict[str, Any]) -> None:
    """A body that ends before its stated length is no answer."""
    gateway.sandbox.script(Fault(**fault))
    assert fail(sdk).status_code == 502
    assert [record["status"] for record in gateway.records()] == [502]


@pytest.mark.parametrize("kind", ["overloaded_error", "api_error", "rate_limit_error"])
def test_an_error_event_in_mid_stream_is_raised_as_it_is(sdk: SDK, gateway: Served, kind: str) -> None:
    """Type and message of upstream's event."""
    gateway.sandbox.script(Fault(at=5, stream_error=kind, message="the ferret left"))
    error = fail(sdk, stream=True)
    assert (error.type, "the ferret left" in error.message) == (kind, True)
    assert [record["error_type"] for record in eventually(gateway.records)] == [kind]


@pytest.mark.parametrize("body", ["html", "empty", "malformed"])
def test_a_success_that_is_no_answer_is_an_error(sdk: SDK, gateway: Served, body: str) -> None:
    """Status 200 with a login page, or nothing, or half a document: 502 that says so, where the bare SDK would stumble."""
    gateway.sandbox.script(Fault(body=body, times=2))
    assert [fail(sdk, stream=stream).status_code for stream in (False, True)] == [502, 502]


def test_the_sdk_retries_what_passes(gateway: Served) -> None:
    """529, then an answer: two calls in the books, one answer to the user."""
    gateway.sandbox.script(Fault(status=529))
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=1) as sdk:
        assert ask(sdk, model=MODEL).stop_reason == "end_turn"
    assert [record["status"] for record in oldest_first(gateway)] == [529, 200]


def test_the_sdk_waits_as_upstream_asks(gateway: Served) -> None:
    """`retry-after` is obeyed literally: what travels is upstream's figure."""
    gateway.sandbox.script(Fault(status=429, retry_after="1"))
    began = time.monotonic()
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=1) as sdk:
        assert ask(sdk, model=MODEL).stop_reason == "end_turn"
    assert time.monotonic() - began >= 1.0


def test_the_sdk_does_not_retry_what_it_must_not(gateway: Served) -> None:
    """x-should-retry: false outweighs the status."""
    gateway.sandbox.script(Fault(status=429, should_retry="false", times=0))
    with anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=3) as sdk:
        assert isinstance(fail(sdk), anthropic.RateLimitError)
    assert statuses(gateway) == [429]


def test_a_dropped_connection_upstream_is_mended_before_the_sdk_hears_of_it(sdk: SDK, gateway: Served) -> None:
    """A kept-alive connection that died is opened again: one answer, one record."""
    ask(sdk, model=MODEL)
    gateway.sandbox.script(Fault(drop=True))
    assert ask(sdk, model=MODEL, messages=turn("again")).stop_reason == "end_turn"
    assert [record["status"] for record in oldest_first(gateway)] == [200, 200]
