"""The catalog's nouns, and models.json read into them: what a model is called, can do, and costs.

Prices are structs rather than dataclasses so that msgspec refuses a misspelt field: operators write them too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from gateway.canonical.capabilities import Capabilities

State = Literal["active", "deprecated", "retired"]
ONE = Decimal(1)


class Tier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices of a whole request whose prompt, cached tokens included, is longer than `above_prompt_tokens`."""

    above_prompt_tokens: int
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal


class Premiums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Factors on every token price, by where a call ran and how. `fast` is None where there is no fast mode."""

    vertex_global: Decimal = ONE
    vertex_multiregion: Decimal = ONE
    vertex_regional: Decimal = ONE
    bedrock_global: Decimal = ONE
    bedrock_geo: Decimal = ONE
    anthropic_us: Decimal = ONE
    fast: Decimal | None = None


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per million tokens of each class. A call's tier is the one with the highest threshold it passes."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    tiers: tuple[Tier, ...] = ()
    web_search_per_1000: Decimal = Decimal(0)
    premiums: Premiums = Premiums()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """At one provider kind. `not_before` is the earliest retirement announced, `retires_on` a date that is set."""

    state: State = "active"
    retires_on: date | None = None
    not_before: date | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `id` is its name in records and prices, `ids` what each provider kind calls it (on Bedrock without
    the geographic profile, which depends on the provider's location).

    `capabilities` is None where nobody wrote them down (models that are not Claude). `context_window`,
    `max_output_tokens` and `prompt_cache_min_tokens` are tokens, `dimensions` those of an embedding.
    """

    id: str
    vendor: str
    family: str
    display_name: str
    ids: Mapping[str, str]
    context_window: int
    prices: Prices
    aliases: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    prompt_cache_min_tokens: int | None = None
    released: date | None = None
    lifecycle: Mapping[str, Lifecycle] = field(default_factory=dict)
    capabilities: Capabilities | None = None
    mode: Literal["chat", "embedding"] = "chat"
    dimensions: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The whole file. `short_names` maps `opus` and the like to a model id per provider kind."""

    as_of: date
    price_version: str
    short_names: Mapping[str, Mapping[str, str]]
    models: tuple[Model, ...]


@lru_cache(maxsize=1)
def load() -> Catalog:
    """The catalog, read and parsed at first use."""
    return msgspec.json.decode(Path(__file__).with_name("models.json").read_bytes(), type=Catalog)
