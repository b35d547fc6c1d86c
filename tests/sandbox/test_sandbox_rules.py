"""The pretend Vertex AI refuses what the real one refuses, in its words."""

from typing import Any

import pytest
from sandbox_client import HELLO, Client, path, user

from gateway.sandbox import Sandbox

OPUS, HAIKU, SONNET = "claude-opus-5-5", "claude-haiku-4-5@20251001", "claude-sonnet-4-5@20250929"
TOOL = {"name": "t", "input_schema": {"type": "object"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}
CALLED = [*HELLO, {"role": "assistant", "content": [USE]}]
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "r"}
PREFILLED = [*HELLO, {"role": "assistant", "content": "I"}]
WITH_SYSTEM = [*HELLO, {"role": "system", "content": "be brief"}]
URL_IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}

BODIES: list[tuple[str, dict[str, Any], str]] = [
    (OPUS, {"anthropic_version": None}, "anthropic_version: Field required"),
    (OPUS, {"anthropic_version": "2023-06-01"}, "anthropic_version: Input should be"),
    (OPUS, {"model": OPUS}, "model: Extra inputs are not permitted"),
    (OPUS, {"service_tier": "auto"}, "service_tier: Extra inputs are not permitted"),
    (OPUS, {"tags": ["a"]}, "tags: Extra inputs are not permitted"),
    (OPUS, {"speed": "fast"}, "speed: Extra inputs are not permitted"),
    (OPUS, {"context_management": {"edits": []}}, "context_management: Extra inputs are not permitted"),
    (OPUS, {"safeguards": []}, "safeguards: Extra inputs are not permitted"),
    (OPUS, {"metadata": {"team": "a"}}, "metadata.team: Extra inputs are not permitted"),
    (OPUS, {"max_tokens": None}, "max_tokens: Field required"),
    (OPUS, {"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    (HAIKU, {"max_tokens": 64_001}, "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens"),
    (HAIKU, {"messages": user("x" * 600_000), "max_tokens": 60_000}, "input length and `max_tokens` exceed context limit"),
    (HAIKU, {"messages": user("x" * 900_000)}, "prompt is too long: 225008 tokens > 200000 maximum"),
    (OPUS, {"messages": []}, "messages: at least one message is required"),
    (OPUS, {"messages": [{"role": "tool", "content": "x"}]}, 'messages: Unexpected role "tool"'),
    (OPUS, {"messages": user("")}, "text content blocks must be non-empty"),
    (OPUS, {"messages": PREFILLED}, "This model does not support assistant message prefill."),
    (HAIKU, {"messages": WITH_SYSTEM}, "role 'system' is not supported on this model"),
    (OPUS, {"messages": [HELLO[0] | {"output_config": {"effort": "low"}}]}, "messages.0.output_config: Extra inputs"),
    (OPUS, {"messages": [{"role": "user", "content": [URL_IMAGE]}]}, "Input tag 'url' found using 'type'"),
    (OPUS, {"messages": [*CALLED, *user("x")], "tools": [TOOL]}, "without `tool_result`"),
    (OPUS, {"messages": [{"role": "user", "content": [RESULT]}]}, "unexpected `tool_use_id` found in `tool_result` blocks"),
    (OPUS, {"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    (OPUS, {"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "tools.0.custom.name: String should match"),
    (OPUS, {"tools": [{"name": "a"}]}, "tools.0.custom.input_schema: Field required"),
    (OPUS, {"tools": [TOOL | {"defer_loading": True}]}, "tools.0.custom.defer_loading: Extra inputs"),
    (OPUS, {"tools": [TOOL | {"eager_input_streaming": True}]}, "tools.0.custom.eager_input_streaming: Extra inputs"),
    (OPUS, {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, "Input tag 'web_fetch_20250910'"),
    (OPUS, {"tool_choice": {"type": "auto"}}, "tool_choice may only be specified while providing tools"),
    (OPUS, {"tools": [TOOL], "tool_choice": {"type": "any"}}, 'type "tool" and "any" are not supported for this model'),
    (OPUS, {"temperature": 0.5}, "`temperature` is deprecated for this model."),
    (OPUS, {"top_k": 5}, "`top_k` is deprecated for this model."),
    (SONNET, {"temperature": 0.5, "top_p": 0.5}, "`temperature` and `top_p` cannot both be specified"),
    (SONNET, {"anthropic_version": "2026-10-21", "temperature": 1}, "temperature: Extra inputs are not permitted"),
    (OPUS, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, '"thinking.type.enabled" is not supported'),
    (OPUS, {"thinking": {"type": "disabled"}}, '"thinking.type.disabled" is not supported'),
    (OPUS, {"thinking": {"type": "adaptive", "display": "updates"}}, "thinking.adaptive.display"),
    (HAIKU, {"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported on this model"),
    (HAIKU, {"thinking": {"type": "enabled", "budget_tokens": 500}}, "greater than or equal to 1024"),
    (HAIKU, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "must be greater than `thinking.budget_tokens`"),
    (HAIKU, {"output_config": {"effort": "low"}}, "This model does not support the effort parameter."),
    (OPUS, {"output_config": {"task_budget": {}}}, "output_config.task_budget: Extra inputs"),
    (OPUS, {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, "additionalProperties"),
    (
        OPUS,
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}}]},
        "system.0.cache_control.ephemeral.scope: Extra inputs are not permitted",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("model", "changes", "message"), BODIES, ids=[f"{m[:16]}-{','.join(c)}" for m, c, _ in BODIES])
def test_a_bad_body_is_a_400_that_names_the_fault(client: Client, model: str, changes: dict[str, Any], message: str) -> None:
    """Anthropic's envelope, with the request id in body and header."""
    answered = client.ask(changes, model=model)
    assert answered.status == 400, answered.body
    assert message in answered.message
    assert answered.json["error"]["type"] == "invalid_request_error"
    assert answered.json["request_id"] == answered.headers["request-id"]


@pytest.mark.parametrize(
    ("model", "changes", "betas"),
    [
        (OPUS, {"messages": WITH_SYSTEM}, None),
        (HAIKU, {"messages": PREFILLED, "temperature": 0.2}, None),
        ("claude-opus-4-7", {"temperature": 1}, None),
        ("claude-fable-5-2", {"speed": "fast"}, None),
        ("claude-opus-4-6@default", {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "t"}}, None),
        (OPUS, {"context_management": {"edits": []}}, "context-management-2025-06-27"),
        (OPUS, {"context_management": {"edits": []}}, "compact-2026-09-04"),
        (OPUS, {"safeguards": []}, "dangerous-tool-use-2026-09-03"),
        (OPUS, {"tools": [TOOL, TOOL | {"name": "u", "defer_loading": True}]}, "tool-search-tool-2025-10-19"),
        (OPUS, {"anthropic_version": "2026-10-21"}, "claude-code-20250219, effort-2025-11-24"),
    ],
)
def test_what_a_model_takes_is_taken(client: Client, model: str, changes: dict[str, Any], betas: str | None) -> None:
    """The same fields where they are allowed."""
    answered = client.ask(changes, model=model, betas=betas)
    assert answered.status == 200, answered.body


def test_every_unknown_beta_is_named_at_once(client: Client) -> None:
    """Header and body betas alike; header-only ones are refused in the body."""
    answered = client.ask(
        {"anthropic_beta": ["compact-2026-09-04"]}, betas="claude-code-20250219,files-api-2025-04-14, oauth-2025-04-20"
    )
    assert answered.status == 400
    named = (
        "Unexpected value(s) `compact-2026-09-04`, `files-api-2025-04-14`, `oauth-2025-04-20` for the `anthropic-beta` header."
    )
    assert answered.message.startswith(named)


def test_a_test_can_narrow_the_betas(sandbox: Sandbox, client: Client) -> None:
    """What Vertex AI refused once can be refused again."""
    sandbox.betas.discard("effort-2025-11-24")
    assert "`effort-2025-11-24`" in client.ask(betas="effort-2025-11-24").message


@pytest.mark.parametrize(
    ("model", "location", "status"),
    [
        (OPUS, "global", 200),
        (OPUS, "eu", 200),
        (OPUS, "us-east5", 404),
        ("claude-sonnet-4-6", "europe-west1", 200),
        ("claude-sonnet-4-6", "mars-north1", 404),
        ("claude-sonnet-4-5@20250929", "us", 200),
        ("claude-sonnet-4-5-20250929", "us", 404),
        ("claude-sonnet-4-5%4020250929", "us", 200),
        ("claude-3-7-sonnet@20250219", "us-east5", 404),
    ],
)
def test_models_live_where_they_live(client: Client, model: str, location: str, status: int) -> None:
    """Newer models on global, us and eu only; others by their dated Vertex name; 404 in Google's envelope."""
    answered = client.ask(model=model, location=location)
    assert answered.status == status
    if status == 404:
        assert answered.message.startswith("Publisher Model `projects/p1/locations/")
        assert answered.json["error"]["status"] == "NOT_FOUND"


def test_googles_errors_on_streams_come_in_an_array(client: Client) -> None:
    """One element, as on the real streaming methods; Anthropic's envelope stays bare."""
    assert isinstance(client.ask(model="claude-none", stream=True).json, list)
    assert isinstance(client.ask(max_tokens=-1, stream=True).json, dict)


def test_thirty_megabytes_are_the_limit(client: Client) -> None:
    """A larger body is Google's 400, and the connection survives it."""
    body = b" " * (30 * 1024 * 1024 + 1)
    answered = client.send("POST", path(OPUS), body, client.headers())
    assert (answered.status, answered.message) == (400, "The request size (31457281 bytes) exceeds 30.000MB limit.")


def test_a_body_that_is_no_json_is_a_400(client: Client) -> None:
    """Not an object, not JSON, nothing at all."""
    for body in (b"", b"[]", b"{", b"\xff"):
        assert client.send("POST", path(OPUS), body, client.headers()).status == 400


@pytest.mark.parametrize(
    ("changes", "location", "betas", "status"),
    [
        ({}, "us-east5", "claude-code-20250219,token-counting-2024-11-01", 200),
        ({}, "global", None, 404),
        ({}, "eu", None, 400),
        ({"model": "claude-opus-5-5@default"}, "us-east5", None, 400),
        ({}, "us-east5", "web-search-2025-03-05", 400),
        ({"surprise": 1}, "us-east5", None, 400),
    ],
)
def test_token_counting_is_narrower(
    client: Client, changes: dict[str, Any], location: str, betas: str | None, status: int
) -> None:
    """Regions only, undated names, hardly any beta."""
    answered = client.count({"model": OPUS, "messages": HELLO} | changes, location=location, betas=betas)
    assert answered.status == status
    if status == 200:
        assert answered.json == {"input_tokens": 11}


def test_a_denied_project_is_a_403(sandbox: Sandbox, client: Client) -> None:
    """IAM_PERMISSION_DENIED, with the resource."""
    sandbox.denied_projects.add("p1")
    answered = client.ask()
    assert answered.status == 403
    assert answered.json["error"]["details"][0]["reason"] == "IAM_PERMISSION_DENIED"


@pytest.mark.parametrize("bad", ["/projects/p/locations/global/publishers/anthropic/models/m:rawPredict", "/v2/messages", "/x"])
def test_a_path_that_google_does_not_have_is_a_page(client: Client, bad: str) -> None:
    """404 in HTML, also when only `/v1` is missing."""
    answered = client.send("POST", bad, b"{}", client.headers())
    assert (answered.status, answered.headers["content-type"]) == (404, "text/html; charset=UTF-8")
