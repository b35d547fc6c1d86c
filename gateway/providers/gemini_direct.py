"""The Gemini API, which is Google's without Vertex AI: one host, an API key, and models without project or location.

Source: Gemini API reference (v1beta), google-genai 3.4.0, 2026-11-20.
"""

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError
from gateway.canonical.json_object import JsonObject
from gateway.providers import vertex_gemini
from gateway.providers.google_errors import credential_refused
from gateway.providers.provider import Lesson, Outgoing, Provider
from gateway.providers.vertex_gemini import headers, parse_lesson

__all__ = ["base_url", "check_provider", "parse_error", "parse_lesson", "prepare"]

BASE_URL = "https://generativelanguage.googleapis.com"
LABELS = "labels"  # Vertex AI's billing labels; unknown here
BESIDE_CONTENTS = ("systemInstruction", "system_instruction", "tools", "toolConfig", "tool_config", "generationConfig")
WRAPPED = ("generateContentRequest", "generate_content_request")


def base_url(provider: Provider, location: str) -> str:
    """One host for all locations; the operator's own base URL replaces it."""
    return provider.base_url or BASE_URL


def check_provider(provider: Provider) -> list[str]:
    return []


def prepare(call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
    """For calls whose body is Gemini's own."""
    counting = call.request.operation == "count_tokens"
    document = call.request.document
    dropped = (LABELS,) if LABELS in document else ()
    body = document.edited(drop=("model", *dropped))
    if counting:
        body = _counted(JsonObject(body), target.upstream_model)
    verb = "countTokens" if counting else "streamGenerateContent?alt=sse" if call.request.stream else "generateContent"
    path = f"/v1beta/models/{quote(target.upstream_model, safe='.-_')}:{verb}"
    return Outgoing(path, headers(stream=call.request.stream), body, dropped=dropped)


def _counted(document: JsonObject, model: str) -> bytes:
    """More than `contents` is counted only inside a whole request, which has to name its model."""
    if any(name in document for name in WRAPPED) or not any(name in document for name in BESIDE_CONTENTS):
        return document.source
    return b'{"generateContentRequest":' + document.edited(put={"model": msgspec.json.encode(f"models/{model}")}) + b"}"


def parse_error(call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
    """As Vertex AI's; but that a bad key is a 400 here, and the operator's affair nevertheless."""
    if status == 400 and b"API_KEY_INVALID" in body:
        return credential_refused("upstream_400_INVALID_ARGUMENT_API_KEY_INVALID")
    return vertex_gemini.parse_error(call, status, body, headers, project_id)
