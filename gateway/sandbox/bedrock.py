"""Claude on the Bedrock runtime: both invokes and token counting, signed or with an API key (2026-11-20)."""

import base64
import binascii
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from gateway.sandbox import betas as b
from gateway.sandbox import delivery, event_stream, failing, sigv4
from gateway.sandbox.claude import Claude, Said
from gateway.sandbox.errors import Refusal, extra
from gateway.sandbox.faults import Fault, FaultQueue
from gateway.sandbox.first_party import BY_NAME
from gateway.sandbox.keys import Keys, bearer
from gateway.sandbox.models import Model
from gateway.sandbox.wire import KEPT_BODY_BYTES_MAX, Connection, Request

PATH = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens)")
MODEL = re.compile(r"(?P<profile>(?:us|eu|apac|jp|au|global|us-gov)\.)?anthropic\.(?P<name>[a-z0-9-]+?)(?:-v\d+(?::\d+)?)?")
PROFILE_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:[a-z0-9-]+:\d{12}:inference-profile/(.+)")
VERSIONS = {"bedrock-2023-05-31": "vertex-2023-10-16", "2026-10-21": "2026-10-21"}
TAKEN_BETAS = frozenset({
    "compact-2026-01-12", "computer-use-2025-01-24", "computer-use-2025-11-24", "context-1m-2025-08-07",
    "context-management-2025-06-27", "dangerous-tool-use-2026-09-03", "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14", "interleaved-thinking-2025-05-14", "mid-conversation-tool-changes-2026-07-01",
    "thinking-binding-controls-2026-08-01", "thinking-display-updates-2026-08-18", "thinking-token-count-2026-05-13",
    "tool-search-tool-2025-10-19",
})  # fmt: skip
ACCOUNT = "bedrock"
EXCEPTIONS = {
    400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
    404: "ResourceNotFoundException", 408: "ModelTimeoutException", 413: "ValidationException", 424: "ModelErrorException",
    429: "ThrottlingException", 503: "ServiceUnavailableException",
}  # fmt: skip
WORDS = {
    403: "You don't have access to the model with the specified model ID.",
    429: "Too many requests, please wait before trying again.",
    503: "Bedrock is unable to process your request.",
}
FRAMES = delivery.Framing(
    "application/vnd.amazon.eventstream",
    event_stream.chunk,
    event_stream.exception,
    lambda event: event["type"] == "content_block_delta",
)


class Bedrock:
    """`POST /model/{id}/…`. Takes the sandbox's API key as bearer, or a signature with its key pair."""

    name = "bedrock"

    def __init__(self, keys: Keys, claude: Claude, now: Callable[[], float], pace_s: float) -> None:
        self.faults = FaultQueue()
        self._keys = keys
        self._claude = claude
        self._now = now
        self._pace_s = pace_s

    def answer(self, request: Request, connection: Connection) -> bool:
        place = PATH.fullmatch(request.path)
        if place is None or request.method != "POST":
            return False
        try:
            self._answer(unquote(place[1]), place[2], request, connection)
        except Refusal as no:
            raise no if "message" in no.document else _from_anthropic(no) from no
        return True

    def _answer(self, model_id: str, verb: str, request: Request, connection: Connection) -> None:
        self._admit(request)
        body = _parse(request.body)
        if verb == "count-tokens":
            delivery.document(connection, _headers(), self._count(model_id, body), Fault())
            return
        fault = failing.take(self.faults, failing.prompt_of(body))
        if failing.fails(fault, connection, _refusal):
            return
        model = _find(model_id, with_profile=True)
        as_vertex = self._check(body, model, request)
        said = self._claude.say(as_vertex, model, ACCOUNT, ACCOUNT, fault, infix="bdrk_")
        usage = said.message["usage"]
        headers = _headers() | {
            "x-amzn-bedrock-input-token-count": str(usage["input_tokens"]),
            "x-amzn-bedrock-output-token-count": str(usage["output_tokens"]),
        }
        if verb == "invoke":
            delivery.document(connection, headers, said.message, fault)
            return
        headers = _headers() | {"x-amzn-bedrock-content-type": "application/json"}
        delivery.stream(
            connection, headers, _events(said), fault, pace_s=self._pace_s, chunks=request.chunks, framing=FRAMES
        )

    def _admit(self, request: Request) -> None:
        if (said := bearer(request.headers)) is not None:
            if not self._keys.is_right(said):
                raise refuse(403, "Authentication failed: Please make sure your API Key is valid.", "AccessDeniedException")
        elif "authorization" not in request.headers:
            raise refuse(403, "Missing Authentication Token", "MissingAuthenticationTokenException")
        else:
            try:
                sigv4.check(request, self._keys, "bedrock", self._now())
            except sigv4.Refused as no:
                raise refuse(403, str(no), no.name) from no
        if request.size > KEPT_BODY_BYTES_MAX:
            raise refuse(413, "The request payload is too large.", "ValidationException")

    def _check(self, body: Mapping[str, Any], model: Model, request: Request) -> dict[str, Any]:
        """The body as Vertex AI would have it; betas stand in it, and a few more may stand in the header."""
        for name in ("model", "stream"):
            if name in body:
                raise extra(name)
        version = body.get("anthropic_version")
        if version not in VERSIONS:
            raise refuse(400, "anthropic_version: Field required" if version is None else "Invalid API version")
        asked = body.get("anthropic_beta") or []
        if not isinstance(asked, list) or not set(map(str, asked)) <= TAKEN_BETAS:
            raise refuse(400, "invalid beta flag")
        as_vertex = {name: value for name, value in body.items() if name != "anthropic_beta"}
        as_vertex["anthropic_version"] = VERSIONS[version]
        sent = frozenset(asked) | (b.parse_header(request.headers) & TAKEN_BETAS)
        self._claude.check(as_vertex, model, sent, ACCOUNT)
        return as_vertex

    def _count(self, model_id: str, body: Mapping[str, Any]) -> dict[str, int]:
        """Counts an invoke body that stands in base64 inside; takes the model's own id, no profile."""
        model = _find(model_id, with_profile=False)
        asked = body.get("input")
        text = (asked.get("invokeModel") or {}).get("body") if isinstance(asked, dict) else None
        try:
            inner = _parse(base64.b64decode(text or "", validate=True))
        except (binascii.Error, ValueError, TypeError) as error:
            raise refuse(400, "The provided request is not valid") from error
        as_vertex = {name: value for name, value in inner.items() if name not in ("anthropic_beta", "anthropic_version")}
        if inner.get("anthropic_version") not in VERSIONS or "max_tokens" not in inner:
            raise refuse(400, "anthropic_version and max_tokens: Field required")
        self._claude.check(as_vertex, model, frozenset(inner.get("anthropic_beta") or ()), ACCOUNT, counting=True)
        return {"inputTokens": self._claude.count(as_vertex)}


