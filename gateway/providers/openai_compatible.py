"""OpenAI, and every server that speaks as it does: Azure, Mistral, vLLM, Ollama. Bytes pass; usage is always asked for.

`base_url` ends in `/v1`, or wherever the server's own documentation lets its clients begin. Each path is a Wire of its own.
Source: OpenAI API reference, openai-python 3.52.0, 2026-11-20.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError, UpstreamRefused
from gateway.canonical.json_object import JsonObject
from gateway.dialects.openai.errors import parse_error as parse_openai_error
from gateway.providers.google_errors import credential_refused, parse_google_error
from gateway.providers.provider import Lesson, Outgoing, Provider

BASE_URL = "https://api.openai.com/v1"
USAGE = {"include_usage": True}
LEARNED = frozenset(("stream_options",))  # what a server may be found not to know, and can be done without


def check_provider(provider: Provider) -> list[str]:
    """A base URL is a path's beginning here, and no more."""
    parts = urlsplit(provider.base_url or BASE_URL)
    if parts.query or parts.fragment or parts.username is not None:
        return [f"provider {provider.id}: base_url should be scheme://host[:port]/path, such as {BASE_URL}"]
    return []


@dataclass(frozen=True, slots=True)
class OpenAiPath:
    """One of the API's paths. `streams_usage_on_request` is for Chat Completions, which else says nothing of it."""

    path: str
    streams_usage_on_request: bool = False

    def base_url(self, provider: Provider, location: str) -> str:
        return (provider.base_url or BASE_URL).rstrip("/")

    def prepare(self, call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
        document = call.request.document
        put: dict[str, bytes] = {}
        drop = tuple(name for name in lesson.fields & LEARNED if name in document)
        if document.value("model") != target.upstream_model:
            put["model"] = msgspec.json.encode(target.upstream_model)
        if self.streams_usage_on_request and call.request.stream and "stream_options" not in lesson.fields:
            put |= _with_usage(document)
        stream = call.request.stream
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if stream else "application/json",
            "accept-encoding": "identity",
        }
        prefix = urlsplit(self.base_url(target.provider, target.location)).path
        return Outgoing(prefix + self.path, headers, document.edited(drop=drop, put=put), dropped=drop)

    def parse_error(self, call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
        """OpenAI's envelope passes as it is; a refused key is the operator's affair."""
        if status in (401, 403):
            return credential_refused(f"upstream_{status}")
        return parse_openai_error(status, body, headers) or parse_google_error(status, body, headers, project_id or None)

    def parse_lesson(self, sent: Outgoing, error: GatewayError) -> Lesson | None:
        """A server that knows no `stream_options` says so by its name; its streams are then priced by estimate."""
        if error.status not in (400, 422):
            return None
        said = error.message.encode() + (error.body if isinstance(error, UpstreamRefused) else b"")
        found = frozenset(name for name in LEARNED if name.encode() in said and b'"%s"' % name.encode() in sent.body)
        return Lesson(fields=found) if found else None


def _with_usage(document: JsonObject) -> dict[str, bytes]:
    """Without its last record a stream cannot be priced; whoever did not ask for it must not be shown it."""
    options = document.value("stream_options")
    options = options if isinstance(options, dict) else {}
    return {} if options.get("include_usage") is True else {"stream_options": msgspec.json.encode({**options, **USAGE})}


CHAT = OpenAiPath("/chat/completions", streams_usage_on_request=True)
RESPONSES = OpenAiPath("/responses")
EMBEDDINGS = OpenAiPath("/embeddings")
