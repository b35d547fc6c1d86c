"""Names: every spelling that callers use finds its model, and each provider kind is asked in its own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalog.models import (
    AskedModel,
    Model,
    all_models,
    bare_name,
    find,
    is_safe_name,
    kind_of,
    location_class,
    serves,
    split_name,
    upstream_name,
    vendor_of,
)

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/"
EVERY_NAME = [(name, model.id) for model in all_models() for name in (model.id, *model.aliases, *model.ids.values())]


@pytest.mark.parametrize(("name", "model_id"), EVERY_NAME)
def test_every_name_of_a_row_finds_the_row(name: str, model_id: str) -> None:
    """In any case, and with Claude Code's long-context mark."""
    for spelling in (name, name.upper(), f"{name}[1m]"):
        model = find(spelling)
        assert model and model.id == model_id


@pytest.mark.parametrize(("kind", "model"), [(kind, model) for model in all_models() for kind in model.ids])
def test_every_row_is_asked_for_by_its_own_id(kind: str, model: Model) -> None:
    """Whatever the caller wrote, the provider reads the name it gave the model."""
    for name in (model.id, *model.aliases, *model.ids.values()):
        assert upstream_name(name, kind) == model.ids[kind]
        assert serves(kind, name)


@pytest.mark.parametrize(
    "vertex_id",
    [
        "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5", "claude-fable-5-1", "claude-fable-5-2",
        "claude-opus-5", "claude-sonnet-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6", "claude-sonnet-4-6",
        "claude-opus-4-5@20251101", "claude-sonnet-4-5@20250929", "claude-haiku-4-5@20251001", "claude-opus-4-1@20250805",
        "claude-opus-4@20250514", "claude-sonnet-4@20250514", "claude-3-7-sonnet@20250219", "claude-3-5-haiku@20241022",
        "claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet@20240620", "claude-3-opus@20240229", "claude-3-haiku@20240307",
    ],
)  # fmt: skip
def test_vertex_ids_are_known_and_kept(vertex_id: str) -> None:
    """Every Claude id that Google documents goes to Vertex AI as it is."""
    assert find(vertex_id)
    assert upstream_name(vertex_id, "vertex") == vertex_id


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@default", "claude-sonnet-4-5"),
        ("claude-sonnet-4-6@latest", "claude-sonnet-4-6"),
        ("Claude-Opus-5-5", "claude-opus-5-5"),
        ("claude-opus-5-5[1m]", "claude-opus-5-5"),
        ("claude-sonnet-4-5@20250929[1M]", "claude-sonnet-4-5"),
        ("us.anthropic.claude-opus-5-5", "claude-opus-5-5"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("global.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet"),
        ("anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3-5-sonnet-20240620"),
        (f"{ARN}eu.anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5"),
        ("claude-3-5-sonnet", "claude-3-5-sonnet"),
        ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet-20240620"),
        ("claude-opus-4", "claude-opus-4-0"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("gemini-2.5-pro", "gemini-2.5-pro"),
        ("gpt-5.4-mini", "gpt-5.4-mini"),
    ],
)
def test_spellings_of_the_field_are_understood(name: str, model_id: str) -> None:
    """First-party, dated, Vertex, Bedrock, profile and ARN forms name the same model."""
    model = find(name)
    assert model and model.id == model_id


@pytest.mark.parametrize(
    "name",
    ["", "claude", "claude-sonnet-4-5-20990101", "claude-opus-9", "evil/claude-opus-5-5", "claude-opus-5-5\n", "@", "[1m]"],
)
def test_what_the_catalog_does_not_know_is_not_guessed(name: str) -> None:
    """A near miss is no hit: another date is another model."""
    assert find(name) is None


