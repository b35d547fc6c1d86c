"""The model list's rows, as the clients that ask for it read them."""

from datetime import UTC, datetime

from anthropic.types import ModelInfo

from gateway.catalog.models import Model, all_models, find, render_model


def model(name: str) -> Model:
    found = find(name)
    assert found
    return found


def test_anthropics_sdk_reads_every_claude_row() -> None:
    """Required members are there and of the right type, and what is unknown is null."""
    for row in all_models():
        if row.vendor == "anthropic":
            info = ModelInfo.model_validate({**render_model(row), "capabilities": None})
            assert info.id == row.id
            assert info.line == row.family
            assert info.max_input_tokens == row.context_window


def test_an_openai_client_finds_its_members() -> None:
    """`object`, `created` and `owned_by` stand beside Anthropic's members."""
    row = render_model(model("claude-sonnet-4-5"))
    assert row["object"] == row["type"] == "model"
    assert row["created"] == int(datetime(2025, 9, 29, tzinfo=UTC).timestamp())
    assert row["created_at"] == "2025-09-29T00:00:00Z"
    assert row["owned_by"] == "anthropic"


def test_an_unknown_release_date_is_the_epoch() -> None:
    """As Anthropic's own API says it."""
    row = render_model(model("claude-opus-5-5"))
    assert (row["created"], row["created_at"]) == (0, "1970-01-01T00:00:00Z")


def test_the_lifecycle_is_that_of_the_provider_kind() -> None:
    """A model may be retired at Anthropic and still be had on Vertex AI."""
    assert render_model(model("claude-sonnet-4-5"))["lifecycle"] == "active"
    first_party = render_model(model("claude-sonnet-4-5"), kind="anthropic")
    assert (first_party["lifecycle"], first_party["retires_at"]) == ("deprecated", "2026-11-30T00:00:00Z")
    assert render_model(model("claude-opus-4-1"), kind="anthropic")["lifecycle"] == "retired"


def test_claude_code_learns_what_a_model_can_do() -> None:
    """Thinking types and effort levels are those of the row."""
    can = render_model(model("claude-opus-4-6"))["capabilities"]
    assert can["thinking"]["types"]["enabled"] == {"supported": True}
    assert can["effort"]["max"] == {"supported": True}
    assert can["effort"]["xhigh"] == {"supported": False}
    assert render_model(model("claude-haiku-4-5"))["capabilities"]["effort"]["supported"] is False
    assert render_model(model("gpt-6-astra"))["capabilities"]["effort"]["max"] == {"supported": True}
    assert render_model(model("gpt-4.1"))["capabilities"]["effort"]["supported"] is False
    assert render_model(model("text-embedding-3-large"))["capabilities"] is None
