"""What the simulated Gemini takes of generation settings and tools, by model (Vertex AI reference, 2026-11-20)."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.sandbox import gemini_schema
from gateway.sandbox.errors import Refusal, google
from gateway.sandbox.gemini_models import GeminiModel

Json = dict[str, Any]
UNABLE = "Unable to submit request because"
CONFIG = frozenset({
    "audioTimestamp", "candidateCount", "enableEnhancedCivicAnswers", "frequencyPenalty", "imageConfig", "logprobs",
    "maxOutputTokens", "mediaResolution", "modelConfig", "presencePenalty", "responseJsonSchema", "responseLogprobs",
    "responseMimeType", "responseModalities", "responseSchema", "routingConfig", "seed", "speechConfig", "stopSequences",
    "temperature", "thinkingConfig", "topK", "topP",
})  # fmt: skip
TOOLS = frozenset({"codeExecution", "functionDeclarations", "googleSearch", "urlContext"})
DECLARATION = frozenset({
    "behavior", "description", "name", "parameters", "parametersJsonSchema", "response", "responseJsonSchema",
})  # fmt: skip
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
STOPS_MAX = 5


def wrong(message: str) -> Refusal:
    return google(400, message)


def unknown(name: str, where: str = "") -> Refusal:
    at = f" at '{where}'" if where else ""
    return wrong(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')


def camel(members: Mapping[str, Any]) -> Json:
    """Both spellings are taken, as protobuf's JSON has it."""
    if not isinstance(members, Mapping):
        raise wrong("Invalid JSON payload received. Expected an object.")
    return {re.sub(r"_([a-z])", lambda m: m[1].upper(), name): value for name, value in members.items()}


def check_config(config: Json, model: GeminiModel, has_tools: bool) -> None:
    """generationConfig: fields, ranges, and what does not go together."""
    for name in config.keys() - CONFIG:
        raise unknown(name, "generation_config")
    if len(config.get("stopSequences") or ()) > STOPS_MAX:
        raise wrong(f"{UNABLE} it has more than 5 stop sequences.")
    if not 0 <= (config.get("temperature") or 0) <= 2:
        raise wrong(f"{UNABLE} it has a temperature value of {config['temperature']} but the supported range is from 0 to 2.0.")
    if (config.get("candidateCount") or 1) != 1:
        raise wrong("The sandbox answers once: candidateCount must be 1.")
    if config.get("responseSchema") and config.get("responseJsonSchema"):
        raise wrong("Only one of response_schema and response_json_schema may be set.")
    if config.get("responseSchema"):
        gemini_schema.check(config["responseSchema"], "generation_config.response_schema")
    if config.get("responseMimeType") == "application/json" and has_tools and not model.new:
        raise wrong("Function calling with a response mime type: 'application/json' is unsupported")
    most = model.engine.output_tokens_max + 1
    if not 0 < (config.get("maxOutputTokens") or 1) < most:
        told = f"a maxOutputTokens value of {config['maxOutputTokens']} but the supported range is from 1 to {most} (exclusive)."
        raise wrong(f"{UNABLE} it has {told}")
    _check_thinking(camel(config.get("thinkingConfig") or {}), model)


def _check_thinking(thinking: Json, model: GeminiModel) -> None:
    for name in thinking.keys() - {"includeThoughts", "thinkingBudget", "thinkingLevel"}:
        raise unknown(name, "generation_config.thinking_config")
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if budget is not None and level is not None:
        raise wrong("You can only set only one of thinking budget and thinking level.")
    if level is not None and level.upper() not in model.levels:
        raise wrong(f"Thinking level {level} is not supported for this model.")
    if budget in (None, -1) or model.budgets is None:
        return
    low, high = model.budgets
    if not (low <= budget <= high or (budget == 0 and model.can_rest)):
        raise wrong(f"The thinking budget {budget} is invalid. Please choose a value between {low} and {high}.")


def read_tools(tools: Any, model: GeminiModel) -> list[Json]:
    """Declared functions as tools of a Messages body."""
    declared: list[Json] = []
    others = 0
    for i, tool in enumerate(tools):
        for name in camel(tool).keys() - TOOLS:
            raise unknown(name, f"tools[{i}]")
        declarations = camel(tool).get("functionDeclarations") or []
        others += not declarations
        declared += [_declaration(camel(d), f"tools[{i}].function_declarations[{k}]") for k, d in enumerate(declarations)]
    if declared and others and not model.new:
        raise wrong("Multiple tools are supported only when they are all search tools.")
    names = [tool["name"] for tool in declared]
    for name in names:
        if names.count(name) > 1:
            raise wrong(f"Duplicate function declaration found: {name}")
    return declared


def _declaration(declaration: Json, path: str) -> Json:
    for name in declaration.keys() - DECLARATION:
        raise unknown(name, path)
    if not NAME.fullmatch(str(declaration.get("name", ""))):
        raise wrong(
            f"Invalid function name at '{path}.name'. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, "
            "0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128."
        )
    openapi, plain = declaration.get("parameters"), declaration.get("parametersJsonSchema")
    if openapi is not None and plain is not None:
        raise wrong(f"{path}: parameters and parameters_json_schema must not both be set.")
    if openapi is not None:
        gemini_schema.check(openapi, f"{path}.parameters", top=True)
    elif plain is not None:
        gemini_schema.check_json_schema(plain, f"{path}.parameters_json_schema")
    schema = plain or gemini_schema.as_json_schema(openapi) or {"type": "object", "properties": {}}
    return {"name": declaration["name"], "description": declaration.get("description", ""), "input_schema": schema}


def read_choice(config: Json, names: list[str]) -> Json:
    """toolConfig as `tool_choice`."""
    calling = camel(camel(config).get("functionCallingConfig") or {})
    mode = str(calling.get("mode") or "AUTO").upper()
    allowed = calling.get("allowedFunctionNames") or []
    if mode not in ("AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"):
        raise wrong(f"Invalid value at 'tool_config.function_calling_config.mode', \"{mode}\"")
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise wrong("allowed_function_names should only be set when function calling mode is ANY or VALIDATED.")
    for name in allowed:
        if name not in names:
            raise wrong(f"allowed_function_names: {name} is not declared.")
    if mode == "ANY":
        return {"tool_choice": {"type": "tool", "name": allowed[0]} if len(allowed) == 1 else {"type": "any"}}
    return {"tool_choice": {"type": "none" if mode == "NONE" else "auto"}}
