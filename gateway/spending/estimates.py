"""What a call will likely cost, and what it can cost at worst, before it is made.

`likely` is learned: for each key and model the output that nine calls in ten stay below, how much of the prompt came from a
cache, and for each model how many tokens its tokenizer makes of a byte. `worst` holds whatever happens, as stated:

- no more prompt tokens than bytes of text (a byte-level tokenizer makes at most one of each), images and PDF pages at
  their largest, never more than the model's context window, which a provider refuses unbilled;
- all of them in the dearest class; each use of a server tool and a compaction as one more pass over a prompt grown by what the
  tool may have brought; every search paid;
- `max_tokens` of output, or the model's most if the caller gave none, for each answer asked for;
- fast mode if the request asks for a `speed` other than standard, United States only if the kind of provider charges for it.

What it does not hold: a PDF page with more text than print has room for, or a search that brings more than SEARCH_TOKENS_MAX.
The excess of such a call is a debt of its budget.
"""

import threading
from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.canonical.call import Call, Target
from gateway.canonical.usage import Tokens, Usage
from gateway.catalog.dearest import kin_of
from gateway.catalog.models import find, vendor_of
from gateway.catalog.rows import Model
from gateway.spending.amounts import Amounts, Estimate, counted_input_tokens
from gateway.spending.learning import Habit, Mean, Recent
from gateway.spending.media import IMAGE_TOKENS_MAX
from gateway.spending.prices import PriceBook
from gateway.spending.sizes import Size, size_of

BYTES_PER_TOKEN = 3.5
FRAME_TOKENS_MAX = 1_000  # the system prompt that comes with tools (Anthropic tool use page, 2026-11: up to 700)
PAGE_TOKENS = 2_400  # 1,500 to 3,000 a page (Anthropic PDF page, 2026-11)
PAGE_TOKENS_MAX = IMAGE_TOKENS_MAX + 6_000
SEARCH_TOKENS_MAX = 25_000
LONG_CONTEXT_TOKENS = 1_000_000  # where a price tier lies beyond the usual window
CALLS_UNTIL_TRUSTED = 5
HABITS_KEPT = 10_000
SIZES_KEPT = 10_000
PROMPT_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a model, in tokens: of a family's largest, if the model is unknown."""

    window: int
    output: int
    is_claude: bool


