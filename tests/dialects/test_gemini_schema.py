"""Schemas on their way to Gemini and from its clients."""

from typing import Any

import pytest

from gateway.canonical.errors import InvalidRequest
from gateway.dialects.gemini.schema import DEPTH_MAX, clean_json_schema, parse_openapi, takes_arguments


@pytest.mark.parametrize(
    ("schema", "takes"),
    [
        ({"type": "object", "properties": {"a": {}}}, True),
        ({"$ref": "#/$defs/a"}, True),
        ({"type": "object", "properties": {}, "additionalProperties": False, "$schema": "x"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_function_of_no_arguments_has_no_parameters(schema: Any, takes: bool) -> None:
    """Gemini refuses an object without properties."""
    assert takes_arguments(schema) is takes


def test_a_schema_loses_its_comments_and_nothing_else() -> None:
    """At every depth; a property may be called as a comment is. What stands beside a reference moves around it."""
    schema = {
        "$schema": "x",
        "type": "object",
        "properties": {"$comment": {"type": "string", "$comment": "c"}, "b": {"$ref": "#/$defs/B", "description": "d"}},
        "$defs": {"B": {"anyOf": [{"type": "integer", "$id": "i", "exclusiveMinimum": 0}, {"const": "$id"}]}},
        "items": {"$comment": "c", "enum": ["$schema"]},
        "additionalProperties": False,
    }
    assert clean_json_schema(schema) == {
        "type": "object",
        "properties": {"$comment": {"type": "string"}, "b": {"anyOf": [{"$ref": "#/$defs/B"}], "description": "d"}},
        "$defs": {"B": {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"const": "$id"}]}},
        "items": {"enum": ["$schema"]},
        "additionalProperties": False,
    }


def test_googles_own_schemas_become_json_schema() -> None:
    """Types in small letters, null among them, both spellings of names; order and unspecified types say nothing."""
    schema = {
        "type": "OBJECT",
        "nullable": True,
        "property_ordering": ["a"],
        "properties": {
            "type": {"type": "STRING", "min_length": 1},
            "a": {"any_of": [{"type": "INTEGER"}, {"type": "TYPE_UNSPECIFIED"}], "nullable": True},
            "b": {"type": "ARRAY", "items": {"ref": "#/$defs/B"}, "minItems": "1"},
        },
        "defs": {"B": {"type": "NUMBER"}},
    }
    assert parse_openapi(schema) == {
        "type": ["object", "null"],
        "properties": {
            "type": {"type": "string", "minLength": 1},
            "a": {"anyOf": [{"type": "integer"}, {}, {"type": "null"}]},
            "b": {"type": "array", "items": {"$ref": "#/$defs/B"}, "minItems": 1},
        },
        "$defs": {"B": {"type": "number"}},
    }


@pytest.mark.parametrize("read", [clean_json_schema, parse_openapi])
def test_a_bottomless_schema_is_refused(read: Any) -> None:
    """With a sentence, not by falling over."""
    schema: Any = {}
    for _ in range(DEPTH_MAX + 2):
        schema = {"items": schema}
    with pytest.raises(InvalidRequest, match="levels deep"):
        read(schema)
