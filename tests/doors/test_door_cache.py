"""Kept answers over HTTP: for every dialect, whichever form they were first given in; whose they are, and what is never kept."""

import contextlib
import http.client
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cache_desk import DOORS, SIMPLE, Desk, config, meaning, open_desk
from everywhere import served_everywhere
from house import Served, message
from switched_store import SwitchedStore
from wire import Answer, ask, eventually

from gateway.canonical.store import Json, Put
from gateway.records.figures import Figures
from gateway.sandbox import Fault, Sandbox
from gateway.store import open_store

MODELS = {"claude": "vertex/claude-sonnet-4-6", "gpt": "@oai/gpt-4.1", "gemini": "vertex/gemini-3.5-flash"}
NATIVE = {"bedrock": {"bedrock": "@aws/claude-sonnet-4-6"}}
CASES = [(door, model) for door in DOORS for model in {**MODELS, **NATIVE.get(door, {})}]
every_case = pytest.mark.parametrize(("door", "model"), CASES, ids=[f"{door}, {model}" for door, model in CASES])
both_forms = pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
_numbers = itertools.count()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, key_path: Path) -> Iterator[Desk]:
    with (
        Sandbox(key_path=key_path) as sandbox,
        served_everywhere(tmp_path_factory.mktemp("kept"), sandbox, GATEWAY_PING_INTERVAL_S="0.2") as gateway,
    ):
        yield open_desk(gateway)


@pytest.fixture
def desk(house: Desk) -> Desk:
    """Without faults that are left over."""
    house.gateway.sandbox.clear()
    return house


@pytest.fixture
def text() -> str:
    """A prompt that no other test has."""
    return f"prompt number {next(_numbers)} of the tests of kept answers"


def model_of(door: str, model: str) -> str:
    return {**MODELS, **NATIVE.get(door, {})}[model]


def mark(answer: Answer) -> str:
    return answer.headers["x-gateway-cache"]


@both_forms
@every_case
def test_a_hit_is_the_first_answer_byte_for_byte(desk: Desk, text: str, door: str, model: str, stream: bool) -> None:
    """In the dialect and form that it was first given in, and without asking anybody."""
    first = desk.ask(door, model_of(door, model), text, stream=stream)
    again = desk.ask(door, model_of(door, model), text, stream=stream)
    assert (mark(first), mark(again)) == ("miss", "hit")
    assert again.body == first.body
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(desk.asked_upstream(text)) == 1


@both_forms
@every_case
def test_a_hit_in_the_other_form_means_the_same(desk: Desk, text: str, door: str, model: str, stream: bool) -> None:
    """A stream serves a plain request, a plain answer a stream: the same words, ending and figures."""
    first = desk.ask(door, model_of(door, model), text, stream=stream)
    again = desk.ask(door, model_of(door, model), text, stream=not stream)
    assert (mark(first), mark(again)) == ("miss", "hit")
    usage = door != "openai"  # whose streams tell no figures unless they are asked for
    said = meaning(door, first, stream=stream, usage=usage)
    assert said == meaning(door, again, stream=not stream, usage=usage)
    assert text in said[0] and (not usage or min(said[2]) > 0)
    assert len(desk.asked_upstream(text)) == 1


@pytest.mark.parametrize("model", MODELS)
def test_figures_are_told_to_whoever_asks_for_them(desk: Desk, text: str, model: str) -> None:
    """Although the first stream was asked for without: a plain reader and a stream with usage have them."""
    desk.ask("openai", MODELS[model], text, stream=True)
    plain = desk.ask("openai", MODELS[model], text)
    stream = desk.ask("openai with usage", MODELS[model], text, stream=True)
    assert (mark(plain), mark(stream)) == ("hit", "hit")
    assert meaning("openai", plain, stream=False)[2] == meaning("openai", stream, stream=True)[2]
    assert min(plain.json()["usage"]["prompt_tokens"], plain.json()["usage"]["completion_tokens"]) > 0
    without = desk.ask("openai", MODELS[model], text, stream=True)
    assert b'"usage"' not in without.body


@pytest.mark.parametrize(("first", "then"), [("gemini", "gemini array"), ("gemini array", "gemini")])
@pytest.mark.parametrize("model", MODELS)
def test_geminis_two_forms_of_a_stream_serve_each_other(desk: Desk, text: str, model: str, first: str, then: str) -> None:
    """An array of chunks for who asks without `alt=sse`, records for who asks with it."""
    given = desk.ask(first, MODELS[model], text, stream=True)
    again = desk.ask(then, MODELS[model], text, stream=True)
    assert mark(again) == "hit"
    assert meaning(first, given, stream=True) == meaning(then, again, stream=True)


