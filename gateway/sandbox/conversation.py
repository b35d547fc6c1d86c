"""The `messages` and `system` of a request: whose turn it is, and tool uses that must meet their results (2026-11-20)."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.sandbox import betas as b
from gateway.sandbox import blocks
from gateway.sandbox.blocks import SERVER_RESULTS, WITHOUT_MARKER, SignatureCheck, blocks_of
from gateway.sandbox.errors import extra, invalid
from gateway.sandbox.models import Model
from gateway.sandbox.rules import DOCS, check_effort

Place = tuple[str, dict[str, Any]]  # path, block


def check(body: Mapping[str, Any], model: Model, betas: frozenset[str], signature_ok: SignatureCheck) -> None:
    """400 for the first thing in the conversation that the real one would refuse."""
    messages = body.get("messages")
    if messages is None:
        raise invalid("messages: Field required")
    if not messages:
        raise invalid("messages: at least one message is required")
    _check_system(body.get("system"))
    for i, message in enumerate(messages):
        _check_message(i, message, model, betas)
        _check_role(i, messages, model)
        last = i == len(messages) - 1
        for path, block in _places(i, message):
            blocks.check(path, block, message["role"], betas, body, signature_ok)
        if not message["content"] and not (last and message["role"] == "assistant"):
            raise invalid(
                f"messages.{i}: all messages must have non-empty content except for the optional final assistant message"
            )
    _check_end(messages, model)
    _check_pairs(messages)
    _check_thinking_in_tool_turn(body)


def _places(i: int, message: Mapping[str, Any]) -> Iterator[Place]:
    for j, block in enumerate(blocks_of(message["content"])):
        yield f"messages.{i}.content.{j}", block


def _check_system(system: Any) -> None:
    for i, block in enumerate(blocks_of(system)):
        if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise invalid(f"system.{i}: Input should be a text block")
        blocks.check_marker(f"system.{i}", block)
        if not block["text"]:
            raise invalid("system: text content blocks must be non-empty")
        for name in block.keys() - {"type", "text", "cache_control", "citations"}:
            raise extra(f"system.{i}.{name}")


def _check_message(i: int, message: Any, model: Model, betas: frozenset[str]) -> None:
    if not isinstance(message, dict):
        raise invalid(f"messages.{i}: Input should be a valid dictionary")
    for name in ("role", "content"):
        if name not in message:
            raise invalid(f"messages.{i}.{name}: Field required")
    if not isinstance(message["content"], str | list):
        raise invalid(f"messages.{i}.content: Input should be a valid string or list")
    for name in message.keys() - {"role", "content"}:
        if name != "output_config" or not betas & b.PER_TURN_CONTROL:
            raise extra(f"messages.{i}.{name}")
        check_effort((message[name] or {}).get("effort"), model, f"messages.{i}.output_config.effort")


def _check_role(i: int, messages: list[dict[str, Any]], model: Model) -> None:
    role = messages[i]["role"]
    if role not in ("user", "assistant", "system"):
        raise invalid(f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"')
    if i == 0 and role == "assistant":
        raise invalid('messages: first message must use the "user" role')
    if role != "system":
        return
    if not model.system_in_messages:
        raise invalid("role 'system' is not supported on this model")
    before = [message["role"] for message in messages[:i] if message["role"] != "system"]
    if not before or before[-1] != "user":
        raise invalid(f"messages.{i}: a message with role 'system' must follow a message with role 'user'")


def _check_end(messages: list[dict[str, Any]], model: Model) -> None:
    last = messages[-1]
    if last["role"] != "assistant":
        return
    said = blocks_of(last["content"])
    if said and said[-1]["type"] in SERVER_RESULTS:  # the way to go on after `pause_turn`
        return
    if not model.prefill:
        raise invalid("This model does not support assistant message prefill. The conversation must end with a user message.")
    if said and said[-1].get("text", "").rstrip() != said[-1].get("text", ""):
        raise invalid("messages: final assistant content cannot end with trailing whitespace")


def _turns(messages: list[dict[str, Any]]) -> list[tuple[str, list[Place]]]:
    """Consecutive messages of one role are one turn; those of role `system` do not count."""
    turns: list[tuple[str, list[Place]]] = []
    for i, message in enumerate(messages):
        if message["role"] == "system":
            continue
        if not turns or turns[-1][0] != message["role"]:
            turns.append((message["role"], []))
        turns[-1][1].extend(_places(i, message))
    return turns


def _check_pairs(messages: list[dict[str, Any]]) -> None:
    open_uses: dict[str, str] = {}  # id → path of its message
    for role, places in _turns(messages):
        if role == "user":
            results = [(path, block["tool_use_id"]) for path, block in places if block["type"] == "tool_result"]
            for path, name in results:
                if name not in open_uses:
                    raise invalid(
                        f"{path}: unexpected `tool_use_id` found in `tool_result` blocks: {name}. "
                        "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                    )
            _check_open(open_uses, {name for _, name in results})
            open_uses = {}
        else:
            uses = [(path, block["id"]) for path, block in places if block["type"] == "tool_use"]
            if len({name for _, name in uses}) < len(uses):
                raise invalid("messages: `tool_use` ids must be unique")
            open_uses = {name: path.split(".content")[0] for path, name in uses}
    _check_open(open_uses, set())


def _check_open(uses: Mapping[str, str], answered: set[str]) -> None:
    missing = [name for name in uses if name not in answered]
    if missing:
        raise invalid(
            f"{uses[missing[0]]}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
        )


def _check_thinking_in_tool_turn(body: Mapping[str, Any]) -> None:
    """With budgeted thinking a tool turn in progress must begin with its thinking."""
    turns = _turns(body["messages"])
    if (body.get("thinking") or {}).get("type") != "enabled" or len(turns) < 2:
        return
    (_, asked), (role, results) = turns[-2], turns[-1]
    if role != "user" or not asked or not any(block["type"] == "tool_result" for _, block in results):
        return
    path, first = asked[0]
    if first["type"] not in WITHOUT_MARKER:
        raise invalid(
            f"{path}.type: Expected `thinking` or `redacted_thinking`, but found `{first['type']}`. When `thinking` is enabled, "
            "a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and "
            f"`tool_result` blocks). To avoid this requirement, disable `thinking`. {DOCS}"
        )
