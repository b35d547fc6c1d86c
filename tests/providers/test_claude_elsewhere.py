"""Claude at Bedrock, at Anthropic itself and on Google Cloud: what goes out, where, and as whom.

Golden files: `tests/golden/elsewhere/KIND/DIALECT--NAME.json` is what the request `tests/golden/DIALECT/NAME.json` becomes;
requests of Bedrock clients stand in `elsewhere/inbound`. After a change on purpose: `pytest tests/providers
--update-golden`, then read the diff.
"""

import base64
import http.client
import json
import time
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.canonical.call import Call, Caller, Operation, Request, Target
from gateway.canonical.errors import CredentialRefused, GatewayError, InvalidRequest
from gateway.canonical.json_object import JsonObject
from gateway.credentials.access_token import TokenError
from gateway.dialects import DIALECTS
from gateway.dialects.anthropic import door as anthropic
from gateway.dialects.bedrock import door as bedrock_dialect
from gateway.providers import anthropic_direct, authorization, bedrock, google_claude
from gateway.providers.hosts import AWS, GOOGLE, host_faults
from gateway.providers.provider import Lesson, Outgoing, Provider
from gateway.sandbox import Sandbox

GOLDEN = Path(__file__).parent.parent / "golden"
KINDS: dict[str, ModuleType] = {"bedrock": bedrock, "anthropic": anthropic_direct, "google-claude": google_claude}
UPSTREAM = {"bedrock": "anthropic.claude-opus-5-5", "anthropic": "claude-opus-5-5", "google-claude": "claude-opus-5-5"}
CASES = (
    ("anthropic", "claude-code-first-turn"),
    ("anthropic", "tags-are-dropped"),
    ("anthropic", "the-version-of-october-2026-is-carried-into-the-body"),
    ("anthropic", "token-counting-keeps-the-model-in-the-body"),
    ("anthropic", "unknown-fields-and-odd-numbers-survive"),
    ("anthropic", "an-unknown-version-is-refused-with-a-sentence"),
    ("vertex", "claude-code-vertex-mode-passes-byte-for-byte"),
    ("vertex", "every-beta-and-field-is-the-clients-own"),
    ("bedrock", "claude-code-bedrock-mode"),
    ("bedrock", "token-counting-stands-inside"),
)
OWN = (
    b'{"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["interleaved-thinking-2025-05-14"], "max_tokens":50,'
    b' "messages":[{"role":"user","content":"Hello there"}]}'
)
HELLO = b'{"model":"claude-opus-5-5","max_tokens":50,"messages":[{"role":"user","content":"Hello there"}]}'


def provider(kind: str, **more: Any) -> Provider:
    return Provider(**{"id": kind, "kind": kind, "credential": "env:K", "workspace_id": "wrkspc_1", **more})


def target(kind: str, location: str = "us-east-1", model: str | None = None, **more: Any) -> Target:
    return Target(provider(kind, **more), "claude-opus-5-5", model or UPSTREAM[kind], location, "anthropic")


def call_of(
    dialect: str,
    body: bytes,
    *,
    operation: Operation = "generate",
    stream: bool = False,
    version: str | None = None,
    **headers: str,
) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(operation, "claude-opus-5-5", stream, JsonObject(body), version)
    return Call("req_1", Caller("key_1", "demo"), dialect, request, named, at=0.0, started=0.0)


def read_golden(dialect: str, name: str) -> Call:
    inbound = GOLDEN / "elsewhere" / "inbound" / f"{dialect}--{name}.json"
    file = JsonObject((inbound if inbound.exists() else GOLDEN / dialect / f"{name}.json").read_bytes())
    spoken: Any = bedrock_dialect if dialect == bedrock_dialect.NAME else DIALECTS[dialect]
    pattern, operation = next((p, o) for p, o in spoken.PATHS if p.search(file.value("path")))
    match = pattern.search(file.value("path"))
    assert match is not None
    request = spoken.parse_request(operation, match, {}, file.value("headers"), file.raw("body"))
    return Call("req_1", Caller("key_1", "demo"), dialect, request, file.value("headers"), at=0.0, started=0.0)


