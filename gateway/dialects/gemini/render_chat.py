"""A chat in canonical form as a `generateContent` body.

Consecutive turns of one role become one content, all results of a turn's calls stand in one content in the calls' order:
Gemini asks for both. What of the history Gemini cannot say is left out and named, once per kind.
Source: Google's generateContent reference, Gemini thinking guide, google-genai 3.4.0, 2026-11-20.
"""

from typing import Any

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import InvalidRequest
from gateway.canonical.translation import Chat
from gateway.dialects.crossing import foreign_extras
from gateway.dialects.gemini.errors import WIRE
from gateway.dialects.gemini.parts import Turns
from gateway.dialects.gemini.schema import clean_json_schema
from gateway.dialects.gemini.thinking import render_thinking
from gateway.dialects.gemini.tools import render_choice, render_tools, safe_names

Json = dict[str, Any]
ATTRIBUTION = "x-anthropic-billing-header:"
_RENAMED = {"temperature": "temperature", "top_p": "topP", "top_k": "topK", "stop_sequences": "stopSequences"}
_HANDLED = frozenset({
    "messages", "system", "tools", "tool_choice", "thinking", "output_config", "output_format", "max_tokens", "model", "stream",
    *_RENAMED,
})  # fmt: skip


def render_chat(chat: Chat, model: ModelTraits, *, stream: bool) -> tuple[Json, list[str]]:
    """The body and all that was lost on the way to it. `stream` is the URL's to say.

    InvalidRequest for what is wrong, and for `safeguards`, which must not be dropped.
    """
    body, can = chat.body, model.capabilities
    if "safeguards" in body:  # Claude Code takes it out when it is told so
        raise InvalidRequest("safeguards: not supported by this model; send the request without it")
    dropped: dict[str, None] = {}
    turns = Turns(model, dropped)
    for message in body.get("messages") or ():
        turns.add(message)
    rendered: Json = {"contents": turns.contents}
    if system := _render_system(body.get("system"), dropped):
        rendered["systemInstruction"] = {"parts": system}
    if tools := render_tools(body, can, frozenset(turns.referenced), dropped):
        rendered["tools"] = tools
    choice = render_choice(body.get("tool_choice"), dropped)
    if choice and any("functionDeclarations" in tool for tool in tools):
        rendered["toolConfig"] = {"functionCallingConfig": choice}
    if config := _render_config(body, model, bool(tools), dropped):
        rendered["generationConfig"] = config
    for name in body:
        if name not in _HANDLED:
            dropped[name] = None
    dropped |= dict.fromkeys(foreign_extras(chat, WIRE))
    _add_extras(rendered, chat.extras.get(WIRE) or {})
    return rendered, safe_names([*chat.dropped, *dropped])


def render_count(chat: Chat, model: ModelTraits) -> tuple[Json, list[str]]:
    """A whole body: its provider takes out what its own counting does not know."""
    return render_chat(chat, model, stream=False)


def _render_system(system: Any, dropped: dict[str, None]) -> list[Json]:
    blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system or []
    parts: list[Json] = []
    for place, block in enumerate(blocks):
        text = block.get("text") if isinstance(block, dict) else None
        if not isinstance(text, str):
            raise InvalidRequest(f'system.{place}: a text block is required, such as {{"type": "text", "text": "…"}}')
        if "cache_control" in block:
            dropped["cache_control"] = None
        if place == 0 and text.startswith(ATTRIBUTION):  # Claude Code's note to Anthropic, not meant for a model
            dropped[ATTRIBUTION.rstrip(":")] = None
        elif text:
            parts.append({"text": text})
    return parts


def _render_config(body: Json, model: ModelTraits, tools: bool, dropped: dict[str, None]) -> Json:
    can = model.capabilities
    config: Json = {}
    for name, theirs in _RENAMED.items():
        if body.get(name) is None:
            continue
        if can is not None and not can.sampling_params and name != "stop_sequences":
            dropped[name] = None
        else:
            config[theirs] = body[name]
    limit = body.get("max_tokens")
    if isinstance(limit, int) and model.max_output_tokens and limit > model.max_output_tokens:
        dropped["max_tokens"] = None  # the model's own limit is lower, and holds
    elif limit is not None:
        config["maxOutputTokens"] = limit
    if schema := _schema(body, dropped):
        if tools and can is not None and can.tools_beside_others is False:
            dropped["output_config.format"] = None
        else:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": clean_json_schema(schema)}
    if thinking := render_thinking(body, can, dropped):
        config["thinkingConfig"] = thinking
    return config


def _schema(body: Json, dropped: dict[str, None]) -> Any:
    output = body.get("output_config")
    for name in output if isinstance(output, dict) else ():
        if name not in ("effort", "format"):
            dropped[f"output_config.{name}"] = None
    wanted = (output.get("format") if isinstance(output, dict) else None) or body.get("output_format")
    return wanted.get("schema") if isinstance(wanted, dict) and wanted.get("type") == "json_schema" else None


def _add_extras(rendered: Json, extras: Json) -> None:
    """What a Gemini client said and Messages could not."""
    for name, value in extras.items():
        if name == "tools":
            rendered["tools"] = [*rendered.get("tools", []), *value]
        elif name in ("generationConfig", "toolConfig"):
            rendered[name] = {**value, **rendered.get(name, {})}
        else:
            rendered[name] = value
