"""Which requests are the same: what may differ without another answer, and what may not."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from asking import TARGET, call_of, plan_with
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cache.request_key import IGNORED, Asked, answers_for, read_asked
from gateway.canonical.call import CacheRule, Call, Leg, Plan, Request
from gateway.canonical.json_object import JsonObject
from gateway.canonical.store import Json
from gateway.dialects import DIALECTS

SIMPLE = CacheRule("simple")
TURN = [{"role": "user", "content": "Hello"}]
BODIES: dict[str, Json] = {
    "anthropic": {"model": "m", "max_tokens": 5, "messages": TURN},
    "vertex": {"anthropic_version": "vertex-2023-10-16", "max_tokens": 5, "messages": TURN},
    "bedrock": {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": TURN},
    "openai": {"model": "m", "messages": TURN},
    "openai-responses": {"model": "m", "input": "Hello"},
    "openai-embeddings": {"model": "m", "input": ["Hello"]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
}
every_dialect = pytest.mark.parametrize("dialect", BODIES)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(call: Call, *, rule: CacheRule = SIMPLE, plan: Plan | None = None) -> Asked | None:
    return read_asked(call, plan or plan_with(rule))


def key(body: Any, dialect: str = "anthropic", *, rule: CacheRule = SIMPLE, plan: Plan | None = None, **more: Any) -> str | None:
    asked = read(call_of(body, dialect=dialect, **more), rule=rule, plan=plan)
    return asked.key() if asked else None


def test_every_dialect_has_its_list_of_what_does_not_count() -> None:
    """A new wire format must say what of its requests is only a name."""
    assert IGNORED.keys() == {dialect.WIRE for dialect in DIALECTS.values()}


@every_dialect
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_members_that_name_or_count_a_request_make_no_difference(dialect: str, data: st.DataObject) -> None:
    """Whatever stands in them, wherever they stand."""
    names = sorted(IGNORED[DIALECTS[dialect].WIRE] - {"store", "background"})
    added = data.draw(st.dictionaries(st.sampled_from(names), json_values))
    members = data.draw(st.permutations([*{**BODIES[dialect], **added}.items()]))
    assert key(dict(members), dialect) == key(BODIES[dialect], dialect) is not None


counting = st.dictionaries(st.sampled_from(["temperature", "seed", "stop", "x"]), json_values, max_size=3)


@every_dialect
@settings(max_examples=60, deadline=None)
@given(one=counting, another=counting, same=st.booleans())
def test_any_other_difference_is_another_request(dialect: str, one: Json, another: Json, same: bool) -> None:
    """A member more or less, another value or type of it. Only the order of members means nothing, nor does a null."""
    other = dict(reversed(one.items())) if same else another
    keys = [key({**BODIES[dialect], **each}, dialect) for each in (one, other)]
    assert None not in keys
    assert (keys[0] == keys[1]) == (without_nulls(one) == without_nulls(other))


def without_nulls(members: Json) -> str:
    return json.dumps({name: value for name, value in members.items() if value is not None}, sort_keys=True)


@every_dialect
def test_what_is_said_counts_to_the_letter(dialect: str) -> None:
    """Another word, another order of turns, another number."""
    text = msgspec.json.encode(BODIES[dialect])
    changed = msgspec.json.decode(text.replace(b"Hello", b"Hello "))
    assert key(changed, dialect) != key(BODIES[dialect], dialect)
    for number in (1, 1.0, 1.5, True, "1"):
        others = [each for each in (1, 1.0, 1.5, True, "1") if type(each) is not type(number) or each != number]
        mine = key({**BODIES[dialect], "temperature": number}, dialect)
        assert mine not in [key({**BODIES[dialect], "temperature": other}, dialect) for other in others]


def test_the_order_of_turns_counts() -> None:
    """A conversation is not a set."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert key({"messages": turns}) != key({"messages": turns[::-1]})


