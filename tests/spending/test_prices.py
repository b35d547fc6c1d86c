"""What calls cost: against sums done by hand, and as properties."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.canonical.call import Target
from gateway.canonical.usage import Tokens, Usage
from gateway.catalog.dearest import TOKEN_CLASSES
from gateway.catalog.models import all_models, price_version
from gateway.providers.provider import Provider
from gateway.settings import SettingsFault
from gateway.spending.prices import Cost, PriceBook

BOOK = PriceBook()


def nanodollars(model: str, usage: Usage, kind: str = "vertex", location: str = "global", book: PriceBook = BOOK) -> int:
    return book.cost(model, kind, location, usage).nanodollars


def usage(**tokens: int) -> Usage:
    return Usage(Tokens(**tokens))


def overriding(folder: Path, prices: Any, multiplier: float = 1.0) -> PriceBook:
    path = folder / "prices.json"
    path.write_text(prices if isinstance(prices, str) else json.dumps(prices))
    return PriceBook(str(path), multiplier)


CHAT = usage(input=1_000, output=500, cache_read=20_000, cache_write_5m=2_000)
GOLDEN = [
    # Sonnet 4.5, $3 in, 15 out, 0.30 read, 3.75 write: 3,000 + 7,500 + 6,000 + 7,500 = 24,000 µ$
    ("claude-sonnet-4-5", "vertex", "global", CHAT, 24_000_000),
    # the same × 1.1 in a region and in a multi-region
    ("claude-sonnet-4-5", "vertex", "us-east5", CHAT, 26_400_000),
    ("claude-sonnet-4-5", "vertex", "eu", CHAT, 26_400_000),
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", "us", CHAT, 26_400_000),
    ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", "global", CHAT, 24_000_000),
    # Opus 4.1 has one price everywhere: 1,000 × 15 + 100 × 75 = 22,500 µ$
    ("claude-opus-4-1", "vertex", "us-east5", usage(input=1_000, output=100), 22_500_000),
    # Haiku 5.5 at 100,000 prompt tokens: 10,000 × 0.10 + 90,000 × 0.01 + 1,000 × 0.50 = 1,000 + 900 + 500 = 2,400 µ$
    ("claude-haiku-5-5", "vertex", "global", usage(input=10_000, cache_read=90_000, output=1_000), 2_400_000),
    # one token more, all of it five times as dear: 10,001 × 0.50 + 90,000 × 0.05 + 1,000 × 2.50 = 12,000.5 µ$
    ("claude-haiku-5-5", "vertex", "global", usage(input=10_001, cache_read=90_000, output=1_000), 12_000_500),
    # cache writes of both ages count towards the threshold: 50,000 × 0.625 + 50,001 × 1 = 31,250 + 50,001 µ$
    ("claude-haiku-5-5", "vertex", "global", usage(cache_write_5m=50_000, cache_write_1h=50_001), 81_251_000),
    # Opus 5.5 reads at 0.05 of input: 900,000 × 0.20 = 180,000 µ$
    ("claude-opus-5-5", "vertex", "global", usage(cache_read=900_000), 180_000_000),
    # … and writes for an hour at 8, for five minutes at 5
    ("claude-opus-5-5", "vertex", "global", usage(cache_write_1h=10_000), 80_000_000),
    ("claude-opus-5-5", "vertex", "global", usage(cache_write_5m=10_000), 50_000_000),
    # thinking is a part of output and not paid twice: 1,000 × 20
    ("claude-opus-5-5", "vertex", "global", usage(output=1_000, thinking=900), 20_000_000),
    # three searches at a cent, without the region's premium: 10 × 3 × 1.1 + 30,000 = 30,033 µ$
    ("claude-sonnet-4-5", "vertex", "eu", Usage(Tokens(input=10), searches=3), 30_033_000),
    # Fable 5.2 fast: (1,000 × 8 + 1,000 × 40) × 2 = 96,000 µ$; in `us` × 1.1 = 105,600 µ$
    ("claude-fable-5-2", "vertex", "global", Usage(Tokens(input=1_000, output=1_000), fast=True), 96_000_000),
    ("claude-fable-5-2", "vertex", "us", Usage(Tokens(input=1_000, output=1_000), fast=True), 105_600_000),
    # Sonnet 5.5 has no fast mode: 1,000 × 2
    ("claude-sonnet-5-5", "vertex", "global", Usage(Tokens(input=1_000), fast=True), 2_000_000),
    # inference_geo "us" costs a tenth more at Anthropic; on Vertex AI the location alone decides: 1,000 × 4
    ("claude-opus-5-5", "anthropic", "", Usage(Tokens(input=1_000), us_only=True), 4_400_000),
    ("claude-opus-5-5", "vertex", "global", Usage(Tokens(input=1_000), us_only=True), 4_000_000),
    ("claude-opus-5-5", "vertex", "us", Usage(Tokens(input=1_000), us_only=True), 4_400_000),
    # Sonnet 4.5 has no such premium at Anthropic: 1,000 × 3
    ("claude-sonnet-4-5", "anthropic", "", Usage(Tokens(input=1_000), us_only=True), 3_000_000),
    # compaction is a pass of its own, below the threshold as the main one is: 60,000 × 0.10 twice
    ("claude-haiku-5-5", "vertex", "global", Usage(Tokens(input=60_000), iterations=(Tokens(input=60_000),)), 12_000_000),
    # one of two passes above it: 60,000 × 0.10 + 200,000 × 0.50 + 10 × 2.50 = 6,000 + 100,000 + 25 µ$
    ("claude-haiku-5-5", "vertex", "global",
     Usage(Tokens(input=60_000), iterations=(Tokens(input=200_000, output=10),)), 106_025_000),
    # Gemini 2.5 Pro above 200,000: 200,001 × 2.50 = 500,002.5 µ$, and no premium for regions
    ("gemini-2.5-pro", "vertex", "us-central1", usage(input=200_001), 500_002_500),
    # GPT-5.4 from the catalog: 1,000 × 2.50 + 100 × 15 = 4,000 µ$
    ("gpt-5.4", "openai", "", usage(input=1_000, output=100), 4_000_000),
    # nothing used
    ("claude-opus-5-5", "vertex", "global", Usage(), 0),
]  # fmt: skip


@pytest.mark.parametrize(("model", "kind", "location", "used", "expected"), GOLDEN)
def test_a_call_costs_what_the_price_list_says(model: str, kind: str, location: str, used: Usage, expected: int) -> None:
    """To the nano-dollar, and marked as a known price."""
    assert BOOK.cost(model, kind, location, used) == Cost(expected, price_version(), True)


@pytest.mark.parametrize(
    "name", ["claude-sonnet-4-5@20250929", "claude-sonnet-4-5-20250929", "CLAUDE-SONNET-4-5", "claude-sonnet-4-5[1m]", "sonnet"]
)
def test_every_spelling_costs_the_same(name: str) -> None:
    """A price hangs on the model, not on the name it was asked by."""
    assert nanodollars(name, CHAT, location="us-east5") == 26_400_000


def test_a_provider_kind_may_be_written_as_its_alias() -> None:
    """The premium is not lost to a spelling."""
    assert nanodollars("claude-sonnet-4-5", CHAT, kind="vertex-anthropic", location="us-east5") == 26_400_000


@pytest.mark.parametrize(
    ("name", "kind", "used", "expected"),
    [
        ("claude-opus-9", "vertex", usage(input=1_000, output=100), 22_500_000),  # Opus 4: 15 and 75
        ("claude-haiku-9", "vertex", usage(input=1_000, output=100), 1_500_000),  # Haiku 4.5: 1 and 5
        ("claude-fable-9", "vertex", usage(cache_read=1_000), 1_000_000),  # Fable 5 reads at 1
        ("claude-gibbon-9", "vertex", usage(input=1_000), 15_000_000),  # the dearest Claude
        ("gemini-9-pro", "vertex", usage(input=1_000), 2_000_000),  # Gemini 3.1 Pro, Gemini 4
        ("gemini-9-pro", "vertex", usage(input=200_001), 800_004_000),  # Gemini 3.1 Pro's long prompts at 4
        ("gpt-9", "openai", usage(input=1_000), 10_000_000),  # GPT-6 Astra
        ("o9", "openai", usage(input=1_000), 10_000_000),
        ("gibbon-9", "openai", usage(input=1_000), 10_000_000),  # by the provider's kind
        ("gibbon-9", "no-such-kind", usage(input=1_000), 15_000_000),
    ],
)
def test_an_unknown_model_costs_the_most_its_name_allows(name: str, kind: str, used: Usage, expected: int) -> None:
    """Never nothing, and marked as a guess."""
    assert BOOK.cost(name, kind, "global", used) == Cost(expected, price_version(), False)


def test_an_unknown_model_pays_the_premiums_of_its_kin() -> None:
    """A newer Opus in a region, fast, is not cheaper than its elders: 1,000 × 15 × 1.1 × 2."""
    assert nanodollars("claude-opus-9", Usage(Tokens(input=1_000), fast=True), location="us-east5") == 33_000_000


def test_operators_prices_are_laid_over_the_catalog(tmp_path: Path) -> None:
    """What they leave out stays: 1,000 × 3.60 × 0.85 = 3,060 µ$; 100 output tokens × 20 × 0.85 = 1,700 µ$."""
    book = overriding(tmp_path, {"claude-opus-5-5": {"input": "3.60"}}, multiplier=0.85)
    assert nanodollars("claude-opus-5-5", usage(input=1_000, output=100), book=book) == 4_760_000
    assert nanodollars("claude-opus-5-5@default", usage(input=1_000, output=100), location="us", book=book) == 5_236_000
    assert nanodollars("claude-opus-5", usage(input=1_000), book=book) == 4_250_000


def test_tiers_premiums_and_searches_can_be_overridden(tmp_path: Path) -> None:
    """Everything that a catalog row has as its prices, premiums one by one."""
    tier = {"above_prompt_tokens": 10, "input": 9, "output": 9, "cache_read": 9, "cache_write_5m": 9, "cache_write_1h": 9}
    prices = {"tiers": [tier], "premiums": {"vertex_regional": 1.5}, "web_search_per_1000": 1}
    book = overriding(tmp_path, {"us.anthropic.claude-haiku-5-5": prices})
    assert nanodollars("claude-haiku-5-5", usage(input=10), book=book) == 1_000  # 10 × 0.10 µ$
    assert nanodollars("claude-haiku-5-5", usage(input=11), book=book) == 99_000
    assert nanodollars("claude-haiku-5-5", usage(input=10), location="us-east5", book=book) == 1_500
    assert nanodollars("claude-haiku-5-5", usage(input=10), location="us", book=book) == 1_100
    assert nanodollars("claude-haiku-5-5", Usage(searches=1), book=book) == 1_000_000


def test_an_operators_model_becomes_known(tmp_path: Path) -> None:
    """Cache classes left out cost 1, 1.25 and 2 times input; the region's premium is that of its kin."""
    book = overriding(tmp_path, {"Claude-Opus-9": {"input": 4, "output": 20}})
    used = usage(input=1_000, cache_read=1_000, cache_write_5m=1_000, cache_write_1h=1_000)
    assert book.cost("claude-opus-9", "vertex", "global", used).known
    assert nanodollars("claude-opus-9", used, book=book) == 21_000_000  # 4 + 4 + 5 + 8 µ$ a thousandth
    assert nanodollars("claude-opus-9@default", used, location="us", book=book) == 23_100_000


