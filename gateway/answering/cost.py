"""What a call cost, by what it used and where."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.canonical.call import Target
from gateway.canonical.usage import Usage
from gateway.records.document import Outcome
from gateway.spending.prices import PriceBook


def put_cost(prices: PriceBook, outcome: Outcome, usage: Usage, beside: Sequence[Target]) -> None:
    """Prices `usage` at the outcome's target. Those in `beside` were asked the same at the same time, and cut off: each read the
    same prompt, and had not said a word."""
    target = outcome.target
    if target is None:
        return
    outcome.usage = usage
    cost = prices.charge(target, usage)
    outcome.cost_nanodollars, outcome.price_version, outcome.price_known = cost.nanodollars, cost.price_version, cost.known
    if not beside:
        return
    prompt = replace(usage, tokens=replace(usage.tokens, output=0, thinking=0), iterations=(), searches=0, provisioned=False)
    for other in beside:
        outcome.cost_nanodollars += prices.charge(other, prompt).nanodollars


def put_savings(prices: PriceBook, outcome: Outcome, usage: Usage) -> None:
    """A kept answer costs nothing; what it would have cost now is what it saved."""
    if outcome.target is not None:
        cost = prices.charge(outcome.target, usage)
        outcome.saved_nanodollars, outcome.price_version = cost.nanodollars, cost.price_version


def add_look_up(outcome: Outcome) -> None:
    """What looking for a kept answer cost is part of what the call cost, whatever came of it."""
    if outcome.cache_lookup is not None:
        outcome.cost_nanodollars += outcome.cache_lookup["cost_nanodollars"]