def test_numbers_beyond_64_bits_and_broken_values_are_told_apart_or_left_alone() -> None:
    """What cannot be read exactly is not kept."""
    long = [b'{"messages":[],"seed":123456789012345678901234567890}', b'{"messages":[],"seed":123456789012345678901234567891}']
    keys = {read(with_source(each)).key() for each in long}  # type: ignore[union-attr]
    assert len(keys) == 2
    assert read(with_source(b'{"messages":[],"seed":1e999}')) is None


def with_source(source: bytes) -> Call:
    call = call_of({})
    return replace(call, request=Request("generate", "m", False, JsonObject(source)))


def test_attribution_and_cache_marks_make_no_difference() -> None:
    """Claude Code's first system block changes with its version, cache marks with the length of a conversation."""
    plain = [{"type": "text", "text": "You are Claude Code."}]
    marked = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.329; cc_entrypoint=cli;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ]
    turn = [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]}]
    without = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    assert key({"system": plain, "messages": without}) == key({"system": marked, "messages": turn, "cache_control": {}})
    assert key({"system": plain[::-1], "messages": TURN}) != key({"system": [*plain, marked[0]], "messages": TURN})


@pytest.mark.parametrize("more", ["\nAlways say yes.", " Always say yes.", " cc_x=a; Say yes;", "cc_x=" + "y" * 100 + ";"])
def test_instructions_behind_the_attribution_count(more: str) -> None:
    """Else one who shares answers with others could have theirs given to them."""
    first = "x-anthropic-billing-header: cc_version=2.1.329; cc_entrypoint=cli; cch=00000;"
    keys = {key({"system": [{"type": "text", "text": text}], "messages": TURN}) for text in (first, first + more)}
    assert len(keys) == 2
    beside = {"type": "text", "text": first, "said": "Say yes."}
    assert key({"system": [beside], "messages": TURN}) != key({"system": [], "messages": TURN})


def test_what_an_operators_own_name_means_counts() -> None:
    """Given another meaning, it is another model; how providers write a model of the catalog makes no difference."""

    def by(model: str, upstream: str) -> str | None:
        return key(BODIES["openai"], "openai", plan=plan_with(SIMPLE, replace(TARGET, model=model, upstream_model=upstream)))

    assert by("house", "llama-one") != by("house", "llama-two")
    assert by("claude-sonnet-4-5", "claude-sonnet-4-5@20250929") == by("claude-sonnet-4-5", "claude-sonnet-4-5-20250929")


def test_a_mark_in_a_tools_input_is_no_mark() -> None:
    """There it is the tool's own."""
    rule = replace(SIMPLE, tools=True)

    def used(arguments: Json) -> Json:
        use = {"type": "tool_use", "id": "t", "name": "n", "input": arguments}
        return {"messages": [{"role": "assistant", "content": [use]}]}

    assert key(used({"cache_control": 1}), rule=rule) != key(used({}), rule=rule)


def test_version_betas_model_and_passed_headers_count() -> None:
    """Betas in any order, in the header or in the body; headers of ours do not count."""

    def with_headers(**headers: str) -> str | None:
        return key(BODIES["anthropic"], headers={name.replace("_", "-"): value for name, value in headers.items()})

    plain = with_headers()
    assert with_headers(anthropic_beta="b-1, a-1") == with_headers(anthropic_beta="a-1,b-1") != plain
    assert key({**BODIES["anthropic"], "anthropic_beta": ["b-1", "a-1"]}) == with_headers(anthropic_beta="a-1,b-1")
    assert with_headers(x_amzn_bedrock_guardrailidentifier="g") != plain
    assert with_headers(x_claude_code_session_id="s", user_agent="u") == plain
    call = call_of(BODIES["anthropic"])
    newer = replace(call, request=replace(call.request, api_version="2026-10-21"))
    assert read(newer).key() != plain  # type: ignore[union-attr]
    assert key(BODIES["anthropic"], plan=plan_with(SIMPLE, replace(TARGET, model="claude-haiku-4-5"))) != plain


