"""What a caller is told when a call cannot be answered: the right status, words that help, and whether to try again."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from house import Served, message
from wire import Answer, ask, connect, eventually, send_raw

from gateway.sandbox import Fault

MEBIBYTE = 1024 * 1024


def post(gateway: Served, body: Any = None, path: str = "/v1/messages", **headers: Any) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(gateway.url, "POST", path, body=message() if body is None else body, headers={"x-api-key": gateway.key, **named})


def fail(gateway: Served, *faults: Fault, stream: bool = False) -> Answer:
    gateway.sandbox.script(*faults)
    return post(gateway, message(stream=stream))


# -- the request is wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"hello", "not valid JSON"),
        (b'{"model":', "not valid JSON"),
        (b'{"model":"claude-sonnet-4-6"} trailing', "not valid JSON"),
        (b"[]", "not an object"),
        (b'[{"model":"claude-sonnet-4-6"}]', "not an object"),
        (b"null", "not an object"),
        (b'"text"', "not an object"),
        (b"17", "not an object"),
        ('{"model":"claude-é"}'.encode("latin-1"), "not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8"),
        (b"[" * 200_000, "not an object"),
        (b'{"messages":' + b"[" * 200_000, "not valid JSON"),
        (b"{}", "model"),
        (b'{"model":7}', "model"),
        (b'{"model":""}', "model"),
        (b'{"model":null}', "model"),
        (b'{"model":"claude-sonnet-4-6","stream":"yes"}', "stream"),
        (b'{"model":"claude-sonnet-4-6","stream":1}', "stream"),
    ],
)
def test_a_body_that_cannot_be_read_is_400_and_says_why(gateway: Served, body: bytes, words: str) -> None:
    """Nothing goes upstream, nothing is recorded."""
    before = len(gateway.sandbox.requests)
    answer = post(gateway, body)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert words in answer.error["message"]
    assert len(gateway.sandbox.requests) == before


def test_a_body_beyond_the_limit_is_413_at_once(serve: Callable[..., Served]) -> None:
    """By its stated length, and by its real one where none is stated."""
    gateway = serve(GATEWAY_MAX_REQUEST_BYTES="2000")
    assert post(gateway, message("x" * 1000)).status == 200
    for answer in (post(gateway, message("x" * 3000)), post_in_chunks(gateway, b"x" * 3000)):
        assert (answer.status, answer.error["type"]) == (413, "request_too_large")
        assert "2000 bytes" in answer.error["message"]


def post_in_chunks(gateway: Served, body: bytes) -> Answer:
    """Without a content-length."""
    lines = (
        "POST /v1/messages HTTP/1.1",
        "host: x",
        f"x-api-key: {gateway.key}",
        "transfer-encoding: chunked",
        "connection: close",
    )
    head = "\r\n".join([*lines, "", ""]).encode()
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[i : i + 500] for i in range(0, len(body), 500)))
    answer = send_raw(gateway.url, head + chunks + b"0\r\n\r\n")
    status, _, rest = answer.partition(b"\r\n")
    told, _, content = rest.partition(b"\r\n\r\n")
    return Answer(int(status.split()[1]), dict(line.lower().split(": ", 1) for line in told.decode().split("\r\n")), content)


def test_a_chunked_body_is_read(gateway: Served) -> None:
    """Some proxies forward requests without a content-length."""
    answer = post_in_chunks(gateway, json.dumps(message("In pieces " * 200)).encode())
    assert answer.status == 200
    assert b"In pieces" in gateway.sandbox.requests[-1].body


def test_an_upload_that_ends_early_goes_nowhere(gateway: Served) -> None:
    """Half a prompt is never sent on. Whoever still listens hears why; uvicorn hangs up on those who have hung up."""
    before = len(gateway.sandbox.requests)
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {gateway.key}\r\ncontent-length: 5000\r\n\r\n".encode()
    answer = send_raw(gateway.url, head + json.dumps(message()).encode(), half_close=True)
    assert answer == b"" or (answer.startswith(b"HTTP/1.1 400 ") and b"ended early" in answer), answer
    assert len(gateway.sandbox.requests) == before


@pytest.mark.parametrize(
    "model", ["claude-nobody/9", "gpt-6", "mistral-large", "../../secret", "claude-é", "claude-\u0000", "claude-x y", "x" * 5000,
              "anthropic/claude-sonnet-4-6", "bedrock/claude-sonnet-4-6", "%2e%2e", "claude-" + "9" * 500, 'claude-"quoted"']
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_model_that_nobody_serves_is_404_and_names_those_that_are(gateway: Served, path: str, model: str) -> None:
    """A user sees at once which names would work."""
    before = len(gateway.sandbox.requests)
    answer = post(gateway, message(model=model), path)
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert "claude-" in answer.error["message"].partition("it may use")[2]
    assert len(answer.error["message"]) < 1000
    assert len(gateway.sandbox.requests) == before


def test_a_model_that_is_not_allowed_is_told_like_one_that_does_not_exist(gateway: Served) -> None:
    """One answer for both, naming only what this key may use."""
    key = gateway.add_key(allowed_models=["claude-haiku-4-5*"])
    allowed = post(gateway, message(model="claude-haiku-4-5"), x_api_key=key)
    refused = post(gateway, x_api_key=key)
    unknown = post(gateway, message(model="gpt-6"), x_api_key=key)
    assert (allowed.status, refused.status, unknown.status) == (200, 404, 404)
    assert refused.error["message"].replace("claude-sonnet-4-6", "gpt-6") == unknown.error["message"]
    assert "it may use claude-haiku-4-5 " in refused.error["message"]


def test_the_projects_models_bind_its_keys(gateway: Served) -> None:
    """A key may narrow what its project allows, never widen it."""
    key = gateway.add_key(project="narrow", project_fields={"allowed_models": ["claude-haiku-*"]}, allowed_models=["claude-*"])
    assert post(gateway, x_api_key=key).status == 404
    assert post(gateway, message(model="claude-haiku-4-5"), x_api_key=key).status == 200


def test_an_unknown_api_version_is_400(gateway: Served) -> None:
    """Rather than be sent with a version that means something else."""
    answer = post(gateway, anthropic_version="2031-01-01")
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert "2026-10-21" in answer.error["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-gateway-metadata", "not json"),
        ("x-gateway-metadata", '["a"]'),
        ("x-gateway-metadata", '{"team":7}'),
        ("x-gateway-metadata", '{"team":"two words"}'),
        ("x-gateway-metadata", '{"team":"core\\n"}'),
        ("x-gateway-metadata", json.dumps({"team": "x" * 129})),
        ("x-gateway-metadata", json.dumps({f"n{i}": "x" for i in range(33)})),
        ("x-gateway-metadata", "[" * 5000),
        ("x-portkey-metadata", "{"),
        ("x-gateway-trace-id", "two words"),
        ("x-gateway-trace-id", "x" * 129),
        ("x-portkey-trace-id", "ä"),
        ("x-gateway-provider", "no slug"),
    ],
)
def test_a_header_of_ours_that_is_wrong_is_400_and_named(gateway: Served, name: str, value: str) -> None:
    """Recorded labels can be trusted to be what was sent."""
    before = len(gateway.sandbox.requests)
    answer = ask(gateway.url, "POST", "/v1/messages", body=message(), headers={"x-api-key": gateway.key, name: value})
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert name.rpartition("-")[2] in answer.error["message"]
    assert len(gateway.sandbox.requests) == before


@pytest.mark.parametrize("name", ["x-gateway-provider", "x-portkey-provider"])
def test_a_provider_that_is_none_of_the_projects_is_404(gateway: Served, name: str) -> None:
    """Not 400, at which Claude Code would try eight times with less and less."""
    answer = ask(gateway.url, "POST", "/v1/messages", body=message(), headers={"x-api-key": gateway.key, name: "@nobody"})
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert "@nobody" in answer.error["message"]


# -- the provider says no ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 402, 404, 413, 429, 500, 503, 529])
def test_anthropics_own_errors_pass_byte_for_byte(gateway: Served, status: int, stream: bool) -> None:
    """Claude Code repairs itself by their wording; what steers its retries passes too."""
    fault = Fault(status=status, envelope="anthropic", message="Wörter that matter: `beta`", retry_after="7", should_retry="true")
    answer = fail(gateway, fault, stream=stream)
    assert answer.status == status
    upstream = json.loads(answer.body)
    if status != 413:  # protocols: its wording is one that Claude Code understands
        assert upstream["error"]["message"] == "Wörter that matter: `beta`"
        assert upstream["request_id"].startswith("req_vrtx_")
        assert answer.headers["x-upstream-request-id"] == upstream["request_id"]
        assert b'{"type": "error", "error": {"type": ' in answer.body
    assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("7", "true")
    assert answer.headers["content-type"] == "application/json"
    record = gateway.record(answer.request_id)
    assert (record["status"], record["error_type"]) == (status, upstream["error"]["type"])
    assert record["cost_nanodollars"] == 0


@pytest.mark.parametrize("stream", [False, True])  # on the streaming path Google answers with an array
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "invalid_request_error"), (404, "not_found_error"), (409, "conflict_error"), (429, "rate_limit_error"),
     (500, "api_error"), (503, "api_error"), (504, "timeout_error")],
)  # fmt: skip
def test_googles_errors_are_told_in_anthropics_words(gateway: Served, status: int, kind: str, stream: bool) -> None:
    """With their status and message, and without the operator's project."""
    told = "Quota of projects/sandbox-project exceeded in project: 123456789012, see project sandbox-project"
    answer = fail(gateway, Fault(status=status, envelope="google", message=told, retry_after="3"), stream=stream)
    assert (answer.status, answer.error["type"]) == (status, kind)
    assert "Quota of" in answer.error["message"]
    assert b"sandbox-project" not in answer.body
    assert b"123456789012" not in answer.body
    assert answer.headers["retry-after"] == "3"
    assert answer.json()["request_id"] == answer.request_id


