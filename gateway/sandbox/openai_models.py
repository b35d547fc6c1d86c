"""The OpenAI models that the sandbox pretends to serve, and what each takes (OpenAI model pages, 2026-11-20)."""

import re
from dataclasses import dataclass, replace

from gateway.sandbox.models import Model

EMBEDDINGS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_REASONING = re.compile(r"gpt-(?:5|6)(?:[.-].*)?|o\d(?:-.*)?")
_PLAIN = re.compile(r"gpt-4(?:[.o-].*)?|gpt-3\.5-turbo|.*-compatible")
_ENGINE = Model("", regional=False, context_tokens=400_000, sampling=True, prefill=True, thinks="never", cache_tokens_min=1024)


@dataclass(frozen=True, slots=True)
class OpenAiModel:
    """`engine` is how the pretend model behind it is made."""

    id: str
    reasons: bool
    engine: Model


def find(name: str) -> OpenAiModel | None:
    reasons = _REASONING.fullmatch(name) is not None
    if not reasons and not _PLAIN.fullmatch(name):
        return None
    return OpenAiModel(name, reasons, replace(_ENGINE, id=name))
