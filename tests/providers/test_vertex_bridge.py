"""What of a Claude request Vertex AI takes, and what its refusals teach: by the sentence, nothing more."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.canonical.json_object import JsonObject
from gateway.providers.provider import Lesson
from gateway.providers.vertex_bridge import DROPPABLE_FIELDS, bridge, drop_fields, parse_lesson, split_betas


def refused(*betas: str) -> str:
    named = ", ".join(f"`{beta}`" for beta in betas)
    return f"Unexpected value(s) {named} for the `anthropic-beta` header. Please consult our documentation at docs.anthropic.com"


def extra(*fields: str) -> str:
    return "; ".join(f"{field}: Extra inputs are not permitted" for field in fields)


BETAS = (
    "claude-code-20250219",
    "effort-2025-11-24",
    "context-management-2025-06-27",
    "per-turn-control-2026-07-01",
    "web-search-2025-03-05",
)
BODY = {
    "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b", "output_config": {"effort": "low"}}],
    "output_config": {"effort": "high"},
    "context_management": {"edits": []},
    "tags": [],
    "metadata": {"user_id": "u"},
    "tools": [{"name": "t", "defer_loading": True}],
    "system": "s",
    "thinking": {"type": "adaptive"},
}
SENT = json.dumps(BODY).encode()


@pytest.mark.parametrize(
    ("message", "betas", "fields"),
    [
        (refused("web-search-2025-03-05"), {"web-search-2025-03-05"}, set()),
        (refused("claude-code-20250219", "web-search-2025-03-05"), {"claude-code-20250219", "web-search-2025-03-05"}, set()),
        (refused("effort-2025-11-24"), {"effort-2025-11-24"}, {"output_config.effort"}),
        (refused("context-management-2025-06-27"), {"context-management-2025-06-27"}, {"context_management"}),
        (refused("per-turn-control-2026-07-01"), {"per-turn-control-2026-07-01"}, {"messages.output_config"}),
        (refused("web-search-2025-03-05", "never-sent-2020-01-01"), {"web-search-2025-03-05"}, set()),
        (extra("tags"), set(), {"tags"}),
        (extra("context_management"), {"context-management-2025-06-27"}, {"context_management"}),
        (extra("messages.1.output_config"), {"per-turn-control-2026-07-01"}, {"messages.output_config"}),
        (extra("output_config.effort"), {"effort-2025-11-24"}, {"output_config.effort"}),
        (extra("output_config"), set(), {"output_config"}),
        (extra("tags", "metadata"), set(), {"tags", "metadata"}),
    ],
)
def test_a_refusal_teaches_what_it_names_and_its_twin(message: str, betas: set[str], fields: set[str]) -> None:
    """A beta goes with its field, a field with its beta, and nothing else goes."""
    assert parse_lesson(message, BETAS, SENT) == Lesson(frozenset(betas), frozenset(fields))


@pytest.mark.parametrize(
    "message",
    [
        "",
        "messages: at least one message is required",
        "prompt is too long: 200001 tokens > 200000 maximum",
        refused("never-sent-2020-01-01"),
        extra("speed"),  # on the list, but not sent
        extra("tools"),
        extra("system"),
        extra("thinking"),
        extra("safeguards"),
        extra("messages"),
        extra("messages.0.content"),
        extra("tools.0.custom.defer_loading"),
        extra("tools.0.defer_loading"),
        extra("thinking.adaptive.display"),
        extra("system.0.cache_control"),
        extra("metadata.other"),
        extra("tags", "tools"),
        "tags: Input should be a valid list",
        "The word tags: Extra inputs",
    ],
)
def test_a_refusal_that_names_nothing_to_drop_teaches_nothing(message: str) -> None:
    """It is the caller's to see: what they asked is never changed behind their back."""
    assert parse_lesson(message, BETAS, SENT) is None


@dataclass(frozen=True)
class Result:
    betas: tuple[str, ...]
    document: JsonObject
    dropped: tuple[str, ...]


def bridged(betas: Iterable[str], document: JsonObject, **how: Any) -> Result:
    """With the edit made."""
    found = bridge(betas, document, **how)
    return Result(found.betas, JsonObject(document.edited(drop=found.edit.drop, put=found.edit.put)), found.dropped)


def test_the_closed_list_holds_nothing_that_is_asked() -> None:
    """Dropping one of these would answer another question."""
    forbidden = {"tools", "system", "thinking", "messages", "safeguards", "model", "max_tokens", "tool_choice", "stop_sequences"}
    assert not DROPPABLE_FIELDS & forbidden


