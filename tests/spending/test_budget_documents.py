"""Budgets as written, the calendar, and whose calls they count."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_doubles import REQUEST, START, budget_document, call, caller, dollars, plan

from gateway.canonical.usage import Tokens, Usage
from gateway.spending.amounts import amounts_of, counted_input_tokens
from gateway.spending.budgets import Budget, count, parse_budget
from gateway.spending.matching import BudgetBook
from gateway.spending.periods import PERIOD_KINDS, period_at


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def budget(budget_id: str = "bud_1", **fields: Any) -> Budget:
    return parse_budget(budget_id, budget_document(**fields))


@pytest.mark.parametrize(
    ("kind", "now", "name", "end"),
    [
        ("minute", "2026-11-20T23:59:59", "2026-11-20T23:59Z", "2026-11-21T00:00:00"),
        ("hour", "2026-11-20T23:59:59", "2026-11-20T23Z", "2026-11-21T00:00:00"),
        ("day", "2028-02-28T12:00:00", "2028-02-28", "2028-02-29T00:00:00"),
        ("week", "2026-11-22T23:59:59", "2026-W47", "2026-11-23T00:00:00"),
        ("week", "2027-01-01T00:00:00", "2026-W53", "2027-01-04T00:00:00"),
        ("month", "2026-12-31T23:59:59", "2026-12", "2027-01-01T00:00:00"),
        ("month", "2026-02-01T00:00:00", "2026-02", "2026-03-01T00:00:00"),
    ],
)
def test_periods_follow_the_calendar_in_utc(kind: Any, now: str, name: str, end: str) -> None:
    """Weeks begin on Monday, and the last moment of a period belongs to it."""
    period = period_at(kind, moment(now))
    assert (period.id, period.end) == (name, moment(end))


@given(st.sampled_from(PERIOD_KINDS), st.floats(0, 4e9))
def test_every_moment_lies_in_one_period(kind: Any, now: float) -> None:
    """Whatever the moment: it lies in its period, and the next period begins where this one ends."""
    period = period_at(kind, now)
    assert period.start <= now < period.end
    if kind != "total":
        following = period_at(kind, period.end)
        assert following.start == period.end and following.id > period.id


def test_amounts_are_exact() -> None:
    """Dollars are read as nano-dollars from decimal text, never through a float."""
    assert budget(amount="0.1").amount == 100_000_000
    assert budget(amount="123456789.123456789").amount == 123_456_789_123_456_789
    assert budget(amount=None).amount is None
    assert budget(amount="0").amount == 0
    assert budget(unit="tokens", amount="1000000").amount == 1_000_000


@pytest.mark.parametrize(
    "fields", [{"amount": "1.5", "unit": "requests"}, {"amount": "NaN"}, {"amount": "-1"}, {"unit": "euro"}, {"period": "year"},
               {"scope": {"type": "team", "id": "x"}}, {"scope": {"type": "user", "id": None}}, {"mode": "lax"}]
)  # fmt: skip
def test_a_budget_that_cannot_be_read_says_which_field(fields: dict[str, Any]) -> None:
    """Never a silent guess at somebody's cap."""
    with pytest.raises(ValueError, match=next(iter(fields))):
        budget(**fields)


def test_a_raise_ends() -> None:
    """So much more until then, and not a moment longer."""
    until = datetime.fromtimestamp(START + 60, UTC)
    raised = budget(amount="10", **{"raise": {"amount": "5", "until": until}})
    assert raised.limit(START) == dollars(15)
    assert raised.limit(START + 60) == dollars(10)


def test_what_is_admitted_while_the_store_is_away_is_bounded() -> None:
    """One per cent of the limit, five dollars at most; one call at least."""
    assert budget(amount="100").degraded_limit(START) == dollars(1)
    assert budget(amount="10000").degraded_limit(START) == dollars(5)
    assert budget(unit="requests", amount="20").degraded_limit(START) == 1


def matched(book: BudgetBook, **of_call: Any) -> list[str]:
    return [match.budget.id for match in book.matching(call(1, 1, **of_call), plan().targets[0])]


