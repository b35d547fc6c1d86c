"""An OpenAI Responses request as a canonical chat: everything that the request itself holds.

What OpenAI would keep between calls (earlier responses, conversations, stored prompts and files) is not here and is
refused. Source: OpenAI responses reference as in openai-python 3.52.0, captures of Codex CLI 0.169.0, 2026-11-20.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.canonical.errors import InvalidRequest
from gateway.canonical.translation import Chat, Json
from gateway.dialects.crossing import (
    Turns,
    copy_known,
    objects_of,
    parse_arguments,
    parse_items,
    parse_object,
    parse_text,
    text_block,
    text_of,
)
from gateway.dialects.openai.media import parse_file, parse_image
from gateway.dialects.openai.options import (
    JSON_ONLY,
    narrow_tools,
    note,
    parse_choice,
    parse_custom,
    parse_effort,
    parse_function,
    parse_json_schema,
    parse_tier,
    parse_user,
    put_choice,
)

EXTRAS = "openai-responses"
SHARED = "openai"  # what the chat format says too, under the same names
SHARED_NAMES = ("metadata", "moderation", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "top_logprobs")
READ = frozenset({
    *SHARED_NAMES, "background", "include", "input", "instructions", "max_output_tokens", "model", "parallel_tool_calls",
    "reasoning", "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature", "text",
    "tool_choice", "tools", "top_p", "user",
})  # fmt: skip
STORED = {
    "previous_response_id": "send the earlier items in input",
    "conversation": "send the earlier items in input",
    "prompt": "send its text in instructions",
}
THINKING = "tollgate-thinking:"  # thinking of other vendors in `encrypted_content`, by its signature
REDACTED = "tollgate-redacted:"
OPENAI = "openai:"  # OpenAI's own `encrypted_content`, as the signature of a thinking block: with the item's id


def parse_chat(body: Json) -> Chat:
    """InvalidRequest for what would have to be remembered from another call."""
    _check_stateless(body)
    extras = {name: value for name, value in body.items() if name not in READ and value not in (None, "disabled")}
    shared: Json = {}
    copy_known(body, shared, SHARED_NAMES)
    chat = Chat({})
    _parse_input(body, chat)
    _parse_limits(body, chat)
    _parse_tools(body, chat)
    _parse_reasoning(body.get("reasoning"), chat)
    _parse_text(body.get("text"), chat, shared)
    parse_user(body, chat.body)
    parse_tier(body.get("service_tier"), chat.body, shared)
    chat.extras = {wire: members for wire, members in ((EXTRAS, extras), (SHARED, shared)) if members}
    return chat


def _check_stateless(body: Json) -> None:
    for name, instead in STORED.items():
        if body.get(name) is not None:
            raise InvalidRequest(f"{name}: nothing is kept between calls here; {instead}")
    if body.get("background"):
        raise InvalidRequest("background: answers are not kept for later here; leave it out and wait, or stream")


def _parse_input(body: Json, chat: Chat) -> None:
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) and given else given
    if not isinstance(items, list) or not items:
        raise InvalidRequest('input: a text or a list of items is required; such as "input": "Hello"')
    reader = _ItemReader(chat)
    instructions = body.get("instructions")
    if instructions:
        reader.system.append(text_block(parse_text(instructions, "instructions", "what the model must keep to")))
    for place, item in enumerate(items):
        reader.read(parse_object(item, f"input.{place}", "an item has a type"), f"input.{place}")
    if not reader.turns.messages:
        if not reader.system:
            raise InvalidRequest("input: none of its items says anything; send a message with text")
        reader.turns.messages, reader.system = [{"role": "user", "content": reader.system}], []
    chat.body["messages"] = reader.turns.messages
    if reader.system:
        chat.body["system"] = reader.system


@dataclass(slots=True)
class _ItemReader:
    """Items, each a message, a call, a result or a thought, put together to turns."""

    chat: Chat
    turns: Turns = field(default_factory=Turns)
    system: list[Json] = field(default_factory=list)

    def read(self, item: Json, at: str) -> None:
        kind = item.get("type") or ("message" if "role" in item else "item_reference")
        if kind == "item_reference":
            raise InvalidRequest(f"{at}: refers to an item kept elsewhere; nothing is kept between calls here: send the item")
        reader = _ITEMS.get(str(kind))
        if reader is None:
            self.chat.dropped.append(f"{at} ({kind})")
        else:
            reader(self, item, at)

    def _message(self, item: Json, at: str) -> None:
        role = item.get("role")
        blocks = parse_parts(item.get("content"), f"{at}.content")
        for part in objects_of(item.get("content")):
            if part.get("type") == "input_image" and part.get("detail") not in (None, "auto"):
                note(self.chat.dropped, "input_image.detail")
        if role in ("system", "developer"):
            (self.turns.add("system", blocks) if self.turns.messages else self.system.extend(blocks))
        elif role in ("user", "assistant"):
            self.turns.add(role, blocks)
        else:
            raise InvalidRequest(f"{at}.role: must be user, assistant, system or developer")

    def _function_call(self, item: Json, at: str) -> None:
        self._call(item, at, parse_arguments(item.get("arguments")))

    def _custom_call(self, item: Json, at: str) -> None:
        self._call(item, at, {"input": text_of(item.get("input"))})

    def _call(self, item: Json, at: str, arguments: Json) -> None:
        name = parse_text(item.get("name"), f"{at}.name", "the tool's name")
        if item.get("namespace"):
            name = flat_name(str(item["namespace"]), name)
        call_id = parse_text(item.get("call_id"), f"{at}.call_id", "the id that its output will name")
        self.turns.add("assistant", [{"type": "tool_use", "id": call_id, "name": name, "input": arguments}])

    def _output(self, item: Json, at: str) -> None:
        call_id = parse_text(item.get("call_id"), f"{at}.call_id", "the id of the call that this answers")
        content = parse_parts(item.get("output"), f"{at}.output")
        self.turns.add_result({"type": "tool_result", "tool_use_id": call_id, **({"content": content} if content else {})})

    def _reasoning(self, item: Json, at: str) -> None:
        self.turns.add("assistant", parse_reasoning(item))

    def _more_tools(self, item: Json, at: str) -> None:
        self.chat.body.setdefault("tools", []).extend(parse_tools(item.get("tools"), f"{at}.tools", self.chat.dropped))


_ITEMS: Mapping[str, Callable[[_ItemReader, Json, str], None]] = {
    "message": _ItemReader._message,
    "function_call": _ItemReader._function_call,
    "custom_tool_call": _ItemReader._custom_call,
    "function_call_output": _ItemReader._output,
    "custom_tool_call_output": _ItemReader._output,
    "reasoning": _ItemReader._reasoning,
    "additional_tools": _ItemReader._more_tools,
}


def parse_parts(content: Any, at: str) -> list[Json]:
    """A message's content, or a call's output: a text or a list of parts."""
    if content is None or isinstance(content, str):
        return [text_block(content)] if content else []
    if not isinstance(content, list):
        raise InvalidRequest(f"{at}: must be a string or a list of parts")
    parts = (_parse_part(parse_object(part, f"{at}.{n}", "a part has a type"), f"{at}.{n}") for n, part in enumerate(content))
    return [block for block in parts if block]


def _parse_part(part: Json, at: str) -> Json | None:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text", "refusal", "summary_text"):
        text = parse_text(part.get("refusal" if kind == "refusal" else "text"), f"{at}.text", "what the part says")
        return text_block(text) if text else None
    if kind == "input_image":
        if not part.get("image_url"):
            raise InvalidRequest(f"{at}: stored files are not known here; send image_url, a data URL or an https URL")
        return parse_image(part["image_url"], f"{at}.image_url")
    if kind == "input_file":
        return parse_file(part, at)
    raise InvalidRequest(f"{at}.type: must be input_text, input_image or input_file")


def parse_reasoning(item: Json) -> list[Json]:
    """Thinking as it was given out, and OpenAI's own, which only OpenAI reads, under its mark."""
    text = "".join(text_of(part.get("text")) for part in objects_of(item.get("summary")))
    sealed = item.get("encrypted_content")
    if not isinstance(sealed, str) or not sealed:
        return [{"type": "thinking", "thinking": text, "signature": ""}] if text else []
    if sealed.startswith(REDACTED):
        return [{"type": "redacted_thinking", "data": sealed.removeprefix(REDACTED)}]
    if sealed.startswith(THINKING):
        return [{"type": "thinking", "thinking": text, "signature": sealed.removeprefix(THINKING)}]
    return [{"type": "thinking", "thinking": text, "signature": f"{OPENAI}{item.get('id') or ''}:{sealed}"}]


