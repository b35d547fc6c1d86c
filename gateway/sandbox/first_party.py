"""The Messages API as Anthropic itself serves it, told in terms of Vertex AI's: what it takes beyond that (2026-11-20).

Beyond Vertex AI there are a version in a header, a model in the body, URL sources, further fields, and features that
need no beta value.
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.sandbox import betas as b
from gateway.sandbox.errors import anthropic, extra, invalid
from gateway.sandbox.models import BY_UNDATED, MODELS, Model

VERSIONS = {"2023-01-01": "vertex-2023-10-16", "2023-06-01": "vertex-2023-10-16", "2026-10-21": "2026-10-21"}
FURTHER_FIELDS = {
    "billing_policy", "container", "fallbacks", "fallback_credit_token", "inference_geo", "mcp_servers", "service_tier", "speed",
    "tags", "user_profile_id",
}  # fmt: skip
FURTHER_TOOL_FIELDS = ("allowed_callers", "eager_input_streaming")
IMPLIED = {  # by prefix of a beta value: what it opens here
    "advanced-tool-use-": b.TOOL_SEARCH,
    "mid-conversation-tool-changes-": b.TOOL_SEARCH,
    "tool-search-tool-": b.TOOL_SEARCH,
}
BETA = re.compile(r"[a-z0-9-]+-20\d\d-\d\d-\d\d|claude-code-20250219")
STAND_IN = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
DOCUMENT_STAND_IN = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
BY_NAME = {model.answered_name: model for model in MODELS} | BY_UNDATED


def find_model(name: Any) -> Model:
    if not isinstance(name, str):
        raise invalid("model: Field required" if name is None else "model: Input should be a valid string")
    if name not in BY_NAME:
        raise anthropic(404, f"model: {name}")
    return BY_NAME[name]


def read_betas(headers: Mapping[str, str]) -> frozenset[str]:
    """The values sent, and what they and general availability open here. 400 names those that are no beta at all."""
    sent = b.parse_header(headers)
    if bad := sorted(beta for beta in sent if not BETA.fullmatch(beta)):
        raise b.unexpected(bad)
    opened = [values for prefix, values in IMPLIED.items() if any(beta.startswith(prefix) for beta in sent)]
    return sent.union(b.WEB_SEARCH, *opened)


def as_vertex(body: Mapping[str, Any], headers: Mapping[str, str], *, counting: bool) -> dict[str, Any]:
    """The body as Vertex AI would be sent it."""
    version = headers.get("anthropic-version")
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise invalid(f"anthropic-version: {version!r} is not a valid version")
    if "anthropic_version" in body:
        raise extra("anthropic_version")
    kept = {name: value for name, value in body.items() if name not in FURTHER_FIELDS and (counting or name != "model")}
    for name in ("tools", "messages"):
        if isinstance(kept.get(name), list):
            kept[name] = [_plainer(part) for part in kept[name]]
    return kept | ({} if counting else {"anthropic_version": VERSIONS[version]})


def _plainer(part: Any) -> Any:
    """Without members that only Anthropic's own API takes, and with what a URL or file would bring in its place."""
    if isinstance(part, list):
        return [_plainer(each) for each in part]
    if not isinstance(part, dict):
        return part
    if part.get("type") in ("image", "document") and isinstance(part.get("source"), dict):
        if part["source"].get("type") in ("url", "file"):
            return {**part, "source": STAND_IN if part["type"] == "image" else DOCUMENT_STAND_IN}
        return part
    if "content" in part:
        return {**part, "content": _plainer(part["content"])}
    return {name: value for name, value in part.items() if name not in FURTHER_TOOL_FIELDS}
