"""What a model takes, as its catalog row says: rules are data, not ifs on names."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model accepts. Sources: Anthropic model pages and client catalog, Google model pages, 2026-11-20.

    `None` stands for what is not known: a renderer then says what the caller said. The last five are Gemini's.
    """

    sampling_params: bool  # temperature, top_p, top_k other than their defaults
    temperature_with_top_p: bool  # both in one request
    assistant_prefill: bool
    thinking_budget: bool  # thinking.type "enabled" with budget_tokens
    adaptive_thinking: bool
    thinking_by_default: bool  # thinks when a request does not mention thinking
    thinking_can_be_disabled: bool
    forced_tool_choice: bool  # tool_choice "any" or "tool"; on older models not together with thinking
    system_messages: bool  # role "system" inside messages
    effort_levels: tuple[str, ...] = ()
    effort_levels_without_thinking: tuple[str, ...] | None = None  # None: the same
    thinking_between_tools: bool | None = None
    thinking_budget_tokens: tuple[int, int] | None = None  # the least and the most that `budget_tokens` may be
    tool_call_ids: bool | None = None  # function calls and their results carry ids
    thought_signatures: bool | None = None  # a history whose function calls lost their signature is refused
    media_in_tool_results: bool | None = None  # images inside a function's result; else beside it
    tools_beside_others: bool | None = None  # functions together with an output schema or with web search


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What rendering a request has to know of the model it goes to. `capabilities` is None where nobody wrote them down."""

    id: str
    vendor: str
    max_output_tokens: int | None = None
    capabilities: Capabilities | None = None
