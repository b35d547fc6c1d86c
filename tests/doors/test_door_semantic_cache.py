"""The semantic cache over HTTP: questions that mean the same are answered once, and what that takes is on the bill."""

import itertools
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from cache_desk import DOORS, Desk, meaning
from everywhere import served_everywhere
from house import Served, message
from wire import eventually

from gateway.canonical.store import Json, Put
from gateway.sandbox import Fault, Sandbox
from gateway.store import open_store

CONFIG = {"cache": {"mode": "semantic", "threshold": 0.85}}
TALL = "How tall is the iron tower that stands in Paris"
ALIKE = "How tall is the iron tower that stands in Paris today"
OTHER = "Please name three rivers which flow through Vienna"
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)}}  # fmt: skip
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}


class Semantic:
    """A gateway whose keys keep answers by meaning, each in a project of its own: nothing is found of another test."""

    def __init__(self, gateway: Served) -> None:
        self.gateway = gateway
        self.project = ""
        self._seen = 0

    def key(self, *, config: Json = CONFIG, **fields: Any) -> str:
        name = self.project = f"semantic-{next(_projects)}"
        self.gateway.store.commit([Put(f"configs/{name}", {"config": json.dumps(config), "version": 1})])
        return self.gateway.add_key(**{"project": name, "config": name, **fields})

    def ask(self, text: str, key: str, *, headers: dict[str, str] | None = None, **members: Any) -> requests.Response:
        streamed = bool(members.get("stream"))
        answer = self.gateway.post("/v1/messages", message(text, **members), key=key, headers=headers or {}, stream=streamed)
        assert answer.status_code == 200, answer.text
        return answer

    def record(self, answer: requests.Response) -> Json:
        _ = answer.content  # of a stream the record is written when it was read
        return self.gateway.record(answer.headers["x-gateway-request-id"])

    def answered(self, text: str, key: str, **members: Any) -> requests.Response:
        """An answer that is kept when this returns: others find it."""
        answer = self.ask(text, key, **members)
        record = self.record(answer)
        where = f"projects/{record['project']}/embeddings"
        eventually(lambda: self.gateway.store.query(where).documents)
        return answer

    def upstream(self) -> tuple[int, list[str]]:
        """Since the last look: how many answers a model was asked for, and where texts were embedded."""
        paths = [each.path for each in self.gateway.sandbox.requests if each.path != "/token"]
        new, self._seen = paths[self._seen :], len(paths)
        embedded = [path for path in new if path.endswith((":predict", ":embedContent", "/v1/embeddings"))]
        return len(new) - len(embedded), [_location(path) for path in embedded]


def _location(path: str) -> str:
    return path.partition("/locations/")[2].partition("/")[0]


@pytest.fixture(scope="module", params=["sqlite", "firestore"])
def semantic_gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, key_path: Path
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("semantic")
    url = f"sqlite:///{folder}/gateway.db"
    if request.param == "firestore":
        request.getfixturevalue("firestore_environment")
        url = f"firestore://demo-{uuid.uuid4().hex[:20]}/(default)"
    store = open_store(url)
    store.ping(timeout_s=20)
    with Sandbox(key_path=key_path) as sandbox, served_everywhere(folder, sandbox, store=store) as gateway:
        yield patient(gateway)


def patient(gateway: Served) -> Served:
    """A busy machine is no reason to find nothing."""
    gateway.house.planner.embedding_deadline_s = gateway.house.answering.semantic.search_s = 20.0
    return gateway


_projects = itertools.count()


@pytest.fixture
def semantic(semantic_gateway: Served) -> Semantic:
    semantic_gateway.sandbox.clear()
    found = Semantic(semantic_gateway)
    found.upstream()
    return found


