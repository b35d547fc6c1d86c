"""Chat Completions as the simulated OpenAI reads them: checked, and told as the Messages body that its engine answers.

Written anew from the API reference of 2026-11-20; what the gateway believes of it plays no part.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.sandbox.errors import Refusal
from gateway.sandbox.openai_errors import refuse, unknown, unsupported
from gateway.sandbox.openai_models import EFFORTS, OpenAiModel

Json = dict[str, Any]
FIELDS = frozenset({
    "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
    "messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty",
    "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice",
    "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
})  # fmt: skip
ROLES = ("system", "developer", "user", "assistant", "tool")
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
DATA_URL = re.compile(r"data:([\w.+/-]+);base64,(.+)", re.DOTALL)
OUTPUT_TOKENS = 16_384
STAND_IN = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


def read(body: Json, model: OpenAiModel) -> Json:
    """The Messages body; Refusal in OpenAI's words."""
    for name in body:
        if name not in FIELDS:
            raise unknown(name)
    _check_scalars(body, model)
    tools = [_tool(i, tool) for i, tool in enumerate(body.get("tools") or [])]
    return {
        **_messages(body.get("messages")),
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens") or OUTPUT_TOKENS,
        **({"tools": tools} if tools else {}),
        **_tool_choice(body, [tool["name"] for tool in tools]),
        **({"stop_sequences": [stop] if isinstance(stop, str) else stop} if (stop := body.get("stop")) else {}),
        **_format(body.get("response_format")),
    }


def _check_scalars(body: Json, model: OpenAiModel) -> None:
    if model.reasons and "max_tokens" in body:
        told = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        raise refuse(400, told, param="max_tokens", code="unsupported_parameter")
    if model.reasons and body.get("reasoning_effort") != "none":
        for name in ("temperature", "top_p"):
            if body.get(name, 1) not in (1, None):
                raise unsupported(name, body[name])
    if body.get("reasoning_effort") is not None and (not model.reasons or body["reasoning_effort"] not in EFFORTS):
        raise refuse(400, "Unrecognized request argument supplied: reasoning_effort", param="reasoning_effort")
    if not 0 <= (body.get("temperature") or 0) <= 2:
        raise refuse(400, f"Invalid 'temperature': {body['temperature']} is not between 0 and 2.", param="temperature")
    if isinstance(body.get("stop"), list) and len(body["stop"]) > 4:
        raise refuse(400, "Invalid 'stop': array too long. Expected an array with maximum length 4.", param="stop")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise refuse(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options")
    if (body.get("n") or 1) != 1:
        raise refuse(400, "The sandbox answers once: 'n' must be 1.", param="n")


def _messages(messages: Any) -> Json:
    if not isinstance(messages, list) or not messages:
        raise refuse(400, "Invalid 'messages': empty array. Expected an array with minimum length 1.", param="messages")
    system: list[Json] = []
    turns: list[Json] = []
    open_calls: set[str] = set()
    for i, message in enumerate(messages):
        role = _role(message, i, open_calls)
        if role in ("system", "developer"):
            system += _parts(message, f"messages[{i}]")
        elif role == "tool":
            turns.append({"role": "user", "content": [_result(message, i, open_calls)]})
        elif role == "user":
            turns.append({"role": "user", "content": _parts(message, f"messages[{i}]")})
        else:
            turns.append({"role": "assistant", "content": _said(message, i)})
            open_calls = {block["id"] for block in turns[-1]["content"] if block["type"] == "tool_use"}
    if open_calls:
        raise _unanswered(open_calls, "messages")
    return {"messages": turns, **({"system": system} if system else {})}


def _role(message: Any, i: int, open_calls: set[str]) -> str:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ROLES:
        raise refuse(400, f"Invalid value: '{role}'. Supported values are: {', '.join(ROLES)}.", param=f"messages[{i}].role")
    if open_calls and role != "tool":
        raise _unanswered(open_calls, f"messages[{i}].role")
    return str(role)


def _unanswered(open_calls: set[str], param: str) -> Refusal:
    return refuse(
        400,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(sorted(open_calls))}",
        param=param,
    )


def _said(message: Mapping[str, Any], i: int) -> list[Json]:
    """An assistant's words and calls."""
    calls = [_call(i, k, call) for k, call in enumerate(message.get("tool_calls") or [])]
    said = _parts(message, f"messages[{i}]") if message.get("content") else []
    if not calls and not said and not message.get("refusal"):
        raise refuse(400, f"Invalid 'messages[{i}].content': expected a string.", param=f"messages[{i}].content")
    return [*said, *calls]


def _parts(message: Mapping[str, Any], where: str) -> list[Json]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise refuse(400, f"Invalid '{where}.content': expected a string or an array.", param=f"{where}.content")
    return [_part(part, f"{where}.content[{k}]", message["role"]) for k, part in enumerate(content)]


def _part(part: Any, where: str, role: str) -> Json:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return {"type": "text", "text": part["text"]}
    if kind == "refusal" and role == "assistant":
        return {"type": "text", "text": part["refusal"]}
    if kind == "image_url" and role == "user":
        return {"type": "image", "source": _source((part.get("image_url") or {}).get("url"), where, ("image/",))}
    if kind == "file" and role == "user":
        return {"type": "document", "source": _source((part.get("file") or {}).get("file_data"), where, ("application/pdf",))}
    raise refuse(400, f"Invalid value: '{kind}'. Supported values are: 'text', 'image_url' and 'file'.", param=f"{where}.type")


