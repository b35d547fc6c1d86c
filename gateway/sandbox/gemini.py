"""The simulated Gemini: on Vertex AI with Google's tokens, and as the Gemini API with a key (2026-11-20)."""

import base64
import binascii
import hmac
import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, unquote

from gateway.sandbox import delivery, failing, gemini_answers, gemini_embeddings, gemini_reading
from gateway.sandbox.claude import Claude
from gateway.sandbox.errors import Refusal, google
from gateway.sandbox.faults import Fault, FaultQueue
from gateway.sandbox.gemini_answers import THOUGHT_TOKENS, Generated
from gateway.sandbox.gemini_models import GeminiModel, find
from gateway.sandbox.gemini_rules import unknown
from gateway.sandbox.keys import Keys
from gateway.sandbox.refusing import refusal
from gateway.sandbox.tokens import TokenOffice
from gateway.sandbox.wire import Connection, Request

PATH = re.compile(
    r"/v1(?:beta1?)?/(?:(?:projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/)?publishers/google/)?models/"
    r"(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent|countTokens|predict|embedContent|batchEmbedContents)"
)
GENERATE = "google.cloud.aiplatform.v1.PredictionService.GenerateContent"
ACCOUNT = "gemini"
NONCE_BYTES = 12
EMBEDDING_VERBS = ("predict", "embedContent", "batchEmbedContents")
TRAFFIC = {"dedicated": "PROVISIONED_THROUGHPUT"}
COUNTED = {"contents", "systemInstruction", "tools", "generationConfig", "model", "generateContentRequest"}


class Gemini:
    """`…/models/{model}:{verb}`. Signatures of thoughts are its own, and hold for the model that made them."""

    name = "gemini"

    def __init__(self, keys: Keys, tokens: TokenOffice, claude: Claude, secret: bytes, pace_s: float) -> None:
        self.faults = FaultQueue()
        self._keys = keys
        self._tokens = tokens
        self._claude = claude
        self._secret = secret
        self._pace_s = pace_s

    def answer(self, request: Request, connection: Connection) -> bool:
        place = PATH.fullmatch(request.path)
        if place is None or request.method != "POST":
            return False
        try:
            self._answer(place, request, connection)
        except Refusal as no:
            raise _from_anthropic(no) if no.document.get("type") == "error" else no from no
        return True

    def _answer(self, place: re.Match[str], request: Request, connection: Connection) -> None:
        self._admit(place, request)
        body = _parse(request.body)
        name = unquote(place["model"])
        if place["verb"] in EMBEDDING_VERBS:
            fault = self.faults.take()
            if not failing.fails(fault, connection, lambda f: refusal(f, f"publishers/google/models/{name}")):
                embedded = gemini_embeddings.answer(name, place["verb"], bool(place["project"]), body)
                delivery.document(connection, {}, embedded, fault)
            return
        model = find(name, place["location"])
        if model is None:
            raise _not_found(place, name)
        if place["verb"] == "countTokens":
            delivery.document(connection, {}, self._count(body, model), Fault())
            return
        fault = failing.take(self.faults, failing.last_words(body.get("contents")))
        if not failing.fails(fault, connection, lambda f: refusal(f, f"publishers/google/models/{name}")):
            self._generate(place["verb"], body, model, request, connection, fault)

    def _admit(self, place: re.Match[str], request: Request) -> None:
        """Vertex AI in a project takes Google's tokens; without one, and as Gemini API, the key."""
        said = request.headers.get("x-goog-api-key") or parse_qs(request.query).get("key", [None])[0]
        if place["project"] or said is None:
            self._tokens.check(request.headers.get("authorization"), method=GENERATE)
        elif not self._keys.is_right(said):
            raise google(400, "API key not valid. Please pass a valid API key.", reason="API_KEY_INVALID")

    def _generate(
        self, verb: str, body: dict[str, Any], model: GeminiModel, request: Request, connection: Connection, fault: Fault
    ) -> None:
        thinking = gemini_reading.thinking_of(body)
        thoughts = 0 if thinking.get("thinkingBudget") == 0 or thinking.get("thinkingLevel") == "MINIMAL" else THOUGHT_TOKENS
        as_messages = gemini_reading.read(body, model, self._is_right, thoughts=thoughts)
        answer, cache = self._claude.plan(as_messages, model.engine, ACCOUNT, fault)
        traffic = fault.traffic or TRAFFIC.get(request.headers.get("x-vertex-ai-llm-request-type", ""), "ON_DEMAND")
        done = Generated(answer, cache, model, thoughts, bool(thinking.get("includeThoughts")), self._sign, traffic)
        if verb == "generateContent":
            delivery.document(connection, {}, gemini_answers.response(done), fault)
            return
        framing = gemini_answers.EVENTS if "alt=sse" in request.query else gemini_answers.ARRAY
        delivery.stream(
            connection, {}, gemini_answers.chunks(done, fault), fault, pace_s=self._pace_s, chunks=request.chunks, framing=framing
        )

    def _count(self, body: dict[str, Any], model: GeminiModel) -> dict[str, Any]:
        for name in body.keys() - COUNTED:
            raise unknown(name)
        asked = body.get("generateContentRequest") or body
        tokens = self._claude.count(gemini_reading.read(asked, model, self._is_right, thoughts=0))
        return {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}

    def _sign(self, model: GeminiModel) -> str:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return base64.b64encode(nonce + self._seal(nonce, model)).decode()

    def _is_right(self, signature: str, model: GeminiModel) -> bool:
        try:
            raw = base64.b64decode(signature, altchars=b"-_" if "-" in signature or "_" in signature else None, validate=True)
        except (binascii.Error, ValueError, TypeError):
            return False
        return hmac.compare_digest(raw[NONCE_BYTES:], self._seal(raw[:NONCE_BYTES], model))

    def _seal(self, nonce: bytes, model: GeminiModel) -> bytes:
        return hmac.digest(self._secret, b"thought" + nonce + model.id.encode(), "sha256")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise google(400, f"Invalid JSON payload received. {error}") from error
    if not isinstance(parsed, dict):
        raise google(400, "Invalid JSON payload received. Expected an object.")
    return parsed


def _not_found(place: re.Match[str], name: str) -> Refusal:
    if not place["project"]:
        return google(404, f"models/{name} is not found for API version v1beta, or is not supported for {place['verb']}.")
    resource = f"projects/{place['project']}/locations/{place['location']}/publishers/google/models/{name}"
    return google(404, f"Publisher Model `{resource}` was not found or your project does not have access to it.")


def _from_anthropic(no: Refusal) -> Refusal:
    return google(no.status, str(no.document["error"]["message"]))
