"""What a call consumed, in the unit it is billed by."""

from dataclasses import dataclass
from typing import Literal

Completeness = Literal["final", "partial", "estimated"]
"""final: the provider's closing figures. partial: its figures up to a cut, output estimated from what was relayed.
estimated: no figures of the provider's at all."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token classes as they are billed. `input` is the uncached part only; `thinking` is a part of `output`."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    thinking: int = 0

    @property
    def prompt(self) -> int:
        """All prompt tokens: what long-context price tiers are judged by."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True, slots=True)
class Usage:
    """`iterations` are further model passes billed beside the top-level figures (compaction)."""

    tokens: Tokens = Tokens()
    searches: int = 0
    fast: bool = False
    us_only: bool = False
    iterations: tuple[Tokens, ...] = ()
    completeness: Completeness = "final"
    provisioned: bool = False  # the provider says so: answered out of throughput that was bought ahead

    def total(self) -> Tokens:
        """Top-level tokens and iterations together."""
        if not self.iterations:
            return self.tokens
        every = (self.tokens, *self.iterations)
        return Tokens(
            input=sum(t.input for t in every),
            output=sum(t.output for t in every),
            cache_read=sum(t.cache_read for t in every),
            cache_write_5m=sum(t.cache_write_5m for t in every),
            cache_write_1h=sum(t.cache_write_1h for t in every),
            thinking=sum(t.thinking for t in every),
        )
