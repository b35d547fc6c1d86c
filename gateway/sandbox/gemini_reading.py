"""generateContent as the simulated Gemini reads it: checked, and told as the Messages body that its engine answers.

Source: Vertex AI generateContent reference and google-genai 3.4.0, 2026-11-20.
"""

from typing import Any

from gateway.sandbox import gemini_rules, gemini_schema, gemini_turns
from gateway.sandbox.gemini_models import GeminiModel
from gateway.sandbox.gemini_rules import camel, unknown
from gateway.sandbox.gemini_turns import SignatureCheck

Json = dict[str, Any]
FIELDS = frozenset({
    "cachedContent", "contents", "generationConfig", "labels", "model", "safetySettings", "serviceTier", "store",
    "systemInstruction", "toolConfig", "tools",
})  # fmt: skip
OUTPUT_TOKENS = 8_192
WEB_SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def read(sent: Json, model: GeminiModel, signature_ok: SignatureCheck, *, thoughts: int) -> Json:
    """The Messages body; Refusal in Google's words. `thoughts` are tokens that thinking takes of the answer's."""
    body = camel(sent)
    for name in body.keys() - FIELDS:
        raise unknown(name)
    config = camel(body.get("generationConfig") or {})
    tools = gemini_rules.read_tools(body.get("tools") or [], model)
    gemini_rules.check_config(config, model, bool(tools))
    output_tokens = max(1, (config.get("maxOutputTokens") or OUTPUT_TOKENS) - thoughts)
    found: Json = {"messages": gemini_turns.read(body.get("contents"), model, signature_ok), "max_tokens": output_tokens}
    if system := body.get("systemInstruction"):
        found["system"] = [{"type": "text", "text": part.get("text", "")} for part in system.get("parts") or []]
    if tools:
        found |= {"tools": tools, **gemini_rules.read_choice(body.get("toolConfig") or {}, [tool["name"] for tool in tools])}
    if any("googleSearch" in camel(tool) for tool in body.get("tools") or []):
        found["tools"] = [*tools, WEB_SEARCH]
    if config.get("stopSequences"):
        found["stop_sequences"] = config["stopSequences"]
    if config.get("responseMimeType") == "application/json":
        schema = config.get("responseJsonSchema") or gemini_schema.as_json_schema(config.get("responseSchema") or {})
        found["output_config"] = {"format": {"type": "json_schema", "schema": schema or {"type": "object"}}}
    return found


def thinking_of(sent: Json) -> Json:
    """The thinking settings of a request, not checked yet."""
    config = camel(sent).get("generationConfig") or {}
    return camel(camel(config).get("thinkingConfig") or {})