def test_a_question_that_means_the_same_is_answered_from_the_cache(semantic: Semantic) -> None:
    """The first answer, word for word. What it took to find is its whole cost, and in its record."""
    key = semantic.key()
    first = semantic.answered(TALL, key)
    again = semantic.ask(ALIKE, key)
    assert again.content == first.content and again.headers["x-gateway-cache"] == "hit"
    assert semantic.upstream() == (1, ["global", "global"])
    record = semantic.record(again)
    look_up = record["cache_lookup"]
    assert record["cache"] == "hit" and 0.85 <= look_up["similarity"] < 1 and look_up["ms"] >= 0
    assert record["cost_nanodollars"] == look_up["cost_nanodollars"] > 0
    assert record["saved_nanodollars"] > record["cost_nanodollars"]
    assert set(record["tokens"].values()) == {0} and record["attempts"] == []
    assert float(again.headers["x-gateway-cost-usd"]) == record["cost_nanodollars"] / 1e9
    assert int(again.headers["age"]) >= 0


def test_a_question_that_means_something_else_is_asked(semantic: Semantic) -> None:
    """Looking for it in vain cost something too: it is part of what the call cost."""
    key = semantic.key()
    semantic.answered(TALL, key)
    other = semantic.ask(OTHER, key)
    assert other.headers["x-gateway-cache"] == "miss" and semantic.upstream()[0] == 2
    record = semantic.record(other)
    look_up = record["cache_lookup"]
    assert record["cache"] == "miss" and "similarity" not in look_up and look_up["cost_nanodollars"] > 0
    tokens = record["tokens"]
    assert record["cost_nanodollars"] == tokens["input"] * 3_000 + tokens["output"] * 15_000 + look_up["cost_nanodollars"]


def test_the_same_question_again_costs_nothing_at_all(semantic: Semantic) -> None:
    """It is found by its key; nothing is embedded."""
    key = semantic.key()
    first = semantic.answered(TALL, key)
    again = semantic.ask(TALL, key)
    assert again.content == first.content and semantic.upstream() == (1, ["global"])
    record = semantic.record(again)
    assert (record["cache"], record["cost_nanodollars"]) == ("hit", 0) and "cache_lookup" not in record


def test_streams_and_whole_answers_stand_for_each_other(semantic: Semantic) -> None:
    """Whatever was asked for first."""
    key = semantic.key()
    first = semantic.answered(TALL, key, stream=True)
    words = first.content.decode()
    streamed = semantic.ask(ALIKE, key, stream=True)
    assert streamed.content == first.content and streamed.headers["x-gateway-cache"] == "hit"
    whole = semantic.ask(f"{ALIKE} please", key)
    assert whole.headers["x-gateway-cache"] == "hit"
    assert whole.json()["id"] in words and semantic.upstream()[0] == 1


def test_nothing_but_the_last_turns_words_is_embedded(semantic: Semantic) -> None:
    """As text to compare, in as many dimensions as the index has; no system prompt, no earlier turn."""
    before = [{"role": "user", "content": "Of Eiffel"}, {"role": "assistant", "content": "Yes."}]
    turns = [*before, {"role": "user", "content": TALL}]
    semantic.ask("", semantic.key(), messages=turns, system="Be brief.")
    asked = [json.loads(each.body) for each in semantic.gateway.sandbox.requests if each.path.endswith(":predict")]
    assert asked[-1]["instances"] == [{"content": TALL, "task_type": "SEMANTIC_SIMILARITY"}]
    assert asked[-1]["parameters"]["outputDimensionality"] == 768


def test_a_call_that_fails_still_pays_for_its_look_up(semantic: Semantic) -> None:
    """It was paid for before the model was asked."""
    key = semantic.key()
    semantic.gateway.sandbox.script(Fault(status=400))
    answer = semantic.gateway.post("/v1/messages", message(TALL), key=key)
    assert answer.status_code == 400 and answer.headers["x-gateway-cache"] == "miss"
    record = semantic.record(answer)
    assert record["cost_nanodollars"] == record["cache_lookup"]["cost_nanodollars"] > 0


