"""The facts of a call under the names that OpenTelemetry has for them; ours begin with `gateway.`.

Names: semantic conventions for generative AI (github.com/open-telemetry/semantic-conventions-genai, docs/gen-ai, status
Development, read 2026-11-21). Who asked is told by key id and project; names, e-mail addresses, labels, prompts and answers
are not told at all.
"""

from typing import Any

from gateway.canonical.store import Json
from gateway.telemetry.observation import Observation

Attributes = dict[str, Any]
NANODOLLARS = 1_000_000_000
TEXT_MAX = 200  # callers choose some of these
PROVIDER_NAMES = {
    "vertex": "gcp.vertex_ai",
    "google-claude": "anthropic",
    "anthropic": "anthropic",
    "bedrock": "aws.bedrock",
    "openai": "openai",
    "gemini": "gcp.gemini",
}
OPERATIONS = {"generate": "chat", "embed": "embeddings", "count_tokens": "count_tokens"}
PROMPT_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h")
ON_CALL = {
    "gen_ai.response.model": "answered_model",
    "gen_ai.request.stream": "stream",
    "gen_ai.conversation.id": "session_id",
    "gen_ai.agent.id": "agent_id",
    "error.type": "error_type",
    "http.response.status_code": "status",
    "gateway.request_id": "request_id",
    "gateway.project": "project",
    "gateway.key_id": "key_id",
    "gateway.trace_id": "trace_id",
    "gateway.dialect": "dialect",
    "gateway.asked_model": "asked_model",
    "gateway.provider": "provider",
    "gateway.location": "location",
    "gateway.completeness": "completeness",
    "gateway.cache": "cache",
    "gateway.upstream_request_id": "upstream_request_id",
}
"""Attribute → field of the usage document; those without a value are left out."""


def operation_name(observation: Observation) -> str:
    if observation.operation == "generate" and observation.document["dialect"] == "gemini":
        return "generate_content"
    return OPERATIONS[observation.operation]


def provider_name(kind: str | None) -> str:
    return PROVIDER_NAMES.get(kind or "", kind or "unknown")


def shared(observation: Observation) -> Attributes:
    """What spans and metrics have in common: few values, so that metrics stay few."""
    attributes = {
        "gen_ai.operation.name": operation_name(observation),
        "gen_ai.provider.name": provider_name(observation.kind),
    }
    if model := observation.document["model"]:
        attributes["gen_ai.request.model"] = model[:TEXT_MAX]
    return attributes


def prompt_tokens(tokens: Json) -> int:
    """All of them, cached ones included: what the conventions call input tokens."""
    return sum(tokens[name] for name in PROMPT_CLASSES)


def of_call(observation: Observation) -> Attributes:
    """Everything that the span of a call says."""
    document, tokens = observation.document, observation.document["tokens"]
    attributes = shared(observation)
    for name, field in ON_CALL.items():
        if (value := document[field]) is not None:
            attributes[name] = value[:TEXT_MAX] if isinstance(value, str) else value
    attributes |= {
        "gen_ai.usage.input_tokens": prompt_tokens(tokens),
        "gen_ai.usage.output_tokens": tokens["output"],
        "gen_ai.usage.cache_read.input_tokens": tokens["cache_read"],
        "gen_ai.usage.cache_creation.input_tokens": tokens["cache_write_5m"] + tokens["cache_write_1h"],
        "gen_ai.usage.reasoning.output_tokens": tokens["thinking"],
        "gateway.cost_usd": document["cost_nanodollars"] / NANODOLLARS,
        "gateway.attempts": len(document["attempts"]),
        "gateway.client_gone": document["client_gone"],
    }
    if document["stream"] and document["ttft_ms"] is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = document["ttft_ms"] / 1000
    return attributes


def of_attempt(observation: Observation, attempt: Json) -> Attributes:
    """`status` 0: there was no answer."""
    attributes = shared(observation)
    if attempt["provider"] != observation.document["provider"]:
        attributes["gen_ai.provider.name"] = attempt["provider"]
    attributes |= {"gateway.provider": attempt["provider"], "gateway.location": attempt["location"]}
    if attempt["status"]:
        attributes["http.response.status_code"] = attempt["status"]
    if attempt["status"] != 200:
        attributes["error.type"] = str(attempt["status"]) if attempt["status"] else "no_answer"
    return attributes
