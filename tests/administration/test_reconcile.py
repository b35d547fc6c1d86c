"""Reconciling: nothing differs after a clean run, what was lost is mended, and Google's bill is held against the documents."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from office_clock import START, Clock

from gateway.administration.bill import reconcile_bill
from gateway.administration.billing_export import class_of, model_of, parse_billing_export
from gateway.administration.changes import Changes, Who, list_audit
from gateway.administration.projects import Projects
from gateway.administration.reconcile import reconcile_rollups
from gateway.administration.refusals import AdminError
from gateway.administration.rollup_report import rollup_report
from gateway.administration.usage_report import usage_report
from gateway.canonical.store import Json, Store
from gateway.records.rollups import Rollups, erase_user, read_rollups

DAY_S = 86_400.0
TODAY, BEFORE = date(2026, 11, 18), date(2026, 11, 17)


def document(name: str, *, at: float = START - DAY_S, **fields: Any) -> Json:
    moment = datetime.fromtimestamp(at, UTC)
    plain = {
        "request_id": name, "project": "acme", "at": moment, "model": "claude-haiku-4-5", "asked_model": "haiku", "user": "ana",
        "key_id": "key_1", "provider": "vertex", "status": 200, "tokens": {"input": 100, "output": 20}, "searches": 0,
        "cost_nanodollars": 1_500_000_000, "completeness": "final", "price_known": True,
        "expires_at": moment + timedelta(days=400),
    }  # fmt: skip
    return {**plain, **fields}


def settle(store: Store, rollups: Rollups, documents: Iterable[Json], *, summed: bool = True) -> None:
    """As an instance does, or as one that is killed before its sums are written."""
    for one in documents:
        store.create(f"projects/{one['project']}/usage/{one['request_id']}", one)
        if summed:
            rollups.add(one)
            store.commit(rollups.take_writes(one["at"].timestamp(), last=True))


@pytest.fixture
def fix(changes: Changes, ana: Who) -> tuple[Changes, Who]:
    return changes, ana


def test_nothing_differs_after_a_clean_run(store: Store, clock: Clock, acme: str, fix: tuple[Changes, Who]) -> None:
    """Two instances, several days, users and models: no drift, and nothing to mend."""
    instances = [Rollups(), Rollups()]
    for number in range(40):
        one = document(f"r{number}", at=START - number % 5 * DAY_S, user="ab"[number % 2], cost_nanodollars=number)
        settle(store, instances[number % 2], [one])
    before = store.query("projects/acme/rollups").documents
    answer = reconcile_rollups(store, {}, clock, fix=fix)
    assert (answer["data"], answer["days_mended"]) == ([], 0)
    assert answer["totals"] == {
        "requests": 40, "rolled_requests": 40, "cost_nanodollars": 780, "rolled_cost_nanodollars": 780, "drift_usd": "0.00",
    }  # fmt: skip
    assert answer["days_open"] == ["2026-11-18"]
    assert store.query("projects/acme/rollups").documents == before


def test_a_killed_instance_s_sums_are_shown_and_mended(
    store: Store, clock: Clock, acme: str, fix: tuple[Changes, Who]
) -> None:
    """The usage documents are what counts; who mended it is in the audit."""
    settle(store, Rollups(), [document("r1"), document("r2", user="bo")])
    settle(store, Rollups(), [document("r3"), document("r4", cost_nanodollars=7)], summed=False)
    shown = reconcile_rollups(store, {}, clock)
    assert shown["days_mended"] == 0 and len(shown["data"]) == 1
    row = shown["data"][0]
    assert (row["day"], row["user"], row["requests"], row["rolled_requests"]) == ("2026-11-17", "ana", 3, 1)
    assert row["differing"]["cost_nanodollars"] == {"documents": 3_000_000_007, "rollups": 1_500_000_000}
    assert shown["totals"]["drift_usd"] == "-1.500000007"

    assert reconcile_rollups(store, {}, clock, fix=fix)["days_mended"] == 1
    assert reconcile_rollups(store, {}, clock)["data"] == []
    assert sum(f.values["requests"] for f in read_rollups(store, ["acme"], BEFORE, TODAY)["acme", "2026-11-17"].values()) == 4
    (entry,) = list_audit(store, target="projects/acme/rollups/2026-11-17")["data"]
    assert (entry["who"], entry["action"]) == ("cli:ana", "rollups.mend")
    assert (entry["before"]["requests"], entry["after"]["requests"]) == (2, 4)


def test_sums_that_are_too_high_are_mended_too(store: Store, clock: Clock, acme: str, fix: tuple[Changes, Who]) -> None:
    """As after a record was lost that had been counted; more than one document's rows are no hindrance."""
    rollups = Rollups()
    documents = [document(f"r{number}", user=f"user{number}") for number in range(450)]
    settle(store, rollups, documents[:449])
    rollups.add(documents[449])
    store.commit(rollups.take_writes(START - DAY_S, last=True))
    assert len(reconcile_rollups(store, {}, clock, fix=fix)["data"]) == 1
    assert reconcile_rollups(store, {}, clock)["totals"]["rolled_requests"] == 449