def test_prices_of_ones_own_show_in_the_price_version(tmp_path: Path) -> None:
    """A record tells which prices it was made with; spacing and order of the file do not matter, its figures do."""
    listed = price_version()
    one = overriding(tmp_path, {"claude-opus-5-5": {"input": "3.6", "output": "18"}}).price_version
    same = overriding(tmp_path, '{"claude-opus-5-5":{"output":"18" , "input":3.6}}').price_version
    other = overriding(tmp_path, {"claude-opus-5-5": {"input": "3.7", "output": "18"}}).price_version
    assert one == same != other != listed
    assert one.startswith(f"{listed}+prices.")
    assert PriceBook(multiplier=0.85).price_version == f"{listed}+x0.85"
    assert PriceBook(multiplier=1).price_version == listed == overriding(tmp_path, {}).price_version


@pytest.mark.parametrize(
    ("prices", "fault"),
    [
        ("nonsense", "should be a JSON object"),
        ("[]", "should be a JSON object"),
        ({"claude-opus-5-5": 5}, "claude-opus-5-5: Expected `object`"),
        ({"claude-opus-5-5": {"inptu": 5}}, "claude-opus-5-5: Object contains unknown field `inptu`"),
        ({"claude-opus-5-5": {"input": [5]}}, "claude-opus-5-5.input: Expected `decimal"),
        ({"claude-opus-5-5": {"input": "five"}}, "claude-opus-5-5.input: Invalid decimal"),
        ({"claude-opus-5-5": {"input": -5}}, "claude-opus-5-5.input: should be a number from 0 to 100000"),
        ({"claude-opus-5-5": {"input": "NaN"}}, "claude-opus-5-5.input: should be a number"),
        ({"claude-opus-5-5": {"input": "1e999999999"}}, "claude-opus-5-5.input: should be a number"),
        ({"claude-opus-5-5": {"output": "0.0000001"}}, "claude-opus-5-5.output: should be a number"),
        ({"claude-opus-5-5": {"tiers": [{"above_prompt_tokens": 5}]}}, "claude-opus-5-5.tiers[0]: Object missing"),
        ({"claude-opus-5-5": {"premiums": {"vertex_global": 0}}}, "claude-opus-5-5.premiums.vertex_global: should be"),
        ({"claude-opus-5-5": {"premiums": {"mars": 2}}}, "claude-opus-5-5.premiums: Object contains unknown field `mars`"),
        ({"claude-opus-9": {"input": 5}}, "claude-opus-9.output: is missing, and the catalog does not know this model"),
        ({"claude-sonnet-4-5": {}, "claude-sonnet-4-5@20250929": {}}, "claude-sonnet-4-5@20250929: is claude-sonnet-4-5 again"),
    ],
)
def test_faulty_prices_stop_the_start_and_name_file_and_field(tmp_path: Path, prices: Any, fault: str) -> None:
    """No call is priced by a file that was understood in half."""
    with pytest.raises(SettingsFault) as raised:
        overriding(tmp_path, prices)
    assert f"GATEWAY_PRICES={tmp_path}/prices.json: {fault}" in str(raised.value)