def _find(model_id: str, *, with_profile: bool) -> Model:
    """On-demand calls of today's models need an inference profile."""
    arn = PROFILE_ARN.fullmatch(model_id)
    match = MODEL.fullmatch(arn[1] if arn else model_id)
    model = BY_NAME.get(match["name"]) if match else None
    if match is None or model is None or (match["profile"] and not with_profile):
        raise refuse(400, "The provided model identifier is invalid.")
    if with_profile and not match["profile"]:
        raise refuse(
            400,
            f"Invocation of model ID {model_id} with on-demand throughput isn’t supported. Retry your request with the ID or "
            "ARN of an inference profile that contains this model.",
        )
    return model


def _events(said: Said) -> Iterator[dict[str, Any]]:
    """Without pings; the last one bears the metrics."""
    usage = said.message["usage"]
    for event in said.events():
        if event["type"] == "message_stop":
            metrics = {
                "inputTokenCount": usage["input_tokens"],
                "outputTokenCount": usage["output_tokens"],
                "invocationLatency": 812,
                "firstByteLatency": 401,
                "cacheReadInputTokenCount": usage["cache_read_input_tokens"],
                "cacheWriteInputTokenCount": usage["cache_creation_input_tokens"],
            }
            yield {**event, "amazon-bedrock-invocationMetrics": metrics}
        elif event["type"] != "ping":
            yield event


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refuse(400, "Malformed input request, please reformat your input and try again.") from error
    if not isinstance(parsed, dict):
        raise refuse(400, "Malformed input request: expected type: JSONObject, please reformat your input and try again.")
    return parsed


def refuse(status: int, message: str, name: str | None = None) -> Refusal:
    """Bedrock's envelope: the class in a header, the sentence in the body."""
    kind = name or EXCEPTIONS.get(status, "InternalServerException")
    headers = {"content-type": "application/json", **_headers(), "x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/"}
    return Refusal(status, {"message": message}, headers)


def _refusal(fault: Fault) -> Refusal:
    status = 503 if fault.status == 529 else fault.status or 500
    no = refuse(status, fault.message or WORDS.get(status, "The sandbox was asked to fail."), fault.kind)
    for name, value in (("retry-after", fault.retry_after), ("x-should-retry", fault.should_retry)):
        if value is not None:
            no.headers[name] = value
    return no


def _from_anthropic(no: Refusal) -> Refusal:
    return refuse(no.status, str(no.document["error"]["message"]))


def _headers() -> dict[str, str]:
    return {"x-amzn-requestid": str(uuid.uuid4())}
