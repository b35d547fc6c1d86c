"""Schemas as Gemini takes them: an OpenAPI subset under `parameters`, plain JSON Schema under `parametersJsonSchema`.

What the subset does not know is a 400 (Vertex AI function-calling reference and reports, 2026-11-20).
"""

from collections.abc import Mapping
from typing import Any

from gateway.sandbox.errors import google

TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
KEYS = frozenset({
    "additionalProperties", "anyOf", "default", "defs", "description", "enum", "example", "format", "items", "maxItems",
    "maxLength", "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "nullable", "pattern",
    "properties", "propertyOrdering", "ref", "required", "title", "type",
})  # fmt: skip
FORMATS = {
    "STRING": ("enum", "date-time"),
    "INTEGER": ("int32", "int64"),
    "NUMBER": ("float", "double"),
}
DEPTH_MAX = 32


def check(schema: Any, path: str, *, top: bool = False, depth: int = 0) -> None:
    """400 with Google's words for the first thing that the subset does not know."""
    if not isinstance(schema, Mapping) or depth > DEPTH_MAX:
        raise google(400, f"Invalid value at '{path}' (type.googleapis.com/google.cloud.aiplatform.v1.Schema)")
    for name in schema:
        if name not in KEYS:
            raise google(400, f'Invalid JSON payload received. Unknown name "{name}" at \'{path}\': Cannot find field.')
    kind = schema.get("type")
    if kind is not None and (not isinstance(kind, str) or kind.upper() not in TYPES):
        what = "Proto field is not repeating, cannot start list" if isinstance(kind, list) else f'"{kind}"'
        raise google(400, f"Invalid value at '{path}.type' (type.googleapis.com/google.cloud.aiplatform.v1.Type), {what}")
    kind = (kind or "").upper()
    if top and kind != "OBJECT":
        raise google(400, f"{path}: functionDeclaration parameters schema should be of type OBJECT.")
    _check_values(schema, kind, path)
    properties = schema.get("properties")
    if kind == "OBJECT" and not properties and not schema.get("additionalProperties"):
        raise google(400, f"{path}.properties: should be non-empty for OBJECT type")
    if kind == "ARRAY" and "items" not in schema:
        raise google(400, f"{path}.items: missing field.")
    for name in schema.get("required") or ():
        if name not in (properties or {}):
            raise google(400, f"{path}.required: property is not defined: {name}")
    for name, part in (properties or {}).items():
        check(part, f"{path}.properties[{name}]", depth=depth + 1)
    if "items" in schema:
        check(schema["items"], f"{path}.items", depth=depth + 1)
    for i, part in enumerate(schema.get("anyOf") or ()):
        check(part, f"{path}.any_of[{i}]", depth=depth + 1)


def _check_values(schema: Mapping[str, Any], kind: str, path: str) -> None:
    for i, value in enumerate(schema.get("enum") or ()):
        if not isinstance(value, str):
            raise google(400, f"Invalid value at '{path}.enum[{i}]' (TYPE_STRING), {value}")
        if not value:
            raise google(400, f"{path}.enum[{i}]: cannot be empty")
    if schema.get("enum") and kind not in ("STRING", ""):
        raise google(400, f"{path}.enum: only allowed for STRING type")
    wanted = schema.get("format")
    if wanted is not None and wanted not in FORMATS.get(kind, ()):
        told = f"{path}.format: only {' and '.join(repr(f) for f in FORMATS.get(kind, ()))} are supported for {kind} type"
        raise google(400, told)


def check_json_schema(schema: Any, path: str) -> None:
    """Plain JSON Schema: nearly everything goes."""
    if not isinstance(schema, Mapping):
        raise google(400, f"Invalid value at '{path}': expected a JSON Schema")
    if schema.get("type", "object") != "object":
        raise google(400, f"{path}: functionDeclaration parameters schema should be of type OBJECT.")


def as_json_schema(schema: Any) -> Any:
    """The OpenAPI subset as JSON Schema, for making up values."""
    if isinstance(schema, list):
        return [as_json_schema(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties" and isinstance(value, Mapping):
            found[name] = {member: as_json_schema(part) for member, part in value.items()}
        else:
            found[name] = value.lower() if name == "type" and isinstance(value, str) else as_json_schema(value)
    return found