def test_all_faults_of_a_prices_file_are_reported_together(tmp_path: Path) -> None:
    """Mended in one go."""
    with pytest.raises(SettingsFault) as raised:
        overriding(tmp_path, {"claude-opus-5-5": {"input": -1, "output": -1}, "claude-opus-5": {"inptu": 1}})
    assert len(raised.value.faults) == 3


def test_a_missing_prices_file_stops_the_start(tmp_path: Path) -> None:
    """Falling back to list prices would be silent."""
    with pytest.raises(SettingsFault, match=r"GATEWAY_PRICES=.*nowhere.json cannot be read"):
        PriceBook(str(tmp_path / "nowhere.json"))


@pytest.mark.parametrize("multiplier", [-0.1, float("nan"), float("inf")])
def test_a_multiplier_that_is_no_factor_is_refused(multiplier: float) -> None:
    """It would turn every cost into nonsense."""
    with pytest.raises(SettingsFault, match="GATEWAY_PRICE_MULTIPLIER"):
        PriceBook(multiplier=multiplier)


def test_a_part_of_a_nanodollar_is_rounded_up_once() -> None:
    """One cached Haiku token at 0.85 × 10 = 8.5 nano-dollars is 9; two passes of it are 17, not 18."""
    book = PriceBook(multiplier=0.85)
    one = Tokens(cache_read=1)
    assert nanodollars("claude-haiku-5-5", Usage(one), book=book) == 9
    assert nanodollars("claude-haiku-5-5", Usage(one, iterations=(one,)), book=book) == 17


