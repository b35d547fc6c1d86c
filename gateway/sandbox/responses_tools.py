"""Tools of the Responses API that Chat Completions has no word for: namespaces, tools that take free text, and OpenAI's own.

Sources: OpenAI responses reference as in openai-python 3.52.0, captures of Codex CLI 0.169.0, 2026-11-21.
"""

from collections.abc import Mapping
from typing import Any

from gateway.sandbox.openai_answers import name_with
from gateway.sandbox.openai_errors import refuse
from gateway.sandbox.sse import dump

Json = dict[str, Any]
HOSTED = ("web_search", "tool_search")  # taken, and never used
FREE_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def read_tools(tools: Any) -> list[Json]:
    """As Chat Completions' functions; one in a namespace is called by both names, joined."""
    return [function for i, tool in enumerate(tools or []) for function in _functions(tool, f"tools[{i}]")]


def _functions(tool: Mapping[str, Any], where: str) -> list[Json]:
    kind = tool.get("type")
    if kind == "namespace":
        inner = [found for i, each in enumerate(tool.get("tools") or []) for found in _functions(each, f"{where}.tools[{i}]")]
        return [_function({**each["function"], "name": join(tool["name"], each["function"]["name"])}) for each in inner]
    if kind == "custom":
        return [_function({"name": tool.get("name"), "description": tool.get("description", ""), "parameters": FREE_TEXT})]
    if kind == "function":
        return [_function({name: value for name, value in tool.items() if name != "type"})]
    if kind in HOSTED:
        return []
    raise refuse(400, f"Invalid value: '{kind}'. The sandbox knows no such tool.", param=f"{where}.type", code="invalid_value")


def _function(function: Json) -> Json:
    return {"type": "function", "function": function}


def join(namespace: str, name: str) -> str:
    return f"{namespace}__{name}"


def read_call(item: Mapping[str, Any]) -> Json:
    """A call out of an earlier answer, as Chat Completions has it."""
    name = join(item["namespace"], item["name"]) if item.get("namespace") else item.get("name")
    free = item["type"] == "custom_tool_call"
    arguments = dump({"input": item.get("input")}) if free else item.get("arguments")
    return {"id": item.get("call_id"), "type": "function", "function": {"name": name, "arguments": arguments}}


def call_item(call: Mapping[str, Any], tools: Any) -> Json:
    """A call as an item of an answer, under the names that its tool was given with."""
    custom, named = _declared(tools).get(call["name"], (False, {"name": call["name"]}))
    common = {"call_id": name_with("call_"), **named, "status": "completed"}
    if custom:
        return {"type": "custom_tool_call", "id": name_with("ctc_"), **common, "input": call["input"].get("input", "")}
    return {"type": "function_call", "id": name_with("fc_"), **common, "arguments": dump(call["input"])}


def _declared(tools: Any) -> dict[str, tuple[bool, Json]]:
    """Joined name → whether it takes free text, and its names."""
    found: dict[str, tuple[bool, Json]] = {}
    for tool in tools or []:
        if tool.get("type") == "namespace":
            for each in tool.get("tools") or []:
                names = {"name": each["name"], "namespace": tool["name"]}
                found[join(tool["name"], each["name"])] = (each.get("type") == "custom", names)
        elif tool.get("name"):
            found[tool["name"]] = (tool.get("type") == "custom", {"name": tool["name"]})
    return found
