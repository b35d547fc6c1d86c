"""The exchange at the token endpoint: every answer that is no token, told with its mend, and few quick retries."""

from typing import Any

import pytest
import requests
import responses
from token_doubles import EMAIL, START, HandClock

from gateway.credentials.access_token import TokenError
from gateway.credentials.timing import Timing
from gateway.credentials.token_endpoint import TokenEndpoint

URL = "https://oauth2.googleapis.com/token"
GRANTED = {"access_token": "ya29.fresh", "expires_in": 3599, "token_type": "Bearer"}
SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


def exchange(clock: HandClock | None = None, assertion: str = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln") -> tuple[str, float]:
    clock = clock or HandClock()
    return TokenEndpoint(URL, None, Timing(clock.now, clock.now, clock.sleep, lambda: 0.5)).exchange(assertion, EMAIL)


def refusal(clock: HandClock | None = None) -> TokenError:
    with pytest.raises(TokenError) as caught:
        exchange(clock)
    assert caught.value.__cause__ is None
    return caught.value


@responses.activate
def test_an_assertion_becomes_a_token_with_its_real_lifetime() -> None:
    """One form POST, and the endpoint's own expires_in."""
    responses.post(URL, json=GRANTED)
    assert exchange() == ("ya29.fresh", 3599.0)
    body = str(responses.calls[0].request.body)
    assert body == "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=eyJhbGciOiJSUzI1NiJ9.e30.c2ln"


@responses.activate
def test_a_lifetime_written_as_a_string_counts() -> None:
    """Some endpoints quote their numbers."""
    responses.post(URL, json=GRANTED | {"expires_in": "1800"})
    assert exchange()[1] == 1800.0


@pytest.mark.parametrize(
    ("status", "answer", "fault", "words", "key_at_fault"),
    [
        (400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, "key_refused",
         "deleted or rotated", True),
        (400, {"error": "invalid_grant", "error_description": SHORT_LIVED}, "clock_skew", "clock is wrong", False),
        (400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}, "account_missing",
         "does not exist", True),
        (400, {"error": "invalid_grant", "error_description": "Robot is disabled."}, "account_disabled", "is disabled", True),
        (401, {"error": "disabled_client", "error_description": "The OAuth client was disabled."}, "account_disabled",
         "is disabled", True),
        (400, {"error": "invalid_grant"}, "key_refused", "refused the key", True),
        (400, {"error": "invalid_scope", "error_description": "Bad Request"}, "scope_refused", "scope", False),
        (401, {"error": "unauthorized_client"}, "client_refused", "does not let this account", True),
        (401, {"error": "invalid_client"}, "client_refused", "does not know", True),
        (401, {"error": "deleted_client"}, "account_missing", "does not exist", True),
        (403, {"error": {"code": 403, "message": "x"}}, "refused", "GATEWAY_GOOGLE_TOKEN_URI", False),
        (404, {}, "refused", "GATEWAY_GOOGLE_TOKEN_URI", False),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
@responses.activate
def test_a_refusal_is_named_with_its_mend(status: int, answer: Any, fault: str, words: str, key_at_fault: bool) -> None:
    """Asked once, no retry; the text names the account, Google's words and what to do."""
    responses.post(URL, json=answer, status=status)
    error = refusal()
    assert (error.fault, error.key_at_fault, error.transient) == (fault, key_at_fault, False)
    assert words in str(error) and EMAIL in str(error) and error.mend
    assert len(responses.calls) == 1


@responses.activate
def test_a_wrong_clock_is_measured() -> None:
    """The endpoint's Date header says by how much the clock is off."""
    answer = {"error": "invalid_grant", "error_description": SHORT_LIVED}
    responses.post(URL, json=answer, status=400, headers={"Date": "Mon, 21 Sep 2026 13:20:00 GMT"})
    assert "clock is wrong, 780 s ahead" in str(refusal(HandClock(1_789_997_580.0)))


@responses.activate
def test_callers_are_told_neither_account_nor_endpoint() -> None:
    """What a caller reads names no account; the log's reason does. A caller need not retry what will not mend itself."""
    responses.post(URL, json={"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, status=400)
    error = refusal()
    assert EMAIL not in error.message and "oauth2" not in error.message
    assert EMAIL in error.reason
    assert (error.status, error.headers()) == (502, {"x-should-retry": "false"})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@responses.activate
def test_a_redirect_is_not_followed(status: int) -> None:
    """An assertion is as good as a token: it goes to the endpoint of the settings and nowhere else."""
    responses.post(URL, status=status, headers={"Location": "https://elsewhere.example/token"})
    elsewhere = responses.post("https://elsewhere.example/token", json=GRANTED)
    error = refusal()
    assert error.fault == "redirected" and "GATEWAY_GOOGLE_TOKEN_URI" in str(error)
    assert elsewhere.call_count == 0


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
@responses.activate
def test_a_busy_endpoint_is_asked_again_soon(status: int) -> None:
    """Two quick retries, within a second or so."""
    responses.post(URL, status=status)
    responses.post(URL, json={"error": "internal_failure"}, status=400)
    responses.post(URL, json=GRANTED)
    clock = HandClock()
    assert exchange(clock)[0] == "ya29.fresh"
    assert 0.2 <= clock.slept_s <= 1.2


@responses.activate
def test_retries_end_after_the_third_attempt() -> None:
    """Then the caller is told, and may come again."""
    responses.post(URL, status=503)
    error = refusal()
    assert (error.fault, error.transient, len(responses.calls)) == ("busy", True, 3)
    assert error.headers() == {"x-should-retry": "true"}


@pytest.mark.parametrize(
    "trouble", [requests.ConnectionError("boom"), requests.ReadTimeout("boom"), requests.exceptions.SSLError("boom")], ids=repr
)
@responses.activate
def test_an_unreachable_endpoint_is_tried_again_and_named(trouble: Exception) -> None:
    """Connection errors are retried like busy answers, and the text says where to look."""
    responses.post(URL, body=trouble)
    error = refusal()
    assert (error.fault, error.transient, len(responses.calls)) == ("unreachable", True, 3)
    assert URL in str(error) and "network" in error.mend


@responses.activate
def test_a_slow_endpoint_does_not_use_up_three_timeouts() -> None:
    """Two attempts of five seconds are over the nine that one exchange may take: no third begins."""
    clock = HandClock()

    def time_out(request: Any) -> Any:
        clock.move(5.0)
        raise requests.ReadTimeout("slow")

    responses.add_callback(responses.POST, URL, time_out)
    refusal(clock)
    assert clock.time - START <= 10.5


@responses.activate
def test_a_url_that_is_none_is_named_as_such() -> None:
    """A fault of the settings is not retried."""
    clock = HandClock()
    endpoint = TokenEndpoint("token", None, Timing(clock.now, clock.now, clock.sleep, lambda: 0.5))
    with pytest.raises(TokenError, match="GATEWAY_GOOGLE_TOKEN_URI") as caught:
        endpoint.exchange("eyJ.e30.x", EMAIL)
    assert (caught.value.fault, clock.slept_s) == ("unusable_endpoint", 0.0)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"access_token": "ya29.x"},
        {"access_token": "", "expires_in": 3599},
        {"access_token": "two words", "expires_in": 3599},
        {"access_token": "ya29.x\r\nx-evil: 1", "expires_in": 3599},
        {"access_token": ["ya29.x"], "expires_in": 3599},
        {"access_token": "ya29.x", "expires_in": 0},
        {"access_token": "ya29.x", "expires_in": -5},
        {"access_token": "ya29.x", "expires_in": "soon"},
        {"access_token": "ya29.x", "expires_in": "nan"},
        {"access_token": "ya29.x", "expires_in": None},
        ["ya29.x"],
        "ya29.x",
    ],
    ids=str,
)
@responses.activate
def test_an_answer_without_a_usable_token_is_refused(answer: Any) -> None:
    """What would break a header, or has no end, is not a token."""
    responses.post(URL, json=answer)
    assert refusal().fault == "no_token_in_answer"


@responses.activate
def test_an_endless_answer_is_cut_off() -> None:
    """A few kilobytes are a token's answer; megabytes are not read."""
    responses.post(URL, body=b'{"access_token":"' + b"x" * 1_000_000)
    assert refusal().fault == "no_token_in_answer"


@responses.activate
def test_an_endpoint_that_echoes_the_assertion_does_not_put_it_in_the_log() -> None:
    """Whatever looks like an assertion or a token is taken out of Google's words."""
    words = "bad assertion eyJhbGciOiJSUzI1NiJ9.e30.c2ln for ya29.abc-DEF\u2028\n"
    responses.post(URL, json={"error": "invalid_request", "error_description": words * 50}, status=400)
    error = refusal()
    assert "c2ln" not in str(error) and "abc-DEF" not in str(error) and "\n" not in str(error)
    assert len(str(error)) < 600
