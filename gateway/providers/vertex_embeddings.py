"""Embeddings on Vertex AI for callers of OpenAI's: as many texts a request as the model takes, and one answer of them all.

Which models speak `:predict` and which `:embedContent`, and how many texts they take at once, is told by google-genai 3.4.0
and the Vertex AI text embeddings reference, 2026-11-20.
"""

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import InvalidRequest, UpstreamFailed
from gateway.canonical.json_object import JsonObject
from gateway.canonical.translation import Json
from gateway.dialects.openai_embeddings import (
    Embedded,
    Embedding,
    parse_embed_content,
    parse_embedding,
    parse_predict,
    render_embed_content,
    render_embeddings,
    render_predict,
)
from gateway.providers import vertex_gemini
from gateway.providers.provider import Lesson, Outgoing
from gateway.providers.vertex import base_url, operator_headers
from gateway.providers.vertex_gemini import parse_error, parse_lesson

__all__ = ["base_url", "join", "parse_error", "parse_lesson", "prepare", "split"]

PREDICTED = ("gemini-embedding-001", "gemini-embedding-exp", "text-", "textembedding-")
TEXTS_AT_ONCE = 250
BYTES_AT_ONCE = 40_000  # a request may hold 20,000 tokens
ONE_AT_A_TIME = ("gemini-embedding-",)
REQUESTS_MAX = 100
UNDERSTOOD = ("dimensions", "encoding_format", "input", "model", "task_type")


def split(call: Call, target: Target) -> Sequence[Call]:
    """A call for each request. InvalidRequest for more than can be asked for one caller."""
    body = _decode(call)
    pieces = _pieces(parse_embedding(body).texts, target)
    if len(pieces) > REQUESTS_MAX:
        few = f"this model takes one text at a time; send at most {REQUESTS_MAX}"
        much = f"this would take {len(pieces)} requests to the model, and {REQUESTS_MAX} are allowed; send fewer texts"
        raise InvalidRequest(f"input: {few if _texts_at_once(target) == 1 else much}")
    return (call,) if len(pieces) == 1 else [_with_input(call, body, texts) for texts in pieces]


def _with_input(call: Call, body: Json, texts: Sequence[str]) -> Call:
    document = JsonObject(msgspec.json.encode({**body, "input": texts}))
    return replace(call, request=replace(call.request, document=document))


def join(call: Call, target: Target, answers: Sequence[bytes]) -> bytes:
    """The answers of all requests as OpenAI would have given one. UpstreamFailed if one is none."""
    wanted = parse_embedding(_decode(call))
    pieces = _pieces(wanted.texts, target)
    parts = [_parse(answer, replace(wanted, texts=texts), target) for answer, texts in zip(answers, pieces, strict=True)]
    return render_embeddings(parts, model=target.model, as_base64=wanted.as_base64)


def prepare(call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
    """For one of the calls that `split` made."""
    body = _decode(call)
    wanted = parse_embedding(body)
    predicted = _is_predicted(target)
    project, location = quote(project_id, safe=":.-"), quote(target.location, safe="-")
    model = quote(target.upstream_model, safe="@.-_")
    verb = "predict" if predicted else "embedContent"
    return Outgoing(
        path=f"/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:{verb}",
        headers={**vertex_gemini.headers(stream=False), **operator_headers(target.provider)},
        body=msgspec.json.encode(render_predict(wanted) if predicted else render_embed_content(wanted)),
        dropped=tuple(name for name in body if name not in UNDERSTOOD),
    )


def _parse(answer: bytes, wanted: Embedding, target: Target) -> Embedded:
    try:
        body: Json = msgspec.json.decode(answer, type=dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamFailed("the provider's answer is no JSON document; try again", reason=str(error)) from error
    return parse_predict(body, wanted) if _is_predicted(target) else parse_embed_content(body, wanted)


def _is_predicted(target: Target) -> bool:
    return target.upstream_model.startswith(PREDICTED)


def _texts_at_once(target: Target) -> int:
    return 1 if target.upstream_model.startswith(ONE_AT_A_TIME) or not _is_predicted(target) else TEXTS_AT_ONCE


def _pieces(texts: tuple[str, ...], target: Target) -> list[tuple[str, ...]]:
    """As many texts as go into one request, by their number and by their length; the same each time."""
    most = _texts_at_once(target)
    pieces: list[list[str]] = []
    size = 0
    for text in texts:
        size += len(text.encode())
        if not pieces or len(pieces[-1]) == most or size > BYTES_AT_ONCE:
            pieces.append([])
            size = len(text.encode())
        pieces[-1].append(text)
    return [tuple(piece) for piece in pieces]


def _decode(call: Call) -> Json:
    try:
        body: Json = msgspec.json.decode(call.request.document.source, type=dict)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"the body cannot be read ({error}); send one JSON object of ordinary values") from error
    return body
