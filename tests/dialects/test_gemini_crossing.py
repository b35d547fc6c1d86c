"""Crossings between Messages and Gemini: what must survive both ways, whatever the bytes are cut into."""

import base64
import json
from pathlib import Path

import pytest
from gemini_talk import SIGNATURE, UNKNOWN, Json, events_of, fold, stream_of
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.errors import InvalidRequest, StreamBroken
from gateway.canonical.translation import Chat
from gateway.dialects.gemini import door as gemini
from gateway.dialects.gemini.signatures import SKIPPED, Signature, join_id, plain_id, split_id

STREAMS = sorted(
    path for path in (Path(__file__).parent.parent / "golden/gemini/streams").glob("*.sse") if ".to-" not in path.name
)
SHOWN = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}

texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
values = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts, lambda inner: st.lists(inner, max_size=3)
                      | st.dictionaries(texts, inner, max_size=3), max_leaves=5)  # fmt: skip
arguments = st.dictionaries(names, values, max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> list[Json]:
    """Turns of a tool-using conversation, in blocks."""
    messages: list[Json] = [{"role": "user", "content": [{"type": "text", "text": draw(texts)}]}]
    for turn in range(draw(st.integers(0, 3))):
        calls = [
            {"type": "tool_use", "id": join_id(f"toolu_{turn}_{place}", draw(st.sampled_from([None, Signature(SIGNATURE)]))),
             "name": draw(names), "input": draw(arguments)}
            for place in range(draw(st.integers(0, 3)))
        ]  # fmt: skip
        said = [{"type": "text", "text": draw(texts)}] if not calls or draw(st.booleans()) else []
        messages.append({"role": "assistant", "content": [*said, *calls]})
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call["id"],
                "content": draw(texts),
                **draw(st.sampled_from([{}, {"is_error": True}])),
            }
            for call in calls
        ]
        messages.append({"role": "user", "content": [*results, {"type": "text", "text": draw(texts)}]})
    return messages


@given(conversations())
def test_a_conversation_survives_the_way_to_gemini_and_back(messages: list[Json]) -> None:
    """Texts, calls, arguments, results, errors and signatures; names that Gemini refuses come back as they were."""
    body, dropped = gemini.render_chat(Chat({"messages": messages, "max_tokens": 7}), UNKNOWN, stream=True)
    assert dropped == [] and json.loads(json.dumps(body)) == body
    back = gemini.parse_chat(body)

    def plain(block: Json) -> Json:
        """With its id as it was before a signature rode in it: Gemini asks for one where nobody has any."""
        named = {"tool_use": "id", "tool_result": "tool_use_id"}.get(block["type"], "")
        return {**block, **({named: split_id(block[named])[0]} if named else {})}

    def unsigned(conversation: list[Json]) -> list[Json]:
        return [{**message, "content": [plain(block) for block in message["content"]]} for message in conversation]

    assert unsigned(back.body["messages"]) == unsigned(messages)
    sent, received = ([split_id(b["id"])[1] for m in each for b in m["content"] if b["type"] == "tool_use"]
                      for each in (messages, back.body["messages"]))  # fmt: skip
    assert [None if signature == Signature(SKIPPED) else signature for signature in received] == sent


@st.composite
def answers(draw: st.DrawFn) -> Json:
    blocks: list[Json] = []
    if draw(st.booleans()):
        blocks.append(
            {"type": "thinking", "thinking": draw(texts), "signature": draw(st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True))}
        )
    if draw(st.booleans()):
        blocks.append({"type": "text", "text": draw(texts)})
    blocks += [
        {"type": "tool_use", "id": f"toolu_{place}", "name": draw(names), "input": draw(arguments)}
        for place in range(draw(st.integers(0, 3)))
    ]
    called = any(block["type"] == "tool_use" for block in blocks)
    output = draw(st.integers(0, 999))
    usage = {"input_tokens": draw(st.integers(0, 999)), "cache_creation_input_tokens": 0,
             "cache_read_input_tokens": draw(st.integers(0, 999)), "output_tokens": output}  # fmt: skip
    if thinking := draw(st.integers(0, output)):
        usage["output_tokens_details"] = {"thinking_tokens": thinking}
    return {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-opus-5-5", "content": blocks,
            "stop_reason": "tool_use" if called else draw(st.sampled_from(["end_turn", "max_tokens"])), "stop_sequence": None,
            "usage": usage}  # fmt: skip