def test_a_model_that_vertex_does_not_know_is_404_without_the_project(gateway: Served) -> None:
    """Google's words name the operator's project and lead a user nowhere."""
    answer = post(gateway, message(model="claude-sonnet-9-9"))
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert "claude-sonnet-9-9" in answer.error["message"]
    assert "Model Garden" in answer.error["message"]
    assert b"sandbox-project" not in answer.body


@pytest.mark.parametrize("stream", [False, True])
def test_a_token_that_died_is_replaced_once_and_the_caller_does_not_notice(serve: Callable[..., Served], stream: bool) -> None:
    """401 upstream: evicted, minted anew, asked again; both attempts are in the record."""
    gateway = serve()
    assert gateway.ask().status_code == 200
    mints = gateway.sandbox.mints
    answer = fail(gateway, Fault(revoke_token=True), stream=stream)
    assert answer.status == 200
    assert gateway.sandbox.mints == mints + 1
    assert [attempt["status"] for attempt in gateway.record(answer.request_id)["attempts"]] == [401, 200]
    assert answer.headers["x-gateway-attempts"] == "2"


@pytest.mark.parametrize(
    "fault", [Fault(status=401, times=0), Fault(status=401, envelope="anthropic", times=0), Fault(status=403)]
)
def test_a_refused_credential_of_ours_is_502_and_nobody_elses_login(serve: Callable[..., Served], fault: Fault) -> None:
    """The caller need not log in; roles and projects are for the operator's log."""
    gateway = serve()
    answer = fail(gateway, fault)
    assert (answer.status, answer.error["type"]) == (502, "api_error")
    assert answer.headers["x-should-retry"] == "false"
    assert "doctor" in answer.error["message"]
    assert b"sandbox-project" not in answer.body
    assert b"aiplatform" not in answer.body
    assert gateway.sandbox.mints <= 2
    line = next(line for line in gateway.log_lines() if line["request_id"] == answer.request_id and "reason" in line)
    assert line["reason"].startswith(f"upstream_{fault.status}")


