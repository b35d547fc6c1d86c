"""Tools between Messages and Gemini: declarations, names, and which tool may or must be called.

Source: Google's reference of Tool, ToolConfig and FunctionDeclaration, google-genai 3.4.0, 2026-11-20.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gateway.canonical.capabilities import Capabilities
from gateway.canonical.errors import InvalidRequest
from gateway.dialects.gemini.schema import clean_json_schema, parse_openapi, takes_arguments

Json = dict[str, Any]
_FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
_NOT_IN_TOOL_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_NOT_IN_HEADERS = re.compile(r"[^\w.:/() -]", re.ASCII)
NAME_CHARACTERS_MAX = 80
NAMES_MAX = 40
_ESCAPE = "_."  # no tool of a Messages client holds a dot, so what begins like this was put there here
_TOOL_MEMBERS = frozenset({"name", "description", "input_schema", "type", "defer_loading"})
_FUNCTION_MEMBERS = frozenset({"name", "description", "parameters", "parametersJsonSchema", "parameters_json_schema"})
_SEARCH_MEMBERS = frozenset({"name", "type", "defer_loading"})
_MODES = {"auto": "AUTO", "any": "ANY", "tool": "ANY", "none": "NONE"}


def function_name(tool_name: str) -> str:
    """A Messages tool's name as Gemini takes it: letters or `_` first."""
    return tool_name if _FUNCTION_NAME.fullmatch(tool_name) else _ESCAPE + tool_name


def tool_name(name: str) -> str:
    """The name that a Messages client knows the function by."""
    return name.removeprefix(_ESCAPE)


def as_tool_name(name: str) -> str:
    """A Gemini client's function name as Messages takes it: no dots, no colons."""
    return _NOT_IN_TOOL_NAMES.sub("_", tool_name(name))


def own_names(request: Mapping[str, Any]) -> dict[str, str]:
    """A Gemini client's own function names by those that Messages was told."""
    names = (str(function["name"]) for _, function in declarations(request) if "name" in function)
    return {as_tool_name(name): name for name in names}


def declarations(request: Mapping[str, Any]) -> Iterator[tuple[str, Json]]:
    """Every function a Gemini client declares, with where it stands."""
    for place, tool in enumerate(_list(request.get("tools"))):
        found = tool.get("functionDeclarations", tool.get("function_declarations")) if isinstance(tool, dict) else None
        for index, function in enumerate(_list(found)):
            if isinstance(function, dict):
                yield f"tools.{place}.functionDeclarations.{index}", function


def safe_names(dropped: Iterable[str]) -> list[str]:
    """Names of what was dropped, fit for a response header: clients choose some of them."""
    return list(dict.fromkeys(_NOT_IN_HEADERS.sub("?", name)[:NAME_CHARACTERS_MAX] for name in dropped))[:NAMES_MAX]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def render_tools(body: Json, can: Capabilities | None, referenced: frozenset[str], dropped: dict[str, None]) -> list[Json]:
    """Gemini's `tools`. Deferred tools are declared once a `tool_reference` in the history named them, as Messages has it;
    all of them if the search for them is Anthropic's own, which does not run here."""
    tools = [tool for tool in body.get("tools") or () if isinstance(tool, dict)]
    searched = any(_type(tool).startswith("tool_search_tool_") for tool in tools)
    functions: list[Json] = []
    search = False
    for tool in tools:
        kind = _type(tool)
        if kind.startswith("web_search_"):
            search = True
            _name_lost("tools", tool, _SEARCH_MEMBERS, dropped)
        elif kind not in ("", "custom"):
            dropped[f"tools.{kind}"] = None
        elif searched or not tool.get("defer_loading") or tool.get("name") in referenced:
            functions.append(_render_function(tool, dropped))
    rendered: list[Json] = [{"functionDeclarations": functions}] if functions else []
    if search and functions and can is not None and can.tools_beside_others is False:
        dropped["tools.web_search"] = None
    elif search:
        rendered.append({"googleSearch": {}})
    return rendered


def _type(tool: Json) -> str:
    return str(tool.get("type") or "")


