"""A Chat Completions request as a canonical chat.

Source: OpenAI chat reference as in openai-python 3.52.0, and Anthropic Messages reference, 2026-11-20.
"""

from typing import Any

from gateway.canonical.errors import InvalidRequest
from gateway.canonical.translation import Chat, Json
from gateway.dialects.crossing import (
    Turns,
    object_of,
    objects_of,
    parse_arguments,
    parse_items,
    parse_list,
    parse_object,
    parse_text,
    text_block,
    text_of,
)
from gateway.dialects.openai.answer import thinking_of
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

EXTRAS = "openai"
READ = frozenset({
    "max_completion_tokens", "max_tokens", "messages", "model", "n", "parallel_tool_calls", "reasoning_effort",
    "response_format", "safety_identifier", "service_tier", "stop", "stream", "stream_options", "temperature", "thinking",
    "tool_choice", "tools", "top_k", "top_p", "user",
})  # fmt: skip
NEUTRAL = {"store": False, "logprobs": False, "logit_bias": {}, "metadata": {}, "presence_penalty": 0,
           "frequency_penalty": 0, "modalities": ["text"]}  # fmt: skip
"""Members that ask for nothing with these values: nothing is lost without them."""
_UNSET = object()
DEPRECATED = {"functions": "tools", "function_call": "tool_choice"}


def parse_chat(body: Json) -> Chat:
    """InvalidRequest for what would change the meaning if it were left out: several answers, audio, stored files."""
    _check_refused(body)
    extras = {name: value for name, value in body.items() if name not in READ and value is not None}
    chat = Chat({}, {EXTRAS: {name: value for name, value in extras.items() if NEUTRAL.get(name, _UNSET) != value}})
    _parse_messages(body, chat)
    _parse_limits(body, chat.body)
    _parse_tools(body, chat)
    _parse_reasoning(body, chat)
    _parse_format(body.get("response_format"), chat)
    parse_user(body, chat.body)
    parse_tier(body.get("service_tier"), chat.body, chat.extras[EXTRAS])
    if not chat.extras[EXTRAS]:
        del chat.extras[EXTRAS]
    return chat


def _check_refused(body: Json) -> None:
    if body.get("n") not in (None, 1):
        raise InvalidRequest("n: this model gives one answer a call; leave n out, or ask several times")
    for name, instead in DEPRECATED.items():
        if body.get(name) is not None:
            raise InvalidRequest(f"{name}: the old form is not taken; send {instead}")
    modalities = body.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise InvalidRequest('modalities: this model answers in text; send ["text"] or leave it out')


def _parse_messages(body: Json, chat: Chat) -> None:
    turns = Turns()
    system: list[Json] = []
    mend = 'add "messages": [{"role": "user", "content": "…"}]'
    for place, message in enumerate(parse_list(body.get("messages"), "messages", mend)):
        at = f"messages.{place}"
        role = parse_object(message, at, "a message has a role and a content").get("role")
        if role in ("system", "developer"):
            blocks = _parse_content(message.get("content"), at, texts_only=True)
            (turns.add("system", blocks) if turns.messages else system.extend(blocks))
        elif role == "user":
            turns.add("user", _parse_content(message.get("content"), at))
        elif role == "assistant":
            turns.add("assistant", _parse_assistant(message, at, chat))
        elif role == "tool":
            turns.add_result(_parse_result(message, at))
        else:
            raise InvalidRequest(f"{at}.role: must be system, developer, user, assistant or tool")
    if not turns.messages and not system:
        raise InvalidRequest("messages: none of them says anything; send a user message with text")
    if not turns.messages:
        turns.messages, system = [{"role": "user", "content": system}], []
    _note_unsaid(body["messages"], chat.dropped)
    chat.body["messages"] = turns.messages
    if system:
        chat.body["system"] = system


def _note_unsaid(messages: list[Json], dropped: list[str]) -> None:
    """What may stand beside a message's words and has no place in the canonical form."""
    for message in messages:
        if message.get("name") and message["role"] != "tool":
            note(dropped, "messages.name")
        for part in objects_of(message.get("content")):
            if object_of(part.get("image_url")).get("detail") not in (None, "auto"):
                note(dropped, "image_url.detail")


def _parse_content(content: Any, at: str, *, texts_only: bool = False) -> list[Json]:
    """A string or parts as blocks; empty texts, which Anthropic refuses, are none."""
    if content is None or isinstance(content, str):
        return [text_block(content)] if content else []
    blocks = []
    for place, part in enumerate(parse_list(content, f"{at}.content", "or a string")):
        where = f"{at}.content.{place}"
        block = _parse_part(parse_object(part, where, "a content part has a type"), where)
        if texts_only and block and block["type"] != "text":
            raise InvalidRequest(f"{where}: only text is taken here")
        if block is None:
            continue
        blocks.append({**block, "cache_control": part["cache_control"]} if isinstance(part.get("cache_control"), dict) else block)
    return blocks