def test_a_token_endpoint_that_fails_is_502_with_the_reason_in_the_log(serve: Callable[..., Served]) -> None:
    """Nothing was asked of the provider; the call is recorded all the same."""
    gateway = serve()
    gateway.sandbox.script(Fault(status=400, kind="invalid_grant", message="Invalid JWT Signature.", times=0), on="token")
    answer = post(gateway)
    assert (answer.status, answer.error["type"]) == (502, "api_error")
    assert answer.headers["x-should-retry"] == "false"
    assert b"JWT" not in answer.body
    assert gateway.record(answer.request_id)["status"] == 502
    assert "Invalid JWT Signature" in gateway.lines.getvalue()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(body="html"),
        Fault(body="empty"),
        Fault(body="malformed"),
        Fault(redirect_to="http://127.0.0.1:9/elsewhere"),
        Fault(gzip=True),
        Fault(status=502),
        Fault(status=418, envelope="html"),
        Fault(drop=True, times=2),  # a pooled connection that is found closed is replaced once
    ],
    ids=str,
)
def test_what_is_no_answer_is_502(gateway: Served, fault: Fault, stream: bool) -> None:
    """A login page or a cut is never passed off as a message, and no redirect is followed."""
    answer = fail(gateway, fault, stream=stream)
    assert (answer.status, answer.error["type"]) == (502, "api_error")
    assert b"<" not in answer.body
    assert gateway.record(answer.request_id)["status"] == 502


