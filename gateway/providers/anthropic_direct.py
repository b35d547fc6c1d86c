"""Anthropic's own API: nothing to bridge. A Messages client's bytes and `anthropic-*` headers pass as they came.

Clients of Vertex AI's and Bedrock's dialects say in path and body what stands in headers here: that is moved.
Source: Anthropic API reference, versions 2023-06-01 and 2026-10-21, 2026-11-20.
"""

from collections.abc import Mapping

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError
from gateway.dialects.anthropic import door as anthropic
from gateway.providers.anthropic_betas import MEMBER, all_betas
from gateway.providers.google_errors import credential_refused, parse_google_error
from gateway.providers.provider import Lesson, Outgoing, Provider

BASE_URL = "https://api.anthropic.com"
VERSIONS = {None: "2023-06-01", "vertex-2023-10-16": "2023-06-01", "bedrock-2023-05-31": "2023-06-01"}
NOT_PASSED = ("anthropic-beta", "anthropic-version", "anthropic-workspace-id")  # the last is the operator's to choose
NOT_COUNTED = ("max_tokens", "metadata", "stop_sequences", "stream", "temperature", "top_k", "top_p")  # refused in counting
PLACES = {"generate": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"}


def base_url(provider: Provider, location: str) -> str:
    """One host for all locations; the operator's own base URL replaces it."""
    return provider.base_url or BASE_URL


def check_provider(provider: Provider) -> list[str]:
    return []


def prepare(call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
    """The model as this API calls it; for clients of another dialect of Messages, version and betas into headers."""
    document = call.request.document
    own = call.dialect == anthropic.NAME
    put: dict[str, bytes] = {}
    if not own or document.value("model") != target.upstream_model:
        put["model"] = msgspec.json.encode(target.upstream_model)
    if call.request.stream and document.value("stream") is not True:
        put["stream"] = b"true"
    betas = all_betas(call)
    moved = () if own else (MEMBER, "anthropic_version")
    not_counted = NOT_COUNTED if call.request.operation == "count_tokens" and not own else ()
    return Outgoing(
        path=PLACES[call.request.operation],
        headers=_headers(call, target.provider, betas, own=own),
        body=document.edited(drop=(*moved, *not_counted), put=put),
        betas=betas,
    )


def _headers(call: Call, provider: Provider, betas: tuple[str, ...], *, own: bool) -> dict[str, str]:
    headers = {n: v for n, v in call.headers.items() if n.startswith("anthropic-") and n not in NOT_PASSED}
    version = call.request.api_version
    headers["anthropic-version"] = VERSIONS.get(version) or str(version)
    headers["content-type"] = "application/json"
    headers["accept"] = "text/event-stream" if call.request.stream else "application/json"
    headers["accept-encoding"] = "identity"
    if own and "anthropic-beta" in call.headers:
        headers["anthropic-beta"] = call.headers["anthropic-beta"]
    elif betas:
        headers["anthropic-beta"] = ",".join(betas)
    if provider.workspace_id:
        headers["anthropic-workspace-id"] = provider.workspace_id
    return headers


def parse_error(call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
    """Anthropic's envelope passes as it is: clients mend requests by its wording. A refused key is the operator's affair."""
    error = anthropic.parse_error(status, body, headers)
    if error is None:
        return parse_google_error(status, body, headers, None)
    return credential_refused(error.reason) if status in (401, 403) else error


def parse_lesson(sent: Outgoing, error: GatewayError) -> Lesson | None:
    """Nothing: what this API refuses, its own clients know how to leave out."""
    return None