def test_a_hit_costs_nothing_and_says_what_it_saved(desk: Desk, text: str) -> None:
    """One document for each call: the first with its price, the second with none, nobody asked, and the price beside it."""
    first = desk.ask("anthropic", MODELS["claude"], text)
    again = desk.ask("anthropic", MODELS["claude"], text)
    paid, saved = desk.record(first), desk.record(again)
    assert (paid["cache"], saved["cache"], "saved_nanodollars" in paid) == ("miss", "hit", False)
    assert saved["saved_nanodollars"] == paid["cost_nanodollars"] > 0
    assert (saved["cost_nanodollars"], set(saved["tokens"].values()), saved["attempts"]) == (0, {0}, [])
    assert saved["holds"] == [] and saved["completeness"] == "final" and saved["status"] == 200
    for name in ("provider", "location", "model", "answered_model", "price_version", "user", "project"):
        assert saved[name] == paid[name], name
    assert (again.headers["x-gateway-cost-usd"], again.headers["x-gateway-attempts"]) == ("0.00", "0")
    assert 0 <= int(again.headers["age"]) < 60 and "age" not in first.headers
    assert again.headers["x-gateway-provider"] == "vertex"
    sums = Figures()
    for record in (paid, saved):
        sums.add(record)
    assert (sums.values["requests"], sums.values["cache_hits"]) == (2, 1)
    assert sums.values["saved_nanodollars"] == sums.values["cost_nanodollars"] == paid["cost_nanodollars"]


def test_a_streamed_hit_is_recorded_like_any_other(desk: Desk, text: str) -> None:
    """Before it is handed over."""
    desk.ask("anthropic", MODELS["claude"], text, stream=True)
    again = desk.ask("anthropic", MODELS["claude"], text, stream=True)
    record = desk.record(again)
    assert (record["cache"], record["stream"], record["cost_nanodollars"]) == ("hit", True, 0)
    assert record["saved_nanodollars"] > 0 and record["client_gone"] is False


@both_forms
def test_hits_are_handed_over_under_wsgi_too(serve: Callable[..., Served], text: str, stream: bool) -> None:
    """As Cloud Run functions serve the gateway."""
    desk = open_desk(serve(server="wsgi"))
    first, again = (desk.ask("anthropic", "claude-sonnet-4-6", text, stream=stream) for _ in range(2))
    assert (mark(again), again.body) == ("hit", first.body)
    assert desk.record(again)["cost_nanodollars"] == 0


def test_a_hit_is_no_affair_of_budgets(serve: Callable[..., Served], text: str) -> None:
    """Whoever has nothing left is still given what is there, and nothing else."""
    gateway = serve()
    desk = open_desk(gateway)
    first = desk.ask("anthropic", "claude-sonnet-4-6", text)
    budget = {"id": "cap", "scope": {"type": "project", "id": "demo"}, "unit": "usd", "amount": "0", "period": "day",
              "mode": "strict", "on_store_error": "open", "alerts": [], "pooled": False, "raise": None}  # fmt: skip
    gateway.store.commit([Put("budgets/cap", budget)])
    gateway.house.ledger.directory.forget()
    assert gateway.post("/v1/messages", message("something else"), key=desk.key).status_code == 429
    again = desk.ask("anthropic", "claude-sonnet-4-6", text)
    assert (mark(again), again.body) == ("hit", first.body)
    assert gateway.house.ledger.state("cap").spent == 0


def test_answers_are_each_persons_own(desk: Desk, text: str) -> None:
    """Another key of the same user shares them, another user does not, nor another project's key of that user."""
    gateway = desk.gateway
    desk.ask("anthropic", MODELS["claude"], text)
    same = desk.ask("anthropic", MODELS["claude"], text, key=gateway.add_key(config="kept"))
    other = desk.ask("anthropic", MODELS["claude"], text, key=gateway.add_key(config="kept", user="ben@example.com"))
    elsewhere = desk.ask("anthropic", MODELS["claude"], text, key=gateway.add_key(config="kept", project="other"))
    assert [mark(answer) for answer in (same, other, elsewhere)] == ["hit", "miss", "miss"]


