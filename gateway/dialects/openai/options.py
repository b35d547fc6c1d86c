"""What OpenAI's two chat formats say alike, if under other names: reasoning, structured output, users, tools.

Sources: OpenAI API reference (chat, responses) as in openai-python 3.52.0 and Anthropic Messages reference, 2026-11-20.
"""

import re
from typing import Any

from gateway.canonical.capabilities import Capabilities
from gateway.canonical.errors import InvalidRequest
from gateway.canonical.translation import Chat, Json
from gateway.dialects.anthropic.schema import is_closed
from gateway.dialects.crossing import fit_user_id, object_of, objects_of, parse_items, parse_object, parse_text, text_of, url_of

ATTRIBUTION = "x-anthropic-billing-header:"  # Claude Code's first system block; only Anthropic's own API takes it out
TOOL_ID = re.compile(r".{1,40}", re.DOTALL)  # the longest id that OpenAI's chat takes back
JSON_ONLY = "Answer with one JSON object and nothing else: no prose around it, no code fence."
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_SCHEMA_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def parse_effort(effort: Any, body: Json, at: str, *, summarized: bool = True) -> None:
    """OpenAI's effort as Anthropic's thinking and effort. `summarized` shows the thinking to a caller who may read it."""
    if effort is None:
        return
    if effort not in EFFORTS:
        raise InvalidRequest(f"{at}: must be one of {', '.join(EFFORTS)}")
    if effort == "none":
        body["thinking"] = {"type": "disabled"}
        return
    body["thinking"] = {"type": "adaptive", **({"display": "summarized"} if summarized else {})}
    _output_config(body)["effort"] = "low" if effort == "minimal" else effort


def render_effort(body: Json, able: Capabilities | None, lost: list[str]) -> str | None:
    """Anthropic's thinking and effort in OpenAI's one word; None where a request says nothing of it. Where the model's own
    levels are known and have not the one asked for, it is the nearest below."""
    effort = _effort(body)
    if able is None or effort is None or effort in able.effort_levels or (effort == "none" and able.thinking_can_be_disabled):
        return effort
    lost.append("output_config.effort")
    below = EFFORTS[: EFFORTS.index(effort)] if effort in EFFORTS else ()
    return next((level for level in reversed(below) if level in able.effort_levels), None)


def _effort(body: Json) -> str | None:
    thinking = object_of(body.get("thinking"))
    effort = object_of(body.get("output_config")).get("effort")
    if thinking.get("type") == "disabled":
        return "none"
    if isinstance(effort, str):
        return effort
    budget = thinking.get("budget_tokens")
    if thinking.get("type") != "enabled" or not isinstance(budget, int):
        return None
    return "low" if budget < 2_048 else "medium" if budget < 8_192 else "high"


def parse_json_schema(wanted: Json, chat: Chat, at: str) -> None:
    """The schema of a wanted answer. Its name has no place of its own and becomes the schema's title."""
    schema = parse_object(wanted.get("schema"), f"{at}.schema", 'such as {"type": "object", "properties": {…}}')
    if isinstance(wanted.get("name"), str) and "title" not in schema:
        schema = {"title": wanted["name"], **schema}
    if isinstance(wanted.get("description"), str) and "description" not in schema:
        schema = {**schema, "description": wanted["description"]}
    _output_config(chat.body)["format"] = {"type": "json_schema", "schema": schema}


def render_json_schema(body: Json) -> Json | None:
    """`name`, `schema` and `strict` of a wanted answer; strict only where the schema keeps to what strict allows."""
    wanted = object_of(body.get("output_config")).get("format")
    if not isinstance(wanted, dict) or not isinstance(wanted.get("schema"), dict):
        return None
    schema = wanted["schema"]
    title = schema.get("title")
    name = title if isinstance(title, str) and _SCHEMA_NAME.fullmatch(title) else "answer"
    return {"name": name, "schema": schema, "strict": _is_strict(schema)}


def _is_strict(schema: Any) -> bool:
    """OpenAI's strict mode: objects closed, every property required (OpenAI structured outputs guide, 2026-11-20)."""
    return is_closed(schema) and _requires_all(schema)


