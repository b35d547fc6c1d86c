"""OpenAI embeddings: `POST /v1/embeddings`, as a door, and carried to Google's three forms of asking for them.

Vertex AI has `:predict` (text-embedding-…, gemini-embedding-001) and `:embedContent` (later Gemini models), the Gemini API
`:batchEmbedContents`; which of them a model speaks, and how many texts at once, is its provider's to know. Sources: OpenAI
embeddings reference as in openai-python 3.52.0; Vertex AI text embeddings reference, Gemini API reference and google-genai
3.4.0, 2026-11-21.
"""

import base64
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gateway.canonical.call import Operation, Request
from gateway.canonical.errors import InvalidRequest, UpstreamFailed
from gateway.canonical.translation import Json
from gateway.canonical.usage import Usage
from gateway.dialects.anthropic.door import parse_object, required_text
from gateway.dialects.openai.door import (
    STREAM_TYPE,
    frame_stream,
    parse_error,
    parse_token_count,
    render_error,
    render_error_head,
    render_ping,
    render_stream_error,
    render_token_count,
    watch_stream,
)
from gateway.dialects.openai.usage import parse_body_usage

__all__ = [
    "NAME", "PATHS", "STREAM_TYPE", "WIRE", "Embedded", "Embedding", "frame_stream", "parse_answer", "parse_batch",
    "parse_embed_content", "parse_embedding", "parse_error", "parse_predict", "parse_request", "parse_token_count", "parse_usage",
    "render_batch", "render_embed_content", "render_embeddings", "render_error", "render_error_head", "render_ping",
    "render_predict", "render_stream_error", "render_token_count", "watch_stream",
]  # fmt: skip

NAME = "openai-embeddings"
WIRE = "openai-embeddings"
PATHS: Sequence[tuple[re.Pattern[str], Operation]] = ((re.compile(r"(?:^|/)v1/embeddings$"), "embed"),)
BYTES_PER_TOKEN = 4
ESTIMATED = "estimated"  # in `usage`: ours, where a provider does not count
TEXTS_MAX = 2_048  # OpenAI's own limit for one request


@dataclass(frozen=True, slots=True)
class Embedding:
    """What is to be embedded, and how the vectors are wanted. `dimensions` is None for the model's own."""

    texts: tuple[str, ...]
    dimensions: int | None = None
    as_base64: bool = False
    task_type: str | None = None  # Google's; OpenAI has none
    model: str = ""  # what its provider calls it, for bodies that repeat it


@dataclass(frozen=True, slots=True)
class Embedded:
    """One vector a text, in their order, and the tokens that they were billed as."""

    vectors: tuple[tuple[float, ...], ...]
    tokens: int
    estimated: bool = False  # the provider did not say how many


def parse_request(
    operation: Operation, path: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str], body: bytes
) -> Request:
    document = parse_object(body)
    if "input" not in document:
        raise InvalidRequest('input: a text or a list of texts is required; such as "input": "Hello"')
    return Request(
        operation=operation,
        model=required_text(document, "model", 'add "model": "…"; GET /v1/models lists what this key may use'),
        stream=False,
        document=document,
    )


def parse_answer(body: Json) -> Json:
    """This is the canonical form of vectors."""
    return body


def parse_usage(body: bytes) -> tuple[Usage, str | None] | None:
    """As a chat's; but that of a provider which does not count was estimated."""
    found = parse_body_usage(body)
    if found is None or not msgspec.json.decode(body, type=_Answer).usage.get(ESTIMATED):
        return found
    return replace(found[0], completeness="estimated"), found[1]


class _Answer(msgspec.Struct):
    usage: dict[str, Any] = {}


