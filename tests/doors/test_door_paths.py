"""Every path that the doors know, in every spelling that clients have been seen to use."""

import json
from typing import Any

import pytest
from house import Served, message
from wire import Answer, ask

from gateway import NAME, VERSION
from gateway.canonical.store import Put

PROJECT = "projects/my-project/locations/us-east5/publishers/anthropic/models"
MODEL = "claude-sonnet-4-6"


def post(gateway: Served, path: str, **more: Any) -> Answer:
    return ask(gateway.url, "POST", path, body=message(**more), headers={"authorization": f"Bearer {gateway.key}"})


def get(gateway: Served, path: str, method: str = "GET") -> Answer:
    return ask(gateway.url, method, path, headers={"authorization": f"Bearer {gateway.key}"})


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages",
        "/v1/messages?beta=true",
        "/v1/messages/",
        "//v1/messages",
        "/anthropic/v1/messages",
        "/some/prefix/of/the/company/v1/messages?beta=true&x=%20",
        "/v1/projects/p/locations/l/workspaces/w/invoke/v1/messages",
    ],
)
def test_messages_are_answered_behind_any_prefix(gateway: Served, path: str) -> None:
    """Paths are matched from their end; a query and a stray slash do not matter."""
    answer = post(gateway, path)
    assert answer.status == 200
    assert "Hello" in answer.json()["content"][0]["text"]
    assert gateway.record(answer.request_id)["dialect"] == "anthropic"


@pytest.mark.parametrize("prefix", ["", "/v1", "/company/vertex/v1", "/company/vertex"])
@pytest.mark.parametrize("model", [MODEL, "claude-sonnet-4-5@20250929", "claude-sonnet-4-5%4020250929"])
def test_vertex_paths_are_answered_with_and_without_v1(gateway: Served, prefix: str, model: str) -> None:
    """Claude Code wants `/v1` in its Vertex base URL, users forget it; the SDKs send `@` plain or encoded."""
    answer = post(gateway, f"{prefix}/{PROJECT}/{model}:rawPredict")
    assert answer.status == 200
    assert answer.json()["model"].startswith(model[:17])
    assert gateway.record(answer.request_id)["dialect"] == "vertex"


def test_the_verb_of_a_vertex_path_decides_about_streaming(gateway: Served) -> None:
    """`streamRawPredict` streams whatever the body says."""
    stream = gateway.stream(path=f"/v1/{PROJECT}/{MODEL}:streamRawPredict")
    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert stream.rest()[-1].kind == "message_stop"
    answer = post(gateway, f"/v1/{PROJECT}/{MODEL}:streamRawPredict")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_the_place_in_a_vertex_path_is_a_guess_of_the_clients(gateway: Served) -> None:
    """The provider's own project and location are asked, not the caller's."""
    answer = post(gateway, f"/v1/{PROJECT}/{MODEL}:rawPredict")
    assert gateway.sandbox.requests[-1].path == (
        f"/v1/projects/sandbox-project/locations/global/publishers/anthropic/models/{MODEL}:rawPredict"
    )
    assert gateway.record(answer.request_id)["location"] == "global"


@pytest.mark.parametrize(
    "path",
    ["/v1/messages/count_tokens?beta=true", f"/v1/{PROJECT}/count-tokens:rawPredict", f"/x/{PROJECT}/count-tokens:rawPredict"],
)
def test_tokens_are_counted_at_both_dialects_paths(gateway: Served, path: str) -> None:
    """Counting answers `input_tokens` and nothing else."""
    answer = post(gateway, path)
    assert (answer.status, list(answer.json())) == (200, ["input_tokens"])
    assert answer.json()["input_tokens"] > 0


