"""Gemini on Vertex AI: paths by model, and bodies that are Gemini's already.

Model and project stand in the path; the body's bytes are the client's, but for a `model` that Vertex AI would refuse there
and the wrapping that the Gemini API puts around what is to be counted. Streams are always asked for as `alt=sse`.
Source: Vertex AI generateContent and countTokens reference, google-genai 3.4.0, 2026-11-20.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError, InvalidRequest, UpstreamRefused
from gateway.canonical.json_object import JsonObject, NotAnObject
from gateway.dialects.gemini.errors import error_object, retry_delay_s
from gateway.providers.google_errors import parse_google_error
from gateway.providers.provider import Lesson, Outgoing
from gateway.providers.vertex import base_url, check_provider, operator_headers

__all__ = ["base_url", "check_provider", "headers", "parse_error", "parse_lesson", "path", "prepare"]

_TOO_LONG = re.compile(r"input token count \(?(\d+)\)? exceeds the maximum number of tokens allowed \(?(\d+)\)?")
_WRAPPED = ("generateContentRequest", "generate_content_request")
_NOT_FOR_COUNTING = (
    "toolConfig", "tool_config", "safetySettings", "safety_settings", "cachedContent", "cached_content", "labels",
)  # fmt: skip


def prepare(call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
    """For calls whose body is Gemini's own; a body that was rendered for Gemini needs `path` and `headers` only."""
    counting = call.request.operation == "count_tokens"
    document = _unwrapped(call.request.document) if counting else call.request.document
    return Outgoing(
        path=path(project_id, target, stream=call.request.stream, counting=counting),
        headers={**headers(stream=call.request.stream), **operator_headers(target.provider)},
        body=document.edited(drop=("model", *(_NOT_FOR_COUNTING if counting else ()))),
    )


def path(project_id: str, target: Target, *, stream: bool, counting: bool) -> str:
    verb = "countTokens" if counting else "streamGenerateContent?alt=sse" if stream else "generateContent"
    project, location = quote(project_id, safe=":.-"), quote(target.location, safe="-")
    model = quote(target.upstream_model, safe="@.-_")
    return f"/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:{verb}"


def headers(*, stream: bool) -> dict[str, str]:
    return {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "accept-encoding": "identity",
    }


def _unwrapped(document: JsonObject) -> JsonObject:
    name = next((name for name in _WRAPPED if name in document), None)
    if name is None:
        return document
    try:
        return JsonObject(document.raw(name))
    except NotAnObject as error:
        raise InvalidRequest(f'{name}: an object is required, such as {{"contents": […]}}') from error


def parse_error(call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
    """Google's envelope told again without the operator's names; its RetryInfo becomes `retry-after`.

    A prompt beyond the model's window is told in Anthropic's words: Claude Code knows them, and compacts.
    """
    error = parse_google_error(status, body, headers, project_id)
    if found := _TOO_LONG.search(error.message):
        error.message = f"prompt is too long: {found[1]} tokens > {found[2]} maximum"
    told = error_object(body)
    delay = retry_delay_s(told) if told else None
    if isinstance(error, UpstreamRefused) and delay is not None:
        error.passed_headers.setdefault("retry-after", str(delay))
    return error


def parse_lesson(sent: Outgoing, error: GatewayError) -> Lesson | None:
    """Nothing: Gemini's fields are dropped by no refusal."""
    return None
