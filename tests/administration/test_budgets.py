"""Budgets: what may be written down, what is refused, what is warned of, and what the ledger reads of it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from office_clock import START, Clock

from gateway.administration.budgets import Budgets
from gateway.administration.changes import Changes, Who, list_audit
from gateway.administration.keys import Keys
from gateway.administration.projects import Projects
from gateway.administration.refusals import AdminError
from gateway.canonical.store import Create, Increment, Store
from gateway.spending.budgets import parse_budget

AT = "2026-11-18T11:06:40Z"
ACME = {"type": "project", "id": "acme"}


@pytest.fixture
def budgets(store: Store, changes: Changes, clock: Clock) -> Budgets:
    return Budgets(store, changes, clock, from_environment=["vertex"])


def refusal(budgets: Budgets, who: Who, **given: Any) -> AdminError:
    with pytest.raises(AdminError) as refused:
        budgets.create({"scope": ACME, "amount": "5", **given}, who)
    return refused.value


def test_a_budget_is_read_back_as_it_was_written(budgets: Budgets, acme: str, ana: Who) -> None:
    """Every field; amounts keep their digits, since they never were floats."""
    given = {
        "id": "acme-month",
        "scope": ACME,
        "unit": "usd",
        "amount": "500.10",
        "period": "week",
        "mode": "strict",
        "on_store_error": "closed",
        "alerts": [0.5, 1.0],
        "pooled": False,
        "raise": {"amount": "50.00", "until": "2026-12-01T00:00:00Z"},
    }
    made = budgets.create(given, ana)
    assert made == {**given, "created_at": AT, "updated_at": AT}
    assert budgets.get("acme-month") == made
    assert budgets.page() == {"data": [made], "next_cursor": None}


def test_what_is_left_out_takes_its_default(budgets: Budgets, acme: str, ana: Who) -> None:
    """A balanced budget of dollars a month, with a name of our own."""
    made = budgets.create({"scope": ACME, "amount": None}, ana)
    assert made["id"].startswith("bud_") and made["amount"] is None
    assert (made["unit"], made["period"], made["mode"], made["on_store_error"]) == ("usd", "month", "balanced", "open")
    assert (made["alerts"], made["pooled"], made["raise"]) == ([0.5, 0.8, 1.0], False, None)
    assert budgets.create({"scope": ACME, "amount": "3", "unit": "parallel"}, ana)["period"] == "total"


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        ({"type": "organization"}, {"type": "organization", "id": None}),
        ({"type": "user", "id": "Ana@Example.COM"}, {"type": "user", "id": "ana@example.com"}),
        ({"type": "group", "id": "eng"}, {"type": "group", "id": "eng"}),
        ({"type": "provider", "id": "@vertex"}, {"type": "provider", "id": "vertex"}),
        ({"type": "model", "id": "claude-*"}, {"type": "model", "id": "claude-*"}),
        ({"type": "metadata", "id": "team=core"}, {"type": "metadata", "id": "team=core"}),
        ({"type": "session", "id": "0b2e/7"}, {"type": "session", "id": "0b2e/7"}),
        ({"type": "user", "id": "*"}, {"type": "user", "id": "*"}),
    ],
)
def test_every_scope_is_kept_as_calls_are_matched_with_it(
    budgets: Budgets, ana: Who, store: Store, scope: dict[str, Any], kept: dict[str, Any]
) -> None:
    """And the ledger can read it."""
    made = budgets.create({"scope": scope, "amount": "1"}, ana)
    assert made["scope"] == kept
    document = store.get(f"budgets/{made['id']}")
    assert document is not None
    read = parse_budget(document.id, document.data)
    assert (read.scope_type, read.scope_id) == (kept["type"], kept["id"])


def test_the_ledger_reads_exact_amounts(budgets: Budgets, acme: str, ana: Who, store: Store) -> None:
    """To the nano-dollar, with the raise as long as it lasts."""
    until = datetime.fromtimestamp(START + 3_600, UTC).isoformat()
    given = {"scope": ACME, "amount": "0.100000001", "raise": {"amount": "0.2", "until": until}}
    document = store.get(f"budgets/{budgets.create(given, ana)['id']}")
    assert document is not None
    read = parse_budget(document.id, document.data)
    assert (read.limit(START), read.limit(START + 3_600)) == (300_000_001, 100_000_001)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"amount": 500.0}, "amount: should be decimal text"),
        ({"amount": 500}, "amount: should be decimal text"),
        ({"amount": "5e2"}, "amount: should be plain decimal text"),
        ({"amount": "-1"}, "amount: should be plain decimal text"),
        ({"amount": "0.0000000001"}, "amount: should be plain decimal text"),
        ({"amount": "１２"}, "amount: should be plain decimal text"),
        ({"amount": "1.5", "unit": "tokens"}, "amount: '1.5' does not fit unit tokens; write a whole number"),
        ({"amount": "1000000000"}, "amount: '1000000000' does not fit unit usd"),
        ({"unit": "euro"}, "unit: should be one of usd, tokens"),
        ({"period": "year"}, "period: should be one of minute"),
        ({"mode": "loose"}, "mode: should be one of strict"),
        ({"on_store_error": "maybe"}, "on_store_error: should be one of open, closed"),
        ({"alerts": [0]}, "alerts: each should be a share above 0"),
        ({"alerts": "0.5"}, "alerts: should be a list"),
        ({"pooled": "yes"}, "pooled: should be true or false"),
        ({"raise": {"amount": "5"}}, "raise: should be null or"),
        ({"raise": {"amount": None, "until": "7d"}}, "raise: amount is what is added"),
        ({"raise": {"amount": "5", "until": "soon"}}, "raise: until should be a time"),
        ({"scope": {"type": "team", "id": "x"}}, "scope: type should be one of organization"),
        ({"scope": {"type": "user"}}, "scope: id with type user should be one line of text"),
        ({"scope": {"type": "organization", "id": "x"}}, "scope: id with type organization should be left out"),
        ({"scope": {"type": "metadata", "id": "core"}}, "scope: id with type metadata should be name=value"),
        ({"scope": {"type": "key", "id": f"gw-{'a' * 43}"}}, "scope: id with type key is a key itself"),
        ({"scope": {"type": "project", "id": "acme", "name": "x"}}, "scope: 'name' is no field here"),
        ({"id": "Month"}, "id: should be 2 to 63 lower-case letters"),
        ({"limit": "5"}, "'limit' is no field here"),
    ],
)
def test_what_cannot_be_meant_is_refused(budgets: Budgets, acme: str, ana: Who, given: dict[str, Any], told: str) -> None:
    """In a sentence that begins with the field, with nothing written."""
    refused = refusal(budgets, ana, **given)
    assert refused.code == "invalid" and told in refused.message
    assert budgets.page()["data"] == []


def test_scope_and_amount_are_not_guessed(budgets: Budgets, ana: Who) -> None:
    """A budget without an amount would be unlimited by a slip."""
    with pytest.raises(AdminError) as refused:
        budgets.create({}, ana)
    assert "scope: a budget needs it" in refused.value.message and "amount: a budget needs it" in refused.value.message


@pytest.mark.parametrize(
    ("scope", "warned"),
    [
        ({"type": "project", "id": "acmee"}, "there is no project acmee yet"),
        ({"type": "user", "id": "an@example.com"}, "no key belongs to user an@example.com"),
        ({"type": "group", "id": "enf"}, "no key belongs to group enf"),
        ({"type": "key", "id": "key_0"}, "there is no key key_0"),
        ({"type": "provider", "id": "vertx"}, "there is no provider vertx yet"),
        ({"type": "model", "id": "cluade-*"}, "'cluade-*' matches no model"),
        ({"type": "metadata", "id": "team=cor"}, "no key and no project bears the label team=cor yet"),
        ({"type": "session", "id": "s"}, "a session is what the client calls it"),
    ],
)
def test_a_scope_that_matches_nobody_warns(
    budgets: Budgets, projects: Projects, keys: Keys, ana: Who, scope: dict[str, Any], warned: str
) -> None:
    """A cap on a slip of the pen caps nothing."""
    projects.create({"id": "acme", "metadata": {"team": "core"}}, ana)
    keys.create({"project": "acme", "user": "ana@example.com", "groups": ["eng"]}, ana)
    made = budgets.create({"scope": scope, "amount": "1"}, ana)
    assert [warned in warning for warning in made["warnings"]] == [True]


def test_a_scope_that_matches_does_not_warn(budgets: Budgets, projects: Projects, keys: Keys, ana: Who) -> None:
    """However the name is written."""
    projects.create({"id": "acme", "metadata": {"team": "core"}}, ana)
    key = keys.create({"project": "acme", "user": "ana@example.com", "groups": ["eng"]}, ana)["id"]
    for kind, name in {
        "project": "acme", "user": "ANA@example.com", "group": "eng", "key": key, "provider": "vertex", "model": "claude-*",
        "metadata": "team=core",
    }.items():  # fmt: skip
        assert "warnings" not in budgets.create({"scope": {"type": kind, "id": name}, "amount": "1"}, ana), kind


def test_an_update_merges_and_a_replacement_does_not(budgets: Budgets, acme: str, ana: Who) -> None:
    """What is not given stays, or takes its default."""
    made = budgets.create({"scope": ACME, "amount": "5", "mode": "strict"}, ana)["id"]
    assert budgets.update(made, {"amount": "7.50"}, ana)["mode"] == "strict"
    replaced = budgets.replace(made, {"scope": ACME, "amount": "7.50"}, ana)
    assert (replaced["mode"], replaced["amount"]) == ("balanced", "7.50")
    with pytest.raises(AdminError, match="amount: a budget needs it"):
        budgets.replace(made, {"scope": ACME}, ana)


def test_scope_and_unit_stay_as_they_are(budgets: Budgets, acme: str, ana: Who) -> None:
    """What was counted by them would be taken for something else; naming them as they are is no change."""
    made = budgets.create({"scope": ACME, "amount": "5"}, ana)["id"]
    for fields in ({"scope": {"type": "organization"}}, {"unit": "requests"}):
        with pytest.raises(AdminError) as refused:
            budgets.update(made, fields, ana)
        assert refused.value.code == "conflict" and "make another budget" in refused.value.message
    assert budgets.update(made, {"scope": ACME, "unit": "usd"}, ana)["amount"] == "5"


def test_another_period_is_warned_of(budgets: Budgets, acme: str, ana: Who) -> None:
    """Counting begins anew."""
    made = budgets.create({"scope": ACME, "amount": "5"}, ana)["id"]
    changed = budgets.update(made, {"period": "day"}, ana)
    assert changed["period"] == "day" and changed["warnings"] == ["period: is another now, so that counting begins anew"]


def test_an_amount_that_does_not_fit_the_stored_unit_is_refused(budgets: Budgets, acme: str, ana: Who) -> None:
    """By what the budget counts, which the change does not name."""
    made = budgets.create({"scope": ACME, "amount": "5", "unit": "requests"}, ana)["id"]
    with pytest.raises(AdminError) as refused:
        budgets.update(made, {"amount": "5.50"}, ana)
    assert refused.value.code == "conflict"


def test_a_raise_that_raises_nothing_warns(budgets: Budgets, acme: str, ana: Who) -> None:
    """Because it is over, or because there is no limit."""
    over = {"amount": "5", "until": "2020-01-01T00:00:00Z"}
    assert budgets.create({"scope": ACME, "amount": "5", "raise": over}, ana)["warnings"] == [
        "raise: ended at 2020-01-01T00:00:00Z"
    ]
    unlimited = budgets.create({"scope": ACME, "amount": None, "raise": {"amount": "5", "until": "7d"}}, ana)
    assert unlimited["warnings"] == ["raise: the budget is unlimited, there is nothing to add to"]


def test_a_second_deletion_finds_nothing(budgets: Budgets, acme: str, ana: Who) -> None:
    """And neither does a look at it."""
    made = budgets.create({"scope": ACME, "amount": "5"}, ana)["id"]
    budgets.delete(made, ana)
    for attempt in (budgets.delete, budgets.update, budgets.replace):
        with pytest.raises(AdminError) as refused:
            attempt(made, ana) if attempt == budgets.delete else attempt(made, {}, ana)  # type: ignore[call-arg, arg-type]
        assert refused.value.code == "not_found"


def test_every_change_is_audited_with_who(budgets: Budgets, acme: str, ana: Who, remote: Who, store: Store) -> None:
    """Before and after."""
    made = budgets.create({"scope": ACME, "amount": "5"}, ana)["id"]
    budgets.update(made, {"amount": "9"}, remote)
    budgets.delete(made, ana)
    entries = {entry["action"]: entry for entry in list_audit(store, target=f"budgets/{made}")["data"]}
    assert {action: entry["who"] for action, entry in entries.items()} == {
        "budget.create": "cli:ana", "budget.update": "admin", "budget.delete": "cli:ana"
    }  # fmt: skip
    update = entries["budget.update"]
    assert (update["before"]["amount"], update["after"]["amount"]) == ("5", "9")


def test_a_project_and_its_budget_are_made_together_or_not_at_all(
    budgets: Budgets, projects: Projects, acme: str, ana: Who, store: Store
) -> None:
    """A project that was to be capped never stands there without its cap."""
    budget_id, data = budgets.prepare({"scope": {"type": "project", "id": "beta"}, "amount": "5"})
    projects.create({"id": "beta"}, ana, {f"budgets/{budget_id}": data})
    assert budgets.get(budget_id)["amount"] == "5"
    assert {entry["action"] for entry in list_audit(store, target=f"budgets/{budget_id}")["data"]} == {"budget.create"}
    other, data = budgets.prepare({"scope": ACME, "amount": "5"})
    with pytest.raises(AdminError):
        projects.create({"id": "acme"}, ana, {f"budgets/{other}": data})
    with pytest.raises(AdminError):
        budgets.get(other)


def test_the_state_is_told_in_the_budgets_unit(budgets: Budgets, acme: str, ana: Who, store: Store) -> None:
    """As decimal text, with the raise in the limit and the moment of the reset."""
    given = {"id": "acme-day", "scope": ACME, "amount": "5", "period": "day", "raise": {"amount": "1", "until": "7d"}}
    budgets.create(given, ana)
    counters = {"taken": 1_500_000_000, "spent": 1_250_000_000}
    store.commit([Increment("budgets/acme-day/periods/2026-11-18", counters, {"budget": "acme-day", "unit": "usd"})])
    state = budgets.state("acme-day")
    assert state == {
        "id": "acme-day", "scope": ACME, "subject": None, "unit": "usd", "period": "day", "limit": "6.00", "spent": "1.25",
        "held": "0.00", "remaining": "4.75", "resets_at": "2026-11-19T00:00:00Z",
    }  # fmt: skip


def test_a_namesake_in_another_unit_is_refused(budgets: Budgets, acme: str, ana: Who, store: Store) -> None:
    """The counters of a deleted budget live on: nano-dollars would be read as requests."""
    budgets.create({"id": "acme-day", "scope": ACME, "amount": "5"}, ana)
    store.commit([Create("budgets/acme-day/periods/2026-11", {"spent": 5, "taken": 5, "unit": "usd"})])
    budgets.delete("acme-day", ana)
    with pytest.raises(AdminError, match="choose another id"):
        budgets.create({"id": "acme-day", "scope": ACME, "amount": "5", "unit": "requests"}, ana)
    assert budgets.create({"id": "acme-day", "scope": ACME, "amount": "9"}, ana)["amount"] == "9"
