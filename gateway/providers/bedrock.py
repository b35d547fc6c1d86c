"""Bedrock runtime: hosts by region, models by inference profile, and Claude's body as InvokeModel wants it.

A location is an AWS region, whose geographic profile is used; a geography (us, eu, jp, au, apac), which is asked for in one
of its regions; or `global`. What the caller's own Bedrock client wrote passes byte for byte; a Messages body loses what
Bedrock is known to refuse. Sources: Bedrock runtime API reference, inference-profile guide, captures of Claude Code
2.1.329 in Bedrock mode, 2026-11-20.
"""

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError, InvalidRequest, UpstreamRefused
from gateway.canonical.json_object import JsonObject
from gateway.credentials.aws import REGION
from gateway.dialects.bedrock import chat as bedrock_chat
from gateway.dialects.bedrock import door as dialect
from gateway.dialects.bedrock.event_stream import CONTENT_TYPE
from gateway.providers import vertex_bridge
from gateway.providers.anthropic_betas import MEMBER, all_betas, body_betas, header_betas
from gateway.providers.google_errors import credential_refused, parse_google_error
from gateway.providers.provider import Lesson, Outgoing, Provider

# Geography → the region that is asked, and the profile's prefix.
GEOGRAPHIES = {
    "global": ("us-east-1", "global."),
    "us": ("us-east-1", "us."),
    "eu": ("eu-central-1", "eu."),
    "jp": ("ap-northeast-1", "jp."),
    "au": ("ap-southeast-2", "au."),
    "apac": ("ap-northeast-1", "apac."),
}
# Regions with a profile of their geography, by prefix, the longer first; in all others the model's own id is asked for.
PROFILES = {
    "us-gov-": "us-gov.", "us-": "us.", "eu-": "eu.", "ap-northeast-1": "jp.", "ap-northeast-3": "jp.", "ap-southeast-2": "au.",
    "ap-southeast-4": "au.", "ap-": "apac.",
}  # fmt: skip
VERSIONS = {
    None: bedrock_chat.VERSION,
    "2023-01-01": bedrock_chat.VERSION,
    "2023-06-01": bedrock_chat.VERSION,
    "vertex-2023-10-16": bedrock_chat.VERSION,
    "2026-10-21": "2026-10-21",
}
HEADER_BETAS = ("claude-code-", *bedrock_chat.TAKEN_BETAS)
# What a Bedrock client may say beside the body. Not the service tier: its prices are others.
PASSED_HEADERS = (
    "x-amzn-bedrock-guardrailidentifier", "x-amzn-bedrock-guardrailversion", "x-amzn-bedrock-performanceconfig-latency",
    "x-amzn-bedrock-request-metadata", "x-amzn-bedrock-trace",
)  # fmt: skip
TIER = "x-amzn-bedrock-service-tier"
_PROFILE = re.compile(r"^(?:us|eu|apac|jp|au|global|us-gov)\.(?=anthropic\.)")
_ACCOUNT = re.compile(r"arn:aws[\w-]*:\S+|\b\d{12}\b")


def region_of(location: str) -> str:
    """The region that a location is asked in."""
    return GEOGRAPHIES[location][0] if location in GEOGRAPHIES else location


def base_url(provider: Provider, location: str) -> str:
    """The origin for a location; the operator's own base URL replaces it, and its region if that names another."""
    return provider.base_url or f"https://bedrock-runtime.{region_of(location)}.amazonaws.com"


def check_provider(provider: Provider) -> list[str]:
    """Faults that would end up in a host name."""
    return [
        f"provider {provider.id}: {location!r} is no Bedrock location; use global, us, eu, jp, au, apac or a region (us-east-1)"
        for location in provider.locations
        if location not in GEOGRAPHIES and not REGION.fullmatch(location)
    ]


def profile_id(provider: Provider, model: str, location: str) -> str:
    """The model as on-demand calls name it. What an operator's alias stands for, an ARN or a profile stays as it is."""
    if model in provider.models.values() or not model.startswith("anthropic."):
        return model
    if location in GEOGRAPHIES:
        return GEOGRAPHIES[location][1] + model
    return next((profile for regions, profile in PROFILES.items() if location.startswith(regions)), "") + model


