"""Usage: the report's money equals the documents' to the nano-dollar, and records come newest first without gaps."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from office_clock import START, Clock

from gateway.administration.changes import Who
from gateway.administration.projects import Projects
from gateway.administration.refusals import AdminError
from gateway.administration.usage_documents import get_record, list_records, parse_filters
from gateway.administration.usage_report import usage_report
from gateway.canonical.call import Call, Caller, Request, Target
from gateway.canonical.json_object import JsonObject
from gateway.canonical.store import Json, Store
from gateway.canonical.usage import Tokens, Usage
from gateway.providers.provider import Provider
from gateway.records.document import Outcome, document_path, render_document

DAY_S = 86_400.0
VERTEX = Provider(id="vertex-prod", kind="vertex", credential="adc")


def call(
    store: Store,
    name: str,
    *,
    project: str = "acme",
    user: str | None = "ana",
    model: str = "claude-haiku-4-5",
    at: float = START - 60,
    cost: int = 1_000,
    status: int = 200,
    completeness: Literal["final", "partial", "estimated"] = "final",
    price_known: bool = True,
    session: str | None = None,
    metadata: dict[str, str] | None = None,
) -> Json:
    """Writes the usage document of one call, as answering does."""
    made = Call(
        id=name,
        caller=Caller(key_id=f"key_{user}", project=project, user=user, metadata=metadata or {}),
        dialect="anthropic",
        request=Request(operation="generate", model=model, stream=False, document=JsonObject(b"{}")),
        headers={},
        at=at,
        started=0.0,
        session_id=session,
    )
    usage = Usage(tokens=Tokens(input=100, output=20, cache_read=3), searches=1, completeness=completeness)
    outcome = Outcome(
        status=status,
        target=Target(provider=VERTEX, model=model, upstream_model=model, location="global", wire="anthropic"),
        usage=usage,
        cost_nanodollars=cost,
        price_known=price_known,
    )
    document = render_document(made, outcome, 400)
    store.create(document_path(made), document)
    return document


def rows_of(report: Json, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in report["data"]]


@pytest.fixture
def two_projects(projects: Projects, ana: Who) -> Sequence[str]:
    return [str(projects.create({"id": name}, ana)["id"]) for name in ("acme", "beta")]


def test_totals_equal_the_documents_to_the_nanodollar(store: Store, two_projects: Sequence[str], clock: Clock) -> None:
    """Whatever it is grouped by: rows sum up to the totals, and the totals to the documents."""
    draw = random.Random(7)
    documents = [
        call(
            store,
            f"req_{count}",
            project=draw.choice(two_projects),
            user=draw.choice(["ana", "bo", None]),
            model=draw.choice(["claude-haiku-4-5", "claude-opus-5-5"]),
            at=START - draw.random() * 20 * DAY_S,
            cost=draw.randrange(10**12),
        )
        for count in range(120)
    ]
    for group_by in ([], ["model"], ["day", "user"], ["project", "key", "provider", "session", "agent"]):
        report = usage_report(store, {}, group_by, clock)
        assert report["totals"]["requests"] == 120
        assert report["totals"]["cost_nanodollars"] == sum(document["cost_nanodollars"] for document in documents)
        assert report["totals"]["input_tokens"] == 12_000 and report["totals"]["searches"] == 120
        if group_by:
            for figure in ("requests", "cost_nanodollars", "output_tokens", "cache_read_tokens"):
                assert sum(row[figure] for row in report["data"]) == report["totals"][figure]


def test_dollars_are_exact(store: Store, two_projects: Sequence[str], clock: Clock) -> None:
    """No binary fractions: a nano-dollar more than a third of a cent is shown as that."""
    call(store, "one", cost=3_333_334)
    assert usage_report(store, {}, ["model"], clock)["totals"]["cost_usd"] == "0.003333334"


def test_what_is_not_final_is_told_apart(store: Store, two_projects: Sequence[str], clock: Clock) -> None:
    """It is in the cost, and counted beside it."""
    call(store, "final", cost=1)
    call(store, "cut", cost=10, completeness="partial")
    call(store, "gone", cost=100, completeness="estimated", status=502)
    call(store, "new-model", cost=1000, price_known=False)
    totals = usage_report(store, {}, [], clock)["totals"]
    assert (totals["requests"], totals["errors"], totals["cost_nanodollars"]) == (4, 1, 1111)
    assert (totals["partial_requests"], totals["partial_cost_nanodollars"]) == (1, 10)
    assert (totals["estimated_requests"], totals["estimated_cost_nanodollars"]) == (1, 100)
    assert (totals["unpriced_requests"], totals["unpriced_cost_nanodollars"]) == (1, 1000)


def test_rows_come_dearest_first_and_days_in_order(store: Store, two_projects: Sequence[str], clock: Clock) -> None:
    """What a reader looks for stands on top."""
    call(store, "a", user="ana", cost=5, at=START - DAY_S)
    call(store, "b", user="bo", cost=50, at=START - 2 * DAY_S)
    assert rows_of(usage_report(store, {}, ["user"], clock), "user", "cost_nanodollars") == [("bo", 50), ("ana", 5)]
    assert rows_of(usage_report(store, {}, ["day"], clock), "day") == [("2026-11-16",), ("2026-11-17",)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, {"a", "b", "c"}),
        ({"project": "beta"}, {"c"}),
        ({"user": "ANA"}, {"a", "c"}),
        ({"key": "key_bo"}, {"b"}),
        ({"model": "claude-haiku-4-5@20251001"}, {"a", "b"}),
        ({"session": "s1", "user": "ana"}, {"a"}),
        ({"provider": "elsewhere"}, set()),
        ({"meta.team": "core"}, {"b"}),
        ({"since": "2h"}, {"a"}),
        ({"until": "2h"}, {"b", "c"}),
        ({"since": "2d", "until": "2026-11-18T00:00:00Z"}, {"b", "c"}),
    ],
)
def test_filters_agree_in_report_and_records(
    store: Store, two_projects: Sequence[str], clock: Clock, filters: dict[str, str], found: set[str]
) -> None:
    """The same words select the same calls."""
    call(store, "a", session="s1")
    call(store, "b", user="bo", session="s1", metadata={"team": "core"}, at=START - DAY_S)
    call(store, "c", project="beta", model="claude-opus-5-5", at=START - DAY_S)
    records = list_records(store, parse_filters(filters, clock))["data"]
    assert {record["request_id"] for record in records} == found
    assert usage_report(store, filters, [], clock)["totals"]["requests"] == len(found)


def test_a_report_is_of_the_last_30_days_unless_it_is_said(store: Store, two_projects: Sequence[str], clock: Clock) -> None:
    """And it says of which time it is."""
    call(store, "old", at=START - 31 * DAY_S)
    assert usage_report(store, {}, [], clock)["totals"]["requests"] == 0
    report = usage_report(store, {"since": "2026-10-01", "until": "2026-12-01"}, [], clock)
    assert report["totals"]["requests"] == 1
    assert (report["since"], report["until"]) == ("2026-10-01T00:00:00Z", "2026-12-01T00:00:00Z")


def test_a_deleted_project_still_counts(
    store: Store, projects: Projects, two_projects: Sequence[str], clock: Clock, ana: Who
) -> None:
    """Money that was spent stays spent."""
    call(store, "c", project="beta", cost=7)
    projects.delete("beta", ana)
    assert usage_report(store, {}, ["project"], clock)["totals"]["cost_nanodollars"] == 7


def test_records_are_read_page_by_page_across_projects(store: Store, two_projects: Sequence[str], clock: Clock) -> None:
    """Newest first, without gaps or repeats, also when many calls share one moment."""
    draw = random.Random(3)
    for count in range(40):
        call(store, f"req_{count:02}", project=draw.choice(two_projects), at=START - draw.choice([1.0, 2.0, 3.0]))
    read: list[Json] = []
    cursor = None
    while True:
        page = list_records(store, parse_filters({}, clock), limit=7, cursor=cursor)
        read += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(read) == 40 and len({record["id"] for record in read}) == 40
    times = [record["at"] for record in read]
    assert times == sorted(times, reverse=True)


def test_one_record_is_found_by_its_request_id(store: Store, two_projects: Sequence[str]) -> None:
    """Whatever its project; with its cost in dollars and times as text."""
    document = call(store, "req_1", project="beta", cost=2_500_000)
    record = get_record(store, "req_1")
    assert (record["id"], record["project"], record["cost_usd"]) == ("req_1", "beta", "0.0025")
    assert record["at"] == record["created_at"] == "2026-11-18T11:05:40Z"
    assert record["tokens"] == document["tokens"]
    with pytest.raises(AdminError) as refused:
        get_record(store, "req_2")
    assert refused.value.code == "not_found"


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"since": "yesterday"}, "since: should be a time such as"),
        ({"since": "1d", "until": "2d"}, "since: should lie before until"),
        ({"colour": "red"}, "'colour' is no field here"),
        ({"project": "../x"}, "project: should be"),
        ({"key": f"gw-{'a' * 43}"}, "key: is a key itself"),
    ],
)
def test_filters_that_cannot_be_meant_are_refused(clock: Clock, filters: dict[str, str], told: str) -> None:
    """Rather than answered with nothing."""
    with pytest.raises(AdminError) as refused:
        parse_filters(filters, clock)
    assert told in refused.value.message and "gw-a" not in refused.value.message


@pytest.mark.parametrize("cursor", ["x", "%%%", "kwEC", "gqFhoWI"])
def test_a_cursor_that_is_none_of_ours_is_refused(store: Store, clock: Clock, cursor: str) -> None:
    """In a sentence."""
    with pytest.raises(AdminError, match="cursor: "):
        list_records(store, parse_filters({}, clock), cursor=cursor)


def test_unknown_groups_are_named(store: Store, clock: Clock) -> None:
    """With those that there are."""
    with pytest.raises(AdminError, match="'week' is none of model, day"):
        usage_report(store, {}, ["week"], clock)


def test_times_are_utc_whatever_they_were_written_in(clock: Clock) -> None:
    """An offset is understood, a bare date is midnight in UTC."""
    filters = parse_filters({"since": "2026-11-01", "until": "2026-11-02T02:00:00+02:00"}, clock)
    assert filters.since == datetime(2026, 11, 1, tzinfo=UTC)
    assert filters.until == datetime(2026, 11, 2, tzinfo=UTC)