def _parse_part(part: Json, at: str) -> Json | None:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        text = parse_text(part.get(kind), f"{at}.{kind}", "what the part says")
        return text_block(text) if text else None
    if kind == "image_url":
        image = part.get("image_url")
        return parse_image(image.get("url") if isinstance(image, dict) else image, f"{at}.image_url")
    if kind == "file":
        return parse_file(parse_object(part.get("file"), f"{at}.file", "with file_data"), f"{at}.file")
    if kind == "input_audio":
        raise InvalidRequest(f"{at}: audio cannot be sent to this model; send its text")
    raise InvalidRequest(f"{at}.type: must be text, image_url or file")


def _parse_assistant(message: Json, at: str, chat: Chat) -> list[Json]:
    """Thinking first, then words, then calls: the order in which Anthropic wants them back."""
    blocks = thinking_of(message)
    blocks += _parse_content(message.get("content"), at, texts_only=True)
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        blocks.append(text_block(message["refusal"]))
    if message.get("audio"):
        chat.dropped.append(f"{at}.audio")
    if message.get("function_call"):
        raise InvalidRequest(f"{at}.function_call: the old form is not taken; send tool_calls")
    for place, call in enumerate(parse_items(message.get("tool_calls"), f"{at}.tool_calls")):
        blocks.append(parse_call(call, f"{at}.tool_calls.{place}"))
    return blocks


def parse_call(call: Json, at: str) -> Json:
    call_id = parse_text(call.get("id"), f"{at}.id", "the id that the tool message will name")
    if call.get("type") == "custom":
        custom = parse_object(call.get("custom"), f"{at}.custom", "with name and input")
        name, arguments = custom.get("name"), {"input": text_of(custom.get("input"))}
    else:
        function = parse_object(call.get("function"), f"{at}.function", "with name and arguments")
        name, arguments = function.get("name"), parse_arguments(function.get("arguments"))
    return {"type": "tool_use", "id": call_id, "name": parse_text(name, f"{at}.name", "the tool's name"), "input": arguments}


def _parse_result(message: Json, at: str) -> Json:
    call_id = parse_text(message.get("tool_call_id"), f"{at}.tool_call_id", "the id of the tool call that this answers")
    content = _parse_content(message.get("content"), at)
    return {"type": "tool_result", "tool_use_id": call_id, **({"content": content} if content else {})}


def _parse_limits(body: Json, chat: Json) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        if body.get(name) is not None:
            if not isinstance(body[name], int) or isinstance(body[name], bool) or body[name] < 1:
                raise InvalidRequest(f"{name}: must be a whole number of tokens above 0")
            chat["max_tokens"] = body[name]
    for name in ("temperature", "top_p", "top_k"):
        if body.get(name) is not None:
            if not isinstance(body[name], int | float) or isinstance(body[name], bool):
                raise InvalidRequest(f"{name}: must be a number")
            chat[name] = body[name]
    stop = body.get("stop")
    sequences = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(sequences, list) or not all(isinstance(each, str) for each in sequences):
        raise InvalidRequest("stop: must be a string or a list of strings")
    if sequences:
        chat["stop_sequences"] = sequences


def _parse_tools(body: Json, chat: Chat) -> None:
    tools = []
    for place, tool in enumerate(parse_items(body.get("tools"), "tools")):
        at = f"tools.{place}"
        kind = tool.get("type")
        if kind not in ("function", "custom"):
            raise InvalidRequest(f'{at}.type: must be "function" or "custom"')
        inner = parse_object(tool.get(kind), f"{at}.{kind}", "the tool's definition")
        if isinstance(tool.get("cache_control"), dict):
            inner = {**inner, "cache_control": tool["cache_control"]}
        tools.append(parse_function(inner, f"{at}.function") if kind == "function"
                     else parse_custom(inner, f"{at}.custom", chat.dropped))  # fmt: skip
    if tools:
        chat.body["tools"] = tools
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        choice = _narrow_tools(choice.get("allowed_tools"), chat.body)
    put_choice(chat.body, parse_choice(choice, "tool_choice"), body.get("parallel_tool_calls"))


def _narrow_tools(allowed: Any, chat: Json) -> Any:
    return narrow_tools(parse_object(allowed, "tool_choice.allowed_tools", "with mode and tools"), chat)


def _parse_reasoning(body: Json, chat: Chat) -> None:
    parse_effort(body.get("reasoning_effort"), chat.body, "reasoning_effort")
    if body.get("reasoning_effort") == "minimal":
        chat.extras[EXTRAS]["reasoning_effort"] = "minimal"
    if isinstance(body.get("thinking"), dict):
        chat.body["thinking"] = body["thinking"]  # as clients of other gateways write it


def _parse_format(wanted: Any, chat: Chat) -> None:
    if wanted is None:
        return
    wanted = parse_object(wanted, "response_format", 'such as {"type": "json_schema", …}')
    kind = wanted.get("type")
    if kind == "json_schema":
        inner = parse_object(wanted.get("json_schema"), "response_format.json_schema", "with name and schema")
        parse_json_schema(inner, chat, "response_format.json_schema")
    elif kind == "json_object":
        chat.body["system"] = [*chat.body.get("system", ()), text_block(JSON_ONLY)]
    elif kind != "text":
        raise InvalidRequest("response_format.type: must be text, json_object or json_schema")
