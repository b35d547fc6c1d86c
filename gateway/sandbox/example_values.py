"""A value that fits a JSON schema, made of the user's own words where it is free: for tools and structured output."""

import re
from collections.abc import Mapping
from typing import Any

DEPTH_MAX = 12
FORMATS = {
    "date": "2026-11-20",
    "time": "12:00:00Z",
    "date-time": "2026-11-20T12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def fit(schema: Any, words: str, root: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """The example; None for what is nested too deep or cannot be known."""
    if not isinstance(schema, Mapping) or depth > DEPTH_MAX:
        return None
    root = schema if root is None else root
    if "$ref" in schema:
        return fit(_resolve(schema["$ref"], root), words, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf", "allOf"):
        options = [option for option in schema.get(word, []) if option.get("type") != "null"]
        if options:
            return fit(options[0], words, root, depth + 1)
    return _by_type(schema, words, root, depth)


def _by_type(schema: Mapping[str, Any], words: str, root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    match kind:
        case "object":
            members = schema.get("properties") or {}
            return {name: fit(part, words, root, depth + 1) for name, part in members.items()}
        case "array":
            count = max(1, schema.get("minItems", 1))
            return [fit(schema.get("items") or {}, words, root, depth + 1) for _ in range(count)]
        case "integer" | "number":
            return schema.get("minimum", schema.get("maximum", 1))
        case "boolean":
            return True
        case "null":
            return None
    return _string(schema, words)


def _string(schema: Mapping[str, Any], words: str) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    text = re.sub(r"\s+", " ", words).strip() or "sandbox"
    text = text[: min(200, schema.get("maxLength", 200))]
    return text.ljust(schema.get("minLength", 0), ".")


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step) if isinstance(found, Mapping) else None
    return found
