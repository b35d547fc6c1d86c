"""Wire formats, pure. A dialect is a module with the names of `canonical.dialect.Dialect`; a new one is a file and a row here.

`TRANSLATIONS` holds by wire format how it crosses into the canonical form and out of it (`canonical.translation`).
"""

from gateway.canonical.dialect import Dialect
from gateway.canonical.translation import Translation
from gateway.dialects import anthropic, anthropic_chat, bedrock, gemini, openai_chat, openai_responses, vertex

DIALECTS: dict[str, Dialect] = {dialect.NAME: dialect for dialect in (anthropic, vertex, openai_chat, openai_responses, gemini)}
TRANSLATIONS: dict[str, Translation] = {
    translation.WIRE: translation
    for translation in (
        anthropic_chat,
        openai_chat,
        openai_responses,
        gemini,
        bedrock,
    )
}