def flat_name(namespace: str, name: str) -> str:
    """A function in a namespace under one name. Two underscores join it as they do MCP servers and their tools."""
    return f"{namespace}__{name}"


def parse_tools(tools: Any, at: str, dropped: list[str]) -> list[Json]:
    """Functions and custom tools, also those in namespaces. Tools that OpenAI runs itself are named as dropped."""
    parsed: list[Json] = []
    for place, tool in enumerate(parse_items(tools, at)):
        where = f"{at}.{place}"
        kind = tool.get("type")
        if kind == "function":
            parsed.append(parse_function(tool, where))
        elif kind == "custom":
            parsed.append(parse_custom(tool, where, dropped))
        elif kind == "namespace":
            for inner in parse_tools(tool.get("tools"), f"{where}.tools", dropped):
                parsed.append({**inner, "name": flat_name(str(tool.get("name")), inner["name"])})
        else:
            dropped.append(f"{where} ({kind})")
    return parsed


def _parse_limits(body: Json, chat: Chat) -> None:
    limit = body.get("max_output_tokens")
    if limit is not None:
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise InvalidRequest("max_output_tokens: must be a whole number of tokens above 0")
        chat.body["max_tokens"] = limit
    for name in ("temperature", "top_p"):
        if body.get(name) is not None:
            if not isinstance(body[name], int | float) or isinstance(body[name], bool):
                raise InvalidRequest(f"{name}: must be a number")
            chat.body[name] = body[name]
    if body.get("store") is True:
        chat.dropped.append("store")


