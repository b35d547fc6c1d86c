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
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.canonical.call import Call, Target
from gateway.canonical.json_object import JsonObject
from gateway.canonical.usage import Usage
from gateway.catalog.dearest import kin_of
from gateway.catalog.models import find, vendor_of
from gateway.catalog.rows import Model
from gateway.spending.amounts import Amounts, Estimate, counted_input_tokens
from gateway.spending.learning import Habit, Mean, Recent
from gateway.spending.media import IMAGE_TOKENS_MAX
from gateway.spending.prices import PriceBook, Rates
from gateway.spending.sizes import Size, is_more_than_its_length, length_of, size_of

BYTES_PER_TOKEN = 3.5
FRAME_TOKENS_MAX = 1_000  # the system prompt that comes with tools (Anthropic tool use page, 2026-11: up to 700)
PAGE_TOKENS = 2_400  # 1,500 to 3,000 a page (Anthropic PDF page, 2026-11)
PAGE_TOKENS_MAX = IMAGE_TOKENS_MAX + 6_000
SEARCH_TOKENS_MAX = 25_000
LONG_CONTEXT_TOKENS = 1_000_000  # where a price tier lies beyond the usual window
CALLS_UNTIL_TRUSTED = 5
LESSONS_EVERY_S = 0.02  # of calls that a key makes more often only some teach: the others would say the same
MEASURED_EVERY_S = 0.2  # of calls that were only guessed at
SHORT_BYTES = 8_192
HABITS_KEPT = 10_000
SIZES_KEPT = 10_000


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
        self._measured_at = float("-inf")  # monotonic
        self._sizes: dict[str, Size] = {}  # of calls that are under way, the oldest first

    def estimate(self, call: Call, target: Target, params: Mapping[str, bytes] | None = None) -> Estimate:
        """Ten microseconds, and 60 more for a request of 100 KB of text; no waiting, no store."""
        with self._lock:
            size = self._measure(call)
            if params:
                size = size_of(JsonObject(call.request.document.edited(put=params)))
        limits = limits_of(target.model, target.provider.kind)
        worst = _worst(size, limits, self._prices.rates_of_calls(target, fast=size.fast)[1])
        return Estimate(_at_most(worst, self._likely(call, target, size, limits)), worst)

    def guess(self, call: Call, target: Target) -> Amounts | None:
        """A few microseconds, however long the request is. A short one is looked at, which costs little: links to media would
        make it many times what it is long."""
        document = call.request.document
        if is_more_than_its_length(document):
            return None
        if len(document.source) < SHORT_BYTES:
            with self._lock:
                size = self._measure(call)
        else:
            size = length_of(document)
        return self._likely(call, target, size, limits_of(target.model, target.provider.kind))

    def learn(self, call: Call, target: Target, usage: Usage, cost_nanodollars: int) -> None:
        """From the provider's closing figures only; what was cut off or estimated teaches nothing."""
        with self._lock:
            size = self._sizes.pop(call.id, None)
            if usage.completeness != "final":
                return
            own = self._habits.get_or_put((call.caller.key_id, target.model), Habit)
            if 0.0 < call.started - own.learned_at < LESSONS_EVERY_S:
                return
            tokens = usage.total()
            prompt = tokens.prompt
            if not prompt:
                return
            own.learned_at = call.started
            self._correct(call, target, prompt, size)
            output, counted = max(1.0, tokens.output), max(0.01, counted_input_tokens(tokens) / prompt)
            factor = self._price_factor(target, usage, prompt, cost_nanodollars)
            for habit in (own, self._habits.get_or_put(("", target.model), Habit)):
                habit.output_tokens.learn(output)
                habit.counted_factor.learn(counted)
                if factor is not None:
                    habit.price_factor.learn(factor)

    def _likely(self, call: Call, target: Target, size: Size, limits: Limits) -> Amounts:
        with self._lock:
            correction = self._corrections.get(target.model)
            ratio = correction.value if correction else 1.0
            habit = self._habit(call.caller.key_id, target.model)
            output, price_factor, counted = habit.output_tokens.value, habit.price_factor.value, habit.counted_factor.value
        rates = self._prices.rates_of_calls(target, fast=size.fast)[0]
        prompt = min(int(_prompt_tokens(size, ratio)), limits.window)
        output_tokens = min(int(output), _output_limit(size, limits)) * size.answers
        cost = _likely_cost(rates, prompt, price_factor, output_tokens, size)
        return Amounts(cost, int(prompt * counted), output_tokens)

    def _correct(self, call: Call, target: Target, prompt: int, size: Size | None) -> None:
        """How many tokens a byte makes. Calls that were only guessed at are measured for it now and then."""
        if size is None:
            if call.started - self._measured_at < MEASURED_EVERY_S:
                return
            self._measured_at = call.started
            size = size_of(call.request.document)
        if not size.uses and not size.compacts and (expected := _prompt_tokens(size, 1.0)):
            self._corrections.get_or_put(target.model, _new_correction).learn(min(4.0, prompt / expected))

    def _measure(self, call: Call) -> Size:
        """Once for a call, whoever asks."""
        if (known := self._sizes.get(call.id)) is not None:
            return known
        if len(self._sizes) >= SIZES_KEPT:
            del self._sizes[next(iter(self._sizes))]
        size = self._sizes[call.id] = size_of(call.request.document)
        return size

    def _price_factor(self, target: Target, usage: Usage, prompt: int, cost_nanodollars: int) -> float | None:
        """What the prompt really cost as a part of what it costs uncached."""
        rates = self._prices.rates(target, fast=usage.fast, us_only=usage.us_only)
        uncached = rates.nanodollars(rates.step(prompt).input * prompt)
        if not uncached:
            return None
        rest = rates.nanodollars(rates.base.output * usage.total().output + rates.search * usage.searches)
        return min(4.0, max(0.01, (cost_nanodollars - rest) / uncached))

    def _habit(self, key_id: str, model: str) -> Habit:
        """The key's own once it made some calls, until then that of all keys."""
        own = self._habits.get((key_id, model))
        if own is not None and own.output_tokens.count >= CALLS_UNTIL_TRUSTED:
            return own
        return self._habits.get(("", model)) or own or Habit()


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


