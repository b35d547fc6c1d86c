"""The catalog's data: complete, unambiguous, and the same as the providers' lists where those can be read off."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest

from gateway.catalog.dearest import TOKEN_CLASSES
from gateway.catalog.models import Model, all_models, find, price_version
from gateway.catalog.names import KINDS, first_party_name
from gateway.catalog.rows import Prices, Tier, load

CLAUDE = [model for model in all_models() if model.vendor == "anthropic"]
CHAT = [model for model in all_models() if model.mode == "chat"]
every_model = pytest.mark.parametrize("model", all_models(), ids=lambda model: model.id)
every_claude = pytest.mark.parametrize("model", CLAUDE, ids=lambda model: model.id)


@every_model
def test_every_model_has_a_price_for_every_token_class(model: Model) -> None:
    """No class is free by omission: only embeddings have no output."""
    rows: tuple[Prices | Tier, ...] = (model.prices, *model.prices.tiers)
    for row in rows:
        for each in TOKEN_CLASSES:
            free = model.mode == "embedding" and each == "output"
            assert (getattr(row, each) == 0) is free, each
    assert (model.prices.web_search_per_1000 == 0) is (model.mode == "embedding")


@every_model
def test_every_model_can_be_reached_somewhere(model: Model) -> None:
    """A row without an id for any provider kind could never be called."""
    assert model.ids and set(model.ids) <= set(KINDS.values())
    assert model.context_window > 0
    assert model.max_output_tokens or model.mode == "embedding"


@every_claude
def test_every_claude_row_says_what_the_model_can_do(model: Model) -> None:
    """Translators ask the row, never the name."""
    can = model.capabilities
    assert can is not None
    assert can.thinking_by_default <= can.adaptive_thinking
    assert can.thinking_can_be_disabled or can.thinking_by_default


@every_claude
def test_claude_prices_keep_the_proportions_of_the_price_list(model: Model) -> None:
    """Five-minute writes cost 1.25 of input and one-hour writes 2 (rounded on Haiku 3's list); reads never more than 0.12."""
    rows: tuple[Prices | Tier, ...] = (model.prices, *model.prices.tiers)
    for row in rows:
        if model.id != "claude-3-haiku":
            assert row.cache_write_5m == row.input * Decimal("1.25")
        assert row.cache_write_1h == row.input * 2
        assert row.cache_read <= row.input * Decimal("0.12")


@pytest.mark.parametrize("model", CHAT, ids=lambda model: model.id)
def test_a_longer_prompt_never_makes_a_token_cheaper(model: Model) -> None:
    """Tiers rise with their thresholds."""
    rows = [model.prices, *sorted(model.prices.tiers, key=lambda tier: tier.above_prompt_tokens)]
    for lower, higher in pairwise(rows):
        assert all(getattr(lower, each) <= getattr(higher, each) for each in TOKEN_CLASSES)


@pytest.mark.parametrize(
    "name",
    ["claude-opus-4-1", "claude-opus-4-0", "claude-sonnet-4-0", "claude-3-7-sonnet", "claude-3-5-haiku", "claude-3-opus"],
)
def test_models_before_4_5_cost_the_same_everywhere(name: str) -> None:
    """The ten per cent on regions began with the 4.5 generation."""
    model = find(name)
    assert model
    assert {value for value in msgspec.structs.asdict(model.prices.premiums).values() if value is not None} == {Decimal(1)}


@pytest.mark.parametrize("model", [m for m in CLAUDE if "vertex" in m.ids], ids=lambda model: model.id)
def test_models_since_4_5_cost_a_tenth_more_outside_global(model: Model) -> None:
    """Multi-regions and regions alike, on Vertex AI and on Bedrock."""
    dear = not any(old in model.id for old in ("claude-3", "-4-0", "-4-1"))
    premiums = model.prices.premiums
    expected = Decimal("1.1") if dear else Decimal(1)
    assert premiums.vertex_multiregion == premiums.vertex_regional == premiums.bedrock_geo == expected
    assert premiums.vertex_global == premiums.bedrock_global == 1


def test_no_name_means_two_models() -> None:
    """Ids and aliases of all rows are distinct once spelling is taken away."""
    owners: dict[str, set[str]] = {}
    for model in all_models():
        for name in (model.id, *model.aliases, *model.ids.values()):
            owners.setdefault(first_party_name(name).lower(), set()).add(model.id)
    assert {name: ids for name, ids in owners.items() if len(ids) > 1} == {}


def test_short_names_lead_to_models() -> None:
    """Each has an answer for Anthropic's own API, and every answer exists and can be had at that kind."""
    for short, per_kind in load().short_names.items():
        assert "anthropic" in per_kind, short
        for kind, name in per_kind.items():
            model = find(name)
            assert model and kind in model.ids, (short, kind)


def test_the_price_version_is_the_date_of_the_prices() -> None:
    """A record's price version can be looked up in this file's history."""
    assert date.fromisoformat(price_version()) >= load().as_of
