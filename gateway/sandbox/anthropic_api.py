"""Anthropic's own API: messages, token counts, models; and the same under the paths of Claude on Google Cloud."""

import json
import re
from typing import Any

from gateway.sandbox import delivery, failing, first_party
from gateway.sandbox.claude import Claude
from gateway.sandbox.errors import ANTHROPIC_KIND, Refusal, anthropic, invalid
from gateway.sandbox.faults import Fault, FaultQueue
from gateway.sandbox.identifiers import first_party_request_id
from gateway.sandbox.keys import Keys, bearer
from gateway.sandbox.models import MODELS
from gateway.sandbox.refusing import MESSAGES
from gateway.sandbox.tokens import TokenOffice
from gateway.sandbox.wire import KEPT_BODY_BYTES_MAX, Connection, Request

PATH = re.compile(
    r"(?:/v1/projects/(?P<project>[^/]+)/locations/[^/]+/workspaces/(?P<workspace>wrkspc_[^/]+)/invoke)?"
    r"/v1/(?P<what>messages|messages/count_tokens|models)"
)
ACCOUNT = "anthropic"
INVOKE = "google.anthropic.ClaudeService.Invoke"
WORDS = {401: "invalid x-api-key", 429: "Number of request tokens has exceeded your rate limit", 404: "Not found"}


class AnthropicApi:
    """`POST /v1/messages` and its kin. The way through claude.googleapis.com takes Google's tokens instead of the key."""

    name = "anthropic"

    def __init__(self, keys: Keys, tokens: TokenOffice, claude: Claude, pace_s: float) -> None:
        self.faults = FaultQueue()
        self._keys = keys
        self._tokens = tokens
        self._claude = claude
        self._pace_s = pace_s

    def answer(self, request: Request, connection: Connection) -> bool:
        place = PATH.fullmatch(request.path)
        if place is None or (place["what"] == "models") == (request.method == "POST"):
            return False
        if place["what"] == "models" and "anthropic-version" not in request.headers:
            return False  # an OpenAI client's question
        try:
            self._answer(place, request, connection)
        except Refusal as no:
            raise _own(no) from no
        return True

    def _answer(self, place: re.Match[str], request: Request, connection: Connection) -> None:
        self._admit(place, request)
        if place["what"] == "models":
            delivery.document(connection, _headers(), _models(), Fault())
        elif place["what"] == "messages":
            self._generate(place["project"] or ACCOUNT, request, connection)
        else:
            delivery.document(connection, _headers(), self._count(request), Fault())

    def _admit(self, place: re.Match[str], request: Request) -> None:
        if place["project"]:
            self._tokens.check(request.headers.get("authorization"), method=INVOKE)
            return
        said = request.headers.get("x-api-key") or bearer(request.headers)
        if said is None:
            raise anthropic(401, "x-api-key header is required")
        if not self._keys.is_right(said):
            raise anthropic(401, WORDS[401])
        if request.size > KEPT_BODY_BYTES_MAX:
            raise anthropic(413, "Request exceeds the maximum size")

    def _generate(self, account: str, request: Request, connection: Connection) -> None:
        sent = parse_body(request)
        fault = failing.take(self.faults, failing.prompt_of(sent))
        if failing.fails(fault, connection, refusal):
            return
        model = first_party.find_model(sent.get("model"))
        betas = first_party.read_betas(request.headers)
        body = first_party.as_vertex(sent, request.headers, counting=False)
        self._claude.check(body, model, betas, account)
        said = self._claude.say({**body, **_speed(sent)}, model, account, ACCOUNT, fault, infix="")
        if sent.get("inference_geo"):
            said.message["usage"]["inference_geo"] = sent["inference_geo"]
        if not sent.get("stream"):
            delivery.document(connection, _headers(), said.message, fault)
            return
        delivery.stream(connection, _headers(), said.events(), fault, pace_s=self._pace_s, chunks=request.chunks)

    def _count(self, request: Request) -> dict[str, int]:
        sent = parse_body(request)
        model = first_party.find_model(sent.get("model"))
        betas = first_party.read_betas(request.headers)
        body = first_party.as_vertex(sent, request.headers, counting=True)
        self._claude.check(body, model, betas, ACCOUNT, counting=True)
        return {"input_tokens": self._claude.count(body)}


def parse_body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("Input should be a valid dictionary")
    return body


def refusal(fault: Fault) -> Refusal:
    status = fault.status or 500
    headers = {"retry-after": fault.retry_after, "x-should-retry": fault.should_retry}
    said = {name: value for name, value in headers.items() if value is not None}
    message = fault.message or WORDS.get(status) or MESSAGES.get(status, "The sandbox was asked to fail.")
    return anthropic(status, message, kind=fault.kind or ANTHROPIC_KIND.get(status), headers=said)


def _own(no: Refusal) -> Refusal:
    """With a request id as this service makes them; Google's own refusals have none."""
    if "request_id" not in no.document:
        return no
    name = first_party_request_id()
    return Refusal(no.status, {**no.document, "request_id": name}, {**no.headers, "request-id": name})


def _speed(sent: dict[str, Any]) -> dict[str, Any]:
    return {"speed": sent["speed"]} if sent.get("speed") else {}


def _models() -> dict[str, Any]:
    rows = [
        {"type": "model", "id": model.answered_name, "display_name": model.undated, "created_at": "2026-01-01T00:00:00Z"}
        for model in MODELS
    ]
    return {"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]}


def _headers() -> dict[str, str]:
    return {"request-id": first_party_request_id()}
