"""Prompt caching is counted as the real one counts it: written once, read after, by prefix, with two lives."""

from pathlib import Path
from typing import Any

import pytest
from sandbox_client import Client

from gateway.sandbox import Sandbox

LONG = "All work and no play makes a dull prompt. " * 400


def system(ttl: str | None = None, text: str = LONG) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}}]


def usage(client: Client, **body: Any) -> dict[str, Any]:
    answered = client.ask(body)
    assert answered.status == 200, answered.body
    return dict(answered.json["usage"])


def prompt_tokens(used: dict[str, Any]) -> int:
    return int(used["input_tokens"] + used["cache_creation_input_tokens"] + used["cache_read_input_tokens"])


def test_a_marked_prefix_is_written_then_read(client: Client) -> None:
    """The second call reads what the first wrote; the sum stays the same."""
    first, second = usage(client, system=system()), usage(client, system=system())
    assert first["cache_creation_input_tokens"] == second["cache_read_input_tokens"] > 4000
    assert first["cache_read_input_tokens"] == second["cache_creation_input_tokens"] == 0
    assert prompt_tokens(first) == prompt_tokens(second)


@pytest.mark.parametrize(("ttl", "bucket"), [(None, "ephemeral_5m_input_tokens"), ("1h", "ephemeral_1h_input_tokens")])
def test_writes_are_told_apart_by_their_life(client: Client, ttl: str | None, bucket: str) -> None:
    """`cache_creation` breaks the writes down."""
    used = usage(client, system=system(ttl))
    assert used["cache_creation"][bucket] == used["cache_creation_input_tokens"] > 0


def test_a_conversation_reads_its_past_and_writes_its_present(client: Client) -> None:
    """A marker that moves on with the conversation finds the entry before it."""
    mark = {"cache_control": {"type": "ephemeral"}}
    one = {"role": "user", "content": [{"type": "text", "text": LONG, **mark}]}
    unmarked = {"role": "user", "content": [{"type": "text", "text": LONG}]}
    two = {"role": "user", "content": [{"type": "text", "text": "and " * 100, **mark}]}
    first = usage(client, messages=[one])
    second = usage(client, messages=[unmarked, {"role": "assistant", "content": "Hm."}, two])
    assert second["cache_read_input_tokens"] == first["cache_creation_input_tokens"]
    assert 100 < second["cache_creation_input_tokens"] < 200


def test_a_changed_prefix_and_a_short_one_are_not_read(client: Client) -> None:
    """One character is enough to miss; below the model's minimum nothing is cached at all."""
    usage(client, system=system())
    assert usage(client, system=system(text=LONG + "!"))["cache_read_input_tokens"] == 0
    assert usage(client, system=system(text="short"))["cache_creation_input_tokens"] == 0


def test_an_entry_dies_unless_it_is_read(key_path: Path) -> None:
    """Five minutes from its last use."""
    clock = [1_800_000_000.0]
    with Sandbox(key_path=key_path, environment={}, now=lambda: clock[0]) as sandbox:
        client = Client(sandbox)
        usage(client, system=system())
        for seconds, read in ((290, True), (290, True), (301, False)):
            clock[0] += seconds
            assert bool(usage(client, system=system())["cache_read_input_tokens"]) is read


@pytest.mark.parametrize(
    ("ttls", "message"),
    [(["5m"] * 5, "A maximum of 4 blocks with cache_control may be provided. Found 5."), (["5m", "1h"], "must not come after")],
)
def test_markers_are_bounded_and_ordered(client: Client, ttls: list[str], message: str) -> None:
    """At most four, longer lives first."""
    answered = client.ask(system=[block for ttl in ttls for block in system(ttl)])
    assert answered.status == 400
    assert message in answered.message
