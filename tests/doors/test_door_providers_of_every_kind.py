"""A provider of each kind, tried out as an operator does it, and where its credential may travel."""

import json
from pathlib import Path
from typing import Any

import pytest
from everywhere import served_everywhere
from house import Served, message

from gateway.administration.provider_tests import check_provider_works
from gateway.canonical.store import Json, Put
from gateway.probing import Prober
from gateway.sandbox import Fault, Sandbox

TRIED = {"vertex": "claude-sonnet-4-6", "direct": "claude-sonnet-4-6", "aws": "anthropic.claude-sonnet-4-6",
         "cloud": "claude-sonnet-4-6", "oai": "gpt-4.1", "studio": "gemini-3.5-flash"}  # fmt: skip


def tried(gateway: Served, provider_id: str, *models: str) -> Json:
    gateway.house.directory.forget()
    found = gateway.house.directory.all()[provider_id]
    return check_provider_works(found, gateway.house.tokens, Prober(gateway.house.answering.sender).probe, models)


@pytest.mark.parametrize("provider_id", TRIED)
def test_a_provider_of_every_kind_is_tried_out(everywhere: Served, provider_id: str) -> None:
    """One smallest request in its own wire format, and no word of its credential."""
    report = tried(everywhere, provider_id, TRIED[provider_id])
    assert (report["state"], len(report["data"])) == ("ok", 2), report
    assert everywhere.sandbox.api_key not in json.dumps(report)


def test_a_wrong_key_is_told_with_what_mends_it(everywhere: Served, tmp_path: Path) -> None:
    """It is no Google account that would have to be looked at."""
    (tmp_path / "key").write_text("sk-of-somebody-else")
    row = {"kind": "openai", "credential": f"file:{tmp_path}/key", "base_url": f"{everywhere.sandbox.url}/v1"}
    everywhere.store.commit([Put("providers/wrong", row)])
    report = tried(everywhere, "wrong", "gpt-4.1")
    assert report["state"] == "fail"
    assert "store the right one where the credential points" in report["data"][1]["mend"]


def test_a_credential_does_not_travel_to_a_host_that_is_not_its_own(tmp_path: Path, key_path: Path) -> None:
    """Not even where the provider's document says so: nothing is sent, and the operator is told why."""
    with Sandbox(key_path=key_path) as sandbox, served_everywhere(tmp_path, sandbox) as gateway:
        elsewhere = sandbox.url.replace("127.0.0.1", "localhost")
        row: dict[str, Any] = {"kind": "gemini", "credential": "adc", "base_url": elsewhere, "locations": ["global"]}
        gateway.store.commit([Put("providers/stray", row)])
        answer = gateway.post("/v1/messages", message(model="@stray/gemini-3.5-flash"))
        assert answer.status_code == 502
        assert "may not send its credential to this provider's host" in answer.json()["error"]["message"]
        assert "localhost" not in answer.text
        assert any("localhost is not under googleapis.com" in line.get("reason", "") for line in gateway.log_lines())
        assert not [request for request in sandbox.requests if "generateContent" in request.path]


def test_a_server_that_knows_no_stream_options_still_streams(tmp_path: Path, key_path: Path) -> None:
    """It is asked again without them, and at once without them from then on; the price is an estimate."""
    with Sandbox(key_path=key_path) as sandbox, served_everywhere(tmp_path, sandbox) as gateway:
        sandbox.script(Fault(status=400, message="Unrecognized request argument supplied: stream_options"), on="openai")
        for attempts in ("2", "1"):
            body = message(model="@oai/gpt-4.1", stream=True)
            answer = gateway.post("/v1/chat/completions", body)
            assert answer.status_code == 200 and answer.text.rstrip().endswith("data: [DONE]"), answer.text
            assert answer.headers["x-gateway-attempts"] == attempts
            assert gateway.record(answer.headers["x-gateway-request-id"])["completeness"] == "estimated"