def render(kind: str, call: Call) -> bytes:
    try:
        sent: Outgoing = KINDS[kind].prepare(call, target(kind), "acme-prod", Lesson())
    except GatewayError as error:
        return json.dumps({"refused": {"status": error.status, "message": error.message}}, indent=2).encode() + b"\n"
    rest = {"path": sent.path, "headers": dict(sorted(sent.headers.items())), "dropped": list(sent.dropped)}
    return json.dumps(rest, indent=2).encode().removesuffix(b"\n}") + b',\n  "body": ' + sent.body + b"\n}\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dialect", "name"), CASES)
def test_what_goes_out_is_what_was_agreed(kind: str, dialect: str, name: str, pytestconfig: pytest.Config) -> None:
    """Path, headers, what was dropped, and the body's bytes."""
    found = render(kind, read_golden(dialect, name))
    expected = GOLDEN / "elsewhere" / kind / f"{dialect}--{name}.json"
    if pytestconfig.getoption("--update-golden"):
        expected.parent.mkdir(parents=True, exist_ok=True)
        expected.write_bytes(found)
    assert found.decode() == expected.read_text(), "read the difference; if it is meant: pytest tests/providers --update-golden"


def test_a_messages_body_goes_to_anthropic_byte_for_byte() -> None:
    """Model and all, with the headers that the client sent."""
    call = call_of("anthropic", HELLO, version="2026-10-21", anthropic_beta="a-2026-01-01,b", anthropic_version="2026-10-21")
    sent = anthropic_direct.prepare(call, target("anthropic"), "", Lesson())
    assert (sent.path, sent.body) == ("/v1/messages", HELLO)
    assert (sent.headers["anthropic-beta"], sent.headers["anthropic-version"]) == ("a-2026-01-01,b", "2026-10-21")


def test_a_bedrock_body_goes_to_bedrock_byte_for_byte() -> None:
    """With the betas that it names, and the guardrails that the client asked for."""
    asked = {"x_amzn_bedrock_guardrailidentifier": "g1", "x_amzn_bedrock_service_tier": "priority"}
    call = call_of("bedrock", OWN, stream=True, anthropic_beta="claude-code-20250219,files-api-2025-04-14", **asked)
    sent = bedrock.prepare(call, target("bedrock"), "", Lesson())
    assert sent.body == OWN
    assert sent.headers["anthropic-beta"] == "claude-code-20250219"
    assert sent.headers["x-amzn-bedrock-guardrailidentifier"] == "g1"
    assert sent.dropped == ("anthropic-beta:files-api-2025-04-14", "x-amzn-bedrock-service-tier")


def test_what_a_refusal_taught_is_left_out() -> None:
    """A beta and a field, in Bedrock's own dialect too."""
    lesson = Lesson(frozenset({"interleaved-thinking-2025-05-14"}), frozenset({"metadata"}))
    body = OWN[:-1] + b',"metadata":{"user_id":"x"}}'
    sent = bedrock.prepare(call_of("bedrock", body), target("bedrock"), "", lesson)
    assert json.loads(sent.body)["anthropic_beta"] == [] and b"metadata" not in sent.body
    assert sent.dropped == ("anthropic-beta:interleaved-thinking-2025-05-14", "metadata")


def test_a_refused_field_teaches() -> None:
    """Bedrock names it in the words of Anthropic's own API."""
    call = call_of("anthropic", HELLO[:-1] + b',"metadata":{"user_id":"x"}}')
    sent = bedrock.prepare(call, target("bedrock"), "", Lesson())
    error = bedrock.parse_error(call, 400, b'{"message":"metadata: Extra inputs are not permitted"}', {}, "")
    assert bedrock.parse_lesson(sent, error) == Lesson(frozenset(), frozenset({"metadata"}))


