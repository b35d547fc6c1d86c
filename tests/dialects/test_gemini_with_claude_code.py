"""What Claude Code and other Messages clients rely on when a Gemini model answers them, turn after turn."""

import json
from pathlib import Path

import anthropic
import httpx2
import pydantic
import pytest
from gemini_talk import SIGNATURE, UNKNOWN, Json, ask, events_of, fold, traits
from google.genai import types

from gateway.canonical.errors import InvalidRequest
from gateway.canonical.translation import Chat
from gateway.catalog.models import all_models
from gateway.dialects.anthropic import chat as anthropic_chat
from gateway.dialects.gemini import door as gemini

THIRD_TURN = Path(__file__).parent.parent / "golden/gemini/from-messages/claude-code-third-turn-with-parallel-calls.json"
CALLS = Path(__file__).parent.parent / "golden/gemini/streams/thoughts-text-and-parallel-calls.sse"


def test_anthropics_sdk_reads_a_stream_of_geminis() -> None:
    """Every event, accumulated as the SDK does it, is the message of the plain answer."""
    parser, renderer = gemini.parse_stream(), anthropic_chat.render_stream(asked_model="m", request={})
    events = [*parser.feed(CALLS.read_bytes()), *parser.end()]
    told = b"".join(renderer.render(event) for event in events)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=told))
    client = anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1", http_client=httpx2.Client(transport=transport))
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]) as stream:
        message = stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert message.content[2].input == {"file_path": "/ä"} and message.stop_reason == "tool_use"  # type: ignore[union-attr]
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (65, 40, 40)


def test_googles_own_types_read_what_is_asked() -> None:
    """Every member of a body for Gemini is one that Google's SDK knows, save arguments, results and schemas."""
    request = json.loads(THIRD_TURN.read_bytes())
    body, _ = gemini.render_chat(anthropic_chat.parse_chat(request), traits(request["model"]), stream=True)
    known = {"contents": list[types.Content], "systemInstruction": types.Content, "tools": list[types.Tool],
             "toolConfig": types.ToolConfig, "generationConfig": types.GenerationConfig}  # fmt: skip
    for name, value in body.items():
        read = pydantic.TypeAdapter(known[name]).validate_python(value)  # extra members are refused
        assert read


def test_claude_code_gets_its_calls_back_signed_on_the_next_turn() -> None:
    """Parallel calls in a stream, replayed verbatim with their results: Gemini finds ids and signature where it put them."""
    parts = [
        {"text": "Looking."},
        {"functionCall": {"id": "fc-1", "name": "Read", "args": {"file_path": "/a"}}, "thoughtSignature": SIGNATURE},
        {"functionCall": {"id": "fc-2", "name": "Bash", "args": {"command": "ls"}}},
    ]
    chunks = [
        {"candidates": [{"content": {"role": "model", "parts": [part]}}], "responseId": "r1", "modelVersion": "gemini-3.8-flash"}
        for part in parts
    ]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[index]
    answer = fold(events_of("".join(f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks).encode()))
    assert answer["stop_reason"] == "tool_use"
    calls = [block for block in answer["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": call["name"]} for call in reversed(calls)]
    body = ask(
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": results},
    )
    assert body["contents"][1]["parts"] == parts
    told = [(part["functionResponse"]["id"], part["functionResponse"]["response"]) for part in body["contents"][2]["parts"]]
    assert told == [("fc-1", {"output": "Read"}), ("fc-2", {"output": "Bash"})]


def test_a_signature_of_a_shown_thought_goes_back_to_its_part() -> None:
    """Thinking comes with a text's signature behind the text, and goes back on that text."""
    answer = gemini.parse_answer({"candidates": [{"finishReason": "STOP", "content": {"parts": [
        {"text": "hm", "thought": True}, {"text": "Yes"}, {"text": "", "thoughtSignature": SIGNATURE}]}}]})  # fmt: skip
    body = ask(
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": "And?"},
    )
    assert body["contents"][1]["parts"] == [{"text": "Yes", "thoughtSignature": SIGNATURE}]


