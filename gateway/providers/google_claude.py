"""Claude on Google Cloud, as Anthropic itself runs it: the first-party API behind Google's tokens and billing.

Source: Anthropic SDK 2.11.0 (AnthropicGoogleCloud) and its README, 2026-11-20.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError
from gateway.dialects.anthropic import door as anthropic
from gateway.providers import anthropic_direct
from gateway.providers.anthropic_direct import parse_lesson
from gateway.providers.google_errors import credential_refused, parse_google_error
from gateway.providers.provider import Lesson, Outgoing, Provider
from gateway.providers.vertex import PROJECT
from gateway.settings import LOCATION

__all__ = ["base_url", "check_provider", "parse_error", "parse_lesson", "prepare"]

BASE_URL = "https://claude.googleapis.com"
WORKSPACE = re.compile(r"wrkspc_[A-Za-z0-9]{1,64}")


def base_url(provider: Provider, location: str) -> str:
    """One host for all locations; the operator's own base URL replaces it."""
    return provider.base_url or BASE_URL


def check_provider(provider: Provider) -> list[str]:
    """Faults that would end up in a path."""
    faults = [
        f"provider {provider.id}: {location!r} is no location; use global or a region such as us-east5"
        for location in provider.locations
        if not LOCATION.fullmatch(location)
    ]
    if not provider.workspace_id or not WORKSPACE.fullmatch(provider.workspace_id):
        faults.append(f"provider {provider.id}: workspace_id should be the workspace's id, such as wrkspc_01ABC")
    if provider.project_id is not None and not PROJECT.match(provider.project_id):
        faults.append(f"provider {provider.id}: {provider.project_id!r} is no Google Cloud project id")
    return faults


def prepare(call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
    """What goes to Anthropic's own API, under the workspace's path."""
    outgoing = anthropic_direct.prepare(call, target, project_id, lesson)
    provider: Provider = target.provider
    place = f"projects/{quote(project_id, safe=':.-')}/locations/{quote(target.location, safe='-')}"
    headers = {name: value for name, value in outgoing.headers.items() if name != "anthropic-workspace-id"}
    if provider.quota_project_id:
        headers["x-goog-user-project"] = provider.quota_project_id
    workspace = quote(provider.workspace_id or "", safe="")
    return replace(outgoing, path=f"/v1/{place}/workspaces/{workspace}/invoke{outgoing.path}", headers=headers)


def parse_error(call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
    """Anthropic's envelope passes; Google's, from the doors before it, is translated."""
    error = anthropic.parse_error(status, body, headers)
    if error is None:
        return parse_google_error(status, body, headers, project_id)
    return credential_refused(error.reason) if status in (401, 403) else error
