"""The top level of a request body: which fields exist on Vertex AI, their types, and the two API versions."""

from collections.abc import Mapping
from typing import Any

from gateway.sandbox import betas as b
from gateway.sandbox.errors import extra, invalid
from gateway.sandbox.models import FAST, Model

VERSIONS = ("vertex-2023-10-16", "2026-10-21")
SAMPLING = ("temperature", "top_p", "top_k")
TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "anthropic_version": (str, "string"),
    "anthropic_beta": (list, "list"),
    "messages": (list, "list"),
    "max_tokens": (int, "integer"),
    "system": ((str, list), "string or list"),
    "stream": (bool, "boolean"),
    "stop_sequences": (list, "list"),
    "temperature": ((int, float), "number"),
    "top_p": ((int, float), "number"),
    "top_k": (int, "integer"),
    "tools": (list, "list"),
    "tool_choice": (dict, "dictionary"),
    "thinking": (dict, "dictionary"),
    "output_config": (dict, "dictionary"),
    "metadata": (dict, "dictionary"),
    "cache_control": (dict, "dictionary"),
    "diagnostics": (dict, "dictionary"),
    "context_management": (dict, "dictionary"),
    "compaction": (dict, "dictionary"),
    "safeguards": (list, "list"),
    "speed": (str, "string"),
}
NEEDS_BETA = {"context_management": b.CONTEXT_MANAGEMENT, "compaction": b.COMPACTION, "safeguards": b.SAFEGUARDS}
NULLABLE = {"system", "metadata", "cache_control", "diagnostics", "context_management", "compaction", "speed", "stop_sequences"}


def check(body: Mapping[str, Any], model: Model, betas: frozenset[str], *, counting: bool = False) -> None:
    """400 for a field that is unknown, mistyped, missing, or not there in this API version or without its beta."""
    for name, value in body.items():
        if counting and name == "model":
            continue
        needed = NEEDS_BETA.get(name)
        if name not in TYPES or (needed and not needed & betas):
            raise extra(name)
        if name == "speed" and model.id not in FAST and value is not None:
            raise extra(name)
        _check_type(name, value)
    if not counting:
        _check_version(body)
        if "max_tokens" not in body:
            raise invalid("max_tokens: Field required")
    _check_smaller_things(body)


def _check_type(name: str, value: Any) -> None:
    kinds, said = TYPES[name]
    if value is None and name in NULLABLE:
        return
    if not isinstance(value, kinds) or (isinstance(value, bool) and name != "stream"):
        raise invalid(f"{name}: Input should be a valid {said}")


def _check_version(body: Mapping[str, Any]) -> None:
    version = body.get("anthropic_version")
    if version is None:
        raise invalid("anthropic_version: Field required")
    if version not in VERSIONS:
        raise invalid(f"anthropic_version: Input should be {' or '.join(repr(v) for v in VERSIONS)}")
    if version == "2026-10-21":
        for name in SAMPLING:
            if name in body:
                raise extra(name)


def _check_smaller_things(body: Mapping[str, Any]) -> None:
    for name in body.get("metadata") or {}:
        if name != "user_id":
            raise extra(f"metadata.{name}")
    for i, text in enumerate(body.get("stop_sequences") or []):
        if not isinstance(text, str):
            raise invalid(f"stop_sequences.{i}: Input should be a valid string")
        if not text.strip():
            raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    for name, low, high in (("temperature", 0, 1), ("top_p", 0, 1)):
        if name in body and not low <= body[name] <= high:
            raise invalid(f"{name}: range: {low}..{high}")