def _requires_all(schema: Any) -> bool:
    if isinstance(schema, list):
        return all(map(_requires_all, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" and isinstance(properties, dict) and not _all_in(properties, schema.get("required")):
        return False
    return all(map(_requires_all, schema.values()))


def _all_in(properties: Json, required: Any) -> bool:
    return isinstance(required, list) and all(name in required for name in properties)


def _output_config(body: Json) -> Json:
    config: Json = body.setdefault("output_config", {})
    return config


def parse_user(body: Json, chat: Json) -> None:
    user = body.get("safety_identifier") or body.get("user")
    if isinstance(user, str) and user:
        chat["metadata"] = {"user_id": fit_user_id(user)}


def parse_tier(tier: Any, chat: Json, extras: Json) -> None:
    if tier in ("auto", "default"):
        chat["service_tier"] = "auto" if tier == "auto" else "standard_only"
    elif tier is not None:
        extras["service_tier"] = tier


def render_common(body: Json, out: Json, able: Capabilities | None, lost: list[str]) -> None:
    """User, service tier, parallel calls and sampling, which both formats name alike."""
    user = (body.get("metadata") or {}).get("user_id")
    if isinstance(user, str) and user:
        out["user"] = fit_user_id(user)
    if tier := body.get("service_tier"):
        out["service_tier"] = "default" if tier == "standard_only" else tier
    for name in ("temperature", "top_p"):
        if body.get(name) is not None and (able is None or able.sampling_params):
            out[name] = body[name]
        elif body.get(name) is not None and body[name] != 1:
            lost.append(name)
    if out.get("tool_choice") not in (None, "auto", "none") and able and not able.forced_tool_choice:
        out["tool_choice"] = "auto"
        lost.append("tool_choice")
    if out.get("tools") and (body.get("tool_choice") or {}).get("disable_parallel_tool_use"):
        out["parallel_tool_calls"] = False


def parse_choice(choice: Any, at: str) -> Json | None:
    """tool_choice as a word or an object; the object of the chat format holds its name one level deeper."""
    words = {"none": "none", "auto": "auto", "required": "any"}
    if choice is None:
        return None
    if isinstance(choice, str) and choice in words:
        return {"type": words[choice]}
    if isinstance(choice, dict) and choice.get("type") in ("function", "custom"):
        named = choice.get(choice["type"])
        name = (named if isinstance(named, dict) else choice).get("name")
        return {"type": "tool", "name": parse_text(name, f"{at}.name", "the name of a tool in tools")}
    raise InvalidRequest(f'{at}: must be "none", "auto", "required" or {{"type": "function", …}}')


def narrow_tools(allowed: Json, chat: Json) -> Any:
    """`allowed_tools` as a shorter list of tools; the choice that remains."""
    names = set()
    for each in parse_items(allowed.get("tools"), "tool_choice.tools"):
        named = each.get("function") or each.get("custom") or each
        names.add(parse_text(object_of(named).get("name"), "tool_choice.tools", "each names a tool in tools"))
    chat["tools"] = [tool for tool in chat.get("tools", ()) if tool["name"] in names]
    return allowed.get("mode", "auto")


def put_choice(chat: Json, choice: Json | None, parallel: Any) -> None:
    """`parallel_tool_calls: false` lives in Anthropic's tool_choice, which means nothing without tools."""
    if not chat.get("tools"):
        return
    if parallel is False and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    if choice:
        chat["tool_choice"] = choice


def parse_function(function: Json, at: str) -> Json:
    """A function's definition, flat, as an Anthropic tool."""
    tool: Json = {"name": parse_text(function.get("name"), f"{at}.name", "name the function")}
    if function.get("description"):
        tool["description"] = parse_text(function["description"], f"{at}.description", "what the function does")
    parameters = function.get("parameters")
    tool["input_schema"] = {"type": "object", "properties": {}} if parameters is None else parse_object(
        parameters, f"{at}.parameters", "a JSON schema")  # fmt: skip
    if function.get("strict"):
        tool["strict"] = True
    if isinstance(function.get("cache_control"), dict):
        tool["cache_control"] = function["cache_control"]
    return tool


def parse_custom(custom: Json, at: str, dropped: list[str]) -> Json:
    """A tool that takes free text, as one that takes an object with that text. Its grammar cannot be said."""
    if object_of(custom.get("format")).get("type") == "grammar":
        dropped.append(f"{at}.format")
    described = {"description": text_of(custom.get("description"))} if custom.get("description") else {}
    text = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    return {"name": parse_text(custom.get("name"), f"{at}.name", "name the tool"), **described, "input_schema": text}


def custom_input(arguments: Any) -> str:
    """The free text in a call of such a tool."""
    text = arguments.get("input") if isinstance(arguments, dict) else None
    return text if isinstance(text, str) else ""


def render_function(tool: Json, at: str, dropped: list[str]) -> Json | None:
    """A client tool's definition, flat; None for tools that Anthropic runs or has trained, which no one else knows."""
    if tool.get("type") not in (None, "custom"):
        dropped.append(at)
        return None
    function: Json = {"name": tool["name"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    function["parameters"] = tool.get("input_schema") or {"type": "object", "properties": {}}
    if tool.get("strict"):
        function["strict"] = True
    for name in tool.keys() - {"type", "name", "description", "input_schema", "strict"}:
        note(dropped, f"tools.{name}")
    return function


def url_citations(block: Json, start: int = 0) -> list[Json]:
    """Pages that a text rests on, with the place of the text in what was said."""
    place = {"start_index": start, "end_index": start + len(block["text"])}
    cited = [(url, each) for each in objects_of(block.get("citations")) if (url := url_of(each))]
    return [{**place, "url": url, "title": text_of(each.get("title"))} for url, each in cited]


def note(dropped: list[str], name: str) -> None:
    """Named once, however often it occurs."""
    if name not in dropped:
        dropped.append(name)


def drop_attribution(blocks: list[Json]) -> list[Json]:
    return [block for block in blocks if not str(block.get("text", "")).startswith(ATTRIBUTION)]