def parse_embedding(body: Json) -> Embedding:
    """InvalidRequest for token numbers: they mean something to one model's tokenizer only."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or len(texts) > TEXTS_MAX:
        raise InvalidRequest(f"input: must be a text or a list of 1 to {TEXTS_MAX} texts")
    if any(isinstance(text, int | list) for text in texts):
        raise InvalidRequest("input: token numbers mean nothing to this model; send the text itself")
    for place, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            raise InvalidRequest(f"input.{place}: a text with at least one character is required")
    return Embedding(tuple(texts), _dimensions(body), _as_base64(body), _task_type(body))


def _dimensions(body: Json) -> int | None:
    dimensions = body.get("dimensions")
    if dimensions is None:
        return None
    if not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 1:
        raise InvalidRequest("dimensions: must be a whole number above 0")
    return dimensions


def _as_base64(body: Json) -> bool:
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise InvalidRequest('encoding_format: must be "float" or "base64"')
    return bool(encoding == "base64")


def _task_type(body: Json) -> str | None:
    task_type = body.get("task_type")
    if task_type is not None and not isinstance(task_type, str):
        raise InvalidRequest("task_type: must be a string such as RETRIEVAL_QUERY")
    return task_type


def render_predict(wanted: Embedding) -> Json:
    """The body for `:predict`. A text that is too long is refused, as OpenAI does, and not cut in silence."""
    task = {"task_type": wanted.task_type} if wanted.task_type else {}
    parameters: Json = {"autoTruncate": False}
    if wanted.dimensions:
        parameters["outputDimensionality"] = wanted.dimensions
    return {"instances": [{"content": text, **task} for text in wanted.texts], "parameters": parameters}


def parse_predict(body: Json, wanted: Embedding) -> Embedded:
    try:
        found = [prediction["embeddings"] for prediction in body["predictions"]]
        vectors = [each["values"] for each in found]
        tokens = sum(int((each.get("statistics") or {}).get("token_count") or 0) for each in found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UpstreamFailed("the provider's answer holds no predictions with embeddings; try again") from error
    return _embedded(vectors, tokens, wanted)


def render_embed_content(wanted: Embedding) -> Json:
    """The body for `:embedContent`, which takes one text a call."""
    config: Json = {"autoTruncate": False}
    if wanted.task_type:
        config["taskType"] = wanted.task_type
    if wanted.dimensions:
        config["outputDimensionality"] = wanted.dimensions
    return {"content": {"parts": [{"text": wanted.texts[0]}]}, "embedContentConfig": config}


def parse_embed_content(body: Json, wanted: Embedding) -> Embedded:
    try:
        values = body["embedding"]["values"]
        tokens = int((body.get("usageMetadata") or {}).get("promptTokenCount") or 0)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UpstreamFailed("the provider's answer holds no embedding; try again") from error
    return _embedded([values], tokens, wanted)


def render_batch(wanted: Embedding) -> Json:
    """The body for `:batchEmbedContents`; each of its requests names the model again. Nothing here can forbid cutting."""
    more: Json = {"model": f"models/{wanted.model}"}
    if wanted.task_type:
        more["taskType"] = wanted.task_type
    if wanted.dimensions:
        more["outputDimensionality"] = wanted.dimensions
    return {"requests": [{"content": {"parts": [{"text": text}]}, **more} for text in wanted.texts]}


def parse_batch(body: Json, wanted: Embedding) -> Embedded:
    """Not every model says how many tokens it were: they are estimated then, and marked as such."""
    try:
        vectors = [embedding["values"] for embedding in body["embeddings"]]
        counted = int((body.get("usageMetadata") or {}).get("promptTokenCount") or 0)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UpstreamFailed("the provider's answer holds no embeddings; try again") from error
    if counted:
        return _embedded(vectors, counted, wanted)
    guessed = sum(-(-len(text.encode()) // BYTES_PER_TOKEN) for text in wanted.texts)
    return replace(_embedded(vectors, guessed, wanted), estimated=True)


def _embedded(vectors: list[Any], tokens: int, wanted: Embedding) -> Embedded:
    """Shortened vectors are brought to length 1 again, as OpenAI's always are: Google's are so only at full length."""
    if len(vectors) != len(wanted.texts):
        raise UpstreamFailed(f"the provider answered {len(wanted.texts)} texts with {len(vectors)} vectors; try again")
    try:
        found = msgspec.convert(vectors, tuple[tuple[float, ...], ...])
    except msgspec.ValidationError as error:
        raise UpstreamFailed("the provider's answer holds a vector that is none; try again", reason=str(error)) from error
    return Embedded(tuple(map(_unit, found)) if wanted.dimensions else found, tokens)


def _unit(vector: tuple[float, ...]) -> tuple[float, ...]:
    length = math.sqrt(sum(value * value for value in vector))
    return tuple(value / length for value in vector) if length else vector


def render_embeddings(parts: Sequence[Embedded], *, model: str, as_base64: bool) -> bytes:
    """The answer to a caller, put together of one or several answers of the provider's, in order."""
    vectors = [vector for part in parts for vector in part.vectors]
    tokens = sum(part.tokens for part in parts)
    data = [
        {"object": "embedding", "index": index, "embedding": _pack(vector) if as_base64 else vector}
        for index, vector in enumerate(vectors)
    ]
    usage: Json = {"prompt_tokens": tokens, "total_tokens": tokens}
    if any(part.estimated for part in parts):
        usage[ESTIMATED] = True
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


def _pack(vector: Sequence[float]) -> str:
    """Little-endian float32: what OpenAI's SDKs ask for unless told otherwise."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