def test_a_day_that_instances_may_still_write_to_is_not_touched(
    store: Store, clock: Clock, acme: str, fix: tuple[Changes, Who]
) -> None:
    """What differs there may be under way; it is mended once the day is over, late calls included."""
    settle(store, Rollups(), [document("r1", at=START)], summed=False)
    answer = reconcile_rollups(store, {}, clock, fix=fix)
    assert (len(answer["data"]), answer["days_mended"], answer["days_open"]) == (1, 0, ["2026-11-18"])
    clock.seconds = datetime(2026, 11, 19, 1, 59, tzinfo=UTC).timestamp()
    assert reconcile_rollups(store, {}, clock, fix=fix)["days_mended"] == 0
    clock.seconds += 120
    assert reconcile_rollups(store, {}, clock, fix=fix)["days_mended"] == 1


def test_the_sums_of_erased_people_are_no_drift_and_are_kept(
    store: Store, clock: Clock, acme: str, fix: tuple[Changes, Who]
) -> None:
    """Their documents are gone, what they spent was spent."""
    settle(store, Rollups(), [document("r1"), document("r2", user="bo")])
    settle(store, Rollups(), [document("r3", user="bo")], summed=False)
    store.delete("projects/acme/usage/r1")
    erase_user(store, ["acme"], "ana")
    answer = reconcile_rollups(store, {}, clock, fix=fix)
    assert [row["user"] for row in answer["data"]] == ["bo"] and answer["days_mended"] == 1
    rows = read_rollups(store, ["acme"], BEFORE, TODAY)["acme", "2026-11-17"]
    requests = {(row.user, row.erased): figures.values["requests"] for row, figures in rows.items()}
    assert requests == {(None, True): 1, ("bo", False): 2}


def test_days_whose_documents_are_being_forgotten_are_left_alone(
    store: Store, clock: Clock, acme: str, fix: tuple[Changes, Who]
) -> None:
    """Sums outlive them by a day at most, and must not be mended to nothing meanwhile."""
    rollups = Rollups()
    rollups.add(document("r1", at=START - 9 * DAY_S))
    store.commit(rollups.take_writes(START - 9 * DAY_S))
    answer = reconcile_rollups(store, {"since": "30d"}, clock, fix=fix, retention_days=10)
    assert (answer["since"], answer["days_mended"]) == ("2026-11-09", 1)
    rollups.add(document("r2", at=START - 10 * DAY_S))
    store.commit(rollups.take_writes(START - 10 * DAY_S))
    assert reconcile_rollups(store, {"since": "30d"}, clock, fix=fix, retention_days=10)["days_mended"] == 0


