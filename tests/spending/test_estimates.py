"""Estimates: the worst case bounds whatever may happen, and the likely one follows what did."""

import json
import random
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.call import Call, Caller, Request, Target
from gateway.canonical.json_object import JsonObject
from gateway.canonical.usage import Tokens, Usage
from gateway.providers.provider import Provider
from gateway.spending.amounts import counted_input_tokens
from gateway.spending.estimates import HABITS_KEPT, LearnedEstimates
from gateway.spending.prices import PriceBook

BOOK = PriceBook()
NUMBERS = count()
MODELS = ["claude-sonnet-4-6", "claude-haiku-5-5", "claude-sonnet-4-5", "claude-opus-5-5", "gemini-2.5-pro", "gpt-6-sol"]
MODELS.append("claude-next-9")  # no model of the catalog


def call(body: dict[str, Any] | None = None, *, key: str = "key_1", text: str = "Hello") -> Call:
    body = body if body is not None else {"max_tokens": 1_000}
    document = JsonObject(json.dumps({"messages": [{"role": "user", "content": text}], **body}).encode())
    return Call(f"req_{next(NUMBERS)}", Caller(key, "acme"), "anthropic", Request("generate", "m", False, document), {}, 0.0, 0.0)


def target(model: str = "claude-sonnet-4-6", location: str = "global", kind: str = "vertex") -> Target:
    return Target(Provider("p", kind, "adc"), model, model, location, "anthropic")


def cost(where: Target, usage: Usage) -> int:
    return BOOK.cost(where.model, where.provider.kind, where.location, usage).nanodollars


def teach(estimates: LearnedEstimates, outputs: list[int], *, key: str = "key_1", **prompt: int) -> None:
    for output in outputs:
        asked, where = call(key=key, text="word " * 700), target()
        estimates.estimate(asked, where)
        usage = Usage(Tokens(output=output, **(prompt or {"input": 1_000})))
        estimates.learn(asked, where, usage, cost(where, usage))


def test_the_worst_case_of_a_small_call_is_what_it_says() -> None:
    """Sonnet 4.6 at $6 for an hour's cache write and $15 out: every byte a token, every token written, all output used."""
    asked = call({"max_tokens": 500})
    prompt = len(asked.request.document.source) + 1_000
    worst = LearnedEstimates(BOOK).estimate(asked, target()).worst
    assert (worst.input_tokens, worst.output_tokens) == (prompt, 500)
    assert worst.cost_nanodollars == prompt * 6_000 + 500 * 15_000


def test_the_worst_case_pays_for_region_searches_and_fast_mode() -> None:
    """Each makes it dearer."""
    estimates = LearnedEstimates(BOOK)
    plain = estimates.estimate(call(), target("claude-fable-5-2")).worst.cost_nanodollars
    assert estimates.estimate(call(), target("claude-fable-5-2", "us-east5")).worst.cost_nanodollars == plain * 11 // 10
    fast = estimates.estimate(call({"max_tokens": 1_000, "speed": "fast"}), target("claude-fable-5-2")).worst
    assert fast.cost_nanodollars > plain * 2
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
    searching = estimates.estimate(call({"max_tokens": 1_000, "tools": [search]}), target("claude-fable-5-2")).worst
    assert searching.cost_nanodollars > plain * 3 + 2 * 10_000_000


def test_without_a_limit_the_model_s_own_holds() -> None:
    """An unknown model has its family's largest."""
    estimates = LearnedEstimates(BOOK)
    assert estimates.estimate(call({}), target()).worst.output_tokens == 128_000
    assert estimates.estimate(call({}), target("claude-3-haiku")).worst.output_tokens == 4_096
    assert estimates.estimate(call({}), target("claude-haiku-9")).worst.output_tokens == 128_000


def test_a_prompt_is_never_more_than_the_context_window() -> None:
    """A longer one is refused unbilled; one that cannot be seen is as long as that."""
    estimates = LearnedEstimates(BOOK)
    assert estimates.estimate(call(text="x" * 300_000), target("claude-haiku-4-5")).worst.input_tokens == 200_000
    remote = {"type": "document", "source": {"type": "url", "url": "https://x.test/a.pdf"}}
    asked = call({"max_tokens": 10, "messages": [{"role": "user", "content": [remote]}]})
    assert estimates.estimate(asked, target("claude-haiku-4-5")).worst.input_tokens == 200_000