def _source(url: Any, where: str, kinds: tuple[str, ...]) -> Json:
    if isinstance(url, str) and url.startswith("https://"):
        return STAND_IN
    data = DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if data is None or not data[1].startswith(kinds):
        raise refuse(400, f"Invalid '{where}': expected a base64-encoded data URL or an https URL.", param=where)
    return {"type": "base64", "media_type": data[1], "data": data[2]}


def _call(i: int, k: int, call: Any) -> Json:
    where = f"messages[{i}].tool_calls[{k}]"
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not call.get("id") or call.get("type") != "function":
        raise refuse(400, f"Missing required parameter: '{where}.function'.", param=where)
    if not isinstance(function.get("arguments"), str):
        raise refuse(400, f"Invalid type for '{where}.function.arguments': expected a string.", param=where)
    try:
        given = json.loads(function["arguments"] or "{}")
    except ValueError:
        given = {"text": function["arguments"]}
    return {"type": "tool_use", "id": call["id"], "name": function.get("name"), "input": given}


def _result(message: Mapping[str, Any], i: int, open_calls: set[str]) -> Json:
    name = message.get("tool_call_id")
    if name not in open_calls:
        told = "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
        raise refuse(400, told, param=f"messages[{i}].role")
    open_calls.discard(name)
    content = _parts(message, f"messages[{i}]")
    if any(part["type"] != "text" for part in content):
        raise refuse(400, "Invalid content type: tool messages hold text only.", param=f"messages[{i}].content")
    return {"type": "tool_result", "tool_use_id": name, "content": content}


def _tool(i: int, tool: Any) -> Json:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or tool.get("type") != "function":
        raise refuse(400, f"Missing required parameter: 'tools[{i}].function'.", param=f"tools[{i}].function")
    return function_tool(function, f"tools[{i}].function")


def function_tool(function: Mapping[str, Any], where: str) -> Json:
    """Name, description and schema of a function, checked."""
    if not NAME.fullmatch(str(function.get("name", ""))):
        told = f"Invalid '{where}.name': string does not match pattern. Expected a string that matches '^[a-zA-Z0-9_-]+$'."
        raise refuse(400, told, param=f"{where}.name", code="invalid_value")
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    if schema.get("type") != "object":
        told = f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of 'type: \"object\"'."
        raise refuse(400, told, param=f"{where}.parameters", code="invalid_function_parameters")
    if function.get("strict"):
        check_closed(schema, f"function '{function['name']}'")
    return {"name": function["name"], "description": function.get("description") or "", "input_schema": schema}


def check_closed(schema: Any, what: str) -> None:
    """Strict schemas close every object and require every member."""
    for part in _objects(schema):
        if part.get("additionalProperties") is not False:
            told = f"Invalid schema for {what}: In context=(), 'additionalProperties' is required to be supplied and to be false."
            raise refuse(400, told, code="invalid_json_schema")
        if set(part.get("required") or ()) != set(part.get("properties") or ()):
            told = f"Invalid schema for {what}: In context=(), 'required' is required to be supplied and to be an array "
            raise refuse(400, told + "including every key in properties.", code="invalid_json_schema")


def _objects(schema: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(schema, list):
        for part in schema:
            yield from _objects(part)
    if not isinstance(schema, Mapping):
        return
    if schema.get("type") == "object":
        yield schema
    for name, part in schema.items():
        if name not in ("enum", "const", "default", "examples", "required"):
            yield from _objects(list(part.values()) if name in ("properties", "$defs") and isinstance(part, dict) else part)


def _tool_choice(body: Json, names: list[str]) -> Json:
    choice = body.get("tool_choice")
    if choice is not None and not names:
        raise refuse(400, "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.")
    if not names:
        return {}
    alone = {"disable_parallel_tool_use": True} if body.get("parallel_tool_calls") is False else {}
    kinds = {None: "auto", "auto": "auto", "none": "none", "required": "any"}
    if choice is None or isinstance(choice, str):
        if choice not in kinds:
            raise refuse(400, f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'.")
        return {"tool_choice": {"type": kinds[choice], **alone}}
    name = (choice.get("function") or {}).get("name") or choice.get("name")
    if name not in names:
        raise refuse(400, f"Tool choice 'function' not found in 'tools' parameter: {name}.", param="tool_choice")
    return {"tool_choice": {"type": "tool", "name": name, **alone}}


def _format(wanted: Any) -> Json:
    if not wanted or wanted.get("type") == "text":
        return {}
    if wanted.get("type") == "json_object":
        return {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}}
    given = wanted.get("json_schema")
    if wanted.get("type") != "json_schema" or not isinstance(given, dict) or not given.get("name"):
        raise refuse(400, "Missing required parameter: 'response_format.json_schema.name'.", param="response_format")
    return schema_format(given, "response_format")


def schema_format(given: Mapping[str, Any], where: str) -> Json:
    """Structured output by a schema, checked if it is strict."""
    if given.get("strict"):
        check_closed(given.get("schema"), f"{where} '{given['name']}'")
    return {"output_config": {"format": {"type": "json_schema", "schema": given.get("schema") or {}}}}
