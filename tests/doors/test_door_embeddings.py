"""Embeddings: OpenAI's form in, at an OpenAI-compatible server or on Vertex AI; metered and limited as calls are."""

import base64
import math
import struct
from typing import Any

import pytest
from everywhere import MODELS
from house import Served
from wire import Answer, ask

from gateway.canonical.store import Put
from gateway.probing import Prober
from gateway.sandbox import Fault

SERVED = {
    "@oai/text-embedding-3-small": (1536, 20),
    "text-embedding-005": (768, 100),
    "vertex/gemini-embedding-001": (3072, 150),
    "gemini-embedding-2": (3072, 200),
    "@studio/gemini-embedding-2": (3072, 200),
}
"""Model → its own dimensions, and nano-dollars a token."""

SERVICES = [("@oai/text-embedding-3-small", "openai"), ("text-embedding-005", "gemini"), ("@studio/gemini-embedding-2", "gemini")]
every_model = pytest.mark.parametrize("model", SERVED)


def embed(gateway: Served, model: str, given: Any = "Hello", key: str = "", **more: Any) -> Answer:
    body = {"model": model, "input": given, **more}
    return ask(gateway.url, "POST", "/v1/embeddings", body=body, headers={"authorization": f"Bearer {key or gateway.key}"})


def vectors(answer: Answer) -> list[list[float]]:
    assert answer.status == 200, answer.body
    return [each["embedding"] for each in answer.json()["data"]]


@every_model
def test_one_text_has_one_vector(everywhere: Served, model: str) -> None:
    """In OpenAI's shape, with usage, and as long as the model's own."""
    answer = embed(everywhere, model)
    (vector,) = vectors(answer)
    assert len(vector) == SERVED[model][0]
    found = answer.json()
    assert (found["object"], found["model"], found["data"][0]["index"]) == ("list", model.rpartition("/")[2], 0)
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 0


@every_model
def test_many_texts_keep_their_order(everywhere: Served, model: str) -> None:
    """However many the model takes at once: each vector is the one that its text has alone."""
    texts = [f"text number {number}" for number in range(5)]
    together = vectors(embed(everywhere, model, texts))
    assert together == [vectors(embed(everywhere, model, text))[0] for text in texts]


@every_model
def test_vectors_can_be_short_and_packed(everywhere: Served, model: str) -> None:
    """Of length 1 at any number of dimensions; base64 is what the SDK asks for by default."""
    answer = embed(everywhere, model, dimensions=256, encoding_format="base64")
    packed = answer.json()["data"][0]["embedding"]
    vector = struct.unpack("<256f", base64.b64decode(packed))
    assert math.isclose(sum(value * value for value in vector), 1.0, rel_tol=1e-4)


@every_model
def test_what_it_cost_is_in_the_books(everywhere: Served, model: str) -> None:
    """One record for all texts, with the usage that the caller was told, at the catalog's price."""
    answer = embed(everywhere, model, ["Hello", "you there"])
    tokens = answer.json()["usage"]["prompt_tokens"]
    record = everywhere.record(answer.headers["x-gateway-request-id"])
    assert (record["tokens"]["input"], record["tokens"]["output"]) == (tokens, 0)
    assert record["cost_nanodollars"] == tokens * SERVED[model][1]
    assert (record["completeness"], record["price_known"], record["dialect"]) == ("final", True, "openai-embeddings")


def test_more_texts_than_a_request_takes_are_asked_for_in_turn(everywhere: Served) -> None:
    """250 at a time on Vertex AI; a caller notices nothing but the number of attempts."""
    answer = embed(everywhere, "text-embedding-005", [f"text {number}" for number in range(260)], dimensions=8)
    assert len(vectors(answer)) == 260
    assert answer.headers["x-gateway-attempts"] == "2"
    assert [each["index"] for each in answer.json()["data"]] == list(range(260))


def test_a_late_failure_of_many_requests_is_still_tried_again(everywhere: Served) -> None:
    """The requests that went well are pieces of one answer, and use up nobody's attempts."""
    everywhere.sandbox.script(Fault(times=7), Fault(status=503), on="gemini")
    body = {"model": "vertex/gemini-embedding-001", "input": [f"text {number}" for number in range(9)], "dimensions": 8}
    config = '{"retry": {"attempts": 1, "on_status_codes": [503]}}'
    headers = {"authorization": f"Bearer {everywhere.key}", "x-gateway-config": config}
    answer = ask(everywhere.url, "POST", "/v1/embeddings", body=body, headers=headers)
    assert len(vectors(answer)) == 9
    assert answer.headers["x-gateway-attempts"] == "17"


def test_the_gemini_api_takes_a_hundred_texts_at_a_time(everywhere: Served) -> None:
    """Of every model; and their order is kept."""
    texts = [f"text {number}" for number in range(130)]
    answer = embed(everywhere, "@studio/gemini-embedding-001", texts, dimensions=8)
    assert answer.headers["x-gateway-attempts"] == "2"
    assert vectors(answer)[120] == vectors(embed(everywhere, "@studio/gemini-embedding-001", texts[120], dimensions=8))[0]