@st.composite
def situations(draw: st.DrawFn) -> tuple[Call, Target, Usage]:
    """A call, where it goes, and a usage within the stated bounds."""
    text = draw(st.sampled_from(["Hello", "é" * 50, "x" * 4_000, "y" * 250_000]))
    max_tokens = draw(st.integers(0, 200_000))
    uses = draw(st.sampled_from([0, 0, 0, 1, 4]))
    body: dict[str, Any] = {"max_tokens": max_tokens}
    if uses:
        body["tools"] = [{"type": "web_search_20250305", "name": "web_search", "max_uses": uses}]
    if fast := draw(st.booleans()):
        body["speed"] = "fast"
    if compacts := draw(st.booleans()):
        body["context_management"] = {"edits": [{"type": "compact_20260112"}]}
    asked = call(body, text=text)
    where = target(
        draw(st.sampled_from(MODELS)),
        draw(st.sampled_from(["global", "us-east5", "eu"])),
        draw(st.sampled_from(["vertex", "anthropic"])),
    )
    bound = LearnedEstimates(BOOK).estimate(asked, where).worst
    passes = 2 if compacts else 1

    def one_pass() -> Tokens:
        left, parts = bound.input_tokens // passes, []
        for _ in range(4):
            parts.append(draw(st.integers(0, left)))
            left -= parts[-1]
        shuffled = draw(st.permutations(parts))
        return Tokens(shuffled[0], draw(st.integers(0, max_tokens)), *shuffled[1:])

    usage = Usage(
        one_pass(),
        searches=draw(st.integers(0, uses)),
        fast=fast and draw(st.booleans()),
        us_only=draw(st.booleans()),
        iterations=(one_pass(),) if compacts and draw(st.booleans()) else (),
    )
    return asked, where, usage


@given(situations())
@settings(max_examples=300, deadline=None)
def test_no_usage_within_the_stated_bounds_costs_more_than_the_worst_case(situation: tuple[Call, Target, Usage]) -> None:
    """Whatever the mix of token classes, tiers, premiums, searches and passes."""
    asked, where, usage = situation
    worst = LearnedEstimates(BOOK).estimate(asked, where).worst
    assert cost(where, usage) <= worst.cost_nanodollars
    assert counted_input_tokens(usage.total()) <= worst.input_tokens and usage.total().output <= worst.output_tokens


@given(situations(), st.lists(st.integers(0, 150_000), max_size=20), st.integers(0, 10**12))
@settings(max_examples=150, deadline=None)
def test_the_likely_case_is_never_above_the_worst(
    situation: tuple[Call, Target, Usage], outputs: list[int], paid: int
) -> None:
    """Whatever was learned, absurd costs included."""
    asked, where, usage = situation
    estimates = LearnedEstimates(BOOK)
    for output in outputs:
        estimates.learn(call(text="x"), where, Usage(Tokens(input=usage.tokens.prompt, output=output)), paid)
    estimate = estimates.estimate(asked, where)
    for name in ("cost_nanodollars", "input_tokens", "output_tokens"):
        assert 0 <= getattr(estimate.likely, name) <= getattr(estimate.worst, name)


@given(st.sampled_from(MODELS), st.integers(0, 100_000), st.integers(0, 100_000), st.lists(st.integers(1, 50_000), max_size=10))
@settings(max_examples=100, deadline=None)
def test_more_max_tokens_never_hold_less(model: str, one: int, other: int, outputs: list[int]) -> None:
    """Likely and worst grow with it, or stay."""
    estimates = LearnedEstimates(BOOK)
    for output in outputs:
        estimates.learn(call(), target(model), Usage(Tokens(input=50, output=output)), 10_000)
    low, high = (estimates.estimate(call({"max_tokens": limit}), target(model)) for limit in sorted([one, other]))
    for kind in ("likely", "worst"):
        for name in ("cost_nanodollars", "output_tokens"):
            assert getattr(getattr(low, kind), name) <= getattr(getattr(high, kind), name)


