"""Embeddings as Google's own clients ask for them: `:embedContent`, `:batchEmbedContents` and Vertex AI's `:predict`, as a door.

They are carried to wherever OpenAI's form is spoken (`openai.embeddings`): that is what a provider is asked from, whoever
asks. Which of the three it was, the body's shape tells. Sources: Gemini API and Vertex AI embeddings references,
google-genai 3.4.0, 2026-11-21.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.canonical.call import Operation, Request
from gateway.canonical.errors import InvalidRequest, UpstreamFailed
from gateway.canonical.translation import Chat, Json
from gateway.dialects.anthropic.door import parse_object as parse_body
from gateway.dialects.crossing import object_of, objects_of, parse_list, parse_object
from gateway.dialects.gemini.door import (
    STREAM_TYPE,
    frame_stream,
    parse_error,
    parse_token_count,
    parse_usage,
    render_error,
    render_error_head,
    render_ping,
    render_stream_error,
    render_token_count,
    watch_stream,
)

__all__ = [
    "NAME", "PATHS", "STREAM_TYPE", "WIRE", "frame_stream", "parse_chat", "parse_error", "parse_request", "parse_token_count",
    "parse_usage", "render_answer", "render_error", "render_error_head", "render_ping", "render_stream_error",
    "render_token_count", "watch_stream",
]  # fmt: skip

NAME = WIRE = "gemini-embeddings"
_MODEL = r"models/(?P<model>(?:(?!/models/).)+):"
PATHS: Sequence[tuple[re.Pattern[str], Operation]] = (
    (re.compile(rf"(?:^|/){_MODEL}(?:embedContent|batchEmbedContents)$"), "embed"),
    (re.compile(rf"(?:^|/)publishers/google/{_MODEL}predict$"), "embed"),
)
TASK, LENGTH = ("taskType", "task_type"), ("outputDimensionality", "output_dimensionality")
CARRIED = frozenset({*TASK, *LENGTH, "content", "model", "embedContentConfig", "embed_content_config"})


def parse_request(
    operation: Operation, path: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Request:
    document = parse_body(body)
    if not any(name in document for name in ("content", "requests", "instances")):
        raise InvalidRequest('content: what is to be embedded is required; such as {"parts": [{"text": "Hello"}]}')
    return Request(operation, path["model"], False, document)


def parse_chat(body: Json) -> Chat:
    """As OpenAI's body. InvalidRequest for texts that are to be embedded differently: it says task and length once for all."""
    if "instances" in body:
        asked = _items(body["instances"], "instances", '{"content": "Hello"}')
        texts = [each.get("content") for each in asked]
        settings = [{**each, **object_of(body.get("parameters"))} for each in asked]
    else:
        asked = _items(body.get("requests", [body]), "requests", '{"content": {"parts": [{"text": "Hello"}]}}')
        texts = [_text(each.get("content")) for each in asked]
        settings = [{**each, **object_of(each.get("embedContentConfig", each.get("embed_content_config")))} for each in asked]
    chat: Json = {"input": texts}
    for name, spellings in (("task_type", TASK), ("dimensions", LENGTH)):
        if (value := _of_all(settings, spellings)) is not None:
            chat[name] = value
    return Chat(chat, dropped=list(dict.fromkeys(name for each in settings for name in each if name not in CARRIED)))


def _of_all(settings: Sequence[Json], spellings: Sequence[str]) -> Any:
    values = [next((each[name] for name in spellings if each.get(name) is not None), None) for each in settings]
    if any(value != values[0] for value in values):
        told = f"{spellings[0]}: must be the same for all texts of a request here; send those that want another on their own"
        raise InvalidRequest(told)
    return values[0]


def _items(value: Any, name: str, example: str) -> list[Json]:
    return [parse_object(each, name, f"such as {example}") for each in parse_list(value, name, f"such as [{example}]")]


def _text(content: Any) -> str:
    """InvalidRequest for pictures and sounds: they have no place in OpenAI's form."""
    parts = object_of(content).get("parts")
    if not isinstance(parts, list) or not parts or not all(isinstance(object_of(part).get("text"), str) for part in parts):
        raise InvalidRequest('content.parts: texts alone can be embedded here; send [{"text": "Hello"}]')
    return "\n".join(part["text"] for part in parts)


def render_answer(message: Json, *, asked_model: str, request: Mapping[str, Any]) -> Json:
    """From OpenAI's answer, in the form that the request asks for by its own. UpstreamFailed if it holds no vectors."""
    vectors = [row.get("embedding") for row in objects_of(message.get("data"))]
    if not vectors or not all(isinstance(vector, list) for vector in vectors):
        raise UpstreamFailed("the provider's answer holds no embeddings; try again")
    tokens = object_of(message.get("usage")).get("prompt_tokens")
    if "instances" in request:
        return {"predictions": [{"embeddings": {"values": vector, "statistics": {"truncated": False}}} for vector in vectors]}
    usage = {"usageMetadata": {"promptTokenCount": tokens}}
    if "requests" in request:
        return {"embeddings": [{"values": vector} for vector in vectors], **usage}
    return {"embedding": {"values": vectors[0]}, **usage, "truncated": False}
