"""The Gemini models that the sandbox pretends to serve, where, and how each may be told to think (model pages, 2026-11-20)."""

import re
from dataclasses import dataclass, replace

from gateway.sandbox.models import MULTI_REGIONS, REGIONS, Model

_NAME = re.compile(r"gemini-(\d+)(?:\.(\d+))?-(argon|pro|flash-lite|flash)(?:-preview)?(?:-\d{2}-\d{4}|-\d{3}|-cyber)?")
_ENGINE = Model("", regional=True, output_tokens_max=65_536, sampling=True, prefill=True, thinks="never", cache_tokens_min=1024)
EMBEDDINGS = {
    "text-embedding-005": 768,
    "text-multilingual-embedding-002": 768,
    "gemini-embedding-001": 3072,
    "gemini-embedding-2": 3072,
}


@dataclass(frozen=True, slots=True)
class GeminiModel:
    """`levels` are the thinking levels it takes; `budgets` the range of thinking budgets, in tokens."""

    id: str
    new: bool  # Gemini 3 and later: thinks by level, signs its calls, gives them ids
    levels: tuple[str, ...]
    budgets: tuple[int, int] | None
    can_rest: bool  # a budget of 0 turns thinking off
    engine: Model


def find(name: str, location: str | None) -> GeminiModel | None:
    """The model, if that location serves it: Gemini 3 and later live in global, us and eu."""
    match = _NAME.fullmatch(name)
    if match is None or (location is not None and location not in (*MULTI_REGIONS, *REGIONS)):
        return None
    new, kind = int(match[1]) >= 3, match[3]
    if new and location is not None and location not in MULTI_REGIONS:
        return None
    heavy = kind in ("pro", "argon")
    levels = (("LOW", "MEDIUM", "HIGH") if heavy else ("MINIMAL", "LOW", "MEDIUM", "HIGH")) if new else ()
    budgets = (128, 32_768) if heavy else (512 if kind == "flash-lite" else 1, 24_576)
    return GeminiModel(name, new, levels, budgets, not new and not heavy, replace(_ENGINE, id=name))
