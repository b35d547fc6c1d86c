"""Prices for a model that nobody priced: the dearest that its name allows, so that a guess never charges too little."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from gateway.catalog.models import all_models, vendor_of
from gateway.catalog.names import VENDOR_KINDS
from gateway.catalog.rows import Model, Premiums, Prices, Tier

TOKEN_CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def dearest_prices(name: str, kind: str) -> Prices:
    """The highest price of every class, at every prompt length, among the models that the name is akin to."""
    every = [model.prices for model in kin_of(name, kind)]
    thresholds = sorted({tier.above_prompt_tokens for prices in every for tier in prices.tiers})
    lowest = [_in_force(prices, 0) for prices in every]
    return Prices(
        **{each: max(getattr(rates, each) for rates in lowest) for each in TOKEN_CLASSES},
        tiers=tuple(_dearest_tier(every, threshold) for threshold in thresholds),
        web_search_per_1000=max(prices.web_search_per_1000 for prices in every),
        premiums=_dearest_premiums(prices.premiums for prices in every),
    )


def kin_of(name: str, kind: str) -> tuple[Model, ...]:
    """The models of a family that the name shows (`opus`, `gemini`, …), else all of its vendor, else of the kind's."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    family = tuple(model for model in all_models() if model.family in words)
    if family:
        return family
    by_kind = next((vendor for vendor, kinds in VENDOR_KINDS.items() if kind in kinds), "anthropic")
    vendor = vendor_of(name) or by_kind
    return tuple(model for model in all_models() if model.vendor == vendor)


def _in_force(prices: Prices, prompt_tokens: int) -> Prices | Tier:
    passed = [tier for tier in prices.tiers if prompt_tokens > tier.above_prompt_tokens]
    return max(passed, key=lambda tier: tier.above_prompt_tokens, default=prices)


def _dearest_tier(every: Sequence[Prices], threshold: int) -> Tier:
    rates = [_in_force(prices, threshold + 1) for prices in every]
    return Tier(threshold, **{each: max(getattr(rate, each) for rate in rates) for each in TOKEN_CLASSES})


def _dearest_premiums(every: Iterable[Premiums]) -> Premiums:
    rows = [msgspec.structs.asdict(premiums) for premiums in every]
    values = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return Premiums(**{name: max(found) for name, found in values.items() if found})