@pytest.mark.parametrize(
    ("location", "host", "model"),
    [
        ("global", "bedrock-runtime.us-east-1", "global.anthropic.claude-opus-5-5"),
        ("us", "bedrock-runtime.us-east-1", "us.anthropic.claude-opus-5-5"),
        ("eu", "bedrock-runtime.eu-central-1", "eu.anthropic.claude-opus-5-5"),
        ("us-west-2", "bedrock-runtime.us-west-2", "us.anthropic.claude-opus-5-5"),
        ("us-gov-west-1", "bedrock-runtime.us-gov-west-1", "us-gov.anthropic.claude-opus-5-5"),
        ("ap-northeast-1", "bedrock-runtime.ap-northeast-1", "jp.anthropic.claude-opus-5-5"),
        ("ap-south-1", "bedrock-runtime.ap-south-1", "apac.anthropic.claude-opus-5-5"),
        ("sa-east-1", "bedrock-runtime.sa-east-1", "anthropic.claude-opus-5-5"),
    ],
)
def test_a_location_is_a_host_and_a_profile(location: str, host: str, model: str) -> None:
    """A request never leaves the geography that the operator chose."""
    aim = target("bedrock", location)
    assert bedrock.base_url(aim.provider, location) == f"https://{host}.amazonaws.com"
    assert bedrock.prepare(call_of("anthropic", HELLO), aim, "", Lesson()).path == f"/model/{model}/invoke"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"),
        ("arn:aws:bedrock:us-east-1:1:provisioned-model/x", "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aprovisioned-model%2Fx"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1%3A0"),
    ],
)
def test_models_stand_encoded_in_the_path(model: str, path: str) -> None:
    """What an operator's alias stands for is asked for as it is."""
    aim = target("bedrock", model=model, models={"old": "anthropic.claude-3-haiku-20240307-v1:0"})
    assert bedrock.prepare(call_of("anthropic", HELLO), aim, "", Lesson()).path == f"/model/{path}/invoke"


def test_counting_wraps_an_invoke_body() -> None:
    """By the model's own id, with the `max_tokens` that AWS asks for."""
    body = HELLO.replace(b'"max_tokens":50,', b'"thinking":{"type":"enabled","budget_tokens":2000},')
    sent = bedrock.prepare(call_of("anthropic", body, operation="count_tokens"), target("bedrock"), "", Lesson())
    assert sent.path == "/model/anthropic.claude-opus-5-5/count-tokens"
    inner = json.loads(base64.b64decode(json.loads(sent.body)["input"]["invokeModel"]["body"]))
    assert (inner["max_tokens"], inner["anthropic_version"], "model" in inner) == (2001, "bedrock-2023-05-31", False)


def test_a_bedrock_client_may_be_answered_by_anthropic_itself() -> None:
    """Version and betas become headers again."""
    request = call_of("bedrock", OWN, stream=True, version="2023-06-01")
    sent = anthropic_direct.prepare(request, target("anthropic"), "", Lesson())
    assert sent.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    assert sent.headers["anthropic-version"] == "2023-06-01"
    assert json.loads(sent.body).keys() == {"model", "stream", "max_tokens", "messages"}


def test_betas_in_the_body_must_be_a_list() -> None:
    """400 that names the member."""
    call = call_of("bedrock", OWN.replace(b'["interleaved-thinking-2025-05-14"]', b'"x"'))
    with pytest.raises(InvalidRequest, match="anthropic_beta: a list"):
        bedrock.prepare(call, target("bedrock"), "", Lesson())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_the_operators_affair(kind: str, status: int) -> None:
    """Never 401 or 403 to a caller, whose key was right."""
    body = b'{"message":"no","type":"error","error":{"type":"permission_error","message":"no"}}'
    error = KINDS[kind].parse_error(call_of("anthropic", HELLO), status, body, {}, "acme-prod")
    assert isinstance(error, CredentialRefused) and error.status == 502


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_html_is_no_answer_to_pass_on(kind: str) -> None:
    """From a proxy in between, say."""
    error = KINDS[kind].parse_error(call_of("anthropic", HELLO), 503, b"<html>", {}, "acme-prod")
    assert error.status == 503 and "<html>" not in error.message


def test_account_numbers_stay_with_the_operator() -> None:
    """Bedrock's messages name ARNs."""
    body = b'{"message":"arn:aws:bedrock:us-east-1:123456789012:x/y is not in account 123456789012"}'
    error = bedrock.parse_error(call_of("bedrock", OWN), 404, body, {}, "")
    assert "123456789012" not in error.message and b"123456789012" not in bedrock_dialect.render_error(error, "r")


def test_a_failing_model_may_be_asked_again() -> None:
    """424 is Bedrock's own; another dialect's clients hear 502."""
    told = {"x-amzn-errortype": "ModelErrorException"}
    error = bedrock.parse_error(call_of("anthropic", HELLO), 424, b'{"message":"failed"}', told, "")
    assert error.status == 502 and "x-amzn-errortype" not in error.headers()
    assert bedrock.parse_error(call_of("bedrock", OWN), 424, b'{"message":"failed"}', told, "").status == 424


