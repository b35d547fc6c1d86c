"""`python -m bench crossing` measures every pair of wire formats, each by a stream that is really carried over."""

from bench.crossing import measure, render
from gateway.dialects import TRANSLATIONS


def test_every_pair_has_a_row() -> None:
    """A new format appears by itself."""
    costs = measure(rounds=1, events=20)
    pairs = {(cost.client, cost.target) for cost in costs}
    assert pairs == {(client, target) for client in TRANSLATIONS for target in TRANSLATIONS if client != target}
    assert all(cost.ms > 0 and cost.passing_ms > 0 for cost in costs)
    assert len(render(costs).splitlines()) == len(costs) + 2
