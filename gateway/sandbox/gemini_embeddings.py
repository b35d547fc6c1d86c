"""Embeddings of the simulated Gemini: `:predict` and `:embedContent` on Vertex AI, both `:…Content` verbs as Gemini API.

Sources: Vertex AI text embeddings reference, Gemini API embeddings reference, google-genai 3.4.0, 2026-11-21.
"""

from typing import Any

from gateway.sandbox.embeddings import embed
from gateway.sandbox.errors import google
from gateway.sandbox.gemini_models import EMBEDDINGS
from gateway.sandbox.gemini_rules import unknown
from gateway.sandbox.usage import text_tokens

Json = dict[str, Any]
BATCH_MAX = 100
ASKED = {"content", "model", "outputDimensionality", "taskType", "title"}
COUNTING = ("gemini-embedding-2",)  # tells how many tokens it were; older models do not in a batch


def answer(name: str, verb: str, on_vertex: bool, body: Json) -> Json:
    """`:predict` is Vertex AI's and older models', `:embedContent` Gemini's; batches are offered by the Gemini API alone."""
    own = EMBEDDINGS.get(name)
    if verb == "predict":
        fits = on_vertex and name != "gemini-embedding-2"
    else:
        fits = name.startswith("gemini-") and not (on_vertex and verb == "batchEmbedContents")
    if own is None or not fits:
        raise google(404, f"Publisher Model `publishers/google/models/{name}` was not found or does not support {verb}.")
    if verb == "predict":
        return _predict(name, own, body)
    return _batch(name, own, body) if verb == "batchEmbedContents" else _one(own, body)


def _one(own: int, body: Json) -> Json:
    values, tokens = _embed(own, {**body, **(body.get("embedContentConfig") or {})})
    return {"embedding": {"values": values}, "usageMetadata": {"promptTokenCount": tokens}, "truncated": False}


def _batch(name: str, own: int, body: Json) -> Json:
    requests = body.get("requests")
    if not isinstance(requests, list) or not 0 < len(requests) <= BATCH_MAX:
        told = "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n"
        raise google(400, told)
    for request in requests:
        for member in request.keys() - ASKED:
            raise unknown(f"{member}\" at 'requests[0]")
        if request.get("model") != f"models/{name}":
            raise google(400, "* BatchEmbedContentsRequest.requests[0].model: must be the same as the model of the batch\n")
    found = [_embed(own, request) for request in requests]
    usage = {"usageMetadata": {"promptTokenCount": sum(tokens for _, tokens in found)}} if name in COUNTING else {}
    return {"embeddings": [{"values": values} for values, _ in found], **usage}


def _embed(own: int, request: Json) -> tuple[list[float], int]:
    text = "\n".join(part.get("text", "") for part in (request.get("content") or {}).get("parts") or [])
    return embed(text, request.get("outputDimensionality") or own), text_tokens(text)


def _predict(name: str, own: int, body: Json) -> Json:
    instances = body.get("instances")
    most = 1 if name == "gemini-embedding-001" else 250
    if not isinstance(instances, list) or not 0 < len(instances) <= most:
        raise google(400, f"{len(instances or [])} instance(s) were given; this model takes 1 to {most}.")
    dimensions = (body.get("parameters") or {}).get("outputDimensionality") or own
    predictions = []
    for instance in instances:
        statistics = {"truncated": False, "token_count": text_tokens(instance["content"])}
        predictions.append({"embeddings": {"values": embed(instance["content"], dimensions), "statistics": statistics}})
    characters = sum(len(instance["content"]) for instance in instances)
    return {"predictions": predictions, "metadata": {"billableCharacterCount": characters}}
