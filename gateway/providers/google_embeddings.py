"""Embeddings at Google for callers of OpenAI's: as many texts a request as the model takes, and one answer of them all.

Vertex AI has `:predict` and, for later models, `:embedContent`; the Gemini API has `:batchEmbedContents` for all. Which model
speaks which, and how many texts it takes at once: google-genai 3.4.0, Vertex AI text embeddings reference and Gemini API
embeddings reference (at most 100 texts in a batch), 2026-11-21.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.errors import GatewayError, InvalidRequest
from gateway.canonical.json_object import JsonObject
from gateway.canonical.translation import Json
from gateway.dialects.openai.embeddings import (
    Embedded,
    Embedding,
    parse_batch,
    parse_embed_content,
    parse_embedding,
    parse_predict,
    render_batch,
    render_embed_content,
    render_embeddings,
    render_predict,
)
from gateway.providers import gemini_direct, vertex, vertex_gemini
from gateway.providers.crossing import decode_answer, decode_request
from gateway.providers.provider import Lesson, Outgoing, Provider

BYTES_AT_ONCE = 40_000  # a request may hold 20,000 tokens
REQUESTS_MAX = 100
UNDERSTOOD = ("dimensions", "encoding_format", "input", "model", "task_type")


@dataclass(frozen=True, slots=True)
class Form:
    """One way of asking."""

    verb: str
    texts_at_once: int
    render: Callable[[Embedding], Json]
    parse: Callable[[Json, Embedding], Embedded]


PREDICT = Form("predict", 250, render_predict, parse_predict)
PREDICT_ONE = replace(PREDICT, texts_at_once=1)
EMBED_CONTENT = Form("embedContent", 1, render_embed_content, parse_embed_content)
BATCH = Form("batchEmbedContents", 100, render_batch, parse_batch)
ON_VERTEX = (
    ("gemini-embedding-001", PREDICT_ONE),
    ("gemini-embedding-exp", PREDICT_ONE),
    ("text-", PREDICT),
    ("textembedding-", PREDICT),
)
"""By the beginning of a model's name; later models speak `:embedContent`."""


@dataclass(frozen=True, slots=True)
class GoogleEmbeddings:
    """A SplitWire: one of Google's two doors to its embedding models."""

    origin: Callable[[Provider, str], str]
    models_path: Callable[[str, Target], str]
    form_of: Callable[[str], Form]
    operator_headers: Callable[[Provider], dict[str, str]]
    refusal: Callable[[Call, int, bytes, Mapping[str, str], str], GatewayError]

    def base_url(self, provider: Provider, location: str) -> str:
        return self.origin(provider, location)

    def split(self, call: Call, target: Target) -> Sequence[Call]:
        """A call for each request. InvalidRequest for more than can be asked for one caller."""
        body = decode_request(call)
        form = self.form_of(target.upstream_model)
        pieces = _pieces(parse_embedding(body).texts, form)
        if len(pieces) > REQUESTS_MAX:
            few = f"this model takes one text at a time; send at most {REQUESTS_MAX}"
            much = f"this would take {len(pieces)} requests to the model, and {REQUESTS_MAX} are allowed; send fewer texts"
            raise InvalidRequest(f"input: {few if form.texts_at_once == 1 else much}")
        return (call,) if len(pieces) == 1 else [_with_input(call, body, texts) for texts in pieces]

    def join(self, call: Call, target: Target, answers: Sequence[bytes]) -> bytes:
        """The answers of all requests as OpenAI would have given one. UpstreamFailed if one is none."""
        wanted, form = parse_embedding(decode_request(call)), self.form_of(target.upstream_model)
        asked = [replace(wanted, texts=texts) for texts in _pieces(wanted.texts, form)]
        parts = [form.parse(decode_answer(answer), each) for answer, each in zip(answers, asked, strict=True)]
        return render_embeddings(parts, model=target.model, as_base64=wanted.as_base64)

    def prepare(self, call: Call, target: Target, project_id: str, lesson: Lesson) -> Outgoing:
        """For one of the calls that `split` made."""
        body = decode_request(call)
        wanted = replace(parse_embedding(body), model=target.upstream_model)
        form, model = self.form_of(target.upstream_model), quote(target.upstream_model, safe="@.-_")
        return Outgoing(
            path=f"{self.models_path(project_id, target)}/{model}:{form.verb}",
            headers={**vertex_gemini.headers(stream=False), **self.operator_headers(target.provider)},
            body=msgspec.json.encode(form.render(wanted)),
            dropped=tuple(name for name in body if name not in UNDERSTOOD),
        )

    def parse_error(self, call: Call, status: int, body: bytes, headers: Mapping[str, str], project_id: str) -> GatewayError:
        return self.refusal(call, status, body, headers, project_id)

    def parse_lesson(self, sent: Outgoing, error: GatewayError) -> Lesson | None:
        """Nothing: no field of these is dropped by a refusal."""
        return None


def _with_input(call: Call, body: Json, texts: Sequence[str]) -> Call:
    document = JsonObject(msgspec.json.encode({**body, "input": texts}))
    return replace(call, request=replace(call.request, document=document))


def _pieces(texts: tuple[str, ...], form: Form) -> list[tuple[str, ...]]:
    """As many texts as go into one request, by their number and by their length; the same each time."""
    pieces: list[list[str]] = []
    size = 0
    for text in texts:
        size += len(text.encode())
        if not pieces or len(pieces[-1]) == form.texts_at_once or size > BYTES_AT_ONCE:
            pieces.append([])
            size = len(text.encode())
        pieces[-1].append(text)
    return [tuple(piece) for piece in pieces]


def _on_vertex(model: str) -> Form:
    return next((form for beginning, form in ON_VERTEX if model.startswith(beginning)), EMBED_CONTENT)


def _vertex_models(project_id: str, target: Target) -> str:
    project, location = quote(project_id, safe=":.-"), quote(target.location, safe="-")
    return f"/v1/projects/{project}/locations/{location}/publishers/google/models"


VERTEX = GoogleEmbeddings(vertex.base_url, _vertex_models, _on_vertex, vertex.operator_headers, vertex_gemini.parse_error)
GEMINI_API = GoogleEmbeddings(
    gemini_direct.base_url,
    lambda project_id, target: "/v1beta/models",
    lambda model: BATCH,
    lambda provider: {},
    gemini_direct.parse_error,
)