def test_the_span_is_of_whole_days(store: Store, clock: Clock) -> None:
    """And is refused if it holds none."""
    answer = reconcile_rollups(store, {"since": "2026-11-10T15:00:00Z", "until": "2026-11-12"}, clock)
    assert (answer["since"], answer["until"]) == ("2026-11-10", "2026-11-12")
    with pytest.raises(AdminError, match="until: "):
        reconcile_rollups(store, {"since": "2026-11-10", "until": "2026-11-10T15:00:00Z"}, clock)


@pytest.mark.parametrize("group_by", [[], ["model"], ["day", "user"], ["project", "key"]])
@pytest.mark.parametrize("filters", [{}, {"user": "a"}, {"project": "acme", "model": "claude-opus-5-5"}, {"key": "key_1"}])
def test_a_report_from_sums_is_the_report(
    store: Store, clock: Clock, acme: str, projects: Projects, ana: Who, group_by: list[str], filters: dict[str, str]
) -> None:
    """Of whole days it says the same to the nano-dollar, in the same order."""
    projects.create({"id": "beta"}, ana)
    rollups, models = Rollups(), ["claude-haiku-4-5", "claude-opus-5-5"]
    for number in range(30):
        one = document(
            f"r{number}", at=START - number % 3 * DAY_S, user="abc"[number % 3], key_id=f"key_{number % 2}",
            cost_nanodollars=number, model=models[number % 2], project=["acme", "beta"][number % 5 == 0],
            status=200 + number % 2 * 300,
        )  # fmt: skip
        settle(store, rollups, [one])
    span = {"since": "2026-11-01", "until": "2026-11-19"}
    assert rollup_report(store, filters | span, group_by, clock) == usage_report(store, filters | span, group_by, clock)


@pytest.mark.parametrize(("filters", "group_by"), [({"session": "s"}, ["model"]), ({"meta.team": "x"}, []), ({}, ["provider"])])
def test_a_report_from_sums_refuses_what_they_do_not_know(
    store: Store, clock: Clock, filters: dict[str, str], group_by: list[str]
) -> None:
    """Rather than leaving it out in silence."""
    with pytest.raises(AdminError, match="in the daily sums"):
        rollup_report(store, filters, group_by, clock)


BILL: list[Json] = [
    {"service": {"id": "x", "description": "Vertex AI"}, "sku": {"description": "Claude Haiku 4.5 Input Tokens - Global"},
     "usage_start_time": "2026-11-17 08:00:00 UTC", "cost": 2.0, "currency": "USD", "project": {"id": "p"},
     "usage": {"amount": 200.0, "unit": "count"}, "credits": [{"name": "promo", "amount": -0.5}]},
    {"service": {"description": "Vertex AI"}, "sku": {"description": "Claude Haiku 4.5 Output Tokens - Global"},
     "usage_start_time": "2026-11-17T23:00:00+00:00", "cost": "1.03", "usage": {"amount": 40}, "credits": []},
    {"service": {"description": "Cloud Run"}, "sku": {"description": "CPU Allocation Time"},
     "usage_start_time": "2026-11-17 08:00:00", "cost": 0.25},
]  # fmt: skip
CSV = (
    "service_description,sku_description,usage_start_time,cost,credits,project_id,usage_amount\n"
    "Vertex AI,Claude Haiku 4.5 Input Tokens - Global,2026-11-17 08:00:00 UTC,2.0,-0.5,p,200\n"
    "Vertex AI,Claude Haiku 4.5 Output Tokens - Global,2026-11-17 23:00:00 UTC,1.03,,p,40\n"
    "Cloud Run,CPU Allocation Time,2026-11-17 08:00:00 UTC,0.25,,p,1\n"
)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(BILL),
        "\n".join(map(json.dumps, BILL)),
        CSV,
        "\ufeff" + CSV.replace("service_description", "service.description").replace("-0.5", '"[{""amount"": -0.5}]"'),
    ],
)
def test_the_bill_is_held_against_the_documents(store: Store, acme: str, text: str) -> None:
    """In every form that BigQuery exports: by day and model, with the SKUs beside the tokens of their class."""
    settle(store, Rollups(), [document("r1"), document("r2"), document("r3", provider="anthropic"), document("r4", at=START)])
    answer = reconcile_bill(store, parse_billing_export(text), elsewhere=["anthropic"])
    assert len(answer["data"]) == 1
    row = answer["data"][0]
    assert (row["day"], row["model"], row["requests"]) == ("2026-11-17", "claude-haiku-4-5", 2)
    assert (row["cost_usd"], row["billed_usd"], row["credits_usd"]) == ("3.00", "3.03", "-0.50")
    assert (row["drift_usd"], row["drift_percent"]) == ("0.03", 1.0)
    assert [(sku["class"], float(sku["amount"]), sku["documents_amount"]) for sku in row["skus"]] == [
        ("input", 200, 200), ("output", 40, 40),
    ]  # fmt: skip
    assert answer["not_models"] == [{"day": "2026-11-17", "sku": "CPU Allocation Time", "billed_usd": "0.25"}]
    assert answer["totals"]["drift_usd"] == "0.03"


