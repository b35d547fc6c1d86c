"""Regular expressions of conditions: they mean what Python's mean, and cannot be made to take long."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.patterns import Pattern, PatternFault

ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-c]", "(a|b)", "(ab)", r"\d", r"\w", "(?:a|)", "^", "$", "(a*)"])
COUNTS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"])
PIECES = st.lists(st.tuples(ATOMS, COUNTS).map("".join), min_size=1, max_size=5).map("".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=2).map("|".join), st.text("ab1.", max_size=8), st.booleans())
def test_a_pattern_finds_what_pythons_would(pattern: str, text: str, fold: bool) -> None:
    """In whatever is known here."""
    flag = "(?i)" if fold else ""
    try:
        wanted = re.search(flag + pattern.replace("$", r"\Z"), text)
    except re.error:
        return
    assert Pattern(flag + pattern).search(text) is (wanted is not None)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "(a?){50}a{50}", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_no_pattern_takes_long(pattern: str) -> None:
    """Where an engine that goes back on its steps would take years."""
    began = time.monotonic()
    Pattern(pattern).search("a" * 1_000 + "!")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "pattern",
    ["(a", "a)", "[a", "*a", "a**", r"\1", r"\b", "(?=a)", "(?P<x>a)", "a{2,1}", "a{1000}", "a" * 300, "(" * 50 + ")" * 50],
)
def test_what_is_not_known_is_a_fault(pattern: str) -> None:
    """Never taken for something else."""
    with pytest.raises(PatternFault):
        Pattern(pattern)
    with pytest.raises(PatternFault):
        Pattern("((a{100}){100}){100}")
