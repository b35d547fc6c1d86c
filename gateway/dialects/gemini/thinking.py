"""How much a model is to think, between Messages and Gemini: budgets in tokens up to Gemini 2.5, levels from Gemini 3 on.

Which of the two a model takes, and what of it, its catalog row says; both in one request are refused.
Source: Google's thinking guide and model pages, 2026-11-20.
"""

from typing import Any

from gateway.canonical.capabilities import Capabilities
from gateway.canonical.errors import InvalidRequest

Json = dict[str, Any]
_EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
_ANY_BUDGET = (0, 2**31)


def render_thinking(body: Json, can: Capabilities | None, dropped: dict[str, None]) -> Json:
    """`thinkingConfig` for a Messages body; empty where it says nothing. `can` is None for a model that nobody described."""
    given, output = body.get("thinking"), body.get("output_config")
    thinking: Json = given if isinstance(given, dict) else {}
    effort = output.get("effort") if isinstance(output, dict) else None
    if effort is not None and effort not in _EFFORTS:
        raise InvalidRequest(f"output_config.effort: {str(effort)[:40]!r} is not known; send one of {', '.join(_EFFORTS[1:])}")
    if thinking.get("type") == "between_tools":
        dropped["thinking.type"] = None
    if can is None:
        config = _as_said(thinking, effort)
    elif can.thinking_budget:
        config = _budget(thinking, effort, can, dropped)
    else:
        config = _level(thinking, effort, can.effort_levels, dropped)
    if thinking.get("type") in ("enabled", "adaptive") and thinking.get("display") != "omitted":
        config["includeThoughts"] = True
    return config


def _as_said(thinking: Json, effort: str | None) -> Json:
    if thinking.get("type") == "disabled":
        return {"thinkingLevel": "MINIMAL"}
    if thinking.get("type") == "enabled" and thinking.get("budget_tokens") is not None:
        return {"thinkingBudget": thinking["budget_tokens"]}
    return {"thinkingLevel": "HIGH" if effort == "max" else effort.upper()} if effort else {}


def _budget(thinking: Json, effort: str | None, can: Capabilities, dropped: dict[str, None]) -> Json:
    """Tokens within the model's range, −1 for as many as it takes, 0 for none where it can do without."""
    if effort is not None:
        dropped["output_config.effort"] = None
    least, most = can.thinking_budget_tokens or _ANY_BUDGET
    match thinking.get("type"):
        case "disabled":
            if can.thinking_can_be_disabled:
                return {"thinkingBudget": 0}
            dropped["thinking.type"] = None
            return {"thinkingBudget": least}
        case "adaptive":
            return {"thinkingBudget": -1}
        case "enabled":
            tokens = thinking.get("budget_tokens")
            if isinstance(tokens, int) and least <= tokens <= most:
                return {"thinkingBudget": tokens}
            dropped["thinking.budget_tokens"] = None
            return {"thinkingBudget": -1}
    return {}


def _level(thinking: Json, effort: str | None, levels: tuple[str, ...], dropped: dict[str, None]) -> Json:
    """One of the model's levels. Off is its lowest, and named where that still thinks; an effort above all is its highest."""
    if thinking.get("type") == "disabled":
        if levels[:1] != ("minimal",):
            dropped["thinking.type"] = None
        return {"thinkingLevel": levels[0].upper()} if levels else {}
    if thinking.get("type") == "enabled" and thinking.get("budget_tokens") is not None:
        dropped["thinking.budget_tokens"] = None
    if effort is None:
        return {}
    if effort in levels:
        return {"thinkingLevel": effort.upper()}
    if effort != "max" or not levels:
        dropped["output_config.effort"] = None
    above = bool(levels) and _EFFORTS.index(effort) > _EFFORTS.index(levels[-1])
    return {"thinkingLevel": levels[-1].upper()} if above else {}


def parse_thinking(config: Json, chat: Json) -> None:
    """Writes a client's `thinkingConfig` into `chat`: budget 0 is off, −1 as much as it takes, a level an effort. Thoughts
    are shown only where the client asked."""
    budget, level = config.get("thinkingBudget"), str(config.get("thinkingLevel") or "").lower()
    if budget == 0 or level == "minimal":
        chat["thinking"] = {"type": "disabled"}
        return
    display = "summarized" if config.get("includeThoughts") else "omitted"
    if isinstance(budget, int) and budget > 0:
        chat["thinking"] = {"type": "enabled", "budget_tokens": budget, "display": display}
    elif level or budget == -1 or config.get("includeThoughts"):
        chat["thinking"] = {"type": "adaptive", "display": display}
    if level in _EFFORTS:
        chat.setdefault("output_config", {})["effort"] = level