def test_a_key_without_a_user_is_a_user_of_its_own(desk: Desk, text: str) -> None:
    """Nobody's answers are not everybody's."""
    nobody, neither = (desk.gateway.add_key(config="kept", user=None) for _ in range(2))
    marks = [mark(desk.ask("anthropic", MODELS["claude"], text, key=key)) for key in (nobody, neither, nobody, neither)]
    assert marks == ["miss", "miss", "hit", "hit"]


def test_a_project_may_share_its_answers(desk: Desk, text: str) -> None:
    """If its config says so; never with another project."""
    gateway = desk.gateway
    config(gateway, "shared", {"cache": {"mode": "simple", "scope": "project"}})
    ana = gateway.add_key(config="shared")
    ben = gateway.add_key(config="shared", user="ben@example.com")
    other = gateway.add_key(config="shared", project="other")
    assert [mark(desk.ask("anthropic", MODELS["claude"], text, key=key)) for key in (ana, ben, other)] == ["miss", "hit", "miss"]
    assert mark(desk.ask("anthropic", MODELS["claude"], text)) == "miss"  # by another scope it is another answer


def test_nothing_is_kept_without_a_config_that_says_so(desk: Desk, text: str) -> None:
    """The header says off, and so does the record."""
    answers = [desk.ask("anthropic", MODELS["claude"], text, key=desk.gateway.key) for _ in range(2)]
    assert [mark(answer) for answer in answers] == ["off", "off"]
    assert desk.record(answers[1])["cache"] == "off" and len(desk.asked_upstream(text)) == 2


def test_a_caller_may_do_without(desk: Desk, text: str) -> None:
    """`off`: neither looked up nor kept."""
    wishes = [{}, {"x_gateway_cache": "off"}, {}]
    assert [mark(desk.ask("anthropic", MODELS["claude"], text, **wish)) for wish in wishes] == ["miss", "off", "hit"]
    assert mark(desk.ask("anthropic", MODELS["claude"], f"{text} off", x_gateway_cache="off")) == "off"
    assert mark(desk.ask("anthropic", MODELS["claude"], f"{text} off")) == "miss"


@pytest.mark.parametrize("header", [{"x_gateway_cache": "refresh"}, {"x_portkey_cache_force_refresh": "true"}])
def test_a_caller_may_have_it_fresh(desk: Desk, text: str, header: dict[str, str]) -> None:
    """`refresh`: asked anew, and the new answer takes the old one's place."""
    old = desk.ask("anthropic", MODELS["claude"], text)
    fresh = desk.ask("anthropic", MODELS["claude"], text, **header)
    again = desk.ask("anthropic", MODELS["claude"], text)
    assert [mark(answer) for answer in (old, fresh, again)] == ["miss", "miss", "hit"]
    assert again.body == fresh.body != old.body


def test_answers_grow_too_old(serve: Callable[..., Served], text: str) -> None:
    """By the age that the reader's config allows."""
    gateway = serve()
    desk = open_desk(gateway)
    first = desk.ask("anthropic", "claude-sonnet-4-6", text)
    config(gateway, "short", {"cache": {"mode": "simple", "max_age": 5}})
    short = gateway.add_key(config="short")
    assert mark(desk.ask("anthropic", "claude-sonnet-4-6", text, key=short)) == "hit"
    cache = gateway.house.answering.cache
    now = cache.now
    cache.now = lambda: now() + 6
    assert mark(desk.ask("anthropic", "claude-sonnet-4-6", text)) == "hit"
    late = desk.ask("anthropic", "claude-sonnet-4-6", text, key=short)
    assert mark(late) == "miss" and late.body != first.body


def with_tools(text: str) -> Json:
    tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
    return message(text, model=MODELS["claude"], tools=[tool])


def test_calls_with_tools_are_answered_anew(desk: Desk, text: str) -> None:
    """Unless the config says otherwise: what tools found yesterday may not be so today."""
    answers = [desk.post("/v1/messages", with_tools(text)) for _ in range(2)]
    assert [mark(answer) for answer in answers] == ["off", "off"]
    config(desk.gateway, "tools", {"cache": {"mode": "simple", "tools": True}})
    key = desk.gateway.add_key(config="tools")
    answers = [desk.post("/v1/messages", with_tools(text), key=key) for _ in range(2)]
    assert [mark(answer) for answer in answers] == ["miss", "hit"]
    assert answers[0].body == answers[1].body


