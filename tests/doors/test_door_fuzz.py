"""No input gives a 500 or a traceback: whatever comes in, what goes out is an answer, or an error with a sentence."""

import http.client
import json
import string
from typing import Any
from urllib.parse import urlsplit

from house import Served, message
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire import send_raw

BOUNDED = settings(max_examples=150, deadline=None, derandomize=True, database=None)
VERTEX = "/v1/projects/p/locations/l/publishers/anthropic/models"
MODEL = "claude-sonnet-4-6"
KNOWN_PATHS = (
    "/v1/messages",
    "/v1/messages/count_tokens",
    f"{VERTEX}/{MODEL}:rawPredict",
    f"{VERTEX}/{MODEL}:streamRawPredict",
    f"{VERTEX}/count-tokens:rawPredict",
    "/v1/models",
    "/v1/models/x",
    "/livez",
    "/readyz",
    "/",
    "/api/hello",
)
ODD_SEGMENTS = [
    "..",
    ".",
    "%2e%2e",
    "%2F",
    "%5C",
    "%00",
    "%0d%0a",
    "%ff%fe",
    "%C3%A9",
    "%F0%9F%9A%80",
    "%",
    "%zz",
    "admin",
    "v1",
    "messages",
    "models",
    "claude-sonnet-4-6:rawPredict",
    ":rawPredict",
    "%40",
    "@",
    "*",
    "{}",
    ";x=1",
    "~",
    "'",
    "%22",
    "<script>",
]
BODY_MEMBERS = [
    "model",
    "stream",
    "messages",
    "max_tokens",
    "anthropic_version",
    "anthropic_beta",
    "system",
    "tools",
    "metadata",
    "context_management",
    "output_config",
    "thinking",
    "tags",
    "cache_control",
]
ODD_BODIES = (
    b'{"model":"\\ud800","messages":[]}',
    b'{"a":1,"a":2,"model":"x","model":"claude-sonnet-4-6"}',
    b'{"model":1e999}',
    b'{"\\u0000":1}',
    b"\xef\xbb\xbf{}",
    b'{"model":"claude-sonnet-4-6",}',
    b"{" * 50_000,
    b"NaN",
    b"\x00" * 100,
)
HEADERS = [
    "content-type",
    "accept",
    "anthropic-version",
    "anthropic-beta",
    "anthropic-odd",
    "x-gateway-metadata",
    "x-gateway-trace-id",
    "x-gateway-provider",
    "x-gateway-config",
    "x-portkey-metadata",
    "x-portkey-provider",
    "x-claude-code-session-id",
    "x-api-key",
    "x-cloud-trace-context",
    "cookie",
    "user-agent",
    "x-forwarded-for",
    "content-encoding",
    "range",
    "if-none-match",
    "origin",
]

