"""JSON Schema as Gemini takes it (`parametersJsonSchema`, every model since 2.5), and the OpenAPI subset of `parameters` read.

Source: Google's reference of Schema and FunctionDeclaration, google-genai 3.4.0, 2026-11-20.
"""

from typing import Any

from gateway.canonical.errors import InvalidRequest

Json = dict[str, Any]
DEPTH_MAX = 40
_COMMENTS = frozenset({"$schema", "$id", "$comment"})
_SAYS_NOTHING = frozenset({"type", "properties", "required", "additionalProperties"})
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_LIMITS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMA_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")


def takes_arguments(schema: Any) -> bool:
    """Gemini refuses an object without properties: a function of no arguments has no parameters at all."""
    if not isinstance(schema, dict):
        return False
    return bool(schema.get("properties") or schema.keys() - _COMMENTS - _SAYS_NOTHING)


def clean_json_schema(schema: Any, depth: int = 0) -> Any:
    """The schema for `parametersJsonSchema`: comments taken out, and nothing beside a `$ref`, where Gemini allows nothing."""
    if not isinstance(schema, dict):
        return schema
    _check_depth(depth)
    cleaned: Json = {}
    for name, value in schema.items():
        if name in _COMMENTS:
            continue
        if name in _SCHEMA_MAPS and isinstance(value, dict):
            cleaned[name] = {key: clean_json_schema(each, depth + 1) for key, each in value.items()}
        elif name in _SCHEMA_LISTS and isinstance(value, list):
            cleaned[name] = [clean_json_schema(each, depth + 1) for each in value]
        else:
            cleaned[name] = clean_json_schema(value, depth + 1) if name in _SCHEMAS else value
    if "$ref" in cleaned and any(not name.startswith("$") for name in cleaned):
        return {**{name: value for name, value in cleaned.items() if name != "$ref"}, "anyOf": [{"$ref": cleaned["$ref"]}]}
    return cleaned


def parse_openapi(schema: Any, depth: int = 0) -> Any:
    """A `parameters` or `responseSchema` object as JSON Schema."""
    if not isinstance(schema, dict):
        return schema
    _check_depth(depth)
    parsed: Json = {}
    for given, value in schema.items():
        name = str(_JSON_NAMES.get(given, given))
        if name in ("properties", "$defs") and isinstance(value, dict):
            parsed[name] = {key: parse_openapi(each, depth + 1) for key, each in value.items()}
        elif name == "anyOf" and isinstance(value, list):
            parsed[name] = [parse_openapi(each, depth + 1) for each in value]
        elif name in ("items", "additionalProperties"):
            parsed[name] = parse_openapi(value, depth + 1)
        elif name == "type" and isinstance(value, str):
            if value.lower() in _TYPES:
                parsed[name] = value.lower()
        elif name in _LIMITS and isinstance(value, str) and value.isascii() and value.isdigit():
            parsed[name] = int(value)  # 64-bit numbers are strings in Google's JSON
        elif name not in ("nullable", "propertyOrdering"):
            parsed[name] = value
    return _with_null(parsed) if schema.get("nullable") is True else parsed


_JSON_NAMES = {
    "any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems", "min_length": "minLength", "max_length": "maxLength",
    "min_properties": "minProperties", "max_properties": "maxProperties", "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties", "defs": "$defs", "ref": "$ref",
}  # fmt: skip


def _with_null(parsed: Json) -> Json:
    if isinstance(parsed.get("type"), str):
        return {**parsed, "type": [parsed["type"], "null"]}
    if isinstance(parsed.get("anyOf"), list):
        return {**parsed, "anyOf": [*parsed["anyOf"], {"type": "null"}]}
    return parsed


def _check_depth(depth: int) -> None:
    if depth > DEPTH_MAX:
        raise InvalidRequest(f"tools: a schema is nested more than {DEPTH_MAX} levels deep; make it flatter")