def _parse_tools(body: Json, chat: Chat) -> None:
    tools = [*parse_tools(body.get("tools"), "tools", chat.dropped), *chat.body.pop("tools", ())]
    if tools:
        chat.body["tools"] = tools
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        choice = narrow_tools(choice, chat.body)
    elif isinstance(choice, dict) and choice.get("type") not in ("function", "custom"):
        chat.dropped.append(f"tool_choice ({choice.get('type')})")
        choice = None
    put_choice(chat.body, parse_choice(choice, "tool_choice"), body.get("parallel_tool_calls"))


def _parse_reasoning(reasoning: Any, chat: Chat) -> None:
    if reasoning is None:
        return
    reasoning = parse_object(reasoning, "reasoning", 'such as {"effort": "medium"}')
    shown = bool(reasoning.get("summary") or reasoning.get("generate_summary"))
    parse_effort(reasoning.get("effort"), chat.body, "reasoning.effort", summarized=shown)
    if shown and "thinking" not in chat.body:
        chat.body["thinking"] = {"type": "adaptive", "display": "summarized"}


def _parse_text(text: Any, chat: Chat, shared: Json) -> None:
    if text is None:
        return
    text = parse_object(text, "text", 'such as {"format": {"type": "text"}}')
    if text.get("verbosity") is not None:
        shared["verbosity"] = text["verbosity"]
    wanted = parse_object(text.get("format") or {"type": "text"}, "text.format", 'such as {"type": "text"}')
    if wanted.get("type") == "json_schema":
        parse_json_schema(wanted, chat, "text.format")
    elif wanted.get("type") == "json_object":
        chat.body["system"] = [*chat.body.get("system", ()), text_block(JSON_ONLY)]
    elif wanted.get("type") != "text":
        raise InvalidRequest("text.format.type: must be text, json_object or json_schema")