@given(answers(), st.sampled_from([{}, SHOWN]))
def test_an_answer_survives_the_way_through_gemini(message: Json, request: Json) -> None:
    """Plain: blocks, stop reason, usage, Claude's signed thinking."""
    told = gemini.render_answer(message, asked_model="m", request=request)
    if request:
        told["candidates"][0]["content"]["parts"] = [p for p in told["candidates"][0]["content"]["parts"] if not p.get("thought")]
    assert gemini.parse_answer(json.loads(json.dumps(told))) == message


@given(answers(), st.lists(st.integers(0, 2000), max_size=5))
def test_a_stream_survives_the_way_through_gemini(message: Json, cuts: list[int]) -> None:
    """The same as a stream, in any cutting."""
    renderer = gemini.render_stream(asked_model="m", request={})
    data = b"".join(renderer.render(event) for event in stream_of(message))
    assert fold(events_of(data, cuts)) == message


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
@given(cuts=st.lists(st.integers(0, 3000), max_size=8))
def test_a_stream_of_geminis_reads_the_same_in_any_cutting(path: Path, cuts: list[int]) -> None:
    """CRLF or LF, comments and blank lines between, characters split in their middle."""
    data = path.read_bytes()
    assert events_of(data, cuts) == events_of(data)
    noisy = data.replace(b"\r\n", b"\n").replace(b"\n\n", b"\n\n: keepalive\n\n\n")
    assert events_of(noisy, cuts) == events_of(data)


HALF = b'data: {"candidates":[{"content":{"parts":[{"text":"So"}]}}]}\n\n'


@pytest.mark.parametrize("data", [b"", b": only a comment\n\n", HALF, b"data: not json\n\n", b"data: [1]\n\n"])
def test_a_stream_that_is_not_over_is_broken(data: bytes) -> None:
    """Never ended cleanly for the client."""
    with pytest.raises(StreamBroken):
        events_of(data)


@given(st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True), st.binary(min_size=1, max_size=60).map(base64.b64encode))
def test_a_signature_rides_in_an_id_that_every_client_takes(call_id: str, signature: bytes) -> None:
    """Whatever its bytes are; an id without one stays as it is."""
    carried = Signature(signature.decode(), "gemini-3-8-flash")
    joined = join_id(plain_id(call_id), carried)
    assert set(joined) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert split_id(joined) == (plain_id(call_id), carried) and split_id(plain_id(call_id)) == (plain_id(call_id), None)


@pytest.mark.parametrize(
    ("made_by", "asked", "holds"),
    [
        ("gemini-3.8-flash", "gemini-3.8-flash", True),
        ("gemini-3.8-flash-001", "gemini-3.8-flash", True),
        ("gemini-3-flash", "gemini-3-flash-preview", True),
        ("", "gemini-3.8-flash", True),
        ("gemini-3.8-flash", "gemini-3.8-flash-cyber", False),
        ("gemini-3.8-flash", "gemini-3.5-flash", False),
        ("gemini-3.5-flash", "gemini-3.5-flash-lite", False),
    ],
)
def test_a_signature_holds_for_the_model_that_made_it(made_by: str, asked: str, holds: bool) -> None:
    """Whichever of the two is named with its version."""
    assert Signature("QQ==", made_by).holds_for(asked) is holds


MEMBERS = st.sampled_from([
    "contents", "parts", "text", "role", "tools", "functionCall", "functionResponse", "name", "response", "args", "inlineData",
    "functionDeclarations", "parameters", "generationConfig", "thinkingConfig", "systemInstruction", "toolConfig", "thought",
])  # fmt: skip
bodies = st.recursive(
    values, lambda inner: st.dictionaries(MEMBERS, inner, max_size=4) | st.lists(inner, max_size=2), max_leaves=12
)


@given(st.dictionaries(MEMBERS, bodies, max_size=4))
def test_any_body_is_carried_or_refused(body: Json) -> None:
    """A client's nonsense is a 400, never a fault of ours."""
    try:
        gemini.render_chat(gemini.parse_chat(body), UNKNOWN, stream=False)
    except InvalidRequest as refused:
        assert refused.message