@pytest.mark.parametrize(
    ("short", "kind", "model_id"),
    [
        ("opus", "vertex", "claude-opus-5-5"),
        ("opus", "bedrock", "claude-opus-5-5"),
        ("sonnet", "anthropic", "claude-sonnet-5-5"),
        ("sonnet", "google-claude", "claude-sonnet-5-5"),
        ("sonnet", "vertex", "claude-sonnet-4-5"),
        ("Sonnet[1m]", "vertex", "claude-sonnet-4-5"),
        ("haiku", "anthropic", "claude-haiku-5-5"),
        ("haiku", "bedrock", "claude-haiku-4-5"),
        ("fable", "vertex", "claude-fable-5-2"),
        ("sonnet", None, "claude-sonnet-5-5"),
    ],
)
def test_short_names_mean_what_claude_code_means(short: str, kind: str | None, model_id: str) -> None:
    """Defaults of Claude Code 2.1.329, which differ between provider kinds."""
    model = find(short, kind)
    assert model and model.id == model_id


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("claude-opus-9-20270301", "vertex", "claude-opus-9@20270301"),
        ("claude-opus-9@20270301", "vertex", "claude-opus-9@20270301"),
        ("us.anthropic.claude-opus-9-20270301-v1:0", "vertex", "claude-opus-9@20270301"),
        ("claude-opus-9", "vertex", "claude-opus-9"),
        ("claude-opus-9[1m]", "vertex", "claude-opus-9"),
        ("claude-opus-9@20270301", "anthropic", "claude-opus-9-20270301"),
        ("claude-opus-9-20270301", "bedrock", "anthropic.claude-opus-9-20270301-v1:0"),
        ("claude-opus-9", "bedrock", "anthropic.claude-opus-9"),
        ("gemini-9-pro", "vertex", "gemini-9-pro"),
        ("Llama-5", "openai", "Llama-5"),
        ("claude-sonnet-4-5-20250929", "google-claude", "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5-20250929"),
        ("sonnet", "vertex", "claude-sonnet-4-5@20250929"),
    ],
)
def test_names_are_respelt_for_the_provider(name: str, kind: str, expected: str) -> None:
    """Models younger than the catalog go out under the name that the provider's rule gives them."""
    assert upstream_name(name, kind) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-6@default", "claude-sonnet-4-6"),
        ("claude-opus-4-0", "claude-opus-4"),
        ("claude-opus-9@20270301", "claude-opus-9"),
    ],
)
def test_token_counting_gets_names_without_a_version(name: str, expected: str) -> None:
    """Vertex AI refuses `@…` in count-tokens."""
    assert bare_name(name) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("claude-opus-5-5", AskedModel(None, None, "claude-opus-5-5")),
        ("@vertex-prod/claude-opus-5-5", AskedModel("vertex-prod", None, "claude-opus-5-5")),
        ("@vertex/claude-opus-5-5", AskedModel("vertex", None, "claude-opus-5-5")),
        ("vertex/gemini-2.5-flash", AskedModel(None, "vertex", "gemini-2.5-flash")),
        ("vertex-ai/claude-opus-5-5", AskedModel(None, "vertex", "claude-opus-5-5")),
        ("vertex_ai/claude-opus-5-5", AskedModel(None, "vertex", "claude-opus-5-5")),
        ("vertex-anthropic/claude-sonnet-4-6", AskedModel(None, "vertex", "claude-sonnet-4-6")),
        ("Anthropic/claude-sonnet-4-6", AskedModel(None, "anthropic", "claude-sonnet-4-6")),
        ("bedrock/" + ARN + "us.anthropic.claude-opus-5-5", AskedModel(None, "bedrock", ARN + "us.anthropic.claude-opus-5-5")),
        (ARN + "us.anthropic.claude-opus-5-5", AskedModel(None, None, ARN + "us.anthropic.claude-opus-5-5")),
        ("openai/meta-llama/Llama-5", AskedModel(None, "openai", "meta-llama/Llama-5")),
        ("meta-llama/Llama-5", AskedModel(None, None, "meta-llama/Llama-5")),
        ("my-prod/claude-opus-5-5", AskedModel("my-prod", None, "claude-opus-5-5")),
        ("@/claude-opus-5-5", AskedModel(None, None, "@/claude-opus-5-5")),
        ("@vertex-prod", AskedModel(None, None, "@vertex-prod")),
    ],
)
def test_a_name_is_taken_apart(asked: str, expected: AskedModel) -> None:
    """Slug with `@`, kind by any alias, a known slug without `@`; anything else belongs to the name."""
    assert split_name(asked, slugs=("my-prod", "vertex")) == expected