def test_what_one_side_alone_knows_is_shown(store: Store, acme: str) -> None:
    """A model that was billed without a call here, and calls without a bill."""
    settle(store, Rollups(), [document("r1", model="claude-opus-5-5")])
    rows = parse_billing_export(json.dumps(BILL))
    answer = {row["model"]: row for row in reconcile_bill(store, rows)["data"]}
    assert (answer["claude-opus-5-5"]["billed_usd"], answer["claude-opus-5-5"]["skus"]) == ("0.00", [])
    assert (answer["claude-haiku-4-5"]["requests"], answer["claude-haiku-4-5"]["drift_percent"]) == (0, None)


@pytest.mark.parametrize(
    ("sku", "model", "billed_class"),
    [
        ("Claude Sonnet 4.5 Input Tokens - Global", "claude-sonnet-4-5", "input"),
        ("Anthropic Claude Opus 4 - Cache Read Input Tokens", "claude-opus-4-0", "cache_read"),
        ("Claude Opus 4.1 Cache Write 1 hour Input (us-east5)", "claude-opus-4-1", "cache_write_1h"),
        ("Claude Opus 4.1 5 minute Cache Write", "claude-opus-4-1", "cache_write_5m"),
        ("Claude Haiku 4.5 Cache Hit", "claude-haiku-4-5", "cache_read"),
        ("Gemini 2.5 Flash Lite Text Output", "gemini-2.5-flash-lite", "output"),
        ("Gemini 2.5 Flash Cached Input", "gemini-2.5-flash", "cache_read"),
        ("Claude Sonnet 4.6 Web Search Requests", "claude-sonnet-4-6", "searches"),
        ("Network Egress", None, None),
    ],
)
def test_a_sku_says_its_model_and_class(sku: str, model: str | None, billed_class: str | None) -> None:
    """By the words of its description, the longest model name first."""
    assert (model_of(sku), class_of(sku)) == (model, billed_class)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no rows"),
        ("[1]", "something else than objects"),
        ("{broken", "is no JSON"),
        ("a,b\n1,2\n", "row 1: .*is missing"),
        (CSV.replace("2.0", "much"), "row 1: cost: 'much' is no number"),
        (CSV.replace("2026-11-17 23:00:00 UTC", "yesterday"), "row 2: usage_start_time: 'yesterday' is no time"),
        (json.dumps([{**BILL[0], "currency": "EUR"}]), "currency: 'EUR' is not USD"),
        (json.dumps([{**BILL[0], "cost": "NaN"}]), "is no amount"),
    ],
)
def test_an_export_that_cannot_be_read_is_refused_in_a_sentence(text: str, told: str) -> None:
    """With the row and what would be right."""
    with pytest.raises(AdminError, match=told):
        parse_billing_export(text)
