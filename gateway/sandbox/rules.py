"""What each model accepts: the 400s that depend on the model (model pages and reports as of 2026-11-20)."""

from collections.abc import Mapping
from typing import Any

from gateway.sandbox import betas as b
from gateway.sandbox.errors import extra, invalid
from gateway.sandbox.models import Model

THINKING_FIELDS = {"enabled": {"budget_tokens", "display"}, "adaptive": {"display"}, "between_tools": set(), "disabled": set()}
BUDGET_TOKENS_MIN = 1024
DOCS = "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"


def check(body: Mapping[str, Any], model: Model, betas: frozenset[str]) -> None:
    """All rules but those about the prompt's own content and size."""
    _check_max_tokens(body, model)
    _check_thinking(body, model, betas)
    _check_sampling(body, model)
    _check_tool_choice(body, model)
    _check_output_config(body, model)


def _check_max_tokens(body: Mapping[str, Any], model: Model) -> None:
    asked, most = body.get("max_tokens", 1), model.output_tokens_max
    if asked < 0:
        raise invalid("max_tokens: Input should be greater than or equal to 0")
    if asked > most:
        name = model.answered_name
        raise invalid(f"max_tokens: {asked} > {most}, which is the maximum allowed number of output tokens for {name}")


def check_size(body: Mapping[str, Any], model: Model, input_tokens: int) -> None:
    """The prompt, and on 200k models prompt and answer together, must fit the context."""
    most = model.context_tokens
    if input_tokens > most:
        raise invalid(f"prompt is too long: {input_tokens} tokens > {most} maximum")
    asked = body["max_tokens"]
    if most <= 200_000 < input_tokens + asked:
        raise invalid(
            f"input length and `max_tokens` exceed context limit: {input_tokens} + {asked} > {most}, "
            "decrease input length or `max_tokens` and try again"
        )


def _check_thinking(body: Mapping[str, Any], model: Model, betas: frozenset[str]) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind not in THINKING_FIELDS:
        known = ", ".join(f"'{name}'" for name in THINKING_FIELDS)
        raise invalid(f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}")
    for name in thinking.keys() - {"type"} - THINKING_FIELDS[kind]:
        if name != "block_binding" or not betas & b.THINKING_BINDING:
            raise extra(f"thinking.{kind}.{name}")
    _check_thinking_kind(kind, body, model)
    displays = ("summarized", "omitted") + (("updates",) if betas & b.THINKING_UPDATES else ())
    if thinking.get("display") not in (None, *displays):
        raise invalid(f"thinking.{kind}.display: Input should be {' or '.join(repr(d) for d in displays)}")


def _check_thinking_kind(kind: str, body: Mapping[str, Any], model: Model) -> None:
    effort = (body.get("output_config") or {}).get("effort")
    if kind == "enabled" and not model.budget_thinking:
        raise invalid(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        )
    if kind == "disabled" and not model.thinking_off:
        raise invalid('"thinking.type.disabled" is not supported for this model.')
    if kind == "disabled" and model.id == "claude-opus-5" and effort in ("xhigh", "max"):
        raise invalid(f'"thinking.type.disabled" is not supported with effort "{effort}" for this model.')
    if kind in ("adaptive", "between_tools") and not model.thinks_adaptively:
        raise invalid(f"{'adaptive' if kind == 'adaptive' else kind} thinking is not supported on this model")
    if kind == "enabled":
        _check_budget(body)


def _check_budget(body: Mapping[str, Any]) -> None:
    budget = body["thinking"].get("budget_tokens")
    if not isinstance(budget, int):
        raise invalid("thinking.enabled.budget_tokens: Field required")
    if budget < BUDGET_TOKENS_MIN:
        raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {BUDGET_TOKENS_MIN}")
    if budget >= body.get("max_tokens", budget + 1):
        raise invalid(f"`max_tokens` must be greater than `thinking.budget_tokens`. {DOCS}#max-tokens-and-context-window-size")


def _check_sampling(body: Mapping[str, Any], model: Model) -> None:
    kind = (body.get("thinking") or {}).get("type")
    if kind in ("enabled", "adaptive") and body.get("temperature", 1) != 1:
        raise invalid(f"`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. {DOCS}")
    if not model.sampling:
        for name, default in (("temperature", 1), ("top_p", 1), ("top_k", None)):
            if body.get(name, default) != default:
                raise invalid(f"`{name}` is deprecated for this model.")
    elif kind == "enabled" and "top_k" in body:
        raise invalid(f"`top_k` must be unset when thinking is enabled. {DOCS}")
    elif "4-5" in model.id and "temperature" in body and "top_p" in body:
        raise invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def _check_tool_choice(body: Mapping[str, Any], model: Model) -> None:
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        raise invalid(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: "
            "'auto', 'any', 'tool', 'none'"
        )
    names = [tool.get("name") for tool in body.get("tools") or []]
    if not names:
        raise invalid("tool_choice may only be specified while providing tools.")
    if kind in ("auto", "none"):
        return
    if not model.forced_tools:
        raise invalid('tool_choice: type "tool" and "any" are not supported for this model.')
    if (body.get("thinking") or {}).get("type") == "enabled":
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "tool" and choice.get("name") not in names:
        raise invalid(f"Tool '{choice.get('name')}' not found in provided tools")


def _check_output_config(body: Mapping[str, Any], model: Model) -> None:
    config = body.get("output_config") or {}
    for name in config.keys() - {"effort", "format"}:
        raise extra(f"output_config.{name}")
    check_effort(config.get("effort"), model, "output_config.effort")
    wanted = config.get("format")
    if wanted is None:
        return
    if not model.structured_output:
        raise extra("output_config.format")
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict):
        raise invalid("output_config.format: Input should be of type 'json_schema' with a 'schema'")
    _check_schema(wanted["schema"])


def check_effort(effort: Any, model: Model, path: str) -> None:
    if effort is None:
        return
    if not model.efforts:
        raise invalid("This model does not support the effort parameter.")
    if effort not in model.efforts:
        raise invalid(f"{path}: Input should be {', '.join(repr(e) for e in model.efforts)}")


def _check_schema(schema: Any) -> None:
    """Structured output wants closed objects, everywhere."""
    if isinstance(schema, list):
        for part in schema:
            _check_schema(part)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise invalid("output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false")
    for name, part in schema.items():
        if name not in ("enum", "const", "default", "examples"):
            _check_schema(list(part.values()) if name in ("properties", "$defs") and isinstance(part, dict) else part)