def test_the_output_that_nine_in_ten_stay_below_is_learned() -> None:
    """From a spread as real answers have it, whatever `max_tokens` says."""
    draw = random.Random(5)
    outputs = [max(1, round(draw.lognormvariate(5.5, 1.0))) for _ in range(600)]
    estimates = LearnedEstimates(BOOK)
    teach(estimates, outputs)
    expected = sorted(outputs)[540]
    found = estimates.estimate(call({"max_tokens": 32_000}), target()).likely.output_tokens
    assert expected * 0.6 < found < expected * 1.7
    later = [max(1, round(draw.lognormvariate(5.5, 1.0))) for _ in range(400)]
    covered = 0
    for output in later:
        covered += output <= estimates.estimate(call({"max_tokens": 32_000}), target()).likely.output_tokens
        teach(estimates, [output])
    assert 0.8 < covered / len(later) < 0.97


@given(text=st.text(max_size=300), limit=st.integers(1, 64_000), taught=st.integers(0, 30))
def test_a_call_of_text_is_guessed_as_it_is_estimated(text: str, limit: int, taught: int) -> None:
    """A glance says as much as a close look, whatever was learned meanwhile."""
    estimates = LearnedEstimates(BOOK)
    teach(estimates, [700] * taught)
    asked = call({"max_tokens": limit, "tools": [{"name": "Read", "input_schema": {"type": "object"}}]}, text=text)
    assert estimates.guess(asked, target()) == estimates.estimate(asked, target()).likely


def test_a_short_call_is_no_cheaper_than_what_it_links_to() -> None:
    """Twenty documents by URL are a thousand bytes, and fifty thousand tokens."""
    estimates = LearnedEstimates(BOOK)
    links = [{"type": "document", "source": {"type": "url", "url": f"https://example.com/{number}.pdf"}} for number in range(20)]
    asked = call({"max_tokens": 100, "messages": [{"role": "user", "content": links}]})
    likely = estimates.estimate(asked, target()).likely
    assert estimates.guess(asked, target()) == likely and likely.input_tokens > 40_000


def test_a_glance_takes_what_is_held_for_text() -> None:
    """An image of 400 KB looks like a long prompt: too much, so that a closer look is worth its while."""
    estimates, pixels = LearnedEstimates(BOOK), {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}
    asked = call({"max_tokens": 100, "messages": [{"role": "user", "content": [{"type": "image", "source": pixels}]}]})
    guess = estimates.guess(asked, target())
    assert guess is not None and guess.input_tokens > 20 * estimates.estimate(asked, target()).likely.input_tokens


@pytest.mark.parametrize(
    "member",
    [{"speed": "fast"}, {"container": "c_1"}, {"mcp_servers": []}, {"web_search_options": {}}, {"previous_response_id": "r_1"}],
    ids=lambda member: next(iter(member)),
)
def test_what_makes_a_call_dear_at_any_length_is_not_guessed_at(member: dict[str, Any]) -> None:
    """One look at the members' names tells."""
    assert LearnedEstimates(BOOK).guess(call({"max_tokens": 100, **member}), target()) is None


def test_calls_that_were_guessed_at_still_teach() -> None:
    """How many tokens a byte makes is learned from some of them."""
    estimates = LearnedEstimates(BOOK)
    for number in range(100):
        asked = replace(call({"max_tokens": 32_000}, text="word " * 700), started=number * 0.5)
        estimates.guess(asked, target())
        estimates.learn(asked, target(), Usage(Tokens(input=2_000, output=10)), 6_150_000)
    guess = estimates.guess(call({"max_tokens": 32_000}, text="word " * 700), target())
    assert guess is not None and guess.input_tokens == pytest.approx(2_000, rel=0.1)


def test_what_changes_is_learned_anew() -> None:
    """Old calls are forgotten: a key that turns to long answers is held for them soon, and the other way round."""
    estimates = LearnedEstimates(BOOK)
    teach(estimates, [100] * 200)
    assert estimates.estimate(call({"max_tokens": 32_000}), target()).likely.output_tokens < 150
    teach(estimates, [8_000] * 80)
    assert estimates.estimate(call({"max_tokens": 32_000}), target()).likely.output_tokens > 7_000
    teach(estimates, [100] * 700)
    assert estimates.estimate(call({"max_tokens": 32_000}), target()).likely.output_tokens < 150


