"""What a call used: the provider's figures, or an estimate that says it is one."""

from recorded_streams import CUT, WHOLE

from gateway.canonical.usage import Tokens, Usage
from gateway.dialects import DIALECTS
from gateway.spending.meter import Meter


def meter() -> Meter:
    return Meter(4000, DIALECTS["anthropic"].watch_stream())


def test_a_whole_stream_is_metered_by_its_own_figures() -> None:
    """In any number of chunks."""
    found = meter()
    for start in range(0, len(WHOLE), 100):
        found.watch(WHOLE[start : start + 100])
    assert (found.usage().completeness, found.usage().tokens.output) == ("final", 77)


def test_a_cut_stream_is_metered_up_to_the_cut() -> None:
    """The prompt exactly, the answer by what was relayed."""
    found = meter()
    found.watch(CUT)
    assert found.usage().completeness == "partial" and found.usage().tokens.cache_read == 4000


def test_what_says_nothing_is_estimated_and_marked() -> None:
    """Four bytes a token; never free, never taken for exact."""
    found = meter()
    found.watch(b"garbage" * 100)
    assert found.usage() == Usage(Tokens(input=1000, output=175), completeness="estimated")
    plain = Meter(4000, None)
    plain.settle_plain(None, 800)
    assert plain.usage() == Usage(Tokens(input=1000, output=200), completeness="estimated")


def test_a_plain_answer_is_metered_by_its_usage() -> None:
    """Zero tokens are a figure, not a gap."""
    plain = Meter(4000, None)
    plain.settle_plain(Usage(), 800)
    assert plain.usage() == Usage()
