"""What a call costs: catalog prices, the operator's own, premiums and discount, in integers, rounded up once.

    cost = (Σ over model passes, Σ over token classes: tokens × price in the pass's tier) × premiums × multiplier
           + searches × price × multiplier
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from gateway.canonical.call import Target
from gateway.canonical.money import PICO_PER_NANO, price_picodollars
from gateway.canonical.usage import Tokens, Usage
from gateway.catalog.dearest import TOKEN_CLASSES, dearest_prices
from gateway.catalog.models import LocationClass, find, kind_of, location_class, price_version
from gateway.catalog.names import first_party_name
from gateway.catalog.overrides import PricesFault, parse_overrides
from gateway.catalog.rows import Premiums, Prices, Tier
from gateway.settings import SettingsFault

RATES_KEPT = 4_096
PREMIUM_AT: Mapping[tuple[str, LocationClass], str] = {
    ("vertex", "global"): "vertex_global",
    ("vertex", "multiregion"): "vertex_multiregion",
    ("vertex", "regional"): "vertex_regional",
    ("bedrock", "global"): "bedrock_global",
    ("bedrock", "multiregion"): "bedrock_geo",
    ("bedrock", "regional"): "bedrock_geo",
}
PREPAID = "+provisioned"  # behind the version of prices that a call did not have to pay
US_ONLY_KINDS = ("anthropic", "google-claude")  # elsewhere the location says it, and is charged for


@dataclass(frozen=True, slots=True)
class Cost:
    """`known` is False when the price was guessed from the model's name."""

    nanodollars: int
    price_version: str
    known: bool


