"""Settled calls without a gateway, for what is made of them."""

from typing import Any

from gateway.canonical.call import AttemptRecord, Call, Caller, Request, Target
from gateway.canonical.json_object import JsonObject
from gateway.canonical.store import Json
from gateway.canonical.usage import Tokens, Usage
from gateway.providers.provider import Provider
from gateway.records.document import Outcome, render_document
from gateway.telemetry.hook import Readings
from gateway.telemetry.observation import Observation, observe_call

PROMPT, KEY, PERSON = "a very private prompt", "gw-" + "k" * 43, "ana@example.com"
AT = 1_800_000_000.25
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def call(headers: dict[str, str] | None = None, **fields: Any) -> Call:
    request = Request("generate", "claude-opus-5-5[1m]", True, JsonObject(f'{{"messages":["{PROMPT}"]}}'.encode()))
    known: dict[str, Any] = {
        "id": "req_0123456789abcdef01234567",
        "caller": Caller("key_1", "acme", user=PERSON, metadata={"team": "core"}),
        "dialect": "anthropic",
        "request": request,
        "headers": headers or {},
        "at": AT,
        "started": 5.0,
        "session_id": "s-1",
    }
    return Call(**{**known, **fields})


def target(kind: str = "vertex") -> Target:
    return Target(Provider("prod", kind, KEY), "claude-opus-5-5", "claude-opus-5-5", "global", "anthropic")


def outcome(**fields: Any) -> Outcome:
    known: dict[str, Any] = {
        "status": 200,
        "target": target(),
        "attempts": [AttemptRecord("prod", "global", 429, 100), AttemptRecord("prod", "global", 200, 300)],
        "usage": Usage(Tokens(10, 21, 5, 4, 3, 2)),
        "cost_nanodollars": 1_500_000_000,
        "answered_model": "claude-opus-5-5-20260801",
        "latency_ms": 2000,
        "ttft_ms": 500,
    }
    return Outcome(**{**known, **fields})


def document(made: Call, **fields: Any) -> Json:
    return render_document(made, outcome(**fields), 400)


def observation(headers: dict[str, str] | None = None, **fields: Any) -> Observation:
    """One call that a trace or a metric is made of; keywords are fields of its Outcome."""
    made = call(headers)
    return observe_call(made, document(made, **fields), fields.get("target", target()))


READINGS = Readings(open_calls=lambda: 3, records_waiting=lambda: 7, records_lost=lambda: 1, tokens_minted=lambda: 2)