def prepare(call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
    """Model and verb into the path; version and betas into the body, unless the client speaks Bedrock's own dialect."""
    edited = _edit_own(call, lesson) if call.dialect == dialect.NAME else _edit_messages(call, lesson)
    model = profile_id(target.provider, target.upstream_model, target.location)
    if call.request.operation == "count_tokens":
        path, body = f"/model/{quote(_PROFILE.sub('', model), safe='')}/count-tokens", _counted(edited.body)
    else:
        verb = "invoke-with-response-stream" if call.request.stream else "invoke"
        path, body = f"/model/{quote(model, safe='')}/{verb}", edited.body
    return Outgoing(path, {**_headers(call), **edited.headers}, body, edited.betas, edited.dropped)


def _edit_own(call: Call, lesson: Lesson) -> Outgoing:
    """A Bedrock client knows its upstream: it loses only what a refusal has taught, and betas in the header that would
    be refused there."""
    document, dropped = vertex_bridge.drop_fields(call.request.document, sorted(lesson.fields))
    said, put = body_betas(call), {}
    in_body = tuple(beta for beta in said if beta not in lesson.betas)
    if in_body != said:
        put[MEMBER] = msgspec.json.encode(in_body)
    if "anthropic_version" not in document:
        put["anthropic_version"] = msgspec.json.encode(bedrock_chat.VERSION)
    in_header = tuple(b for b in header_betas(call) if b.startswith(HEADER_BETAS) and b not in lesson.betas)
    lost = [f"anthropic-beta:{beta}" for beta in all_betas(call) if beta not in (*in_body, *in_header)]
    tier = [TIER] if TIER in call.headers else []
    headers = {"anthropic-beta": ",".join(in_header)} if in_header else {}
    body = document.edited(drop=("model", "stream"), put=put)
    return Outgoing("", headers, body, tuple(dict.fromkeys((*in_body, *in_header))), (*lost, *dropped, *tier))


def _edit_messages(call: Call, lesson: Lesson) -> Outgoing:
    """A Messages body, Vertex AI's included: betas go along in the body, as far as Bedrock is known to take them."""
    document = call.request.document
    needed = (bedrock_chat.TOOL_SEARCH_BETA,) if "tools" in document and b'"defer_loading"' in document.raw("tools") else ()
    taken, lost = bedrock_chat.fit_betas((*all_betas(call), *needed))
    betas = tuple(beta for beta in taken if beta not in lesson.betas)
    lost += [f"anthropic-beta:{beta}" for beta in taken if beta not in betas]
    fields = {*lesson.fields, *bedrock_chat.refused_fields(betas), "messages.output_config"}
    document, dropped = vertex_bridge.drop_fields(document, sorted(fields))
    put = {"anthropic_version": msgspec.json.encode(_version(call))} | ({MEMBER: msgspec.json.encode(betas)} if betas else {})
    drop = ("model", "stream", *(() if betas else (MEMBER,)))
    return Outgoing("", {}, document.edited(drop=drop, put=put), betas, (*lost, *dropped))


def _version(call: Call) -> str:
    asked = call.request.api_version
    if asked in VERSIONS:
        return VERSIONS[asked]
    known = ", ".join(sorted(version for version in VERSIONS if version))
    raise InvalidRequest(f"anthropic-version: {asked!r} is not known to this gateway; send one of {known}")


def _counted(body: bytes) -> bytes:
    """CountTokens wants a whole invoke body in base64, with a `max_tokens` above any thinking budget."""
    document = JsonObject(body)
    if "max_tokens" not in document:
        thinking = document.value("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        body = document.edited(put={"max_tokens": b"%d" % (budget + 1 if isinstance(budget, int) else 1)})
    return b'{"input":{"invokeModel":{"body":"' + base64.b64encode(body) + b'"}}}'


def _headers(call: Call) -> dict[str, str]:
    own = call.dialect == dialect.NAME
    headers = {name: value for name, value in call.headers.items() if own and name in PASSED_HEADERS}
    headers["content-type"] = "application/json"
    headers["accept"] = CONTENT_TYPE if call.request.stream else "application/json"
    headers["accept-encoding"] = "identity"
    if call.request.stream:
        headers["x-amzn-bedrock-accept"] = "application/json"
    return headers


def parse_error(call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
    """Bedrock's envelope, without account numbers; a refused credential or model access is the operator's affair."""
    error: UpstreamRefused | None = dialect.parse_error(status, body, headers)
    if error is None:
        return parse_google_error(status, body, headers, None)
    if status in (401, 403):
        return credential_refused(error.reason)
    if (scrubbed := _ACCOUNT.sub("-", error.message)) != error.message:
        error.message, error.body = scrubbed, b""
    if call.dialect != dialect.NAME:
        _tell_elsewhere(error)
    return error


def _tell_elsewhere(error: UpstreamRefused) -> None:
    """A failing model is 424 here, which no other vendor's client would ask again after."""
    error.passed_headers.pop(dialect.ERROR_TYPE_HEADER, None)
    if error.status == 424:
        error.status = 502


def parse_lesson(sent: Outgoing, error: GatewayError) -> Lesson | None:
    return vertex_bridge.parse_lesson(error.message, sent.betas, sent.body) if error.status == 400 else None
