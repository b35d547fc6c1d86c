"""A call whose client speaks another wire format than its target: the request carried over, the answer carried back.

Same format on both sides: bytes pass, and nothing of this is touched. Otherwise both cross through the canonical form
(`canonical.translation`), and what the target cannot say is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from gateway.canonical.call import Call, Target
from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import InvalidRequest, UpstreamFailed
from gateway.canonical.json_object import JsonObject
from gateway.canonical.translation import Json, StreamParser, StreamRenderer, Translation
from gateway.catalog.models import all_models, find, vendor_of
from gateway.dialects import DIALECTS, EMBEDDING_TRANSLATIONS, TRANSLATIONS
from gateway.providers import PROVIDERS

ANTHROPIC = "anthropic"
EMBEDDING_WIRES = ("openai-embeddings",)
TASK = "task_type"  # Google's, within OpenAI's form; OpenAI refuses what it does not know


@dataclass(frozen=True, slots=True)
class Crossing:
    """`call` is the client's call as the target takes it. `dropped` names what was lost."""

    call: Call
    dropped: tuple[str, ...]
    client: Translation
    target: Translation
    asked_model: str
    asked: Json  # the client's own body

    def carry_answer(self, body: bytes) -> bytes:
        """A plain answer in the client's format. UpstreamFailed if it is none of the target's."""
        message = self.target.parse_answer(decode_answer(body))
        return msgspec.json.encode(self.client.render_answer(message, asked_model=self.asked_model, request=self.asked))

    def carry_stream(self) -> "StreamCrossing":
        return StreamCrossing(
            self.target.parse_stream(), self.client.render_stream(asked_model=self.asked_model, request=self.asked)
        )


@dataclass(frozen=True, slots=True)
class StreamCrossing:
    """A stream on its way back, chunk by chunk. UpstreamFailed if it is none of the target's, StreamBroken at an early end."""

    parser: StreamParser
    renderer: StreamRenderer

    def carry(self, chunk: bytes) -> bytes:
        return self._render(self.parser.feed(chunk))

    def end(self) -> bytes:
        return self._render(self.parser.end())

    def _render(self, events: Sequence[Json]) -> bytes:
        return b"".join([self.renderer.render(event) for event in events])


def cross(call: Call, target: Target) -> Crossing | None:
    """None if client and target speak the same wire format. InvalidRequest if the body cannot be read for crossing, or the
    model does not do what is asked."""
    spoken = DIALECTS[call.dialect].WIRE
    _check_mode(call, target)
    if spoken == target.wire:
        return None
    asked = decode_request(call)
    if call.request.operation == "embed":
        return _cross_embeddings(call, target, asked)
    client, goal = TRANSLATIONS[spoken], TRANSLATIONS[target.wire]
    chat = client.parse_chat(asked)
    asked_betas = [beta.strip() for beta in call.headers.get("anthropic-beta", "").split(",") if beta.strip()]
    chat.betas = tuple(dict.fromkeys((*chat.betas, *asked_betas)))
    if call.request.operation == "count_tokens":
        body, lost = goal.render_count(chat, traits_of(target))
    else:
        body, lost = goal.render_chat(chat, traits_of(target), stream=call.request.stream)
    request = replace(call.request, document=JsonObject(msgspec.json.encode(body)), api_version=None)
    headers = {name: value for name, value in call.headers.items() if not name.startswith("anthropic-")}
    if chat.betas and target.wire == ANTHROPIC:
        headers["anthropic-beta"] = ",".join(chat.betas)
    carried = replace(call, dialect=dialect_of(target.wire), request=request, headers=headers)
    return Crossing(carried, tuple(dict.fromkeys(lost)), client, goal, call.asked_model, asked)


def _cross_embeddings(call: Call, target: Target, asked: Json) -> Crossing:
    """OpenAI's form is what every provider of vectors is asked in."""
    client, goal = EMBEDDING_TRANSLATIONS[DIALECTS[call.dialect].WIRE], EMBEDDING_TRANSLATIONS[target.wire]
    chat = client.parse_chat(asked)
    at_google = target.wire in PROVIDERS[target.provider.kind].splits
    lost = [TASK] if TASK in chat.body and not at_google else []
    body = {name: value for name, value in chat.body.items() if name not in lost}
    document = JsonObject(msgspec.json.encode({"model": call.asked_model, **body}))
    carried = replace(call, dialect=dialect_of(target.wire), request=replace(call.request, document=document))
    return Crossing(carried, (*chat.dropped, *lost), client, goal, call.asked_model, asked)


def _check_mode(call: Call, target: Target) -> None:
    """Vectors come from other models than words. Of a model that nobody knows, its provider will tell."""
    embed, asked = call.request.operation == "embed", call.asked_model[:128]
    model = find(target.upstream_model) or find(target.model)
    if embed and (target.wire not in EMBEDDING_WIRES or (model and model.mode != "embedding")):
        there_are = ", ".join(each.id for each in all_models() if each.mode == "embedding")
        raise InvalidRequest(f"model: {asked!r} makes no embeddings at its provider; use one that does, such as {there_are}")
    if call.request.operation == "generate" and model and model.mode == "embedding":
        raise InvalidRequest(f"model: {asked!r} makes embeddings and does not talk; ask it at POST /v1/embeddings")


def dialect_of(wire: str) -> str:
    """The dialect whose bodies are that wire format's own."""
    return wire if wire in DIALECTS else next(name for name, dialect in DIALECTS.items() if wire == dialect.WIRE)


def traits_of(target: Target) -> ModelTraits:
    model = find(target.upstream_model) or find(target.model)
    if model is None:
        return ModelTraits(target.upstream_model, vendor_of(target.upstream_model) or "")
    return ModelTraits(model.id, model.vendor, model.max_output_tokens, model.capabilities)


def decode_request(call: Call) -> Json:
    """The whole of a caller's body. InvalidRequest if it cannot be read."""
    try:
        asked: Json = msgspec.json.decode(call.request.document.source, type=dict)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"the body cannot be read ({error}); send one JSON object of ordinary values") from error
    return asked


def decode_answer(body: bytes) -> Json:
    """A provider's plain answer. UpstreamFailed if it is no JSON object."""
    try:
        answer: Json = msgspec.json.decode(body, type=dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamFailed("the provider's answer is no JSON document; try again", reason=str(error)) from error
    return answer
