"""JSON schemas as Anthropic's structured outputs take them: closed objects, and constraints said in words.

What a schema cannot say there goes into its `description`, so that the model still reads it: Anthropic's own SDKs do the
same. Source: Anthropic structured outputs guide and SDK 2.11.0, 2026-11-20.
"""

from typing import Any

import msgspec

from gateway.canonical.translation import Json
from gateway.dialects.crossing import text_of

FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
SAID = frozenset({
    "$defs", "$ref", "additionalProperties", "allOf", "anyOf", "const", "definitions", "description", "enum", "items",
    "properties", "required", "title", "type",
})  # fmt: skip
SAYS_NOTHING = frozenset({"$schema", "$id", "$comment"})
CHOICES = ("oneOf", "anyOf", "allOf")


def close_schema(schema: Json) -> tuple[Json, list[str]]:
    """The schema with every object closed, and the names of the constraints that are now only words."""
    unsaid: list[str] = []
    return _close(schema, unsaid), sorted(set(unsaid))


def _close(schema: Any, unsaid: list[str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        schema = {name: value for name, value in schema.items() if name in ("$ref", "$defs", "definitions")}
    closed: Json = {}
    words: Json = {}
    for name, value in schema.items():
        if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            closed[name] = {key: _close(each, unsaid) for key, each in value.items()}
        elif name in ("anyOf", "allOf", "oneOf") and isinstance(value, list):
            closed["anyOf" if name == "oneOf" else name] = [_close(each, unsaid) for each in value]
        elif name == "items":
            closed[name] = _close(value, unsaid)
        elif name in SAID or _is_said(name, value):
            closed[name] = value
        elif name not in SAYS_NOTHING:
            words[name] = value
    if schema.get("type") == "object" or "properties" in schema:
        closed["additionalProperties"] = False
        if isinstance(schema.get("additionalProperties"), dict):
            unsaid.append("additionalProperties")
    if words:
        unsaid += words
        said = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in words.items())
        closed["description"] = "\n\n".join(filter(None, [text_of(schema.get("description")), "{" + said + "}"]))
    return closed


def _is_said(name: str, value: Any) -> bool:
    return (name == "format" and isinstance(value, str) and value in FORMATS) or (name == "minItems" and value in (0, 1))


def is_closed(schema: Any) -> bool:
    """Every object in it forbids members that it does not name: what strict tools ask for."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return False
    return all(map(is_closed, schema.values()))


def fit_input_schema(schema: Json) -> tuple[Json, list[str]]:
    """A tool's schema as an object at its top: alternatives there are refused, and so are left out and named."""
    unsaid = [name for name in CHOICES if name in schema]
    return {"type": "object", **{name: value for name, value in schema.items() if name not in CHOICES}}, unsaid