@pytest.mark.parametrize(
    ("checked", "words"),
    [
        (bedrock.check_provider(provider("bedrock", locations=("us-east5",))), "no Bedrock location"),
        (bedrock.check_provider(provider("bedrock", locations=("evil.example/",))), "no Bedrock location"),
        (google_claude.check_provider(provider("google-claude", workspace_id=None)), "workspace_id should be"),
        (google_claude.check_provider(provider("google-claude", workspace_id="a/b")), "workspace_id should be"),
        (google_claude.check_provider(provider("google-claude", locations=("no/where",))), "is no location"),
        (google_claude.check_provider(provider("google-claude", project_id="../x")), "no Google Cloud project"),
    ],
)
def test_settings_that_would_break_a_url_are_found(checked: list[str], words: str) -> None:
    """Before the first request."""
    assert len(checked) == 1 and words in checked[0]


@pytest.mark.parametrize(
    ("url", "hosts", "allowed", "fits"),
    [
        (None, GOOGLE, (), True),
        ("https://aiplatform.googleapis.com", GOOGLE, (), True),
        ("https://evilgoogleapis.com", GOOGLE, (), False),
        ("https://googleapis.com.evil.example", GOOGLE, (), False),
        ("http://aiplatform.googleapis.com", GOOGLE, (), False),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", AWS, (), True),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", GOOGLE, (), False),
        ("http://127.0.0.1:9090", GOOGLE, (), False),
        ("http://127.0.0.1:9090", GOOGLE, ("127.0.0.1:9090",), True),
        ("https://anywhere.example/v1", (), (), True),
    ],
)
def test_credentials_travel_home_only(url: str | None, hosts: tuple[str, ...], allowed: tuple[str, ...], fits: bool) -> None:
    """Google's to Google, AWS's to AWS, unless the operator names the host."""
    assert (host_faults(url, hosts, allowed) == []) is fits


@pytest.mark.parametrize("authorize", [authorization.bearer, authorization.api_key, authorization.google_api_key])
@pytest.mark.parametrize("value", ["", "two words", "line\nbreak", '{"json": 1}\n'])
def test_a_key_that_is_none_is_never_sent(authorize: Any, value: str) -> None:
    """It would break out of its header line."""
    with pytest.raises(TokenError) as error:
        authorize(value, "global", "https://x", Outgoing("/", {}, b""), 0.0)
    assert "line\nbreak" not in str(error.value)


def send(sandbox: Sandbox, kind: str, value: str, authorize: Any, call: Call, location: str = "us-east-1") -> Any:
    """One request over the wire, as the sender makes it."""
    aim = target(kind, location, base_url=sandbox.url)
    sent: Outgoing = KINDS[kind].prepare(call, aim, "p1", Lesson())
    url = KINDS[kind].base_url(aim.provider, location) + sent.path
    headers = {**sent.headers, **authorize(value, location, url, sent, time.time())}
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)
    try:
        connection.request("POST", sent.path, sent.body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("dialect", ["anthropic", "vertex", "bedrock"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_messages_dialect_is_understood_everywhere(kind: str, dialect: str) -> None:
    """Signed, keyed or with a token, streamed, against the simulated services."""
    versions = {"anthropic": b"", "vertex": b'"anthropic_version":"vertex-2023-10-16",', "bedrock": b""}
    body = OWN if dialect == "bedrock" else HELLO.replace(b"{", b"{" + versions[dialect], 1)
    call = call_of(dialect, body, stream=True, anthropic_beta="context-1m-2025-08-07")
    with Sandbox() as sandbox:
        ways: dict[str, Any] = {
            "bedrock": (sandbox.aws_json, authorization.aws),
            "anthropic": (sandbox.api_key, authorization.api_key),
            "google-claude": (sandbox.access_token(), authorization.google),
        }
        status, answered = send(sandbox, kind, *ways[kind], call)
    assert status == 200, answered
    watch = (bedrock_dialect if kind == "bedrock" else anthropic).watch_stream()
    watch.feed(answered)
    assert watch.ended and watch.usage() is not None


@pytest.mark.parametrize("kind", ["bedrock", "anthropic"])
def test_tokens_are_counted_everywhere(kind: str) -> None:
    """The same number."""
    with Sandbox() as sandbox:
        value = sandbox.api_key
        authorize = authorization.aws if kind == "bedrock" else authorization.api_key
        call = call_of("anthropic", HELLO.replace(b'"max_tokens":50,', b""), operation="count_tokens")
        status, answered = send(sandbox, kind, value, authorize, call)
    assert status == 200 and 11 in json.loads(answered).values()