def test_tokens_that_no_one_counted_are_an_estimate(everywhere: Served) -> None:
    """The Gemini API does not say how many it were; the answer and the record say that this is a guess."""
    answer = embed(everywhere, "@studio/gemini-embedding-001", ["Hello", "you there"])
    assert answer.json()["usage"] == {"prompt_tokens": 5, "total_tokens": 5, "estimated": True}
    record = everywhere.record(answer.headers["x-gateway-request-id"])
    assert (record["completeness"], record["tokens"]["input"], record["cost_nanodollars"]) == ("estimated", 5, 5 * 150)


def test_long_texts_do_not_crowd_one_request(everywhere: Served) -> None:
    """Vertex AI takes 20,000 tokens at a time."""
    texts = [f"{number} " + "word " * 3_000 for number in range(5)]
    answer = embed(everywhere, "text-embedding-005", texts, dimensions=8)
    assert len(vectors(answer)) == 5
    assert answer.headers["x-gateway-attempts"] == "3"


def test_a_member_that_cannot_be_carried_is_named(everywhere: Served) -> None:
    """OpenAI's `user` has no place on Vertex AI."""
    answer = embed(everywhere, "text-embedding-005", user="ana")
    assert answer.headers["x-gateway-dropped"] == "user"


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        ("text-embedding-005", [], "input: must be a text or a list of 1 to 2048 texts"),
        ("text-embedding-005", [1, 2], "input: token numbers mean nothing to this model"),
        ("text-embedding-005", ["a", ""], "input.1: a text with at least one character"),
        ("gemini-embedding-2", ["a"] * 101, "send at most 100"),
        (MODELS["vertex-gemini"], "a", "makes no embeddings"),
        (MODELS["studio"], "a", "makes no embeddings"),
        (MODELS["direct"], "a", "makes no embeddings"),
    ],
)
def test_what_cannot_be_embedded_is_400_and_says_why(everywhere: Served, model: str, given: Any, told: str) -> None:
    """In OpenAI's words, and nothing is asked of the provider."""
    before = len(everywhere.sandbox.requests)
    answer = embed(everywhere, model, given)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert told in answer.json()["error"]["message"]
    assert len(everywhere.sandbox.requests) == before


def test_a_model_for_embeddings_does_not_talk(everywhere: Served) -> None:
    """And says where it may be asked."""
    body = {"model": "text-embedding-005", "messages": [{"role": "user", "content": "Hello"}]}
    answer = ask(everywhere.url, "POST", "/v1/chat/completions", body=body, headers={"x-api-key": everywhere.key})
    assert answer.status == 400
    assert "POST /v1/embeddings" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("model", "service"), SERVICES)
def test_a_providers_refusal_is_told_in_openais_words(everywhere: Served, model: str, service: str) -> None:
    """With its status."""
    everywhere.sandbox.script(Fault(status=429), on=service)
    answer = embed(everywhere, model)
    assert answer.status == 429
    assert answer.json()["error"]["type"] in ("rate_limit_error", "requests", "tokens")


def test_budgets_hold_for_embeddings_too(everywhere: Served) -> None:
    """A budget that is used up stops them."""
    key = everywhere.add_key(project="small")
    budget = {"id": "small", "scope": {"type": "project", "id": "small"}, "unit": "usd", "amount": "0.001", "period": "day",
              "mode": "strict", "on_store_error": "open", "alerts": [], "pooled": False, "raise": None}  # fmt: skip
    everywhere.store.commit([Put("budgets/small", budget)])
    everywhere.house.ledger.directory.forget()
    answers = [embed(everywhere, "text-embedding-005", "many words " * 500, key=key) for _ in range(10)]
    assert answers[0].status == 200
    assert (answers[-1].status, answers[-1].json()["error"]["code"]) == (429, "budget_exceeded")
    spent = sum(record["cost_nanodollars"] for record in everywhere.records("small"))
    assert 0 < spent <= 1_000_000


@every_model
def test_a_provider_can_be_tried_out_with_a_model_for_embeddings(everywhere: Served, model: str) -> None:
    """`provider test` asks it for a vector, not for words."""
    slug, _, name = model.removeprefix("@").rpartition("/")
    provider = everywhere.house.directory.all()[slug or "vertex"]
    assert Prober(everywhere.house.answering.sender).probe(provider, name, provider.locations[0]).status == 200


def test_every_model_for_embeddings_is_listed(everywhere: Served) -> None:
    """Beside those that talk."""
    answer = ask(everywhere.url, "GET", "/v1/models", headers={"x-api-key": everywhere.key})
    names = {row["id"] for row in answer.json()["data"]}
    assert {name.rpartition("/")[2] for name in SERVED} < names
    assert {"claude-sonnet-4-6", "gemini-3.5-flash", "gpt-4.1"} < names
