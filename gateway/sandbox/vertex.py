"""Claude on Vertex AI: the order in which a request is looked at, from its path to its answer (2026-11-20)."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from gateway.sandbox import betas, delivery, failing
from gateway.sandbox.claude import Claude
from gateway.sandbox.errors import Refusal, anthropic, google, invalid
from gateway.sandbox.faults import Fault, FaultQueue
from gateway.sandbox.identifiers import request_id
from gateway.sandbox.models import BY_UNDATED, REGIONS, Model, find
from gateway.sandbox.refusing import refusal
from gateway.sandbox.tokens import TokenOffice
from gateway.sandbox.wire import KEPT_BODY_BYTES_MAX, Connection, Request

PATH = re.compile(r"/v1(?:beta1)?/projects/([^/]+)/locations/([^/]+)/publishers/([^/]+)/models/([^/]+):([A-Za-z]+)")
VERBS = {"rawPredict": "RawPredict", "streamRawPredict": "StreamRawPredict"}
COUNT = "count-tokens"


@dataclass(frozen=True, slots=True)
class Place:
    """What a path names."""

    project: str
    location: str
    publisher: str
    model: str
    verb: str

    @property
    def resource(self) -> str:
        return f"projects/{self.project}/locations/{self.location}/publishers/{self.publisher}/models/{self.model}"

    @property
    def method(self) -> str:
        return f"google.cloud.aiplatform.v1.PredictionService.{VERBS[self.verb]}"


def parse_path(path: str) -> Place | None:
    match = PATH.fullmatch(path)
    place = Place(*(unquote(part) for part in match.groups())) if match else None
    return place if place and place.verb in VERBS else None


class Vertex:
    """The publisher-model service. `taken_betas` and `denied_projects` may be changed while it runs."""

    def __init__(self, tokens: TokenOffice, claude: Claude, pace_s: float) -> None:
        self.taken_betas = set(betas.TAKEN)
        self.denied_projects: set[str] = set()
        self.faults = FaultQueue()
        self.count_faults = FaultQueue()
        self._tokens = tokens
        self._claude = claude
        self._pace_s = pace_s

    def answer(self, place: Place, request: Request, connection: Connection) -> None:
        """Answers on the connection; Refusal for what the caller did wrong."""
        token = self._admit(place, request)
        if place.model == COUNT:
            fault = self.count_faults.take()
            if not self._fails(fault, place, token, connection):
                delivery.document(connection, _headers(), self._count(place, request), fault)
            return
        body = parse_body(request)
        fault = failing.take(self.faults, failing.prompt_of(body))
        if not self._fails(fault, place, token, connection):
            self._generate(place, request, body, connection, fault)

    def _admit(self, place: Place, request: Request) -> str:
        token = self._tokens.check(request.headers.get("authorization"), method=place.method)
        if place.project in self.denied_projects:
            raise refusal(Fault(status=403), place.resource)
        if request.size > KEPT_BODY_BYTES_MAX:
            raise google(400, f"The request size ({request.size} bytes) exceeds 30.000MB limit.")
        return token

    def _fails(self, fault: Fault, place: Place, token: str, connection: Connection) -> bool:
        def refuse(fault: Fault) -> Refusal:
            return refusal(fault, place.resource)

        if fault.revoke_token and not fault.drop:
            connection.wait(fault.wait_s)
            self._tokens.revoke(token)
            self._tokens.check(f"Bearer {token}", method=place.method)
        return failing.fails(fault, connection, refuse)

    def _model(self, place: Place) -> Model:
        model = find(place.model, place.location) if place.publisher == "anthropic" else None
        if model is None:
            raise _not_found(place)
        return model

    def _generate(self, place: Place, request: Request, body: Any, connection: Connection, fault: Fault) -> None:
        model = self._model(place)
        if not isinstance(body, dict):
            raise invalid("Input should be a valid dictionary")
        sent = betas.parse_header(request.headers)
        betas.check(sent, body.get("anthropic_beta") or (), self.taken_betas)
        self._claude.check(body, model, sent, place.project)
        said = self._claude.say(body, model, place.project, place.location, fault)
        if not body.get("stream"):
            delivery.document(connection, _headers(), said.message, fault)
            return
        delivery.stream(connection, _headers(), said.events(), fault, pace_s=self._pace_s, chunks=request.chunks)

    def _count(self, place: Place, request: Request) -> dict[str, int]:
        """Token counting: no `global` or multi-region location, no `@…` in the model's name, hardly any beta."""
        if place.location in ("us", "eu"):
            message = f"Token counting is not supported in location {place.location}."
            raise google(400, message, name="FAILED_PRECONDITION")
        if place.location not in REGIONS:
            raise _not_found(place)
        body = parse_body(request)
        if not isinstance(body, dict) or "model" not in body:
            raise invalid("model: Field required")
        model = BY_UNDATED.get(str(body["model"]))
        if model is None:
            raise invalid(f"{body['model']} is not supported for token counting")
        sent = betas.parse_header(request.headers)
        betas.check(sent, body.get("anthropic_beta") or (), betas.TAKEN_BY_COUNT_TOKENS)
        self._claude.check(body, model, sent, place.project, counting=True)
        return {"input_tokens": self._claude.count(body)}


def parse_body(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise anthropic(400, f"The request body is not valid JSON: {error}") from error


def _headers() -> dict[str, str]:
    return {"request-id": request_id()}


def _not_found(place: Place) -> Refusal:
    return google(
        404,
        f"Publisher Model `{place.resource}` was not found or your project does not have access to it. "
        "Please ensure you are using a valid model version. For more information, see: "
        "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
    )
