"""The same mishaps in every dialect: each client gets the status, the shape and the words that its own format has for them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from everywhere import served_everywhere
from house import Served
from wire import Answer, ask

from gateway.canonical.store import Put
from gateway.sandbox import Fault, Sandbox

CLAUDE = "claude-sonnet-4-6"
TURN = [{"role": "user", "content": "Hello"}]
VERTEX = "/v1/projects/p/locations/global/publishers/anthropic/models"


@dataclass(frozen=True)
class Door:
    """How a dialect's clients ask. `{}` is the model's place in `path`; a streaming call has another path in some."""

    path: str
    body: dict[str, Any]
    stream_path: str = ""
    key: str = "authorization"
    model_in_body: bool = False
    good: str = CLAUDE
    names_stream: bool = True  # "stream": true in the body

    def ask(self, gateway: Served, *, model: str = "", key: str = "", stream: bool = False, body: bytes | None = None) -> Answer:
        path = (self.stream_path if stream and self.stream_path else self.path).format(quote(model or self.good))
        said = {**self.body, **({"model": model or self.good} if self.model_in_body else {})}
        if stream and self.names_stream:
            said["stream"] = True
        key = key or gateway.key
        headers = {self.key: f"Bearer {key}" if self.key == "authorization" else key}
        return ask(gateway.url, "POST", path, body=said if body is None else body, headers=headers)


MESSAGES = {"messages": TURN, "max_tokens": 200}
DOORS = {
    "anthropic": Door("/v1/messages", MESSAGES, key="x-api-key", model_in_body=True),
    "vertex": Door(f"{VERTEX}/{{}}:rawPredict", {**MESSAGES, "anthropic_version": "vertex-2023-10-16"},
                   stream_path=f"{VERTEX}/{{}}:streamRawPredict"),
    "openai": Door("/v1/chat/completions", {"messages": TURN}, model_in_body=True),
    "openai-responses": Door("/v1/responses", {"input": "Hello"}, model_in_body=True),
    "openai-embeddings": Door("/v1/embeddings", {"input": "Hello"}, model_in_body=True, good="text-embedding-005"),
    "gemini": Door("/v1beta/models/{}:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
                   stream_path="/v1beta/models/{}:streamGenerateContent?alt=sse", key="x-goog-api-key", names_stream=False),
    "bedrock": Door("/model/{}/invoke", {**MESSAGES, "anthropic_version": "bedrock-2023-05-31"},
                    stream_path="/model/{}/invoke-with-response-stream", names_stream=False),
}  # fmt: skip
OPENAI = ("openai", "openai-responses", "openai-embeddings")
STREAMING = [name for name in DOORS if name != "openai-embeddings"]
# Mishap → status and name in Anthropic's, OpenAI's, Google's and AWS's words.
WORDS: dict[str, dict[str, tuple[int, str]]] = {
    "no key": {
        "anthropic": (401, "authentication_error"), "openai": (401, "invalid_api_key"), "gemini": (401, "UNAUTHENTICATED"),
        "bedrock": (401, "UnrecognizedClientException"),
    },
    "no model": {
        "anthropic": (404, "not_found_error"), "openai": (404, "model_not_found"), "gemini": (404, "NOT_FOUND"),
        "bedrock": (404, "ResourceNotFoundException"),
    },
    "no money": {
        "anthropic": (429, "billing_error"), "openai": (429, "budget_exceeded"), "gemini": (429, "RESOURCE_EXHAUSTED"),
        "bedrock": (429, "ThrottlingException"),
    },
    "overloaded": {
        "anthropic": (529, "overloaded_error"), "openai": (503, "overloaded"), "gemini": (503, "UNAVAILABLE"),
        "bedrock": (503, "ServiceUnavailableException"),
    },
    "no JSON": {
        "anthropic": (400, "invalid_request_error"), "openai": (400, "invalid_request_error"),
        "gemini": (400, "INVALID_ARGUMENT"), "bedrock": (400, "ValidationException"),
    },
}  # fmt: skip
# Embeddings come from Google or OpenAI here, which know no 529.
MISHAPS = [(dialect, mishap) for dialect in DOORS for mishap in WORDS if (dialect, mishap) != ("openai-embeddings", "overloaded")]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, key_path: Path) -> Iterator[Served]:
    """`poor` is a project with nothing left to spend."""
    folder = tmp_path_factory.mktemp("shapes")
    with Sandbox(key_path=key_path) as sandbox, served_everywhere(folder, sandbox, GATEWAY_PING_INTERVAL_S="5") as gateway:
        budget = {"id": "poor", "scope": {"type": "project", "id": "poor"}, "unit": "usd", "amount": "0", "period": "month",
                  "mode": "strict", "on_store_error": "open", "alerts": [], "pooled": False, "raise": None}  # fmt: skip
        gateway.store.commit([Put("budgets/poor", budget)])
        yield gateway


@pytest.fixture
def gateway(shared: Served) -> Served:
    shared.sandbox.clear()
    return shared


def family(dialect: str) -> str:
    return "openai" if dialect in OPENAI else "anthropic" if dialect == "vertex" else dialect


def name_of(dialect: str, answer: Answer) -> str:
    """The error's own name, and that its shape is the dialect's, with words for a person."""
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    if dialect == "bedrock":
        assert set(document) == {"message"} and len(document["message"]) > 10
        return answer.headers["x-amzn-errortype"]
    error = document["error"]
    assert len(error["message"]) > 10
    if dialect == "gemini":
        assert error["code"] == answer.status
        return str(error["status"])
    if dialect in OPENAI:
        assert set(error) == {"message", "type", "param", "code"}
        return str(error["code"] or error["type"])
    assert document["type"] == "error" and document["request_id"]
    return str(error["type"])


@pytest.mark.parametrize(("dialect", "mishap"), MISHAPS)
def test_every_mishap_is_told_in_the_callers_own_format(gateway: Served, dialect: str, mishap: str) -> None:
    """Status, shape and name."""
    door = DOORS[dialect]
    if mishap == "overloaded":
        gateway.sandbox.script(Fault(status=529, message="Everybody is asking. Try again."))
    answer = {
        "no key": lambda: door.ask(gateway, key="gw-nobody"),
        "no model": lambda: door.ask(gateway, model="claude-x y"),
        "no money": lambda: door.ask(gateway, key=gateway.add_key(project="poor")),
        "overloaded": lambda: door.ask(gateway),
        "no JSON": lambda: door.ask(gateway, body=b'{"model": '),
    }[mishap]()
    assert (answer.status, name_of(dialect, answer)) == WORDS[mishap][family(dialect)], answer.body


@pytest.mark.parametrize("dialect", DOORS)
def test_no_client_waits_for_a_budget(gateway: Served, dialect: str) -> None:
    """It is told not to ask again, whatever its SDK does with a 429."""
    answer = DOORS[dialect].ask(gateway, key=gateway.add_key(project="poor"))
    assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
    assert "budget" in answer.body.decode()


@pytest.mark.parametrize("dialect", STREAMING)
def test_an_error_in_mid_stream_is_an_event_of_the_callers_own_format(gateway: Served, dialect: str) -> None:
    """After the words that came before it, with the provider's reason, and nothing that looks like an end."""
    gateway.sandbox.script(Fault(stream_error="overloaded_error", at=3))
    answer = DOORS[dialect].ask(gateway, stream=True)
    assert answer.status == 200
    body = answer.body
    if dialect == "bedrock":
        assert b":exception-type" in body and b"serviceunavailableexception" in body.lower()
        return
    last = json.loads([line for line in body.split(b"\n") if line.startswith(b"data: ")][-1][6:])
    if dialect == "openai":
        assert last["error"]["code"] == "overloaded" and b"[DONE]" not in body
    elif dialect == "openai-responses":
        assert last["type"] == "response.failed" and last["response"]["error"]["message"]
    elif dialect == "gemini":
        assert last["error"]["status"] == "UNAVAILABLE"
    else:
        assert (last["type"], last["error"]["type"]) == ("error", "overloaded_error")


@pytest.mark.parametrize("dialect", STREAMING)
def test_a_stream_cut_off_never_looks_whole(gateway: Served, dialect: str) -> None:
    """The connection breaks, or the last event is an error."""
    gateway.sandbox.script(Fault(cut="fin", at=4))
    try:
        body = DOORS[dialect].ask(gateway, stream=True).body
    except OSError:
        return
    except Exception as error:  # http.client's own for a body that ends early
        assert type(error).__name__ == "IncompleteRead"
        return
    assert b"[DONE]" not in body and b"message_stop" not in body and b"response.completed" not in body