COUNTS = st.integers(0, 400_000)
TOKENS = st.builds(Tokens, **dict.fromkeys(TOKEN_CLASSES, COUNTS))
USAGES = st.builds(
    Usage,
    TOKENS,
    searches=st.integers(0, 50),
    fast=st.booleans(),
    us_only=st.booleans(),
    iterations=st.lists(TOKENS, max_size=3).map(tuple),
)
NAMES = st.sampled_from([*(model.id for model in all_models()), "claude-opus-9", "gemini-9", "gibbon"])
PLACES = st.sampled_from(
    [("vertex", "global"), ("vertex", "us"), ("vertex", "us-east5"), ("anthropic", ""), ("bedrock", "jp"), ("openai", "")]
)
BOOKS = st.sampled_from([BOOK, PriceBook(multiplier=0.37)])


@settings(deadline=None, database=None)
@given(NAMES, PLACES, USAGES, BOOKS, st.sampled_from(TOKEN_CLASSES), st.integers(1, 300_000))
def test_more_tokens_never_cost_less(
    name: str, place: tuple[str, str], used: Usage, book: PriceBook, token_class: str, more: int
) -> None:
    """In every class, across tiers, for guessed prices too; and no cost is below zero."""
    counts = {each: getattr(used.tokens, each) for each in TOKEN_CLASSES}
    counts[token_class] += more
    dearer = Usage(Tokens(**counts), used.searches, used.fast, used.us_only, used.iterations)
    assert 0 <= nanodollars(name, used, *place, book) <= nanodollars(name, dearer, *place, book)