def test_provider_kinds_have_one_alias_table() -> None:
    """Every alias of the contract, and nothing else."""
    assert kind_of("vertex-ai") == kind_of("vertex-anthropic") == kind_of("VERTEX") == "vertex"
    assert [kind_of(kind) for kind in ("anthropic", "bedrock", "openai", "gemini", "google-claude")] == [
        "anthropic", "bedrock", "openai", "gemini", "google-claude",
    ]  # fmt: skip
    assert kind_of("azure") is None


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("vertex", "claude-opus-9", True),
        ("google-claude", "claude-opus-5-5", True),
        ("google-claude", "claude-opus-9", True),
        ("vertex", "gemini-9-pro", True),
        ("gemini", "gemini-9-pro", True),
        ("gemini", "claude-opus-9", False),
        ("anthropic", "gemini-2.5-pro", False),
        ("vertex", "gpt-5.4", False),
        ("vertex", "claude-mythos-5-2", False),
        ("vertex", "gibbon-1", False),
        ("openai", "gpt-9", True),
        ("openai", "Llama-5", True),
        ("openai", "claude-opus-9", False),
        ("vertex", f"{ARN}us.anthropic.claude-opus-5-5", True),
        ("vertex", "evil/claude-opus-5-5", False),
        ("vertex", "claude-opus-9/../../x", False),
        ("vertex", "claude-opus-9?x=", False),
        ("vertex", "claude-opus-9%2f", False),
        ("vertex", "claude-opus-9\n", False),
        ("vertex", "claude-opus-９", False),
        ("vertex", "claude-" + "9" * 122, False),
        ("vertex", "claude-opus-5-5" + "[1m]" * 1_000_000, False),
        ("openai", "..", False),
        ("openai", "", False),
    ],
)
def test_a_provider_serves_what_its_kind_plausibly_has(kind: str, name: str, expected: bool) -> None:
    """Known models by their ids, unknown ones by family, and nothing that could bend a URL."""
    assert serves(kind, name) is expected


@settings(deadline=None, database=None)
@given(st.text(max_size=200), st.sampled_from(["vertex", "anthropic", "bedrock", "openai", "gemini", "google-claude"]))
def test_whatever_is_served_is_safe_in_a_url(name: str, kind: str) -> None:
    """No text a caller can send becomes more than one path segment."""
    for spelling in (name, f"claude-{name}", f"anthropic.claude-{name}", f"{ARN}{name}"):
        if serves(kind, spelling):
            assert is_safe_name(upstream_name(spelling, kind))
            assert "/" not in upstream_name(spelling, kind)


def test_vendors_are_told_from_names_and_rows() -> None:
    """The publisher in a Vertex AI path depends on it."""
    assert vendor_of("claude-opus-9") == vendor_of("us.anthropic.claude-opus-5-5") == vendor_of("sonnet") == "anthropic"
    assert vendor_of("gemini-9-pro") == vendor_of("text-embedding-005") == "google"
    assert vendor_of("o9-mini") == vendor_of("text-embedding-3-large") == "openai"
    assert vendor_of("gibbon-1") is None


@pytest.mark.parametrize(
    ("location", "expected"),
    [("global", "global"), ("us", "multiregion"), ("eu", "multiregion"), ("EU", "multiregion"), ("us-east5", "regional"),
     ("europe-west1", "regional"), ("", "regional")],
)  # fmt: skip
def test_locations_have_three_classes(location: str, expected: str) -> None:
    """What is neither global nor a multi-region is priced as a region."""
    assert location_class(location) == expected
