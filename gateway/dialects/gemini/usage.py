"""Gemini's `usageMetadata` and finish reasons, between its terms and Messages'.

A prompt's count includes its cached tokens, an answer's does not include its thoughts; what tools fed back is counted apart.
Source: Google's reference of GenerateContentResponse, 2026-11-20.
"""

from typing import Any

from gateway.canonical.usage import Tokens, Usage

Json = dict[str, Any]
REFUSED = frozenset({
    "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER",
})  # fmt: skip
STOP_REASONS = {"STOP": "end_turn", "MAX_TOKENS": "max_tokens", "CONTINUATION": "max_tokens", **dict.fromkeys(REFUSED, "refusal")}
"""What is not here (`MALFORMED_FUNCTION_CALL`, `OTHER`, …) ended by a fault of the model's."""

FINISH_REASONS = {"max_tokens": "MAX_TOKENS", "model_context_window_exceeded": "MAX_TOKENS", "refusal": "SAFETY"}
"""Every other stop reason is STOP."""

PROVISIONED = "PROVISIONED_THROUGHPUT"  # `trafficType`, on Vertex AI


def parse_usage_metadata(metadata: Json, searches: int = 0) -> Json:
    """`usage` in Anthropic's terms."""
    cached, thoughts = _count(metadata, "cachedContentTokenCount"), _count(metadata, "thoughtsTokenCount")
    usage: Json = {
        "input_tokens": max(0, _count(metadata, "promptTokenCount") - cached) + _count(metadata, "toolUsePromptTokenCount"),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": _count(metadata, "candidatesTokenCount") + thoughts,
    }
    if thoughts:
        usage["output_tokens_details"] = {"thinking_tokens": thoughts}
    if searches:
        usage["server_tool_use"] = {"web_search_requests": searches}
    return usage


def render_usage_metadata(usage: Json) -> Json:
    """`usageMetadata` for Anthropic's `usage`. Cache writes are a part of the prompt."""
    read, output = _count(usage, "cache_read_input_tokens"), _count(usage, "output_tokens")
    prompt = _count(usage, "input_tokens") + _count(usage, "cache_creation_input_tokens") + read
    details = usage.get("output_tokens_details")
    thoughts = min(output, _count(details, "thinking_tokens")) if isinstance(details, dict) else 0
    metadata = {"promptTokenCount": prompt, "candidatesTokenCount": output - thoughts, "totalTokenCount": prompt + output}
    if read:
        metadata["cachedContentTokenCount"] = read
    if thoughts:
        metadata["thoughtsTokenCount"] = thoughts
    return metadata


def meter(metadata: Json, searches: int = 0) -> Usage:
    """The same figures for the record of a call."""
    cached = _count(metadata, "cachedContentTokenCount")
    thoughts = _count(metadata, "thoughtsTokenCount")
    return Usage(
        tokens=Tokens(
            input=max(0, _count(metadata, "promptTokenCount") - cached) + _count(metadata, "toolUsePromptTokenCount"),
            output=_count(metadata, "candidatesTokenCount") + thoughts,
            cache_read=cached,
            thinking=thoughts,
        ),
        searches=searches,
        provisioned=metadata.get("trafficType") == PROVISIONED,
    )


def count_searches(candidate: Any) -> int:
    """Google bills grounding by the query (Gemini 3 and later; pricing page, 2026-11-20)."""
    grounding = candidate.get("groundingMetadata") if isinstance(candidate, dict) else None
    queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
    return len(queries) if isinstance(queries, list) else 0


def _count(source: Any, name: str) -> int:
    value = source.get(name) if isinstance(source, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
