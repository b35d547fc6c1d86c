"""What a call may cost before it is made, and what it did cost: the quantities that budgets count."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.usage import Tokens, Usage


class Amounts(msgspec.Struct, frozen=True, gc=False):
    """One call's quantities. `input_tokens` are counted by the rule of `counted_input_tokens`.

    A Struct, as whatever several are made of for each call: that takes a tenth of the time of a frozen dataclass.
    """

    cost_nanodollars: int
    input_tokens: int
    output_tokens: int


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """`likely` is what such calls used so far; `worst` is what this one cannot exceed."""

    likely: Amounts
    worst: Amounts


class Estimates(Protocol):
    """What calls will use, learned from what calls used. Cheap, in memory, safe to call from many threads."""

    def guess(self, call: Call, target: Target) -> Amounts | None:
        """What it will likely use, by its length alone: too little for one whose media are named by links, too much for one that
        holds them. None where a look at its members says that this would not do."""

    def estimate(self, call: Call, target: Target, params: Mapping[str, bytes] | None = None) -> Estimate:
        """Before it is made. `params` are members, as JSON, that replace the caller's own at this target."""

    def learn(self, call: Call, target: Target, usage: Usage, cost_nanodollars: int) -> None:
        """After it: what the target that answered says was used."""


CACHE_READS_PER_TOKEN = 10


def counted_input_tokens(tokens: Tokens) -> int:
    """The one rule by which token budgets count a prompt: uncached tokens and cache writes in full, ten tokens read from a
    cache as one, rounded up. That is what cache reads cost beside uncached input (Anthropic pricing page, 2026-11-20); counted in
    full, an agent that sends its history again and again would use up a token budget without using the model."""
    reads = -(-tokens.cache_read // CACHE_READS_PER_TOKEN)
    return tokens.input + tokens.cache_write_5m + tokens.cache_write_1h + reads


def amounts_of(usage: Usage, cost_nanodollars: int) -> Amounts:
    """What budgets count of a settled call. Thinking is a part of output."""
    tokens = usage.total()
    return Amounts(cost_nanodollars, counted_input_tokens(tokens), tokens.output)
