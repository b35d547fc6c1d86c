"""What is written down about a call, in the store and in the log, and what never is."""

import io
import json
from datetime import UTC, datetime

from gateway.canonical.call import AttemptRecord, Call, Caller, Request, Target
from gateway.canonical.json_object import JsonObject
from gateway.canonical.usage import Tokens, Usage
from gateway.providers.provider import Provider
from gateway.records.document import Outcome, document_path, render_document, render_log_line, severity_of
from gateway.records.log import LineLog

PROMPT, KEY = "a very private prompt", "gw-" + "k" * 43
CALL = Call(
    id="req_1",
    caller=Caller("key_1", "acme", user="ana@x.test", groups=("eng",), metadata={"team": "core"}),
    dialect="anthropic",
    request=Request("generate", "claude-opus-5-5[1m]", True, JsonObject(json.dumps({"messages": [PROMPT]}).encode())),
    headers={"user-agent": "x", "x-secret": KEY},
    at=1_800_000_000.25,
    started=5.0,
    trace_id="t-1",
    session_id="s-1",
    metadata={"team": "mine", "run": "7"},
)
TARGET = Target(Provider("vertex", "vertex", "secret-json"), "claude-opus-5-5", "claude-opus-5-5", "global", "anthropic")
OUTCOME = Outcome(
    status=200,
    target=TARGET,
    attempts=[AttemptRecord("vertex", "global", 400, 12), AttemptRecord("vertex", "global", 200, 300)],
    usage=Usage(Tokens(10, 21, 5, 4, 3, 2), searches=1, iterations=(Tokens(100, 10),), completeness="partial"),
    cost_nanodollars=123_456_789,
    price_version="2026-11-20",
    dropped=("tags",),
    latency_ms=1000,
    ttft_ms=200,
    holds=[{"budget": "b", "allowance": "i-1", "held": 5, "settled": 4}, {"budget": "c"}],
)


def test_a_usage_document_says_who_what_where_and_how_much() -> None:
    """Every field of the contract; iterations are in the tokens."""
    document = render_document(CALL, OUTCOME, 400)
    assert document_path(CALL) == "projects/acme/usage/req_1"
    assert document["at"] == datetime.fromtimestamp(1_800_000_000.25, UTC)
    assert (document["expires_at"] - document["at"]).days == 400
    assert document["metadata"] == {"team": "core", "run": "7"}, "the key's own labels win"
    assert document["tokens"] == {
        "input": 110, "output": 31, "cache_read": 5, "cache_write_5m": 4, "cache_write_1h": 3, "thinking": 2,
    }  # fmt: skip
    assert document["attempts"][0] == {"provider": "vertex", "location": "global", "status": 400, "ms": 12}
    assert (document["asked_model"], document["model"], document["completeness"]) == (
        "claude-opus-5-5[1m]",
        "claude-opus-5-5",
        "partial",
    )
    assert document["ms_per_output_token"] == round(800 / 31, 2)
    assert document["allowance_ids"] == ["i-1"]
    assert document["schema_version"] == 1
    wanted = (
        "request_id at project key_id user groups metadata trace_id session_id agent_id parent_agent_id dialect stream "
        "asked_model model provider location status error_type attempts cache tokens searches cost_nanodollars "
        "price_version completeness latency_ms ttft_ms ms_per_output_token upstream_request_id holds allowance_ids "
        "schema_version expires_at"
    )
    assert set(wanted.split()) <= document.keys()


def test_a_call_that_found_no_target_is_recorded_too() -> None:
    """Nulls, not gaps."""
    document = render_document(CALL, Outcome(status=404, error_type="not_found_error"), 1)
    assert (document["model"], document["provider"], document["ms_per_output_token"]) == (None, None, None)


def test_a_log_line_is_what_cloud_logging_reads() -> None:
    """Severity, trace, httpRequest, one line of JSON."""
    stream = io.StringIO()
    http = {"requestMethod": "POST", "status": 200, "latency": "1.000s"}
    trace = {"logging.googleapis.com/trace": "projects/p/traces/abc"}
    LineLog(stream).write(render_log_line(render_document(CALL, OUTCOME, 400), http, trace))
    text = stream.getvalue()
    assert text.count("\n") == 1 and text.endswith("\n")
    line = json.loads(text)
    assert line["severity"] == "INFO" and line["httpRequest"] == http
    assert line["logging.googleapis.com/trace"] == "projects/p/traces/abc"
    assert line["message"] == "anthropic claude-opus-5-5[1m] 200"
    assert line["cost_nanodollars"] == 123_456_789 and line["request_id"] == "req_1"
    assert "expires_at" not in line and "agent_id" not in line


def test_no_prompt_no_key_and_no_credential_is_written_down() -> None:
    """Neither in the document nor in the line."""
    document = render_document(CALL, OUTCOME, 400)
    for text in (repr(document), json.dumps(render_log_line(document, {}, {}), default=str)):
        assert PROMPT not in text and KEY not in text and "secret-json" not in text


def test_severity_follows_the_status() -> None:
    """A caller's fault is a warning, ours an error."""
    assert [severity_of(status) for status in (200, 404, 429, 500, 529)] == ["INFO", "WARNING", "WARNING", "ERROR", "ERROR"]


def test_a_person_at_a_terminal_reads_a_sentence() -> None:
    """Tokens, dollars, milliseconds, who."""
    stream = io.StringIO()
    LineLog(stream, for_people=True).write(render_log_line(render_document(CALL, OUTCOME, 400), {}, {}))
    assert stream.getvalue() == (
        "anthropic claude-opus-5-5[1m] 200 · 122 → 31 tokens · $0.123457 · 1000 ms · ana@x.test · req_1\n"
    )