odd_segments = st.sampled_from([*ODD_SEGMENTS, "a" * 3_000])
paths = st.one_of(
    st.sampled_from(KNOWN_PATHS),
    st.builds(
        lambda parts, known: "/" + "/".join(parts) + known,
        st.lists(odd_segments, max_size=5),
        st.sampled_from(("", *KNOWN_PATHS)),
    ),
    st.builds(
        lambda model, verb: f"{VERTEX}/{model}:{verb}", odd_segments, st.sampled_from(["rawPredict", "streamRawPredict", "x"])
    ),
    st.text(string.ascii_letters + string.digits + "/%?&=:@._-~+,;", max_size=60).map(lambda text: "/" + text),
)
queries = st.one_of(
    st.just(""), st.text(string.ascii_letters + string.digits + "%&=+/?._-", max_size=40).map(lambda text: "?" + text)
)
methods = st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "MKCOL"])

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
nests = st.integers(100, 30_000).map(
    lambda depth: b'{"model":"claude-sonnet-4-6","messages":' + b"[" * depth + b"]" * depth + b"}"
)
wrong_members = st.fixed_dictionaries({}, optional=dict.fromkeys(BODY_MEMBERS, json_values))
bodies = st.one_of(
    st.binary(max_size=200),
    json_values.map(lambda value: json.dumps(value).encode()),
    wrong_members.map(lambda members: json.dumps({**message(), **members}).encode()),
    wrong_members.map(lambda members: json.dumps(members, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    nests,
    st.sampled_from(ODD_BODIES),
)
odd_texts = st.text(st.characters(min_codepoint=32, max_codepoint=255, blacklist_characters="\x7f"), max_size=80).filter(
    lambda text: not any("\x7f" <= character <= "\x9f" for character in text)
)
headers = st.dictionaries(st.sampled_from(HEADERS), odd_texts | st.just("x" * 5_000) | json_values.map(json.dumps), max_size=4)


def check(gateway: Served, method: str, path: str, body: bytes, more: dict[str, str]) -> None:
    """Asks, and looks at what comes back."""
    parts = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {"authorization": f"Bearer {gateway.key}", "content-length": str(len(body)), **more}.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    asked = f"{method} {path} {more} {body[:200]!r}"
    assert response.status < 500 or (response.status == 503 and path.startswith("/readyz")), (asked, response.status, content)
    assert b"Traceback" not in content and b'File "' not in content, asked
    assert response.headers["x-gateway-request-id"], asked
    if response.status >= 400 and method != "HEAD":
        assert response.headers["content-type"] == "application/json", asked
        document = json.loads(content)
        if path.lstrip("/").startswith("admin"):
            assert document["error"]["message"], asked
            return
        assert document["type"] == "error", asked
        assert document["request_id"], asked
        assert len(document["error"]["message"].split()) >= 3 or document["request_id"].startswith("req_vrtx"), (asked, document)
    assert not gateway.server_errors, (asked, gateway.server_errors)


def test_no_path_or_method_breaks_a_door(gateway: Served) -> None:
    """Traversal, encodings, unknown methods, very long paths."""

    @BOUNDED
    @given(method=methods, path=paths, query=queries)
    def holds(method: str, path: str, query: str) -> None:
        check(gateway, method, path + query, b"", {})

    holds()


def test_no_body_breaks_a_door(gateway: Served) -> None:
    """Random bytes, random JSON, deep nesting, every member of the wrong type."""

    @BOUNDED
    @given(path=st.sampled_from(KNOWN_PATHS[:5]), body=bodies)
    @example(path="/v1/messages", body=b"[" * 3_000_000)
    @example(path="/v1/messages", body=b'{"model":"claude-sonnet-4-6","messages":' + b'{"a":' * 300_000)
    def holds(path: str, body: bytes) -> None:
        check(gateway, "POST", path, body, {})

    holds()


def test_no_header_breaks_a_door(gateway: Served) -> None:
    """Odd characters, odd JSON, values of 5,000 characters, in every header that is looked at."""

    @BOUNDED
    @given(path=st.sampled_from(KNOWN_PATHS), more=headers, stream=st.booleans())
    def holds(path: str, more: dict[str, str], stream: bool) -> None:
        method = "POST" if "messages" in path or "Predict" in path else "GET"
        check(gateway, method, path, json.dumps(message(stream=stream)).encode(), more)

    holds()


def test_bytes_that_are_no_http_do_not_break_the_gateway(gateway: Served) -> None:
    """The web server's affair; nothing of ours may fall over, and the next caller is answered."""

    @BOUNDED
    @given(
        data=st.binary(max_size=300),
        prefix=st.sampled_from([b"", b"POST /v1/messages HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n"]),
    )
    def holds(data: bytes, prefix: bytes) -> None:
        answer = send_raw(gateway.url, prefix + data, half_close=True)
        assert b"Traceback" not in answer
        assert b" 500 " not in answer.partition(b"\r\n")[0]

    holds()
    assert gateway.ask().status_code == 200
    assert gateway.house.answering.open_calls == 0