def _worst(size: Size, limits: Limits, rates: Rates) -> Amounts:
    output = _output_limit(size, limits) * size.answers
    prompt = limits.window if size.open_ended else min(limits.window, _prompt_tokens_max(size, limits))
    if size.uses:
        grown = min(limits.window, prompt + size.uses * SEARCH_TOKENS_MAX + output)
        prompt = grown * (size.uses + 1)
    passes = 2 if size.compacts else 1
    step = rates.step(prompt)
    units = passes * (prompt * step.dearest_input + output * step.output) + size.uses * rates.search
    return Amounts(rates.nanodollars(units), prompt * passes, output * passes)


def _at_most(most: Amounts, amounts: Amounts) -> Amounts:
    return Amounts(
        min(most.cost_nanodollars, amounts.cost_nanodollars),
        min(most.input_tokens, amounts.input_tokens),
        min(most.output_tokens, amounts.output_tokens),
    )


def _likely_cost(rates: Rates, prompt: int, price_factor: float, output: int, size: Size) -> int:
    uncached = rates.nanodollars(rates.step(prompt).input * prompt)
    rest = rates.nanodollars(rates.base.output * output + rates.search * min(1, size.uses))
    return int(uncached * price_factor) + rest


def _new_correction() -> Mean:
    return Mean(1.0)


def _output_limit(size: Size, limits: Limits) -> int:
    return limits.output if size.output_limit is None else size.output_limit


def _prompt_tokens(size: Size, ratio: float) -> float:
    return (size.text_bytes / BYTES_PER_TOKEN + size.media_tokens + size.pdf_pages * PAGE_TOKENS) * ratio


def _prompt_tokens_max(size: Size, limits: Limits) -> int:
    media = size.media_tokens if limits.is_claude else max(size.media_tokens, size.images * IMAGE_TOKENS_MAX)
    return size.text_bytes + media + size.pdf_pages * PAGE_TOKENS_MAX + FRAME_TOKENS_MAX