@pytest.mark.parametrize(
    ("scope_type", "scope_id", "counts"),
    [
        ("organization", None, True), ("project", "acme", True), ("project", "other", False), ("user", "ANA@example.com", True),
        ("group", "eng", True), ("group", "ops", False), ("key", "key_1", True), ("provider", "vertex", True),
        ("model", "Claude-*", True), ("model", "gemini-*", False), ("metadata", "team=core", True),
        ("metadata", "team=web", False), ("metadata", "cost=free", False), ("session", "s-1", True), ("session", "s-2", False),
        ("key", "*", True),
    ],
)  # fmt: skip
def test_a_budget_counts_the_calls_of_its_scope(scope_type: str, scope_id: str | None, counts: bool) -> None:
    """By what the key and its project say of a call; labels that the caller sends along count for nothing."""
    book = BudgetBook([budget(scope={"type": scope_type, "id": scope_id})])
    by = caller(user="Ana@Example.com", groups=("eng",), metadata={"team": "core"})
    assert bool(matched(book, by=by, session="s-1")) is counts


def test_a_groups_budget_is_each_members_unless_it_is_pooled() -> None:
    """Two members, two accounts; pooled, one."""
    for pooled, accounts in ((False, 2), (True, 1)):
        book = BudgetBook([budget(scope={"type": "group", "id": "eng"}, pooled=pooled)])
        callers = [caller(user=user, groups=("eng",)) for user in ("ana@example.com", "Ben@example.com", "ben@example.com")]
        matches = [match for by in callers for match in book.matching(call(1, 1, by=by), plan().targets[0])]
        assert len({match.account_id("2026-11") for match in matches}) == accounts


def test_a_budget_of_all_groups_together_counts_a_call_once() -> None:
    """However many of them its caller is in."""
    book = BudgetBook([budget(scope={"type": "group", "id": "*"}, pooled=True)])
    assert len(matched(book, by=caller(groups=("eng", "ops")))) == 1


def test_every_budget_of_a_call_is_found() -> None:
    """A call must fit all, in the same order every time."""
    scopes = [("organization", None), ("project", "acme"), ("key", "key_1"), ("model", "claude-*")]
    book = BudgetBook([budget(f"bud_{number}", scope={"type": s, "id": i}) for number, (s, i) in enumerate(scopes)])
    assert matched(book) == ["bud_0", "bud_1", "bud_2", "bud_3"]


def test_what_was_answered_once_is_answered_again_for_the_same_call_alone() -> None:
    """A book remembers whom it was asked for: another session, model, provider or key of the same name has its own answer."""
    scopes = [("session", "s-1"), ("model", "claude-*"), ("provider", "vertex"), ("metadata", "team=core")]
    book = BudgetBook([budget(f"bud_{number}", scope={"type": s, "id": i}) for number, (s, i) in enumerate(scopes)])
    by = caller(metadata={"team": "core"})

    def found(session: str, model: str = "claude-sonnet-4-6", provider: str = "vertex", by: Any = by) -> set[str]:
        target = plan(model, provider).targets[0]
        one = replace(call(1, 1, by=by, session=session), request=replace(REQUEST, model=model))
        return {match.budget.id for match in book.matching(one, target)}

    for _ in range(2):
        assert found("s-1") == {"bud_0", "bud_1", "bud_2", "bud_3"}
        assert found("s-2") == {"bud_1", "bud_2", "bud_3"}
        assert found("s-1", "gemini-3.5-flash") == {"bud_0", "bud_2", "bud_3"}
        assert found("s-1", provider="bedrock") == {"bud_0", "bud_1", "bud_3"}
        assert found("s-1", by=caller()) == {"bud_0", "bud_1", "bud_2"}


def test_tokens_read_from_a_cache_count_a_tenth() -> None:
    """Uncached input and cache writes in full, ten cache reads as one, rounded up; thinking is output."""
    usage = Usage(Tokens(input=10, output=7, cache_read=91, cache_write_5m=5, cache_write_1h=3, thinking=4))
    assert counted_input_tokens(usage.total()) == 10 + 5 + 3 + 10
    amounts = amounts_of(usage, 42)
    assert count(amounts)["tokens"] == 28 + 7
    assert count(amounts)["input_tokens"] == 28
    assert count(amounts)["output_tokens"] == 7
    assert count(amounts)["requests"] == 1
    assert count(amounts)["usd"] == 42