def _render_function(tool: Json, dropped: dict[str, None]) -> Json:
    _name_lost("tools", tool, _TOOL_MEMBERS, dropped)
    function: Json = {"name": function_name(str(tool.get("name", "")))}
    if tool.get("description"):
        function["description"] = tool["description"]
    schema = tool.get("input_schema")
    if takes_arguments(schema):
        function["parametersJsonSchema"] = clean_json_schema(schema)
    return function


def _name_lost(where: str, item: Json, kept: Iterable[str], dropped: dict[str, None]) -> None:
    for name in item:
        if name not in kept:
            dropped["cache_control" if name == "cache_control" else f"{where}.{name}"] = None


def render_choice(choice: Any, dropped: dict[str, None]) -> Json | None:
    """Gemini's `functionCallingConfig`, or None where the caller left it open."""
    if not isinstance(choice, dict):
        return None
    if choice.get("disable_parallel_tool_use"):
        dropped["tool_choice.disable_parallel_tool_use"] = None
    kind = str(choice.get("type"))
    if kind not in _MODES:
        raise InvalidRequest(f"tool_choice.type: {kind[:40]!r} is not known; send auto, any, tool or none")
    config: Json = {"mode": _MODES[kind]}
    if kind == "tool":
        config["allowedFunctionNames"] = [function_name(str(choice.get("name", "")))]
    return config


def parse_tools(request: Json, dropped: dict[str, None]) -> tuple[list[Json], list[Json]]:
    """A Gemini client's tools as Messages', and those that only Gemini has (`extras`)."""
    tools = [_parse_function(where, function, dropped) for where, function in declarations(request)]
    _check_names(tools, request)
    theirs: list[Json] = []
    for place, tool in enumerate(_list(request.get("tools"))):
        if not isinstance(tool, dict):
            raise InvalidRequest(f'tools.{place}: an object is required, such as {{"functionDeclarations": […]}}')
        for name, value in tool.items():
            if name in ("googleSearch", "google_search"):
                tools.append({"type": "web_search_20250305", "name": "web_search"})
            elif name not in ("functionDeclarations", "function_declarations"):
                theirs.append({name: value})
    return tools, theirs


def _parse_function(where: str, function: Json, dropped: dict[str, None]) -> Json:
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"{where}.name: a non-empty string is required")
    schema = function.get("parametersJsonSchema", function.get("parameters_json_schema"))
    if schema is None:
        schema = parse_openapi(function.get("parameters") or {})
    if not isinstance(schema, dict):
        raise InvalidRequest(f"{where}.parameters: a schema object is required")
    tool: Json = {"name": as_tool_name(name), "input_schema": {"type": "object", "properties": {}, **schema}}
    if function.get("description"):
        tool["description"] = function["description"]
    _name_lost("tools.functionDeclarations", function, _FUNCTION_MEMBERS, dropped)
    return tool


def _check_names(tools: list[Json], request: Json) -> None:
    """Two functions must not become one tool."""
    if len(own_names(request)) < len({str(function["name"]) for _, function in declarations(request)}):
        names = sorted(tool["name"] for tool in tools)
        twice = next((name for name in names if names.count(name) > 1), names[0])
        raise InvalidRequest(f"tools: two functions are both {twice!r} once dots and colons are written as _; rename one")


def parse_choice(config: Any, dropped: dict[str, None]) -> Json | None:
    """Messages' `tool_choice` for a `functionCallingConfig`, or None where it leaves the choice open."""
    if not isinstance(config, dict):
        return None
    allowed = config.get("allowedFunctionNames", config.get("allowed_function_names")) or []
    mode = str(config.get("mode") or "AUTO").upper()
    if mode == "ANY" and isinstance(allowed, list) and len(allowed) == 1:
        return {"type": "tool", "name": as_tool_name(str(allowed[0]))}
    if allowed:
        dropped["toolConfig.functionCallingConfig.allowedFunctionNames"] = None
    if mode == "VALIDATED":
        dropped["toolConfig.functionCallingConfig.mode"] = None
    kind = {"ANY": "any", "NONE": "none"}.get(mode, "auto")
    return {"type": kind} if "mode" in config else None