def test_tool_calls_are_told_in_both_forms(desk: Desk, text: str) -> None:
    """Where a config keeps them: name, id and arguments are the same, streamed and plain."""
    config(desk.gateway, "tools", {"cache": {"mode": "simple", "tools": True}})
    key = desk.gateway.add_key(config="tools")
    body = {**with_tools(text), "tool_choice": {"type": "any"}}
    first = desk.post("/v1/messages", {**body, "stream": True}, key=key)
    plain = desk.post("/v1/messages", body, key=key)
    assert mark(plain) == "hit"
    (use,) = [block for block in plain.json()["content"] if block["type"] == "tool_use"]
    assert use["name"] == "look" and use["id"].encode() in first.body and use["input"] == {}


FAULTS = {"error": Fault(status=529), "cut": Fault(cut="rst", at=4), "clean cut": Fault(cut="clean", at=4),
          "error in the stream": Fault(stream_error="overloaded_error", at=4), "no answer": Fault(body="html")}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_that_failed_is_not_kept(desk: Desk, text: str, fault: str) -> None:
    """The next call asks again."""
    desk.gateway.sandbox.script(FAULTS[fault])
    running = desk.gateway.stream(text, key=desk.key, model=MODELS["claude"])
    with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
        running.rest()
    assert desk.gateway.record(running.request_id)["cache"] == "miss"
    assert mark(desk.ask("anthropic", MODELS["claude"], text, stream=True)) == "miss"


@pytest.mark.parametrize("fault", ["error", "cut", "no answer"])
def test_a_plain_answer_that_failed_is_not_kept(desk: Desk, text: str, fault: str) -> None:
    """Whoever was told of an error is told `miss` with it."""
    desk.gateway.sandbox.script(FAULTS[fault])
    headers = {"authorization": f"Bearer {desk.key}"}
    failed = ask(desk.gateway.url, "POST", "/v1/messages", body=message(text, model=MODELS["claude"]), headers=headers)
    assert failed.status >= 500 and mark(failed) == "miss"
    assert mark(desk.ask("anthropic", MODELS["claude"], text)) == "miss"


def test_a_call_whose_client_left_is_not_kept(desk: Desk, text: str) -> None:
    """Nobody knows the end of that answer."""
    desk.gateway.sandbox.script(Fault(events=50, interval_s=0.02))
    running = desk.gateway.stream(text, key=desk.key, model=MODELS["claude"])
    running.until("content_block_delta")
    running.leave()
    assert eventually(lambda: desk.gateway.record(running.request_id))["client_gone"]
    assert mark(desk.ask("anthropic", MODELS["claude"], text, stream=True)) == "miss"


def test_what_another_model_said_in_its_place_is_not_kept(desk: Desk, text: str) -> None:
    """Else a fallback's answers would stay for an hour after the first model is well again."""
    targets = [
        {"provider": "@vertex", "override_params": {"model": "claude-sonnet-4-6"}},
        {"provider": "@oai", "override_params": {"model": "gpt-4.1"}},
    ]
    config(desk.gateway, "falls-back", {**SIMPLE, "strategy": {"mode": "fallback"}, "targets": targets})
    key = desk.gateway.add_key(config="falls-back")
    desk.gateway.sandbox.script(Fault(status=503))
    first = desk.ask("anthropic", "claude-sonnet-4-6", text, key=key)
    assert first.headers["x-gateway-provider"] == "oai"
    desk.gateway.house.planner.health.forget()
    second = desk.ask("anthropic", "claude-sonnet-4-6", text, key=key)
    assert (mark(second), second.headers["x-gateway-provider"]) == ("miss", "vertex")
    assert mark(desk.ask("anthropic", "claude-sonnet-4-6", text, key=key)) == "hit"


def test_the_same_model_elsewhere_answers_for_it(desk: Desk, text: str) -> None:
    """Whichever provider of the config it was asked at; the record names the one that had said it."""
    targets = [{"provider": "@vertex"}, {"provider": "@direct"}]
    config(desk.gateway, "twice", {**SIMPLE, "strategy": {"mode": "fallback"}, "targets": targets})
    key = desk.gateway.add_key(config="twice")
    desk.gateway.sandbox.script(Fault(status=503))
    first = desk.ask("anthropic", "claude-sonnet-4-6", text, key=key)
    desk.gateway.house.planner.health.forget()
    again = desk.ask("anthropic", "claude-sonnet-4-6", text, key=key)
    assert (mark(again), again.body) == ("hit", first.body)
    assert desk.record(again)["provider"] == first.headers["x-gateway-provider"] == "direct"
    config(desk.gateway, "twice", {**SIMPLE, "targets": [{"provider": "@vertex"}]})  # `direct` may not be asked any more
    assert mark(desk.ask("anthropic", "claude-sonnet-4-6", text, key=key)) == "miss"