@pytest.mark.parametrize(
    ("method", "path"),
    [("HEAD", "/api/hello"), ("GET", "/api/hello"), ("GET", "/prefix/api/hello"), ("GET", "/livez"), ("HEAD", "/livez"),
     ("GET", "/readyz"), ("GET", "/"), ("HEAD", "/")],
)  # fmt: skip
def test_probes_answer_anybody(gateway: Served, method: str, path: str) -> None:
    """Clients and load balancers probe without a credential."""
    answer = ask(gateway.url, method, path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.request_id.startswith("req_")
    assert (answer.body == b"") == (method == "HEAD")


def test_the_root_tells_name_and_version_only(gateway: Served) -> None:
    """Nothing about the deployment is said to strangers."""
    assert ask(gateway.url, "GET", "/").json() == {"name": NAME, "version": VERSION}


def test_readiness_tells_of_store_and_waiting_records(gateway: Served) -> None:
    """An operator sees whether records are written."""
    facts = ask(gateway.url, "GET", "/readyz").json()
    assert facts.pop("commits") <= facts.pop("records_written")
    assert facts == {"status": "ready", "store": "ok", "records_waiting": 0, "records_lost": 0}


def test_models_are_listed_in_pages(gateway: Served) -> None:
    """The pages join without gap or repeat, and ids are what both Anthropic and OpenAI clients look for."""
    whole = get(gateway, "/v1/models?limit=1000").json()
    ids = [row["id"] for row in whole["data"]]
    assert MODEL in ids
    assert len(ids) == len(set(ids))
    assert all({"id", "display_name", "object", "owned_by"} <= set(row) for row in whole["data"])
    assert (whole["object"], whole["has_more"], whole["first_id"], whole["last_id"]) == ("list", False, ids[0], ids[-1])
    seen: list[str] = []
    after = ""
    while True:
        page = get(gateway, f"/company/v1/models?limit=3{after}").json()
        seen += [row["id"] for row in page["data"]]
        after = f"&after_id={page['last_id']}"
        if not page["has_more"]:
            break
        assert len(page["data"]) == 3
    assert seen == ids


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=-1", "limit=x", "limit=9999999999999", "limit=", "after_id=nobody", "after_id="]
)
def test_odd_queries_for_models_still_answer(gateway: Served, query: str) -> None:
    """A wrong page size is no reason to show no models."""
    assert get(gateway, f"/v1/models?{query}").json()["data"]


def test_one_model_is_found_by_id(gateway: Served) -> None:
    """The row of the list, by itself."""
    rows = {row["id"]: row for row in get(gateway, "/v1/models").json()["data"]}
    assert get(gateway, f"/v1/models/{MODEL}").json() == rows[MODEL]
    missing = get(gateway, "/v1/models/claude-nobody-9")
    assert missing.status == 404
    assert MODEL in missing.error["message"] or "claude-" in missing.error["message"]


def test_models_are_only_those_a_key_may_use(gateway: Served) -> None:
    """A list that shows more would send users into 404s."""
    key = gateway.add_key(allowed_models=["claude-haiku-*"])
    rows = ask(gateway.url, "GET", "/v1/models", headers={"x-api-key": key}).json()["data"]
    assert rows
    assert all(row["id"].startswith("claude-haiku-") for row in rows)


def alias_provider(gateway: Served, **fields: Any) -> None:
    row = {"kind": "vertex", "credential": "adc", "base_url": gateway.sandbox.url, "locations": ["global"], **fields}
    gateway.store.commit([Put("providers/named", row)])
    gateway.house.directory.forget()


def test_the_operators_own_names_are_listed_too(gateway: Served) -> None:
    """In the same shape, once each, and each by itself; what a name stands for need not be in the catalog."""
    alias_provider(gateway, models={"team-claude": "claude-haiku-4-5@20251001", MODEL: MODEL, "tuned": "claude-tuned-7"})
    listed = get(gateway, "/v1/models").json()["data"]
    rows = {row["id"]: row for row in listed}
    assert len(rows) == len(listed)
    haiku = rows["claude-haiku-4-5"]
    assert rows["team-claude"] == {**haiku, "id": "team-claude", "display_name": f"team-claude ({haiku['display_name']})"}
    assert rows["tuned"].keys() == haiku.keys()
    assert (rows["tuned"]["object"], rows["tuned"]["owned_by"], rows["tuned"]["capabilities"]) == ("model", "anthropic", None)
    assert rows[MODEL]["display_name"] == "Claude Sonnet 4.6"
    assert get(gateway, "/v1/models/team-claude").json() == rows["team-claude"]