def test_a_refused_beta_whose_field_is_a_safeguard_is_the_callers_to_see() -> None:
    """Safeguards are kept or the call fails; without them in the body the beta alone may go."""
    beta = "dangerous-tool-use-2026-09-03"
    assert parse_lesson(refused(beta), (beta,), b'{"safeguards":[{}]}') is None
    assert parse_lesson(refused(beta), (beta,), b"{}") == Lesson(frozenset({beta}))


@pytest.mark.parametrize("config", ['{"format":{"type":"json_schema"}}', '{"effort":"low","format":null}', "1e999"])
def test_structured_output_is_never_dropped(config: str) -> None:
    """An answer of another kind would break the caller's program."""
    body = f'{{"output_config":{config}}}'.encode()
    assert parse_lesson(extra("output_config"), (), body) is None
    assert drop_fields(JsonObject(body), ["output_config"])[1] == []


def test_effort_goes_and_the_format_stays() -> None:
    """Of one field only the refused member."""
    body = b'{"output_config":{"effort":"low","format":{"a":1.0}},"max_tokens":1}'
    lesson = parse_lesson(extra("output_config.effort"), (), body)
    assert lesson == Lesson(fields=frozenset({"output_config.effort"}))
    shorter, dropped = drop_fields(JsonObject(body), sorted(lesson.fields))
    assert (shorter.source, dropped) == (b'{"output_config":{"format":{"a":1.0}},"max_tokens":1}', ["output_config.effort"])


def test_an_object_left_empty_goes_whole() -> None:
    """`output_config: {}` would be refused in its turn."""
    shorter, dropped = drop_fields(JsonObject(b'{"a":1,"output_config":{ "effort":"low"}}'), ["output_config.effort"])
    assert (shorter.source, dropped) == (b'{"a":1}', ["output_config.effort"])


@pytest.mark.parametrize("messages", [b"[]", b"7", b'"x"', b"null", b"[1,[]]", b'{"output_config":1}', b'[{"\\ud83d\\ude00":1}]'])
def test_messages_of_any_kind_are_met_calmly(messages: bytes) -> None:
    """What is no list of objects is the provider's to refuse."""
    document = JsonObject(b'{"messages":' + messages + b"}")
    result = bridged((), document, by_table=True, counting=False, lesson=Lesson())
    assert json.loads(result.document.source)["messages"] is not False


def test_a_clients_betas_are_split_and_said_once() -> None:
    """Spaces, empties and repeats are no values."""
    assert split_betas(" a-1, b-2,,a-1 , ") == ("a-1", "b-2")
    assert split_betas("") == ()


@pytest.mark.parametrize("by_table", [True, False])
def test_a_lesson_is_kept_in_both_dialects(by_table: bool) -> None:
    """The table is for Messages clients, what was learned is for all; both are named."""
    lesson = Lesson(frozenset({"web-search-2025-03-05"}), frozenset({"metadata"}))
    found = bridged(
        ("web-search-2025-03-05", "claude-code-20250219"), JsonObject(SENT), by_table=by_table, counting=False, lesson=lesson
    )
    assert "claude-code-20250219" in found.betas and "web-search-2025-03-05" not in found.betas
    assert {"anthropic-beta:web-search-2025-03-05", "metadata"} <= set(found.dropped)
    assert "metadata" not in found.document
    for name in ("tools", "system", "thinking"):
        assert found.document.raw(name) == JsonObject(SENT).raw(name)


def test_a_vertex_client_loses_nothing_unlearned() -> None:
    """It knows its upstream."""
    found = bridged(BETAS, JsonObject(SENT), by_table=False, counting=False, lesson=Lesson())
    assert (found.betas, found.document.source, found.dropped) == (BETAS, SENT, ())


@pytest.mark.parametrize("by_table", [True, False])
def test_counting_takes_no_field_whose_beta_cannot_go_along(by_table: bool) -> None:
    """Both halves go together, in counting too."""
    found = bridged((*BETAS, "compact-2026-01-12"), JsonObject(SENT), by_table=by_table, counting=True, lesson=Lesson())
    assert found.betas == ("claude-code-20250219",)
    assert "context_management" not in found.document and b'"low"' not in found.document.raw("messages")


def test_a_body_too_deep_to_be_read_here_teaches_nothing() -> None:
    """The door reads a little deeper than the place where refusals are heard; that is no fault of the call's."""
    assert parse_lesson(extra("diagnostics"), BETAS, b'{"messages":' + b"[" * 2_000 + b"]" * 2_000 + b"}") is None