@pytest.mark.parametrize("model", ["@oai/text-embedding-3-small", "text-embedding-005"])
def test_embeddings_are_kept_too(desk: Desk, text: str, model: str) -> None:
    """One form only: a vector is a vector."""
    body = {"model": model, "input": text}
    first, again = (desk.post("/v1/embeddings", {**body, "user": user}) for user in ("a", "b"))
    assert (mark(first), mark(again), again.body) == ("miss", "hit", first.body)
    assert mark(desk.post("/v1/embeddings", {**body, "dimensions": 256})) == "miss"
    assert desk.record(again)["saved_nanodollars"] == desk.record(first)["cost_nanodollars"] > 0


def test_counting_tokens_has_nothing_to_do_with_it(desk: Desk, text: str) -> None:
    """It costs nothing anyway."""
    for _ in range(2):
        assert mark(desk.post("/v1/messages/count_tokens", message(text, model=MODELS["claude"]))) == "off"


def test_claude_code_hits_across_its_versions(desk: Desk, text: str) -> None:
    """Its attribution block, session ids and cache marks say nothing about the answer."""

    mark_of: dict[str, Json] = {"a": {}, "b": {"cache_control": {"type": "ephemeral"}}}

    def asked(version: str, session: str) -> Json:
        system = [
            {"type": "text", "text": f"x-anthropic-billing-header: cc_version={version}; cc_entrypoint=cli;"},
            {"type": "text", "text": "You are Claude Code.", **mark_of[session]},
        ]
        return message(text, model=MODELS["claude"], system=system, metadata={"user_id": session})

    marks = [mark(desk.post("/v1/messages", asked(*who))) for who in (("2.1.329", "a"), ("2.1.330", "b"))]
    assert marks == ["miss", "hit"]


def test_what_was_lost_on_the_way_is_said_again(desk: Desk, text: str) -> None:
    """A hit is as honest as the answer that it repeats."""
    _, body = DOORS["openai"][1](MODELS["claude"], text, False)
    body["logit_bias"] = {"5": 1}
    first, again = (desk.post("/v1/chat/completions", body) for _ in range(2))
    assert mark(again) == "hit"
    assert again.headers["x-gateway-dropped"] == first.headers["x-gateway-dropped"] == "logit_bias"


def test_other_instances_find_it_in_the_store(serve: Callable[..., Served], text: str) -> None:
    """And their first reader has it at hand for the next."""
    gateway = serve()
    desk = open_desk(gateway)
    first = desk.ask("anthropic", "claude-sonnet-4-6", text)
    eventually(lambda: gateway.store.query("cache").documents)
    gateway.house.answering.cache.memory.clear()
    assert desk.ask("anthropic", "claude-sonnet-4-6", text).body == first.body
    (document,) = gateway.store.query("cache").documents
    assert document.data["user"] == "ana@example.com" and text not in str({**document.data, "body": b""})
    gateway.store.delete(document.path)
    assert mark(desk.ask("anthropic", "claude-sonnet-4-6", text)) == "hit"


def test_a_store_that_is_away_fails_no_call(serve: Callable[..., Served], tmp_path: Path, text: str) -> None:
    """It is a miss, whoever asks; and this process still keeps what it is told."""
    store = SwitchedStore(open_store(f"sqlite:///{tmp_path}/switched.db"))
    gateway = serve(store=store)
    desk = open_desk(gateway)
    desk.ask("anthropic", "claude-sonnet-4-6", "to be known by now")
    store.away = True
    assert mark(desk.ask("anthropic", "claude-sonnet-4-6", text)) == "miss"
    assert mark(desk.ask("anthropic", "claude-sonnet-4-6", text)) == "hit"
    assert store.refused > 0
    store.away = False


def test_long_answers_are_kept_as_well(desk: Desk, text: str) -> None:
    """A quarter of a mebibyte, handed over in pieces."""
    desk.gateway.sandbox.script(Fault(huge_mib=1))
    body = message(text, model=MODELS["claude"], max_tokens=64_000)
    first, again = (desk.post("/v1/messages", {**body, "stream": True}) for _ in range(2))
    assert len(first.body) > 250_000 and again.body == first.body
    plain = desk.post("/v1/messages", body)
    assert [mark(answer) for answer in (first, again, plain)] == ["miss", "hit", "hit"]
