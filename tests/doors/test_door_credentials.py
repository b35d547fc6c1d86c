"""Whose key is found where, and what of a request's headers reaches the provider."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from house import Served, message
from wire import Answer, ask

from gateway.callers.keys import new_key

GOOGLE_BEARER = "Bearer ya29.c.somebody-elses-token"


def call(gateway: Served, headers: dict[str, str], path: str = "/v1/messages") -> Answer:
    return ask(gateway.url, "POST", path, body=message(), headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {key}"},
        {"authorization": "bearer   {key}"},
        {"Authorization": "{key}"},
        {"x-api-key": "{key}"},
        {"X-Goog-Api-Key": "{key}"},
        {"x-portkey-api-key": "{key}"},
        {"authorization": GOOGLE_BEARER, "x-goog-api-key": "{key}"},
        {"authorization": GOOGLE_BEARER, "x-api-key": "{key}"},
        {"authorization": "Basic dXNlcjpwYXNz", "x-api-key": "sk-ant-other", "x-portkey-api-key": "{key}"},
        {"authorization": "Bearer {key}", "x-api-key": "{key}"},
        {"authorization": "Bearer {key}", "x-api-key": "sk-ant-api03-foreign"},
    ],
)
def test_a_key_is_found_in_every_header_that_clients_use(gateway: Served, headers: dict[str, str]) -> None:
    """The first value that looks like ours counts; foreign credentials beside it are ignored."""
    assert call(gateway, {name: value.format(key=gateway.key) for name, value in headers.items()}).status == 200


def test_no_credential_of_the_callers_reaches_the_provider(gateway: Served) -> None:
    """The provider sees the gateway's own token, and `anthropic-*` of what the caller sent."""
    answer = call(gateway, {
        "authorization": GOOGLE_BEARER,
        "x-api-key": gateway.key,
        "x-goog-api-key": "AIza-foreign",
        "x-portkey-api-key": "foreign",
        "x-goog-user-project": "foreign-project",
        "proxy-authorization": "Basic foreign",
        "cookie": "session=foreign",
        "x-gateway-trace-id": "trace-1",
        "x-gateway-metadata": '{"team":"core"}',
        "x-portkey-metadata": '{"team":"core"}',
        "x-claude-code-session-id": "session-1",
        "x-forwarded-for": "203.0.113.7",
        "user-agent": "somebody/1.0",
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "interleaved-thinking-2025-05-14",
        "anthropic-dangerous-direct-browser-access": "true",
    })  # fmt: skip
    assert answer.status == 200
    sent = gateway.sandbox.requests[-1]
    assert set(sent.headers) == {
        "host", "content-length", "content-type", "accept", "accept-encoding", "authorization", "anthropic-version",
        "anthropic-beta", "anthropic-dangerous-direct-browser-access",
    }  # fmt: skip
    assert sent.headers["authorization"].startswith("Bearer ya29.c.")
    assert sent.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"
    everything = f"{sent.path} {sent.query} {dict(sent.headers)} {sent.body!r}"
    assert gateway.key not in everything
    assert "foreign" not in everything


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Bearer sk-ant-foreign"},
        {"x-api-key": "gw-tooshort"},
        {"x-api-key": "gw-" + "A" * 44},
        {"x-api-key": new_key()},
        {"cookie": "key=gw-" + "A" * 43},
    ],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"])
def test_a_missing_or_unknown_key_is_401_and_not_tried_again(gateway: Served, headers: dict[str, str], path: str) -> None:
    """`x-should-retry: false`: without it Claude Code retries a 401 for minutes."""
    before = len(gateway.sandbox.requests)
    answer = ask(gateway.url, "GET" if path.endswith("models") else "POST", path, body=message(), headers=headers)
    assert (answer.status, answer.error["type"]) == (401, "authentication_error")
    assert answer.headers["x-should-retry"] == "false"
    assert len(gateway.sandbox.requests) == before


def test_revoked_and_expired_keys_are_told_apart_in_the_log_only(gateway: Served) -> None:
    """A caller learns nothing about keys that are not theirs to use; the operator does."""
    now = datetime.now(UTC)
    keys = {
        "no_key": "",
        "unknown_key": new_key(),
        "revoked_key": gateway.add_key(revoked_at=now),
        "expired_key": gateway.add_key(valid_until=now - timedelta(seconds=1)),
    }
    told = set()
    for reason, key in keys.items():
        answer = call(gateway, {"x-api-key": key})
        assert answer.status == 401
        told.add(answer.error["message"])
        line = next(line for line in gateway.log_lines() if line["request_id"] == answer.request_id)
        assert line["reason"].startswith(reason)
        assert line["severity"] == "WARNING"
        assert not key or key not in str(line)
    assert len(told) == 1


def test_a_key_that_expires_later_works(gateway: Served) -> None:
    """Expiry is a moment, not a flag."""
    key = gateway.add_key(valid_until=datetime.now(UTC) + timedelta(hours=1))
    assert call(gateway, {"x-api-key": key}).status == 200


def test_a_key_in_the_query_works_only_where_it_is_allowed(gateway: Served, serve: Callable[..., Served]) -> None:
    """URLs end up in request logs, so it is off unless the operator says so; it never goes upstream."""
    assert call(gateway, {}, f"/v1/messages?key={gateway.key}").status == 401
    open_gateway = serve(GATEWAY_ALLOW_QUERY_KEY="true")
    assert call(open_gateway, {}, f"/v1/messages?key={open_gateway.key}").status == 200
    assert open_gateway.sandbox.requests[-1].query == ""


def test_a_key_reaches_only_the_providers_of_its_project(gateway: Served) -> None:
    """A project that names other providers has nobody who serves the model: 404, not somebody else's bill."""
    key = gateway.add_key(project="elsewhere", project_fields={"providers": ["other"]})
    answer = call(gateway, {"x-api-key": key})
    assert (answer.status, answer.error["type"]) == (404, "not_found_error")
    assert gateway.records("elsewhere") == []
