"""Has a text embedded on behalf of a call: by the gateway's own model, with the caller's providers, on the usual way out."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from gateway.cache.semantic import DIMENSIONS, Embedded
from gateway.canonical.call import Call, Plan, Request
from gateway.canonical.errors import UpstreamFailed
from gateway.canonical.json_object import JsonObject
from gateway.canonical.steps import Steps
from gateway.canonical.store import Vector
from gateway.canonical.usage import Tokens, Usage
from gateway.catalog.models import vendor_of
from gateway.dialects import DIALECTS
from gateway.providers.send import Sender
from gateway.routing.attempts import Attempts
from gateway.routing.reading import read_document
from gateway.spending.prices import PriceBook

DIALECT = "openai-embeddings"  # which every provider of embeddings is asked in
BYTES_PER_TOKEN = 3.5
PlanEmbedding = Callable[[Call, Plan, str], Steps[Plan]]

@dataclass(frozen=True, slots=True)
class Embedder:
    """A `cache.semantic.Embed`. `model` is as GATEWAY_EMBEDDING_MODEL has it."""

    plan: PlanEmbedding
    attempts: Attempts
    sender: Sender
    prices: PriceBook
    model: str
    clock: Callable[[], float] = time.monotonic

    def embed(self, call: Call, plan: Plan, text: str) -> Steps[Embedded]:
        """GatewayError if there is no vector in time."""
        asking = self._asking(call, text)
        way = yield from self.plan(asking, plan, self.model)
        attempt = yield from self.attempts.first_success(asking, way, [])
        answer = yield from read_document(self.sender, attempt)
        usage, _ = DIALECTS[DIALECT].parse_usage(answer) or (_estimate(text), None)
        cost = self.prices.charge(attempt.target, usage)
        return Embedded(parse_vector(answer), cost.nanodollars)

    def _asking(self, call: Call, text: str) -> Call:
        """The embedding as a call of the same caller's; what the caller asked for in headers is about another."""
        body = {"model": self.model, "input": text, "dimensions": DIMENSIONS}
        if vendor_of(self.model) == "google":
            body["task_type"] = "SEMANTIC_SIMILARITY"  # Vertex AI text embeddings reference, 2026-11-20
        request = Request("embed", self.model, stream=False, document=JsonObject(msgspec.json.encode(body)))
        return replace(
            call, dialect=DIALECT, request=request, headers={}, started=self.clock(), provider_asked=None, fallback=True
        )


def parse_vector(answer: bytes) -> Vector:
    """UpstreamFailed if the answer holds none, or one of another length than the index is made for."""
    try:
        (found,) = msgspec.json.decode(answer)["data"]
        vector = Vector(tuple(float(value) for value in found["embedding"]))
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
        raise UpstreamFailed("the provider's answer holds no embedding; try again", reason=repr(error)) from error
    if not any(vector.values):
        raise UpstreamFailed("the provider's answer holds no embedding but zeros; try again", reason="zeros")
    if len(vector.values) != DIMENSIONS:
        told = f"the embedding has {len(vector.values)} dimensions instead of {DIMENSIONS}; name another GATEWAY_EMBEDDING_MODEL"
        raise UpstreamFailed(told, reason="dimensions")
    return vector


def _estimate(text: str) -> Usage:
    return Usage(Tokens(input=round(len(text.encode()) / BYTES_PER_TOKEN)), completeness="estimated")
