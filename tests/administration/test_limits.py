"""Keys with limits of their own."""

import pytest
from office_clock import Clock

from gateway.administration.budgets import Budgets
from gateway.administration.changes import Changes, Who
from gateway.administration.keys import Keys
from gateway.administration.limits import create_key
from gateway.administration.refusals import AdminError
from gateway.canonical.store import Store


@pytest.fixture
def budgets(store: Store, changes: Changes, clock: Clock) -> Budgets:
    return Budgets(store, changes, clock)


def test_limits_become_budgets_of_the_key(keys: Keys, budgets: Budgets, acme: str, ana: Who) -> None:
    """So many calls at once, requests and tokens a minute."""
    made = create_key(keys, budgets, {"project": acme, "max_parallel": 4, "rpm": 60, "tpm": 100_000.0}, ana)
    found = [budgets.get(budget_id) for budget_id in made["budgets"]]
    assert {(one["unit"], one["period"], one["amount"]) for one in found} == {
        ("parallel", "total", "4"), ("requests", "minute", "60"), ("tokens", "minute", "100000")
    }  # fmt: skip
    assert all(one["scope"] == {"type": "key", "id": made["id"]} and one["alerts"] == [] for one in found)


def test_a_key_without_limits_has_no_budgets(keys: Keys, budgets: Budgets, acme: str, ana: Who) -> None:
    """Null is no limit."""
    assert "budgets" not in create_key(keys, budgets, {"project": acme, "rpm": None}, ana)
    assert budgets.page()["data"] == []


@pytest.mark.parametrize("rpm", [0, -1, 1.5, True, "60"])
def test_a_limit_that_cannot_be_meant_makes_no_key(keys: Keys, budgets: Budgets, acme: str, ana: Who, rpm: object) -> None:
    """Nothing is written before everything is checked."""
    with pytest.raises(AdminError, match="rpm: should be a whole number"):
        create_key(keys, budgets, {"project": acme, "rpm": rpm}, ana)
    assert keys.page()["data"] == []
