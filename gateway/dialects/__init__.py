"""Wire formats, pure: a package for each, and a row here for each dialect of it.

A dialect is a module with the names of `canonical.dialect.Dialect`: its package's `door`, or one beside it for what else is
spoken in that format (`anthropic.vertex`, both `embeddings`). `TRANSLATIONS` holds by wire format how it crosses into the
canonical form and out of it (`canonical.translation`). All but Anthropic's are loaded when a path bears one of their signs,
or a call crosses into them.
"""

from typing import Any

from gateway.canonical.dialect import Dialect
from gateway.canonical.late import Late
from gateway.canonical.translation import Translation
from gateway.dialects.anthropic import door as anthropic
from gateway.dialects.anthropic import vertex

EVERY_PATH = ("",)


def _late(module: str, name: str, *signs: str) -> Any:
    """`signs`: every path of the dialect holds one of them."""
    return Late(f"gateway.dialects.{module}", NAME=name, WIRE=name, SIGNS=signs)


openai_chat = _late("openai.door", "openai", "chat/completions")
openai_responses = _late("responses.door", "openai-responses", "v1/responses")
openai_embeddings = _late("openai.embeddings", "openai-embeddings", "v1/embeddings")
gemini = _late("gemini.door", "gemini", ":generateContent", ":streamGenerateContent", ":countTokens")
gemini_embeddings = _late("gemini.embeddings", "gemini-embeddings", ":embedContent", ":batchEmbedContents", ":predict")
bedrock = _late("bedrock.door", "bedrock", "/invoke", "/count-tokens")

DIALECTS: dict[str, Dialect] = {
    dialect.NAME: dialect
    for dialect in (anthropic, vertex, openai_chat, openai_responses, openai_embeddings, gemini, gemini_embeddings, bedrock)
}
TRANSLATIONS: dict[str, Translation] = {
    "anthropic": Late("gateway.dialects.anthropic.chat"),
    "openai": openai_chat,
    "openai-responses": openai_responses,
    "gemini": gemini,
    "bedrock": bedrock,
}

EMBEDDING_TRANSLATIONS: dict[str, Any] = {"openai-embeddings": openai_embeddings, "gemini-embeddings": gemini_embeddings}
"""Of these a request needs to be parsed and an answer rendered; the canonical form of vectors is OpenAI's."""


def may_be_spoken(dialect: Dialect, path: str) -> bool:
    """Whether its patterns are worth trying on a path."""
    return any(sign in path for sign in getattr(dialect, "SIGNS", EVERY_PATH))
