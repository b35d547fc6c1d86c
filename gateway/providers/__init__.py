"""Where a wire format is spoken, and as whom. A new kind of provider is a module and a row here."""

from typing import Any

from gateway.canonical.late import Late
from gateway.providers import authorization, hosts, vertex
from gateway.providers.provider import Kind

_anthropic_direct: Any = Late("gateway.providers.anthropic_direct")
_bedrock: Any = Late("gateway.providers.bedrock")
_gemini_direct: Any = Late("gateway.providers.gemini_direct")
_gemini_embeddings: Any = Late("gateway.providers.google_embeddings:GEMINI_API")
_google_claude: Any = Late("gateway.providers.google_claude")
_openai_compatible: Any = Late("gateway.providers.openai_compatible")
_vertex_embeddings: Any = Late("gateway.providers.google_embeddings:VERTEX")
_vertex_gemini: Any = Late("gateway.providers.vertex_gemini")

PROVIDERS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "vertex",
            vendors={"anthropic": ("anthropic",), "google": ("gemini", "openai-embeddings")},
            speaks={"anthropic": vertex, "gemini": _vertex_gemini, "openai-embeddings": _vertex_embeddings},
            splits={"openai-embeddings": _vertex_embeddings},
            without_links=("anthropic",),
            check_provider=vertex.check_provider,
            authorize=authorization.google,
            hosts=hosts.GOOGLE,
        ),
        Kind(
            "anthropic",
            vendors={"anthropic": ("anthropic",)},
            speaks={"anthropic": _anthropic_direct},
            check_provider=lambda provider: _anthropic_direct.check_provider(provider),
            authorize=authorization.api_key,
            credentials="secret",
        ),
        Kind(
            "bedrock",
            vendors={"anthropic": ("bedrock",)},
            speaks={"bedrock": _bedrock},
            without_links=("bedrock",),
            check_provider=lambda provider: _bedrock.check_provider(provider),
            authorize=authorization.aws,
            credentials="secret",
            hosts=hosts.AWS,
        ),
        Kind(
            "google-claude",
            vendors={"anthropic": ("anthropic",)},
            speaks={"anthropic": _google_claude},
            check_provider=lambda provider: _google_claude.check_provider(provider),
            authorize=authorization.google,
            hosts=hosts.GOOGLE,
        ),
        Kind(
            "openai",
            vendors={"*": ("openai", "openai-responses", "openai-embeddings")},
            speaks={
                "openai": Late("gateway.providers.openai_compatible:CHAT"),
                "openai-responses": Late("gateway.providers.openai_compatible:RESPONSES"),
                "openai-embeddings": Late("gateway.providers.openai_compatible:EMBEDDINGS"),
            },
            check_provider=lambda provider: _openai_compatible.check_provider(provider),
            authorize=authorization.bearer,
            credentials="secret",
            counts_tokens=False,
            path_in_base_url=True,
        ),
        Kind(
            "gemini",
            vendors={"google": ("gemini", "openai-embeddings")},
            speaks={"gemini": _gemini_direct, "openai-embeddings": _gemini_embeddings},
            splits={"openai-embeddings": _gemini_embeddings},
            check_provider=lambda provider: _gemini_direct.check_provider(provider),
            authorize=authorization.google_api_key,
            credentials="secret",
            hosts=hosts.GOOGLE,
        ),
    )
}