class LearnedEstimates:
    """The `Estimates` of this deployment. What it learns is this instance's own and ends with it."""

    def __init__(self, prices: PriceBook) -> None:
        self._prices = prices
        self._lock = threading.Lock()
        self._habits: Recent[tuple[str, str], Habit] = Recent(HABITS_KEPT)  # ("", model): every key's calls together
        self._corrections: Recent[str, Mean] = Recent(HABITS_KEPT)
        self._sizes: Recent[str, Size] = Recent(SIZES_KEPT)  # of calls that are under way

    def estimate(self, call: Call, target: Target) -> Estimate:
        """Some tens of microseconds for a request of 100 KB of text; no waiting, no store."""
        with self._lock:
            size = self._sizes.get(call.id)
        if size is None:
            size = size_of(call.request.document)
            with self._lock:
                self._sizes.put(call.id, size)
        limits = limits_of(target.model, target.provider.kind)
        worst = self._worst(size, limits, target)
        likely = self._likely(size, limits, call, target)
        return Estimate(likely=_least(likely, worst), worst=worst)

    def learn(self, call: Call, target: Target, usage: Usage, cost_nanodollars: int) -> None:
        """From the provider's closing figures only; what was cut off or estimated teaches nothing."""
        with self._lock:
            size = self._sizes.pop(call.id)
        prompt = usage.total().prompt
        if usage.completeness != "final" or not prompt:
            return
        size = size or size_of(call.request.document)
        factor = self._price_factor(target, usage, prompt, cost_nanodollars)
        with self._lock:
            if not size.uses and not size.compacts and (expected := _prompt_tokens(size, 1.0)):
                self._corrections.get_or_put(target.model, lambda: Mean(1.0)).learn(min(4.0, prompt / expected))
            for key in (call.caller.key_id, ""):
                habit = self._habits.get_or_put((key, target.model), Habit)
                habit.output_tokens.learn(max(1.0, usage.total().output))
                habit.counted_factor.learn(max(0.01, counted_input_tokens(usage) / prompt))
                if factor is not None:
                    habit.price_factor.learn(factor)

    def _price_factor(self, target: Target, usage: Usage, prompt: int, cost_nanodollars: int) -> float | None:
        """What the prompt really cost as a part of what it costs uncached."""
        rest = Tokens(output=usage.total().output)
        without_prompt = self._cost(target, replace(usage, tokens=rest, iterations=()))
        uncached = self._cost(target, replace(usage, tokens=Tokens(input=prompt), iterations=(), searches=0))
        if not uncached:
            return None
        return min(4.0, max(0.01, (cost_nanodollars - without_prompt) / uncached))

    def _likely(self, size: Size, limits: Limits, call: Call, target: Target) -> Amounts:
        with self._lock:
            correction = self._corrections.get(target.model)
            habit = self._habit(call.caller.key_id, target.model)
            ratio = correction.value if correction else 1.0
            output, price_factor, counted = habit.output_tokens.value, habit.price_factor.value, habit.counted_factor.value
        prompt = int(_prompt_tokens(size, ratio))
        output_tokens = min(int(output), _output_limit(size, limits)) * size.answers
        uncached = self._cost(target, Usage(Tokens(input=prompt), fast=size.fast))
        rest = self._cost(target, Usage(Tokens(output=output_tokens), searches=min(1, size.uses), fast=size.fast))
        return Amounts(int(uncached * price_factor) + rest, int(prompt * counted), output_tokens)

    def _habit(self, key_id: str, model: str) -> Habit:
        """The key's own once it made some calls, until then that of all keys."""
        own = self._habits.get((key_id, model))
        if own is not None and own.count >= CALLS_UNTIL_TRUSTED:
            return own
        return self._habits.get(("", model)) or own or Habit()

    def _worst(self, size: Size, limits: Limits, target: Target) -> Amounts:
        output = _output_limit(size, limits) * size.answers
        prompt = limits.window if size.open_ended else min(limits.window, _prompt_tokens_max(size, limits))
        if size.uses:
            grown = min(limits.window, prompt + size.uses * SEARCH_TOKENS_MAX + output)
            prompt = grown * (size.uses + 1)
        passes = 2 if size.compacts else 1
        cost = max(self._cost(target, _worst_usage(name, prompt, output, size)) for name in PROMPT_CLASSES)
        return Amounts(cost, prompt * passes, output * passes)

    def _cost(self, target: Target, usage: Usage) -> int:
        return self._prices.cost(target.model, target.provider.kind, target.location, usage).nanodollars


@lru_cache(maxsize=4_096)
def limits_of(model: str, kind: str) -> Limits:
    """The model's from the catalog, or the largest among those its name is akin to."""
    known = find(model, kind)
    kin = (known,) if known else kin_of(model, kind)
    return Limits(
        window=max(_window(each) for each in kin),
        output=max(each.max_output_tokens or 0 for each in kin),
        is_claude=vendor_of(model) == "anthropic",
    )


def _window(model: Model) -> int:
    beyond = any(tier.above_prompt_tokens >= model.context_window for tier in model.prices.tiers)
    return LONG_CONTEXT_TOKENS if beyond else model.context_window


def _worst_usage(prompt_class: str, prompt: int, output: int, size: Size) -> Usage:
    one_pass = Tokens(output=output, **{prompt_class: prompt})
    return Usage(one_pass, size.uses, size.fast, us_only=True, iterations=(one_pass,) if size.compacts else ())


def _output_limit(size: Size, limits: Limits) -> int:
    return limits.output if size.output_limit is None else size.output_limit


def _prompt_tokens(size: Size, ratio: float) -> float:
    return (size.text_bytes / BYTES_PER_TOKEN + size.media_tokens + size.pdf_pages * PAGE_TOKENS) * ratio


def _prompt_tokens_max(size: Size, limits: Limits) -> int:
    media = size.media_tokens if limits.is_claude else max(size.media_tokens, size.images * IMAGE_TOKENS_MAX)
    return size.text_bytes + media + size.pdf_pages * PAGE_TOKENS_MAX + FRAME_TOKENS_MAX


def _least(likely: Amounts, worst: Amounts) -> Amounts:
    return Amounts(
        min(likely.cost_nanodollars, worst.cost_nanodollars),
        min(likely.input_tokens, worst.input_tokens),
        min(likely.output_tokens, worst.output_tokens),
    )
