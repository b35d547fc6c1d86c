"""Claude Code's conversations, carried to the simulated Gemini and back: it is strict, and shares no code with us."""

import copy
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from gemini_talk import Json, events_of, fold, traits

from gateway.canonical.call import Call, Caller, Request, Target
from gateway.canonical.json_object import JsonObject
from gateway.dialects.anthropic import chat as anthropic_chat
from gateway.dialects.gemini import door as gemini
from gateway.providers import vertex_gemini
from gateway.providers.provider import Lesson, Provider
from gateway.sandbox import Sandbox

FIRST_TURN = Path(__file__).parent.parent / "golden/gemini/from-messages/claude-code-first-turn.json"
PROVIDER = Provider(id="vertex", kind="vertex", credential="adc", project_id="p1")
ASKED: Json = json.loads(FIRST_TURN.read_bytes())
MORE = [{**tool, "name": f"mcp__server__{place}", "defer_loading": False} for place, tool in enumerate(ASKED["tools"] * 2)]
ASKED["tools"] += MORE
assert len(ASKED["tools"]) == 24


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(key_path=tmp_path_factory.mktemp("sandbox") / "key.json") as running:
        yield running


def send(sandbox: Sandbox, asked: Json, *, stream: bool = True, counting: bool = False) -> tuple[int, bytes]:
    """A Messages body's way to Gemini, as a provider takes it."""
    body, _ = gemini.render_chat(anthropic_chat.parse_chat(copy.deepcopy(asked)), traits(asked["model"]), stream=stream)
    document = JsonObject(json.dumps(body).encode())
    request = Request("count_tokens" if counting else "generate", asked["model"], stream and not counting, document)
    call = Call("req_1", Caller("key_1", "demo"), "gemini", request, {}, at=0.0, started=0.0)
    target = Target(PROVIDER, asked["model"], asked["model"], "global", "gemini")
    outgoing = vertex_gemini.prepare(call, target, "p1", Lesson())
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)
    try:
        headers = {**outgoing.headers, "authorization": f"Bearer {sandbox.access_token()}"}
        connection.request("POST", outgoing.path, outgoing.body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def answer(sandbox: Sandbox, asked: Json, *, stream: bool = True) -> Json:
    status, data = send(sandbox, asked, stream=stream)
    assert status == 200, data
    return fold(events_of(data, range(0, len(data), 97))) if stream else gemini.parse_answer(json.loads(data))


def last_text(message: Json) -> str:
    """A signature of the text may stand behind it."""
    text: str = [block["text"] for block in message["content"] if block["type"] == "text"][-1]
    return text


def turn(asked: Json, *messages: Json, **more: Any) -> Json:
    return {**asked, "messages": [*asked["messages"], *messages], **more}


def say(text: str) -> Json:
    return {"role": "user", "content": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}


def use_tools(sandbox: Sandbox, asked: Json, *, stream: bool = True) -> tuple[Json, Json]:
    """Two calls at once, and their results; the conversation with both, and the last answer."""
    asked = turn(asked, say("use the tool Bash and use the tool Read"))
    called = answer(sandbox, asked, stream=stream)
    calls = [block for block in called["content"] if block["type"] == "tool_use"]
    assert called["stop_reason"] == "tool_use" and [call["name"] for call in calls] == ["Bash", "Read"]
    results = [{"type": "tool_result", "tool_use_id": c["id"], "content": f"{c['name']} says 21"} for c in reversed(calls)]
    asked = turn(asked, {"role": "assistant", "content": called["content"]}, {"role": "user", "content": results})
    return asked, answer(sandbox, asked, stream=stream)


MODELS = ["gemini-3.8-flash", "gemini-3.1-pro-preview", "gemini-4-argon", "gemini-2.5-flash", "gemini-2.5-pro"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [True, False])
def test_claude_code_uses_tools_turn_after_turn(sandbox: Sandbox, model: str, stream: bool) -> None:
    """24 tools, thinking, parallel calls, their results in any order, and again: nothing is refused, nothing lost."""
    asked, said = use_tools(sandbox, {**ASKED, "model": model}, stream=stream)
    assert "Bash says 21" in last_text(said) and "Read says 21" in last_text(said)
    assert said["stop_reason"] == "end_turn" and said["usage"]["output_tokens"] > 0
    _, again = use_tools(sandbox, turn(asked, {"role": "assistant", "content": said["content"]}), stream=stream)
    assert "Bash says 21" in last_text(again)


def test_shown_thoughts_come_back_and_are_no_trouble(sandbox: Sandbox) -> None:
    """Thinking blocks in the history, signed ones too."""
    asked = {**ASKED, "thinking": {"type": "adaptive", "display": "summarized"}}
    said = answer(sandbox, asked)
    assert said["content"][0]["type"] == "thinking" and said["content"][-1]["signature"].startswith("gemini:")
    again = answer(sandbox, turn(asked, {"role": "assistant", "content": said["content"]}, say("And?")))
    assert again["stop_reason"] == "end_turn"


def test_a_conversation_may_change_models_in_its_middle(sandbox: Sandbox) -> None:
    """From one Gemini to another, older and newer, and from a Claude: signatures of others are not sent."""
    asked, said = use_tools(sandbox, ASKED)
    for model in ("gemini-3.1-pro-preview", "gemini-2.5-flash", "gemini-3.8-flash"):
        asked, said = use_tools(sandbox, turn({**asked, "model": model}, {"role": "assistant", "content": said["content"]}))
        assert "Bash says 21" in last_text(said)
    claudes: Json = {"type": "tool_use", "id": "toolu_01A", "name": "Bash", "input": {"command": "ls"}}
    thinking = {"type": "thinking", "thinking": "", "signature": "EqQB"}
    result = {"type": "tool_result", "tool_use_id": "toolu_01A", "content": "a.py"}
    foreign = turn(ASKED, {"role": "assistant", "content": [thinking, claudes]}, {"role": "user", "content": [result]})
    assert "a.py" in last_text(answer(sandbox, foreign))


def test_tokens_are_counted_with_everything_that_is_asked(sandbox: Sandbox) -> None:
    """Of the same body."""
    status, data = send(sandbox, ASKED, counting=True)
    count = gemini.parse_token_count(data)
    assert status == 200 and count is not None and count > 100


def test_structured_output_comes_back_as_text(sandbox: Sandbox) -> None:
    """By the caller's own schema."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False}
    output = {"format": {"type": "json_schema", "schema": schema}}
    said = answer(sandbox, {"model": "gemini-3.8-flash", "max_tokens": 500, "messages": [say("Ana")], "output_config": output})
    assert json.loads(last_text(said)) == {"name": "Ana"}
