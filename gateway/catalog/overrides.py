"""An operator's own prices: a JSON object of model names, each with a part of what a catalog row has as `prices`.

    {"claude-opus-5-5": {"input": "3.60", "output": "18"}, "claude-opus-9": {"input": 5, "output": 25}}
"""

from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal

import msgspec

from gateway.canonical.money import price_picodollars
from gateway.catalog.dearest import TOKEN_CLASSES, dearest_prices
from gateway.catalog.models import find
from gateway.catalog.names import first_party_name
from gateway.catalog.rows import Prices, Tier

DOLLARS_MAX = 100_000  # per million tokens or thousand searches; beyond that a decimal point has slipped
FACTOR_MAX = 100
STEP = Decimal("0.000001")


class PricesFault(ValueError):
    """The operator's prices cannot be used; `faults` names for each the model and the field."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class PremiumsOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of `Premiums`, none of them needed."""

    vertex_global: Decimal | None = None
    vertex_multiregion: Decimal | None = None
    vertex_regional: Decimal | None = None
    bedrock_global: Decimal | None = None
    bedrock_geo: Decimal | None = None
    anthropic_us: Decimal | None = None
    fast: Decimal | None = None


class PricesOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of `Prices`, none of them needed. `tiers` are replaced as a whole: `[]` takes them away."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    tiers: tuple[Tier, ...] | None = None
    web_search_per_1000: Decimal | None = None
    premiums: PremiumsOverride | None = None


def parse_overrides(body: bytes) -> dict[str, Prices]:
    """Prices by model id; a model that the catalog does not know by its first-party name in lower case. PricesFault."""
    try:
        rows = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        example = '{"claude-opus-5-5": {"input": "4", "output": "20"}}'
        raise PricesFault([f"should be a JSON object such as {example}: {error}"]) from error
    prices: dict[str, Prices] = {}
    faults: list[str] = []
    for name, row in rows.items():
        model = find(name)
        key = model.id if model else first_party_name(name).lower()
        if key in prices:
            faults.append(f"{name}: is {key} again, which an earlier entry prices; keep one of the two")
            continue
        try:
            prices[key] = _parse_one(name, bytes(row), model.prices if model else None)
        except PricesFault as fault:
            faults += fault.faults
    if faults:
        raise PricesFault(faults)
    return prices


def _parse_one(name: str, row: bytes, listed: Prices | None) -> Prices:
    """What the operator wrote, laid over the catalog's prices."""
    try:
        override = msgspec.json.decode(row, type=PricesOverride)
    except msgspec.MsgspecError as error:
        what, _, place = str(error).partition(" - at `$")
        raise PricesFault([f"{name}{place.rstrip('`')}: {what}"]) from error
    faults = [f"{name}.{fault}" for fault in _faults(override)]
    if listed is None:
        missing = [each for each in ("input", "output") if getattr(override, each) is None]
        faults += [f"{name}.{each}: is missing, and the catalog does not know this model" for each in missing]
    if faults:
        raise PricesFault(faults)
    return _merge(listed or _unlisted(name, override), override)


def _faults(override: PricesOverride) -> Iterator[str]:
    rows: list[tuple[str, PricesOverride | Tier]] = [("", override)]
    for index, tier in enumerate(override.tiers or ()):
        rows.append((f"tiers[{index}].", tier))
        if tier.above_prompt_tokens <= 0:
            yield f"tiers[{index}].above_prompt_tokens: should be above 0, not {tier.above_prompt_tokens}"
    for place, row in rows:
        for each in TOKEN_CLASSES:
            yield from _number_faults(place + each, getattr(row, each), Decimal(0), DOLLARS_MAX)
    yield from _number_faults("web_search_per_1000", override.web_search_per_1000, Decimal(0), DOLLARS_MAX)
    for each, factor in msgspec.structs.asdict(override.premiums or PremiumsOverride()).items():
        yield from _number_faults(f"premiums.{each}", factor, STEP, FACTOR_MAX)


def _number_faults(place: str, value: Decimal | None, least: Decimal, most: int) -> Iterator[str]:
    if value is None:
        return
    try:
        fits = value.is_finite() and least <= value <= most and price_picodollars(str(value)) >= 0
    except ValueError:
        fits = False
    if not fits:
        yield f"{place}: should be a number from {least} to {most} with at most six decimals, not {value}"


def _merge(prices: Prices, override: PricesOverride) -> Prices:
    said = {name: value for name, value in msgspec.structs.asdict(override).items() if value is not None}
    if override.premiums:
        factors = msgspec.structs.asdict(override.premiums).items()
        changed = {name: factor for name, factor in factors if factor is not None}
        said["premiums"] = msgspec.structs.replace(prices.premiums, **changed)
    return msgspec.structs.replace(prices, **said)


def _unlisted(name: str, override: PricesOverride) -> Prices:
    """A model of the operator's own: cache reads cost as much as input, writes 1.25 and 2 times that, as Claude's do;
    premiums and searches are the dearest of its kin."""
    plain, output = override.input or Decimal(0), override.output or Decimal(0)
    kin = dearest_prices(name, kind="")
    return Prices(
        input=plain,
        output=output,
        cache_read=plain,
        cache_write_5m=(plain * Decimal("1.25")).quantize(STEP, rounding=ROUND_CEILING),
        cache_write_1h=plain * 2,
        web_search_per_1000=kin.web_search_per_1000,
        premiums=kin.premiums,
    )