@settings(deadline=None, database=None)
@given(NAMES, PLACES, st.lists(st.builds(Tokens, **dict.fromkeys(TOKEN_CLASSES, st.integers(0, 5_000))), max_size=4), BOOKS)
def test_costs_add_up_within_a_tier(name: str, place: tuple[str, str], passes: list[Tokens], book: PriceBook) -> None:
    """Priced one by one or as one sum, the difference is the rounding: less than a nano-dollar each."""
    together = Usage(Usage(iterations=tuple(passes)).total())
    apart = sum(nanodollars(name, Usage(each), *place, book) for each in passes)
    assert 0 <= apart - nanodollars(name, together, *place, book) <= len(passes)
    assert nanodollars(name, Usage(iterations=tuple(passes)), *place, book) == nanodollars(name, together, *place, book)


@settings(deadline=None, database=None)
@given(NAMES, PLACES, TOKENS)
def test_no_token_is_free(name: str, place: tuple[str, str], tokens: Tokens) -> None:
    """Whatever the model is called, a prompt costs something."""
    assert (nanodollars(name, Usage(tokens), *place) == 0) is (tokens.prompt == 0 and (tokens.output == 0 or "embedding" in name))


@pytest.mark.parametrize(
    ("free", "request_type", "provisioned", "paid"),
    [
        (True, "dedicated", False, False),  # Claude's answers do not say what they ran on; `dedicated` leaves no choice
        (True, None, True, False),
        (True, None, False, True),  # spilt over to what is paid as it is used
        (True, "shared", False, True),
        (False, "dedicated", True, True),
    ],
)
def test_provisioned_throughput_is_free_where_the_operator_says_so(
    free: bool, request_type: Any, provisioned: bool, paid: bool
) -> None:
    """It is paid by the hour; the version of prices says that a call cost nothing for that reason."""
    provider = Provider("p", "vertex", "adc", request_type=request_type, provisioned_free=free)
    target = Target(provider, "gemini-3.5-flash", "gemini-3.5-flash", "global", "gemini")
    charged = BOOK.charge(target, Usage(CHAT.tokens, provisioned=provisioned))
    listed = BOOK.cost("gemini-3.5-flash", "vertex", "global", CHAT)
    assert charged == (listed if paid else Cost(0, f"{BOOK.price_version}+provisioned", True))