def test_headers_that_a_config_forwards_count() -> None:
    """They may change the answer: nobody here knows."""
    plan = plan_with(SIMPLE, replace(TARGET, forward_headers=("x-tenant",)))
    keys = [key(BODIES["anthropic"], plan=plan, headers={"x-tenant": tenant}) for tenant in ("a", "b", "a")]
    assert keys[0] == keys[2] != keys[1]


def test_a_configs_own_parameters_count() -> None:
    """They are put in the caller's place: half the temperature is another answer."""

    def with_params(**params: bytes) -> str | None:
        return key(BODIES["anthropic"], plan=Plan((TARGET,), (Leg(TARGET, params=params),), cache=SIMPLE))

    assert with_params(temperature=b"0.5") != with_params(temperature=b"1") != with_params()
    assert with_params() == key(BODIES["anthropic"])


def test_tools_of_a_config_are_tools() -> None:
    """Whoever offers them."""
    plan = Plan((TARGET,), (Leg(TARGET, params={"tools": b'[{"name":"t"}]'}),), cache=SIMPLE)
    assert key(BODIES["anthropic"], plan=plan) is None
    assert key(BODIES["anthropic"], plan=replace(plan, cache=replace(SIMPLE, tools=True))) is not None


def test_whose_an_answer_is_counts() -> None:
    """A person's, or a key's that names none; the project's where the rule says so; never another project's."""
    people = [{"user": "a"}, {"user": "b"}, {"user": None}, {"user": None, "key_id": "key_2"}, {"user": "key_1"}]
    assert len({key(BODIES["anthropic"], caller=who) for who in people}) == len(people)
    shared = replace(SIMPLE, scope="project")
    assert len({key(BODIES["anthropic"], caller=who, rule=shared) for who in people}) == 1
    elsewhere = key(BODIES["anthropic"], caller={"project": "other"}, rule=shared)
    assert elsewhere != key(BODIES["anthropic"], rule=shared) != key(BODIES["anthropic"])


def test_shared_answers_never_repeat_anothers_labels() -> None:
    """The Responses format echoes them."""
    body = BODIES["openai-responses"]
    named = [{**body, "metadata": {"who": who}, "user": who} for who in ("ana", "ben")]
    assert len({key(each, "openai-responses") for each in named}) == 1
    assert len({key(each, "openai-responses", rule=replace(SIMPLE, scope="project")) for each in named}) == 2


def test_doors_of_one_wire_format_share_and_others_do_not() -> None:
    """A body is read by its own format alone."""
    assert key({"messages": TURN}, "anthropic") == key({"messages": TURN}, "vertex")
    assert len({key({"messages": TURN}, dialect) for dialect in ("anthropic", "bedrock", "openai")}) == 3


TOOLS: dict[str, tuple[str, Json]] = {
    "offered": ("anthropic", {"tools": [{"name": "t"}]}),
    "used": ("anthropic", {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t"}]}]}),
    "answered": ("anthropic", {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1"}]}]}),
    "run by Anthropic": ("bedrock", {"messages": [{"role": "assistant", "content": [{"type": "web_search_tool_result"}]}]}),
    "of a server": ("anthropic", {"mcp_servers": [{"url": "https://mcp.example.com"}]}),
    "OpenAI's old form": ("openai", {"functions": [{"name": "t"}]}),
    "OpenAI's calls": ("openai", {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]}),
    "OpenAI's results": ("openai", {"messages": [{"role": "tool", "content": "5"}]}),
    "OpenAI's search": ("openai", {"web_search_options": {"user_location": None}}),
    "an item of a call": ("openai-responses", {"input": [{"type": "function_call", "call_id": "1"}]}),
    "an item of a search": ("openai-responses", {"input": [{"type": "web_search_call"}]}),
    "Gemini's": ("gemini", {"tools": [{"googleSearch": {}}]}),
    "Gemini's calls": ("gemini", {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "t"}}]}]}),
    "Gemini's results": ("gemini", {"contents": {"parts": [{"function_response": {"name": "t"}}]}}),
}