@pytest.mark.parametrize("fault", [Fault(cut="rst"), Fault(cut="fin"), Fault(truncate=True)], ids=str)
def test_a_plain_answer_that_breaks_off_is_502(gateway: Served, fault: Fault) -> None:
    """Half a JSON document helps nobody; a retry does."""
    answer = fail(gateway, fault)
    assert (answer.status, answer.error["type"]) == (502, "api_error")
    assert "try again" in answer.error["message"]
    assert gateway.record(answer.request_id)["status"] == 502


def test_a_provider_that_never_answers_is_504(gateway: Served) -> None:
    """After the first-byte limit (1.5 s here), in spite of an open connection."""
    answer = fail(gateway, Fault(wait_s=20))
    assert (answer.status, answer.error["type"]) == (504, "timeout_error")
    assert gateway.record(answer.request_id)["attempts"][0]["status"] == 504


def test_a_provider_that_is_not_there_is_502(serve: Callable[..., Served]) -> None:
    """The connection is refused; the caller is not told where it went."""
    gateway = serve(VERTEX_BASE_URL="http://127.0.0.1:9")
    answer = post(gateway)
    assert (answer.status, answer.error["type"]) == (502, "api_error")


@pytest.mark.full
def test_a_request_beyond_googles_30_mb_is_told_in_words_that_claude_code_understands(gateway: Served) -> None:
    """`Input is too long.` makes it compact the conversation (protocols of 2026-11-20)."""
    answer = post(gateway, message("x" * (31 * MEBIBYTE)))
    assert (answer.status, answer.error) == (400, {"type": "invalid_request_error", "message": "Input is too long."})


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault(status=400, envelope="google", message="The request size (31457300 bytes) exceeds 30.000MB limit."), 400),
        (Fault(status=413), 413),
        (Fault(status=413, envelope="google"), 413),
        (Fault(status=413, envelope="html"), 413),
    ],
)
def test_too_large_for_the_provider_is_reworded(gateway: Served, fault: Fault, status: int) -> None:
    """Whichever front end of Google's it was that refused."""
    answer = fail(gateway, fault)
    assert (answer.status, answer.error["message"]) == (status, "Input is too long.")


def test_a_refusal_leaves_the_connection_usable(gateway: Served) -> None:
    """Whatever was refused, body read or not, the next request on the same connection is understood."""
    connection = connect(gateway.url)
    large = json.dumps(message("x" * 300_000)).encode()
    for path, headers, status in [
        ("/v1/messages", {}, 401),
        ("/nothing", {"x-api-key": gateway.key}, 404),
        ("/v1/models", {"x-api-key": gateway.key}, 405),
        ("/v1/messages", {"x-api-key": gateway.key, "anthropic-version": "no"}, 400),
        ("/v1/messages", {"x-api-key": gateway.key}, 200),
    ]:
        connection.request("POST", path, body=large, headers=headers)
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["type"]) == (status, "message" if status == 200 else "error")
    connection.close()


def test_too_many_open_calls_are_529_while_probes_still_answer(serve: Callable[..., Served]) -> None:
    """The third of two allowed calls is told to come again in a second; it leaves no usage document."""
    gateway = serve(GATEWAY_MAX_OPEN_CALLS="2")
    gateway.sandbox.script(Fault(wait_s=1.5, times=2))
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(post(gateway).status)) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: gateway.house.answering.open_calls == 2)
    refused = post(gateway)
    assert (refused.status, refused.error["type"], refused.headers["retry-after"]) == (529, "overloaded_error", "1")
    assert [ask(gateway.url, "GET", path).status for path in ("/livez", "/readyz", "/api/hello", "/")] == [200] * 4
    assert ask(gateway.url, "GET", "/v1/models", headers={"x-api-key": gateway.key}).status == 200
    for thread in threads:
        thread.join()
    assert answers == [200, 200]
    assert post(gateway).status == 200
    assert len(gateway.records()) == 3


def test_a_provider_takes_so_many_calls_at_a_time_and_no_more(serve: Callable[..., Served]) -> None:
    """A slow one leaves room for the others. The refusal names it, and is over as soon as a call of its ends, however it ends."""
    gateway = serve(GATEWAY_MAX_PROVIDER_CALLS="1")
    for fault in (Fault(wait_s=0.6), Fault(wait_s=0.6, status=503), Fault(wait_s=0.6, drop=True)):
        gateway.sandbox.script(fault)
        first = threading.Thread(target=lambda: post(gateway))
        first.start()
        eventually(lambda: gateway.house.answering.open_calls == 1)
        eventually(lambda: post(gateway).status == 529)
        refused = post(gateway)
        assert (refused.error["type"], refused.headers["retry-after"]) == ("overloaded_error", "1")
        assert "provider vertex" in refused.error["message"]
        first.join()
        assert post(gateway).status == 200
