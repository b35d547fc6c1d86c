"""Which calls a condition describes."""

from typing import Any

import pytest
from routes import call

from gateway.routing.conditions import check_query, holds

MONDAY_NOON = 1_795_435_200.0 - 1_795_435_200.0 % 86_400 + 12 * 3_600  # 2026-11-23, a Monday


@pytest.mark.parametrize(
    ("query", "yes"),
    [
        ({"metadata.team": {"$eq": "core"}}, True),
        ({"metadata.team": "core"}, True),
        ({"metadata.team": {"$ne": "core"}}, False),
        ({"metadata.none": {"$ne": "core"}}, True),
        ({"metadata.none": {"$eq": "core"}}, False),
        ({"metadata.team": {"$in": ["edge", "core"]}}, True),
        ({"metadata.team": {"$nin": ["edge", "core"]}}, False),
        ({"model": {"$regex": "^claude-(opus|sonnet)"}}, True),
        ({"params.model": {"$regex": "opus"}}, False),
        ({"stream": {"$eq": False}}, True),
        ({"stream": {"$eq": 0}}, False),
        ({"token_estimate": {"$gt": 10}}, True),
        ({"token_estimate": {"$gte": 10, "$lt": 20}}, False),
        ({"token_estimate": {"$gt": "10"}}, False),
        ({"user": {"$eq": "ana@example.com"}}, True),
        ({"groups": {"$eq": "eng"}}, True),
        ({"group": {"$in": ["eng"]}}, True),
        ({"group": {"$regex": "^e"}}, True),
        ({"time.hour": {"$gte": 9, "$lt": 17}, "time.weekday": {"$in": ["monday", "tuesday"]}}, True),
        ({"time.date": {"$gte": "2026-12-01"}}, False),
        ({"$or": [{"user": "nobody"}, {"metadata.team": "core"}]}, True),
        ({"$and": [{"user": "nobody"}, {"metadata.team": "core"}]}, False),
        ({"$or": [{"$and": [{"stream": False}, {"project": "p"}]}]}, True),
    ],
)
def test_a_condition_describes_what_it_says(query: dict[str, Any], yes: bool) -> None:
    """Operators, fields, and what a call does not say."""
    assert list(check_query(query)) == []
    who = {"user": "ana@example.com", "groups": ("eng", "ops"), "metadata": {"team": "core"}}
    asked = call(caller=who, at=MONDAY_NOON, metadata={"team": "forged"})
    assert holds(query, asked) is yes


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({}, ": should be an object"),
        ({"team": "core"}, ".team: is no field of a call"),
        ({"model": {"$like": "x"}}, ".model.$like: is no operator"),
        ({"model": {}}, ".model: should hold an operator"),
        ({"model": ["a"]}, ".model: should be a value, or an operator"),
        ({"model": {"$in": "a"}}, ".model.$in: should be a list"),
        ({"model": {"$regex": "(a"}}, ".model.$regex: a ( is not closed"),
        ({"model": {"$regex": 5}}, ".model.$regex: should be text"),
        ({"$or": {}}, ".$or: should be a list of queries"),
        ({"$or": [{"model": {"$eq": {}}}]}, ".$or[0].model.$eq: should be one value"),
    ],
)
def test_a_faulty_condition_is_told_with_its_path(query: dict[str, Any], told: str) -> None:
    """Down to the operator."""
    assert any(told in fault for fault in check_query(query))