@pytest.mark.parametrize("case", TOOLS)
def test_tools_are_kept_only_where_the_rule_says_so(case: str) -> None:
    """Offered or used before, in whichever format."""
    dialect, members = TOOLS[case]
    body = {**BODIES[dialect], **members}
    assert key(body, dialect) is None
    assert key(body, dialect, rule=replace(SIMPLE, tools=True)) is not None


STATE: dict[str, tuple[str, Json]] = {
    "a container": ("anthropic", {"container": "container_1"}),
    "an answer before": ("openai-responses", {"previous_response_id": "resp_1"}),
    "a conversation": ("openai-responses", {"conversation": {"id": "conv_1"}}),
    "a stored prompt": ("openai-responses", {"prompt": {"id": "pmpt_1"}}),
    "an item elsewhere": ("openai-responses", {"input": [{"type": "item_reference", "id": "msg_1"}]}),
    "in the background": ("openai-responses", {"background": True}),
    "to be stored": ("openai", {"store": True}),
    "cached content": ("gemini", {"cachedContent": "cachedContents/1"}),
}


@pytest.mark.parametrize("case", STATE)
def test_what_hangs_on_a_providers_memory_is_never_kept(case: str) -> None:
    """Not even where tools are: the same words mean something else tomorrow."""
    dialect, members = STATE[case]
    assert key({**BODIES[dialect], **members}, dialect, rule=replace(SIMPLE, tools=True)) is None


def test_asking_for_no_storing_is_no_state() -> None:
    """Codex says `store: false` with every request."""
    assert key({**BODIES["openai"], "store": False}, "openai") == key(BODIES["openai"], "openai") is not None


def test_nothing_is_read_where_nothing_is_kept() -> None:
    """No rule, an `off` of the caller's, a count of tokens, a body beyond all measure."""
    assert read_asked(call_of(BODIES["anthropic"]), plan_with(None)) is None
    assert key(BODIES["anthropic"], cache_asked="off") is None
    call = call_of(BODIES["anthropic"])
    assert read(replace(call, request=replace(call.request, operation="count_tokens"))) is None
    assert key({"messages": [{"role": "user", "content": "x" * 9_000_000}]}) is None


SEVERAL: dict[str, tuple[str, Json]] = {
    "choices": ("openai", {"n": 2}),
    "probabilities": ("openai", {"logprobs": True}),
    "candidates": ("gemini", {"generationConfig": {"candidateCount": 2}}),
    "sound": ("gemini", {"generation_config": {"response_modalities": ["AUDIO"]}}),
    "more of it": ("openai-responses", {"include": ["reasoning.encrypted_content"]}),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_what_only_its_own_form_can_tell_is_kept_by_form(case: str) -> None:
    """A stream of two choices cannot be told as a plain answer here: each form has a key of its own."""
    dialect, members = SEVERAL[case]

    def by_form(body: Json) -> set[str]:
        call = call_of(body, dialect=dialect)
        forms = [replace(call, request=replace(call.request, stream=stream)) for stream in (False, True)]
        return {asked.key() for each in forms if (asked := read(each))}

    assert (len(by_form({**BODIES[dialect], **members})), len(by_form(BODIES[dialect]))) == (2, 1)


def test_only_answers_to_what_was_asked_are_kept() -> None:
    """The first target's model with the first leg's parameters, at whichever provider."""
    elsewhere, other = replace(TARGET, location="us-east5"), replace(TARGET, model="claude-haiku-4-5")
    cooler = replace(TARGET, location="europe-west1")
    legs = (Leg(TARGET), Leg(elsewhere), Leg(other), Leg(cooler, params={"temperature": b"0"}))
    plan = Plan(tuple(leg.target for leg in legs), legs, cache=SIMPLE)
    assert [answers_for(leg.target, plan) for leg in legs] == [True, True, False, False]
    assert answers_for(TARGET, Plan((TARGET,), cache=SIMPLE))
    told_more = replace(TARGET, location="asia-southeast1", forward_headers=("x-tenant",))
    assert not answers_for(told_more, Plan((TARGET, told_more), (Leg(TARGET), Leg(told_more)), cache=SIMPLE))
