"""A Bedrock body as one half of every crossing: Messages inside, betas and version in members of its own, and less of the rest.

Sources: Anthropic's feature table for Bedrock, betas that LiteLLM 1.109.1 lists and Claude Code 2.1.329 sends, 2026-11-20.
"""

from collections.abc import Iterable
from typing import Any

from gateway.canonical.capabilities import ModelTraits
from gateway.canonical.errors import InvalidRequest
from gateway.canonical.translation import Chat, Json
from gateway.dialects.anthropic import chat as anthropic_chat
from gateway.dialects.anthropic import door as anthropic
from gateway.dialects.anthropic.fit import fit_chat
from gateway.dialects.crossing import foreign_extras

WIRE = "bedrock"
VERSION = "bedrock-2023-05-31"
OWN_MEMBERS = ("anthropic_version", "anthropic_beta")
# What the Messages API takes and Bedrock does not (Anthropic's feature table for Bedrock, 2026-11-20).
REFUSED_FIELDS = (
    "container", "diagnostics", "fallback_credit_token", "fallbacks", "inference_geo", "mcp_servers", "service_tier", "speed",
    "tags", "user_profile_id",
)  # fmt: skip
TOOL_SEARCH_BETA = "tool-search-tool-2025-10-19"
RENAMED_BETAS = {"advanced-tool-use-2025-11-20": TOOL_SEARCH_BETA}
TAKEN_BETAS = (
    "compact-2026-01-12", "computer-use-", "context-1m-", "context-management-", "dangerous-tool-use-", "effort-",
    "fine-grained-tool-streaming-", "interleaved-thinking-", "mid-conversation-", "thinking-binding-controls-",
    "thinking-display-updates-", "thinking-token-count-", "tool-search-tool-",
)  # fmt: skip


def parse_chat(body: Json) -> Chat:
    """The canonical form is what stands inside; betas are said in the body here."""
    chat = anthropic_chat.parse_chat({name: value for name, value in body.items() if name not in OWN_MEMBERS})
    betas = body.get("anthropic_beta") or []
    if not isinstance(betas, list) or not all(isinstance(beta, str) for beta in betas):
        raise InvalidRequest('anthropic_beta: must be a list of strings, such as ["effort-2025-11-24"]')
    return Chat(chat.body, chat.extras, chat.dropped, tuple(betas))


def render_chat(chat: Chat, model: ModelTraits, *, stream: bool) -> tuple[Json, list[str]]:
    """Model and streaming are said by the path. What Bedrock or the model does not take is left out, and named."""
    fitted, lost = fit_chat(chat.body, model)
    fitted |= chat.extras.get(anthropic.WIRE, {})
    betas, lost_betas = fit_betas((*chat.betas, *_needed_betas(fitted.get("tools"))))
    refused = [name for name in refused_fields(betas) if name in fitted]
    if any("output_config" in message for message in fitted["messages"]):
        refused.append("messages.output_config")
        fitted["messages"] = [_without_output_config(message) for message in fitted["messages"]]
    body = {name: value for name, value in fitted.items() if name not in refused}
    own: Json = {"anthropic_version": VERSION} | ({"anthropic_beta": list(betas)} if betas else {})
    return {**own, **body}, [*chat.dropped, *foreign_extras(chat, WIRE, anthropic.WIRE), *lost, *lost_betas, *refused]


def render_count(chat: Chat, model: ModelTraits) -> tuple[Json, list[str]]:
    """A whole invoke body: its provider wraps it."""
    return render_chat(chat, model, stream=False)


def _without_output_config(message: Json) -> Json:
    """Effort by turn goes with a beta that Bedrock does not take."""
    return {name: value for name, value in message.items() if name != "output_config"}


def fit_betas(asked: Iterable[str]) -> tuple[tuple[str, ...], list[str]]:
    """Those that Bedrock is known to take, under its names, and the others. One that it does not take makes it refuse the
    whole request without saying which."""
    renamed = tuple(dict.fromkeys(RENAMED_BETAS.get(beta, beta) for beta in asked))
    taken = tuple(beta for beta in renamed if beta.startswith(TAKEN_BETAS))
    return taken, [f"anthropic-beta:{beta}" for beta in renamed if beta not in taken]


def refused_fields(betas: Iterable[str]) -> tuple[str, ...]:
    """Members of a body that Bedrock does not take, or not without their beta."""
    managed = any(beta.startswith(("context-management-", "compact-")) for beta in betas)
    return REFUSED_FIELDS if managed else (*REFUSED_FIELDS, "context_management")


def _needed_betas(tools: Any) -> tuple[str, ...]:
    """Anthropic's own API searches for deferred tools under other betas too."""
    each = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    deferred = any("defer_loading" in tool or str(tool.get("type")).startswith("tool_search_") for tool in each)
    return (TOOL_SEARCH_BETA,) if deferred else ()
