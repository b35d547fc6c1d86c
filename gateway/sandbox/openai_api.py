"""The simulated OpenAI: Chat Completions, Responses and embeddings behind one API key (API reference, 2026-11-20)."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gateway.sandbox import delivery, failing, openai_answers, openai_chat, openai_responses
from gateway.sandbox.claude import Claude
from gateway.sandbox.embeddings import as_base64, embed
from gateway.sandbox.errors import Refusal
from gateway.sandbox.faults import Fault, FaultQueue
from gateway.sandbox.keys import Keys, bearer
from gateway.sandbox.openai_answers import Completed
from gateway.sandbox.openai_errors import from_anthropic, headers, refuse, scripted, unknown
from gateway.sandbox.openai_models import EMBEDDINGS, OpenAiModel, find
from gateway.sandbox.usage import text_tokens
from gateway.sandbox.wire import Connection, Request

ACCOUNT = "openai"
LISTED = ("gpt-6.1-sol", "gpt-5.4-mini", "gpt-4.1", *EMBEDDINGS)
INPUTS_MAX = 2048
EMBEDDING_FIELDS = frozenset({"dimensions", "encoding_format", "input", "model", "user"})


class OpenAi:
    """`POST /v1/chat/completions`, `/v1/responses`, `/v1/embeddings`, `GET /v1/models`."""

    name = "openai"

    def __init__(self, keys: Keys, claude: Claude, pace_s: float) -> None:
        self.faults = FaultQueue()
        self._keys = keys
        self._claude = claude
        self._pace_s = pace_s
        self._paths: dict[tuple[str, str], Callable[[Request, Connection], None]] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/responses"): self._responses,
            ("POST", "/v1/embeddings"): self._embeddings,
            ("GET", "/v1/models"): self._models,
        }

    def answer(self, request: Request, connection: Connection) -> bool:
        answer = self._paths.get((request.method, request.path))
        if answer is None:
            return False
        try:
            self._admit(request)
            answer(request, connection)
        except Refusal as no:
            raise from_anthropic(no) if no.document.get("type") == "error" else no from no
        return True

    def _admit(self, request: Request) -> None:
        said = bearer(request.headers)
        if said is None:
            raise refuse(401, "You didn't provide an API key. Provide it in an Authorization header using Bearer auth.")
        if not self._keys.is_right(said):
            raise refuse(401, "Incorrect API key provided. You can find your API key at https://platform.openai.com.")

    def _chat(self, request: Request, connection: Connection) -> None:
        body = _parse(request.body)
        fault = self._fault(body.get("messages"))
        if failing.fails(fault, connection, scripted):
            return
        model = _model(body)
        done = self._complete(openai_chat.read(body, model), model, body.get("reasoning_effort"), fault)
        if not body.get("stream"):
            delivery.document(connection, headers(), openai_answers.completion(done), fault)
            return
        with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        chunks = openai_answers.chunks(done, fault, with_usage=with_usage)
        self._stream(connection, request, chunks, fault, openai_answers.CHUNKS)

    def _responses(self, request: Request, connection: Connection) -> None:
        body = _parse(request.body)
        fault = self._fault(body.get("input"))
        if failing.fails(fault, connection, scripted):
            return
        model = _model(body)
        effort = (body.get("reasoning") or {}).get("effort")
        done = replace(self._complete(openai_responses.read(body, model), model, effort, fault), tools=body.get("tools"))
        if not body.get("stream"):
            delivery.document(connection, headers(), openai_responses.response(done), fault)
            return
        self._stream(connection, request, openai_responses.events(done, fault), fault, openai_responses.EVENTS)

    def _stream(self, connection: Connection, request: Request, events: Any, fault: Fault, framing: delivery.Framing) -> None:
        delivery.stream(
            connection, headers(), events, fault, pace_s=self._pace_s, chunks=request.chunks, framing=framing
        )

    def _complete(self, as_messages: dict[str, Any], model: OpenAiModel, effort: Any, fault: Fault) -> Completed:
        answer, cache = self._claude.plan(as_messages, model.engine, ACCOUNT, fault)
        return Completed(answer, cache, model.id, model.reasons and effort not in ("none", "minimal"))

    def _fault(self, turns: Any) -> Fault:
        return failing.take(self.faults, failing.last_words(turns))

    def _embeddings(self, request: Request, connection: Connection) -> None:
        body = _parse(request.body)
        fault = failing.take(self.faults, "")
        if not failing.fails(fault, connection, scripted):
            delivery.document(connection, headers(), _embed(body), fault)

    def _models(self, request: Request, connection: Connection) -> None:
        rows = [{"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "sandbox"} for name in LISTED]
        delivery.document(connection, headers(), {"object": "list", "data": rows}, Fault())


def _embed(body: dict[str, Any]) -> dict[str, Any]:
    own = EMBEDDINGS.get(body.get("model", ""))
    if own is None:
        raise _no_model(body)
    for name in body.keys() - EMBEDDING_FIELDS:
        raise unknown(name)
    texts = [body["input"]] if isinstance(body.get("input"), str) else body.get("input")
    if not isinstance(texts, list) or not 0 < len(texts) <= INPUTS_MAX or not all(isinstance(t, str) and t for t in texts):
        raise refuse(400, "'$.input' is invalid. Please check the API reference.", param="input")
    dimensions = body.get("dimensions") or own
    if not 0 < dimensions <= own:
        raise refuse(400, f"Invalid value for 'dimensions' = {dimensions}. Must be at most {own}.", param="dimensions")
    form = as_base64 if body.get("encoding_format") == "base64" else list
    vectors = [form(embed(text, dimensions)) for text in texts]
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    tokens = sum(map(text_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refuse(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(parsed, dict):
        raise refuse(400, "Invalid type: expected an object.")
    return parsed


def _model(body: dict[str, Any]) -> OpenAiModel:
    if not body.get("model"):
        raise refuse(400, "you must provide a model parameter", param="model", code="missing_required_parameter")
    model = find(str(body["model"]))
    if model is None:
        raise _no_model(body)
    return model


def _no_model(body: dict[str, Any]) -> Refusal:
    told = f"The model `{body.get('model')}` does not exist or you do not have access to it."
    return refuse(404, told, code="model_not_found")