def test_deferred_tools_are_declared_once_they_were_found() -> None:
    """As with Anthropic: not before a tool_reference named them."""
    tools = [
        {"name": name, "defer_loading": name == "later", "input_schema": {"type": "object"}} for name in ("ToolSearch", "later")
    ]
    call = {"type": "tool_use", "id": "c", "name": "ToolSearch", "input": {}}
    found = {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "tool_reference", "tool_name": "later"}]}
    asked = {"role": "user", "content": "Hi"}
    before = ask(asked, tools=tools)
    after = ask(asked, {"role": "assistant", "content": [call]}, {"role": "user", "content": [found]}, tools=tools)
    declared = [[function["name"] for function in body["tools"][0]["functionDeclarations"]] for body in (before, after)]
    assert declared == [["ToolSearch"], ["ToolSearch", "later"]]


def test_what_was_dropped_is_named_in_words_fit_for_a_header() -> None:
    """Clients choose member names; a line end among them must not become one of ours."""
    odd = {"x\r\nset-cookie: a=b": 1, "é" * 200: 1, **{f"m{place}": 1 for place in range(99)}}
    _, dropped = gemini.render_chat(Chat({"messages": [], **odd}), UNKNOWN, stream=False)
    assert (
        dropped[0] == "x??set-cookie: a?b" and len(dropped) <= 40 and all(len(name) <= 80 and name.isascii() for name in dropped)
    )


@pytest.mark.parametrize("model", [model.id for model in all_models() if model.id.startswith("gemini-") and model.mode == "chat"])
@pytest.mark.parametrize(
    "thinking", [None, {"type": "disabled"}, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 31999}]
)
@pytest.mark.parametrize("effort", [None, "low", "medium", "high", "xhigh", "max"])
def test_no_model_is_sent_a_level_or_budget_that_it_refuses(model: str, thinking: Json | None, effort: str | None) -> None:
    """One of the two, of those that its catalog row says."""
    more = {**({"thinking": thinking} if thinking else {}), **({"output_config": {"effort": effort}} if effort else {})}
    config = ask({"role": "user", "content": "Hi"}, model=model, **more)["generationConfig"].get("thinkingConfig", {})
    can = traits(model).capabilities
    assert can is not None
    if can.thinking_budget:
        least, most = can.thinking_budget_tokens or (0, 0)
        budget = config.get("thinkingBudget", -1)
        assert "thinkingLevel" not in config and (
            budget == -1 or least <= budget <= most or (budget == 0 and can.thinking_can_be_disabled)
        )
    else:
        assert "thinkingBudget" not in config and config.get("thinkingLevel", "LOW").lower() in can.effort_levels


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": 1}]}]}, "messages.0.content.0: a tool_use"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "x"}}]}]},
            "messages.0.content.0.source",
        ),
        ({"messages": [], "tool_choice": {"type": "all"}}, "tool_choice.type"),
        ({"messages": [], "output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"messages": [], "system": [{"type": "image"}]}, "system.0"),
    ],
)
def test_what_cannot_be_said_rightly_is_refused_by_name(body: Json, words: str) -> None:
    """400 with the member and what would be right."""
    with pytest.raises(InvalidRequest) as refused:
        gemini.render_chat(Chat(body), UNKNOWN, stream=False)
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"contents": [{"role": "system", "parts": []}]}, "contents.0.role"),
        ({"contents": [1]}, "contents: a list"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "contents.0.parts.0.text"),
        ({"contents": [{"parts": [{"functionCall": {"args": {}}}]}]}, "contents.0.parts.0.functionCall.name"),
        ({"contents": "x", "tools": [{"functionDeclarations": [{}]}]}, "tools.0.functionDeclarations.0.name"),
        ({"contents": "x", "tools": [{"functionDeclarations": [{"name": "a.b"}, {"name": "a_b"}]}]}, "two functions"),
        ({"contents": "x", "systemInstruction": {"parts": [{"inlineData": {}}]}}, "systemInstruction.parts.0"),
        ({"contents": "x", "generationConfig": []}, "generationConfig: an object"),
    ],
)
def test_a_gemini_clients_fault_is_named(body: Json, words: str) -> None:
    """In the names that this client used."""
    with pytest.raises(InvalidRequest) as refused:
        gemini.parse_chat(body)
    assert words in refused.value.message