@pytest.mark.parametrize("door", DOORS)
def test_every_dialect_is_answered_alike(semantic: Semantic, door: str) -> None:
    """Plain and streamed, whichever provider gave the first answer."""
    for model in ("vertex/claude-sonnet-4-6", "vertex/gemini-3.5-flash"):
        desk = Desk(semantic.gateway, semantic.key())
        first = desk.ask(door, model, TALL)
        eventually(lambda desk=desk: desk.gateway.store.query(f"projects/{semantic.project}/embeddings").documents)
        again = desk.ask(door, model, ALIKE)
        assert again.body == first.body and again.headers["x-gateway-cache"] == "hit"
        streamed = desk.ask(door, model, ALIKE, stream=True)
        assert streamed.headers["x-gateway-cache"] == "hit"
        assert meaning(door, streamed, stream=True, usage=False) == meaning(door, first, stream=False, usage=False)


DIFFERENT: dict[str, Json] = {
    "another system prompt": {"system": "Answer in French."},
    "another parameter": {"temperature": 0.2},
    "an earlier turn": {"messages": [{"role": "user", "content": "The one by Eiffel"}, {"role": "assistant", "content": "Yes."},
                                     {"role": "user", "content": ALIKE}]},
    "another model": {"model": "claude-haiku-4-5"},
}  # fmt: skip


@pytest.mark.parametrize("members", DIFFERENT.values(), ids=list(DIFFERENT))
def test_whatever_else_differs_makes_it_another_question(semantic: Semantic, members: Json) -> None:
    """However alike its last turn is."""
    key = semantic.key()
    semantic.answered(TALL, key)
    assert semantic.ask(ALIKE, key, **members).headers["x-gateway-cache"] == "miss"
    assert semantic.upstream()[0] == 2


def test_another_user_or_project_is_never_given_the_answer(semantic: Semantic) -> None:
    """Users of a project share answers only where its config says so, projects never."""
    shared = {"cache": {**CONFIG["cache"], "scope": "project"}}
    ana = semantic.key()
    semantic.answered(TALL, ana)
    project = semantic.project
    ben = semantic.gateway.add_key(project=project, config=project, user="ben@example.com")
    assert semantic.ask(ALIKE, ben).headers["x-gateway-cache"] == "miss"
    assert semantic.ask(ALIKE, semantic.key()).headers["x-gateway-cache"] == "miss"
    team = semantic.key(config=shared)
    semantic.answered(TALL, team)
    project = semantic.project
    other = semantic.gateway.add_key(project=project, config=project, user="ben@example.com")
    assert semantic.ask(ALIKE, other).headers["x-gateway-cache"] == "hit"


@pytest.mark.parametrize(
    "members",
    [{"tools": [TOOL]}, {"messages": [{"role": "user", "content": [PICTURE, {"type": "text", "text": ALIKE}]}]}],
    ids=["tools", "a picture"],
)
def test_requests_with_tools_or_pictures_have_nothing_to_do_with_it(semantic: Semantic, members: Json) -> None:
    """Neither are they answered from it, nor is anything embedded for them."""
    key = semantic.key()
    for _ in range(2):
        answer = semantic.ask(ALIKE, key, **members)
        assert answer.headers["x-gateway-cache"] == "off"
    assert semantic.upstream() == (2, [])
    assert "cache_lookup" not in semantic.record(answer)


def test_a_failing_embedder_fails_no_call(semantic: Semantic) -> None:
    """The model is asked; the next calls do not wait for the embedder."""
    key = semantic.key()
    semantic.gateway.sandbox.script(Fault(status=503, times=0), on="gemini")
    first = semantic.ask(TALL, key)
    record = semantic.record(first)
    assert (record["cache"], record["cache_lookup"]["cost_nanodollars"]) == ("miss", 0)
    semantic.upstream()
    assert semantic.ask(ALIKE, key).headers["x-gateway-cache"] == "miss"
    assert semantic.upstream() == (1, [])


