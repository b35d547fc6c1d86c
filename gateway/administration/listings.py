"""Models and prices as this deployment has them."""

from gateway.canonical.money import format_dollars
from gateway.canonical.store import Json
from gateway.canonical.usage import Tokens, Usage
from gateway.catalog.models import Model, all_models, render_model, serves, upstream_name
from gateway.spending.prices import PriceBook

SAMPLE_TOKENS = 10_000  # below every long-context threshold
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")


def list_models(kind: str = "vertex", *, retired: bool = False) -> Json:
    """What a kind of provider offers, with its name there: `{"data": […], "next_cursor": None}`."""
    rows = [{**render_model(model, kind), "upstream_model": upstream_name(model.id, kind)} for model in _models(kind, retired)]
    return {"data": rows, "next_cursor": None}


def list_prices(prices: PriceBook, kind: str = "vertex", location: str = "global") -> Json:
    """US dollars per million tokens and per thousand searches, with location premium, overrides and discount in them;
    long prompts may cost more (`long_context_above_tokens`)."""
    rows = [_render_prices(prices, model, kind, location) for model in _models(kind, retired=False)]
    return {"price_version": prices.price_version, "kind": kind, "location": location, "data": rows, "next_cursor": None}


def _models(kind: str, retired: bool) -> list[Model]:
    return [model for model in all_models() if serves(kind, model.id) and (retired or _state(model, kind) != "retired")]


def _state(model: Model, kind: str) -> str:
    lifecycle = model.lifecycle.get(kind)
    return lifecycle.state if lifecycle else "active"


def _render_prices(prices: PriceBook, model: Model, kind: str, location: str) -> Json:
    def dollars(usage: Usage, times: int) -> str:
        return format_dollars(prices.cost(model.id, kind, location, usage).nanodollars * times)

    def per_million(token_class: str) -> str:
        return dollars(Usage(tokens=Tokens(**{token_class: SAMPLE_TOKENS})), 1_000_000 // SAMPLE_TOKENS)

    return {
        "id": model.id,
        **{f"{token_class}_usd": per_million(token_class) for token_class in CLASSES},
        "web_search_per_1000_usd": dollars(Usage(searches=1_000), 1),
        "long_context_above_tokens": min((tier.above_prompt_tokens for tier in model.prices.tiers), default=None),
    }