@dataclass(frozen=True, slots=True)
class Step:
    """Prices of one token from a prompt length on, in units of `Rates.per_nanodollar`."""

    above_prompt_tokens: int
    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int

    @property
    def dearest_input(self) -> int:
        """Of a prompt token, in whichever class."""
        return max(self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h)

    def price(self, tokens: Tokens) -> int:
        return (
            tokens.input * self.input
            + tokens.output * self.output
            + tokens.cache_read * self.cache_read
            + tokens.cache_write_5m * self.cache_write_5m
            + tokens.cache_write_1h * self.cache_write_1h
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """Integer prices with every factor in them; a nano-dollar is `per_nanodollar` units, so that none needs rounding."""

    base: Step
    tiers: tuple[Step, ...]  # highest threshold first
    search: int
    per_nanodollar: int
    known: bool

    def step(self, prompt: int) -> Step:
        """The prices of a model pass over so many prompt tokens."""
        for step in self.tiers:
            if prompt > step.above_prompt_tokens:
                return step
        return self.base

    def price(self, tokens: Tokens) -> int:
        """One model pass, in units."""
        return (self.step(tokens.prompt) if self.tiers else self.base).price(tokens)

    def nanodollars(self, units: int) -> int:
        """Rounded up: the one place where that happens."""
        return -(-units // self.per_nanodollar)


FREE = Rates(Step(0, 0, 0, 0, 0, 0), (), 0, 1, True)
NOTHING_USED = Usage()


class PriceBook:
    """Prices as this deployment pays them.

    `overrides_path` names a JSON file (gateway/catalog/overrides.py says of what shape); `multiplier` is a factor on
    every cost. SettingsFault if either cannot be used.
    """

    def __init__(self, overrides_path: str | None = None, multiplier: float = 1.0) -> None:
        self._overrides = _read_overrides(overrides_path) if overrides_path else {}
        self._multiplier = _exact_multiplier(multiplier)
        self.price_version = _version(self._overrides, multiplier)
        self._rates = lru_cache(maxsize=RATES_KEPT)(self._work_out_rates)
        self._of_calls: dict[tuple[Any, ...], tuple[Rates, Rates]] = {}

    def charge(self, target: Target, usage: Usage) -> Cost:
        """What `usage` costs at a target: nothing where its provider says that provisioned throughput is paid by the hour, and
        the call ran on it. Its `price_version` tells so."""
        if _is_prepaid(target.provider, usage):
            return Cost(0, self.price_version + PREPAID, known=True)
        return self.cost(target.model, target.provider.kind, target.location, usage)

    def cost(self, model: str, kind: str, location: str, usage: Usage) -> Cost:
        """What `usage` costs at a provider of that kind and location. A model nobody priced is charged at the dearest
        price of its kin.

        Tiers are judged per model pass: the top-level figures are one, each iteration another. Premiums are on tokens,
        not on searches (Anthropic pricing page, 2026-11-20).
        """
        rates = self._rates(model, kind, location_class(location), usage.fast, usage.us_only)
        units = usage.searches * rates.search + rates.price(usage.tokens)
        for tokens in usage.iterations:
            units += rates.price(tokens)
        return Cost(rates.nanodollars(units), self.price_version, rates.known)

    def rates(self, target: Target, *, fast: bool = False, us_only: bool = False) -> Rates:
        """What tokens cost at a target, for those who work it out for calls not made yet: as `charge` would, if the answer will
        say nothing of provisioned throughput."""
        if _is_prepaid(target.provider, NOTHING_USED):
            return FREE
        return self._rates(target.model, target.provider.kind, location_class(target.location), fast, us_only)

    def rates_of_calls(self, target: Target, *, fast: bool) -> tuple[Rates, Rates]:
        """The usual ones, and those of a call that may run in the United States only."""
        provider = target.provider
        key = (target.model, provider.kind, target.location, provider.provisioned_free and provider.request_type, fast)
        found = self._of_calls.get(key)
        if found is None:
            if len(self._of_calls) >= RATES_KEPT:
                self._of_calls.clear()
            found = self._of_calls[key] = self.rates(target, fast=fast), self.rates(target, fast=fast, us_only=True)
        return found

    def _work_out_rates(self, name: str, kind: str, place: LocationClass, fast: bool, us_only: bool) -> Rates:
        kind = kind_of(kind) or kind
        model = find(name, kind)
        prices = self._overrides.get(model.id if model else first_party_name(name).lower())
        if prices is None and model:
            prices = model.prices
        known = prices is not None
        prices = prices or dearest_prices(name, kind)
        return _rates(prices, _premium(prices.premiums, kind, place, fast, us_only), self._multiplier, known)


def _is_prepaid(provider: Any, usage: Usage) -> bool:
    """`dedicated` calls run on nothing else (Vertex AI provisioned throughput guide); of others Gemini's answers tell
    (`trafficType`), Claude's do not, and are paid (2026-11-21)."""
    return bool(provider.provisioned_free and (usage.provisioned or provider.request_type == "dedicated"))


def _premium(premiums: Premiums, kind: str, place: LocationClass, fast: bool, us_only: bool) -> Fraction:
    factor = Fraction(1)
    if (kind, place) in PREMIUM_AT:
        factor *= Fraction(getattr(premiums, PREMIUM_AT[kind, place]))
    if us_only and kind in US_ONLY_KINDS:
        factor *= Fraction(premiums.anthropic_us)
    if fast and premiums.fast:
        factor *= Fraction(premiums.fast)
    return factor


def _rates(prices: Prices, premium: Fraction, multiplier: Fraction, known: bool) -> Rates:
    """Every price in nano-dollars as an exact fraction, then all of them over their common denominator."""
    factor = premium * multiplier / PICO_PER_NANO
    rows: tuple[Prices | Tier, ...] = (prices, *sorted(prices.tiers, key=lambda tier: -tier.above_prompt_tokens))
    exact = [[price_picodollars(str(getattr(row, each))) * factor for each in TOKEN_CLASSES] for row in rows]
    search = price_picodollars(str(prices.web_search_per_1000)) * multiplier  # $ per 1,000 × 10⁶ = nano-dollars each
    unit = math.lcm(search.denominator, *(price.denominator for row in exact for price in row))
    steps = [
        Step(row.above_prompt_tokens if isinstance(row, Tier) else 0, *(int(price * unit) for price in fractions))
        for row, fractions in zip(rows, exact, strict=True)
    ]
    return Rates(steps[0], tuple(steps[1:]), int(search * unit), unit, known)


def _read_overrides(path: str) -> dict[str, Prices]:
    try:
        return parse_overrides(Path(path).read_bytes())
    except OSError as error:
        raise SettingsFault([f"GATEWAY_PRICES={path} cannot be read ({error.strerror}); name a JSON file or unset it"]) from error
    except PricesFault as error:
        raise SettingsFault([f"GATEWAY_PRICES={path}: {fault}" for fault in error.faults]) from error


def _exact_multiplier(multiplier: float) -> Fraction:
    """The factor as it was written, not as binary floating point has it: 0.85 is 17/20."""
    if not 0 <= multiplier < math.inf:
        raise SettingsFault([f"GATEWAY_PRICE_MULTIPLIER={multiplier} should be a factor such as 0.85"])
    return Fraction(str(multiplier))


def _version(overrides: Mapping[str, Prices], multiplier: float) -> str:
    """The catalog's date, then what makes this deployment's prices differ: `2026-11-20+prices.3f2a9c01+x0.85`."""
    version = price_version()
    if overrides:
        digest = hashlib.sha256(msgspec.json.encode(overrides, order="deterministic")).hexdigest()
        version += f"+prices.{digest[:8]}"
    if multiplier != 1:
        version += f"+x{multiplier}"
    return version