def test_a_cached_prompt_is_held_at_what_it_really_costs() -> None:
    """An agent that reads 95 % from the cache is not held at full price."""
    estimates, asked = LearnedEstimates(BOOK), call({"max_tokens": 32_000}, text="word " * 700)
    before = estimates.estimate(asked, target()).likely
    teach(estimates, [200] * 60, input=50, cache_read=950)
    after = estimates.estimate(call({"max_tokens": 32_000}, text="word " * 700), target()).likely
    usage = Usage(Tokens(input=50, cache_read=950, output=200))
    assert after.cost_nanodollars < before.cost_nanodollars / 4
    assert cost(target(), usage) * 0.9 < after.cost_nanodollars < cost(target(), usage) * 1.2
    assert after.input_tokens == pytest.approx(counted_input_tokens(usage.total()), rel=0.1)


def test_how_many_tokens_a_byte_makes_is_learned_by_model() -> None:
    """For every key at once: tokenizers belong to models."""
    estimates = LearnedEstimates(BOOK)
    teach(estimates, [10] * 100, input=2_000)
    new_key = estimates.estimate(call(key="key_2", text="word " * 700), target()).likely.input_tokens
    assert new_key == pytest.approx(2_000, rel=0.1)
    assert estimates.estimate(call(text="word " * 700), target("claude-haiku-4-5")).likely.input_tokens < 1_200


def test_a_key_has_its_own_habits() -> None:
    """A new one begins with those of all keys of that model."""
    estimates = LearnedEstimates(BOOK)
    teach(estimates, [100] * 50, key="key_short")
    teach(estimates, [9_000] * 20, key="key_long")
    likely = {
        key: estimates.estimate(call({"max_tokens": 32_000}, key=key), target()).likely.output_tokens
        for key in ("key_short", "key_long", "key_new")
    }
    assert likely["key_short"] < 200 and likely["key_long"] > 8_000 and likely["key_new"] > 2 * likely["key_short"]


def test_calls_in_quick_succession_teach_as_much_as_is_needed() -> None:
    """Of five hundred a second not each is learned from, but what they turn out like is known within seconds."""
    estimates = LearnedEstimates(BOOK)
    for number in range(2_000):
        asked = replace(call(text="word " * 700), started=number * 0.002)
        estimates.learn(asked, target(), Usage(Tokens(input=1_000, output=8_000)), 123_000_000)
    assert estimates.estimate(call({"max_tokens": 32_000}), target()).likely.output_tokens > 7_000


def test_what_a_config_asks_for_is_estimated() -> None:
    """Its parameters take the place of the caller's, at the targets that it names them for."""
    estimates, asked = LearnedEstimates(BOOK), call({"max_tokens": 100})
    assert estimates.estimate(asked, target(), {"max_tokens": b"9000"}).worst.output_tokens == 9_000
    assert estimates.estimate(asked, target()).worst.output_tokens == 100


def test_only_closing_figures_teach() -> None:
    """A call that was cut off or failed says nothing of the next."""
    estimates = LearnedEstimates(BOOK)
    before = estimates.estimate(call({"max_tokens": 32_000}), target()).likely
    for completeness in ("partial", "estimated"):
        usage = Usage(Tokens(input=10, output=30_000), completeness=completeness)
        estimates.learn(call(), target(), usage, 10**9)
    estimates.learn(call(), target(), Usage(), 0)
    assert estimates.estimate(call({"max_tokens": 32_000}), target()).likely == before


def test_memory_is_bounded() -> None:
    """However many keys there are, and calls that never end."""
    estimates = LearnedEstimates(BOOK)
    for number in range(HABITS_KEPT + 500):
        estimates.learn(call(key=f"key_{number}"), target(), Usage(Tokens(input=10, output=10)), 1)
        estimates.estimate(call(), target())
    assert len(estimates._habits) == HABITS_KEPT and len(estimates._sizes) <= HABITS_KEPT


def test_what_runs_on_provisioned_throughput_alone_holds_no_money() -> None:
    """Where that costs nothing more; tokens are held as ever."""
    provider = Provider("p", "vertex", "adc", request_type="dedicated", provisioned_free=True)
    where = Target(provider, "claude-sonnet-4-6", "claude-sonnet-4-6", "us-east5", "anthropic")
    estimate = LearnedEstimates(BOOK).estimate(call(), where)
    assert (estimate.likely.cost_nanodollars, estimate.worst.cost_nanodollars) == (0, 0)
    assert estimate.worst.output_tokens == 1_000
