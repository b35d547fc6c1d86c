"""Vertex AI: hosts by location, paths by model, and Claude's body as rawPredict wants it.

Sources: Anthropic on Vertex AI reference, Google Cloud endpoint list, SDK 2.11.0, 2026-11-20.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError, InvalidRequest
from gateway.catalog.models import bare_name
from gateway.dialects import DIALECTS
from gateway.providers import vertex_bridge
from gateway.providers.google_errors import TOO_LONG, credential_refused, parse_google_error
from gateway.providers.provider import Lesson, Outgoing, Provider
from gateway.settings import LOCATION

HOSTS = {
    "global": "https://aiplatform.googleapis.com",
    "us": "https://aiplatform.us.rep.googleapis.com",
    "eu": "https://aiplatform.eu.rep.googleapis.com",
}
PROJECT = re.compile(r"^(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$|^\d{6,20}$")
PATHS_REMEMBERED = 1_024
VERSIONS = {
    None: "vertex-2023-10-16",
    "2023-01-01": "vertex-2023-10-16",
    "2023-06-01": "vertex-2023-10-16",
    "2026-10-21": "2026-10-21",
}


def base_url(provider: Provider, location: str) -> str:
    """The origin for a location; the operator's own base URL replaces it."""
    return provider.base_url or HOSTS.get(location) or f"https://{location}-aiplatform.googleapis.com"


def check_provider(provider: Provider) -> list[str]:
    """Faults that would end up in a host name or path."""
    faults = [
        f"provider {provider.id}: {location!r} is no Vertex AI location; use global, us, eu or a region such as us-east5"
        for location in provider.locations
        if not LOCATION.fullmatch(location)
    ]
    if provider.project_id is not None and not PROJECT.match(provider.project_id):
        faults.append(f"provider {provider.id}: {provider.project_id!r} is no Google Cloud project id")
    return faults


def prepare(call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
    """Model into the path, `anthropic_version` into the body, betas and fields as Vertex takes them."""
    counting = call.request.operation == "count_tokens"
    from_messages = call.dialect == "anthropic"
    bridged = vertex_bridge.bridge(
        vertex_bridge.split_betas(call.headers.get("anthropic-beta", "")),
        call.request.document,
        by_table=from_messages,
        counting=counting,
        lesson=lesson,
    )
    document, edit = call.request.document, bridged.edit
    put = dict(edit.put)
    if counting:
        put["model"] = msgspec.json.encode(bare_name(target.upstream_model))
    if from_messages or "anthropic_version" not in document:
        put["anthropic_version"] = msgspec.json.encode(_version(call.request.api_version))
    if call.request.stream and document.value("stream") is not True:
        put["stream"] = b"true"
    return Outgoing(
        path=_path(project_id, target.location, target.upstream_model, stream=call.request.stream, counting=counting),
        headers={**_headers(call, bridged.betas), **operator_headers(target.provider)},
        body=document.edited(drop=edit.drop if counting else (*edit.drop, "model"), put=put),
        betas=bridged.betas,
        dropped=bridged.dropped,
    )


def _version(api_version: str | None) -> str:
    if api_version in VERSIONS:
        return VERSIONS[api_version]
    if api_version in VERSIONS.values():
        return str(api_version)
    known = ", ".join(sorted(v for v in VERSIONS if v))
    raise InvalidRequest(f"anthropic-version: {api_version!r} is not known to this gateway; send one of {known}")


@lru_cache(maxsize=PATHS_REMEMBERED)
def _path(project_id: str, location: str, upstream_model: str, *, stream: bool, counting: bool) -> str:
    model = "count-tokens" if counting else quote(upstream_model, safe="@.-_")
    verb = "streamRawPredict" if stream else "rawPredict"
    place = f"/v1/projects/{quote(project_id, safe=':.-')}/locations/{quote(location, safe='-')}"
    return f"{place}/publishers/anthropic/models/{model}:{verb}"


def _headers(call: Call, betas: tuple[str, ...]) -> dict[str, str]:
    headers = {name: value for name, value in call.headers.items() if name.startswith("anthropic-") and name != "anthropic-beta"}
    headers["content-type"] = "application/json"
    headers["accept"] = "text/event-stream" if call.request.stream else "application/json"
    headers["accept-encoding"] = "identity"
    if betas:
        headers["anthropic-beta"] = ",".join(betas)
    return headers


def operator_headers(provider: Provider) -> dict[str, str]:
    """What the operator says of every call: whose quota it counts against (Google API system parameters), and whether it may
    use provisioned throughput (Vertex AI provisioned throughput guide; both 2026-11-20)."""
    said = {"x-goog-user-project": provider.quota_project_id, "x-vertex-ai-llm-request-type": provider.request_type}
    return {name: value for name, value in said.items() if value}


def parse_error(call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
    """Anthropic's envelope passes as it is; Google's is translated; a refused credential is the operator's affair."""
    error = DIALECTS["anthropic"].parse_error(status, body, headers)
    if error is None:
        return parse_google_error(status, body, headers, project_id)
    if status in (401, 403):
        return credential_refused(f"upstream_{status}_{error.kind}")
    if status == 413:
        error.body, error.message = b"", TOO_LONG
    return error


def parse_lesson(sent: Outgoing, error: GatewayError) -> Lesson | None:
    return vertex_bridge.parse_lesson(error.message, sent.betas, sent.body) if error.status == 400 else None