def test_an_own_name_is_listed_for_those_who_may_use_it(gateway: Served) -> None:
    """Also where it is all that a key may use, and then the 404 of another model names it."""
    alias_provider(gateway, models={"fast": "claude-haiku-4-5@20251001"})
    key = gateway.add_key(allowed_models=["fast"])
    headers = {"x-api-key": key}
    assert [row["id"] for row in ask(gateway.url, "GET", "/v1/models", headers=headers).json()["data"]] == ["fast"]
    refused = ask(gateway.url, "POST", "/v1/messages", body=message(), headers=headers)
    assert refused.status == 404
    assert "it may use fast" in refused.error["message"]
    other = gateway.add_key(allowed_models=["claude-opus-*"])
    listed = ask(gateway.url, "GET", "/v1/models", headers={"x-api-key": other}).json()["data"]
    assert "fast" not in {row["id"] for row in listed}


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1",
        "/v1/complete",
        "/v1/messages/batches",
        "/v2/messages",
        "/xv1/messages",
        "/v1/messages/count_tokens/more",
        f"/v1/{PROJECT}/{MODEL}:predict",
        f"/v1/{PROJECT}/{MODEL}",
        f"/v1/projects/p/locations/l/publishers/google/models/{MODEL}:rawPredict",
        "/x/livez",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_paths_are_404(gateway: Served, method: str, path: str) -> None:
    """In Anthropic's envelope, and nothing goes upstream."""
    before = len(gateway.sandbox.requests)
    answer = ask(gateway.url, method, path, body=message(), headers={"authorization": f"Bearer {gateway.key}"})
    assert answer.status == 404
    assert answer.error["type"] == "not_found_error"
    assert answer.json()["request_id"] == answer.request_id == answer.headers["request-id"]
    assert len(gateway.sandbox.requests) == before


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/admin/v1/messages",
        "/admin/v1/models",
        "/admin/v1/messages/count_tokens",
        f"/admin/{PROJECT}/{MODEL}:rawPredict",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_under_admin_is_inference(gateway: Served, method: str, path: str) -> None:
    """Without an admin key all of it is 404, and nothing goes upstream."""
    before = len(gateway.sandbox.requests)
    answer = ask(gateway.url, method, path, body=message(), headers={"authorization": f"Bearer {gateway.key}"})
    assert answer.status == 404
    assert "GATEWAY_ADMIN_KEY" in answer.json()["error"]["message"]
    assert len(gateway.sandbox.requests) == before


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "QUERY"])
@pytest.mark.parametrize("path", ["/v1/messages", f"/v1/{PROJECT}/{MODEL}:rawPredict"])
def test_wrong_methods_are_405(gateway: Served, method: str, path: str) -> None:
    """The answer names the right one, in words and as HTTP has it (RFC 9110 section 15.5.6)."""
    answer = get(gateway, path, method)
    assert answer.status == 405
    assert "POST" in answer.error["message"]
    assert answer.headers["allow"] == "POST"
    assert answer.json()["request_id"] == answer.request_id


@pytest.mark.parametrize("method", ["POST", "DELETE", "PROPFIND"])
def test_models_are_only_read(gateway: Served, method: str) -> None:
    """405 for anything but GET and HEAD."""
    answer = get(gateway, "/v1/models", method)
    assert (answer.status, answer.error["type"]) == (405, "invalid_request_error")
    assert answer.headers["allow"] == "GET, HEAD"


def test_the_body_travels_byte_for_byte(gateway: Served) -> None:
    """But for `model`, which is in the path on Vertex AI, and `anthropic_version`."""
    odd = '{ "messages" : [{"role":"user","content":"\\u00e9 1.0"}],\n "max_tokens":64, "temperature": 1.0e0 }'
    body = odd[:-2] + ', "model":"claude-sonnet-4-6" }'
    answer = ask(gateway.url, "POST", "/v1/messages", body=body.encode(), headers={"x-api-key": gateway.key})
    assert answer.status == 200, answer
    sent = gateway.sandbox.requests[-1].body.decode()
    assert '[{"role":"user","content":"\\u00e9 1.0"}],\n "max_tokens":64, "temperature": 1.0e0' in sent
    assert json.loads(sent) == {**json.loads(odd), "anthropic_version": "vertex-2023-10-16"}