def test_what_a_look_up_costs_is_drawn_on_the_budget_and_nobody_without_one_gets_it(semantic: Semantic) -> None:
    """The budget has spent what the records say; a caller who is refused has nothing embedded."""
    key = semantic.key()
    project = semantic.project
    budget = {"id": project, "scope": {"type": "project", "id": project}, "unit": "usd", "amount": "0.05", "period": "total",
              "mode": "balanced", "on_store_error": "open", "alerts": [], "pooled": False, "raise": None}  # fmt: skip
    semantic.gateway.store.commit([Put(f"budgets/{project}", budget)])
    semantic.gateway.house.ledger.directory.forget()
    semantic.answered(TALL, key)
    hit = semantic.record(semantic.ask(ALIKE, key))
    assert hit["cache"] == "hit" and hit["holds"][0]["settled"] == hit["cost_nanodollars"] > 0
    semantic.gateway.store.commit([Put(f"budgets/{project}", {**budget, "amount": "0.00001"})])
    semantic.gateway.house.ledger.directory.forget()
    semantic.upstream()
    refused = semantic.gateway.post("/v1/messages", message(f"{ALIKE} please"), key=key)
    assert refused.status_code == 429 and semantic.upstream() == (0, [])


def test_a_threshold_of_one_takes_the_same_words_only(semantic: Semantic) -> None:
    """Written as one text or as a block of it."""
    key = semantic.key(config={"cache": {"mode": "semantic", "threshold": 1.0}})
    semantic.answered(TALL, key)
    assert semantic.ask(ALIKE, key).headers["x-gateway-cache"] == "miss"
    blocks = [{"role": "user", "content": [{"type": "text", "text": TALL}]}]
    assert semantic.ask("", key, messages=blocks).headers["x-gateway-cache"] == "hit"


def test_a_question_is_embedded_within_the_residency_alone(semantic: Semantic, tmp_path: Path) -> None:
    """At the call's own location, or where Google embeds within the same jurisdiction; elsewhere never."""
    secret = tmp_path / "google.json"
    secret.write_text(semantic.gateway.sandbox.service_account_json)
    url = semantic.gateway.sandbox.url
    europe = {"kind": "vertex", "credential": f"file:{secret}", "base_url": url, "locations": ["eu", "global"]}
    semantic.gateway.store.commit([Put("providers/vertex-eu", europe)])
    semantic.gateway.house.directory.forget()
    key = semantic.key(config={**CONFIG, "provider": "@vertex-eu", "residency": ["eu"]})
    semantic.answered(TALL, key)
    assert semantic.ask(ALIKE, key).headers["x-gateway-cache"] == "hit"
    assert semantic.upstream() == (1, ["eu", "eu"])
    semantic.gateway.sandbox.script(Fault(status=400), on="gemini")
    assert semantic.record(semantic.ask(OTHER, key))["cache_lookup"]["cost_nanodollars"] > 0
    assert semantic.upstream() == (1, ["eu", "europe-west1"])


def test_without_a_provider_that_embeds_only_the_same_request_is_answered_alike(semantic: Semantic) -> None:
    """The project's providers bind the gateway too."""
    key = semantic.key(project_fields={"providers": ["direct"]})
    first = semantic.ask(TALL, key)
    assert semantic.ask(ALIKE, key).headers["x-gateway-cache"] == "miss"
    eventually(lambda: semantic.ask(TALL, key).headers["x-gateway-cache"] == "hit")
    assert semantic.ask(TALL, key).content == first.content and semantic.upstream() == (2, [])


def test_what_models_a_key_may_use_does_not_keep_it_from_the_cache(semantic: Semantic) -> None:
    """The embedding is the gateway's, by a model that the key need not have."""
    key = semantic.key(allowed_models=["claude-*"])
    semantic.answered(TALL, key)
    assert semantic.ask(ALIKE, key).headers["x-gateway-cache"] == "hit"


def test_another_model_may_be_named_to_embed(tmp_path: Path, key_path: Path) -> None:
    """At whichever of the project's providers has it: here one of OpenAI's kind."""
    with (
        Sandbox(key_path=key_path) as sandbox,
        served_everywhere(tmp_path, sandbox, GATEWAY_EMBEDDING_MODEL="text-embedding-3-small") as gateway,
    ):
        semantic = Semantic(patient(gateway))
        key = semantic.key()
        semantic.answered(TALL, key)
        hit = semantic.record(semantic.ask(ALIKE, key))
        assert hit["cache"] == "hit" and hit["cost_nanodollars"] > 0
        assert [each.path for each in sandbox.requests if "embed" in each.path] == ["/v1/embeddings"] * 2
