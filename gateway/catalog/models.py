"""Which models there are, by any name that callers use, and what a provider kind calls them.

Models and prices are data: models.json, parsed at first use. Names that the catalog does not know are no error here:
tomorrow's model goes upstream under the name that today's rules give it.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

from gateway.canonical.capabilities import Capabilities
from gateway.catalog.names import (
    VENDOR_KINDS,
    AskedModel,
    LocationClass,
    first_party_name,
    is_safe_name,
    kind_of,
    location_class,
    split_name,
    vendor_of_name,
    without_long_context,
)
from gateway.catalog.rows import Lifecycle, Model, load

__all__ = [
    "AskedModel", "LocationClass", "Model", "all_models", "bare_name", "find", "is_safe_name", "kind_of", "location_class",
    "price_version", "render_alias", "render_model", "serves", "split_name", "upstream_name", "vendor_of",
]  # fmt: skip

NAMES_REMEMBERED = 4_096  # most calls ask for the same few
NAME_CHARACTERS_MAX = 512  # an ARN's length and more; a caller's text is not searched beyond it
_DATED = re.compile(r"(.+)-(\d{8})")
_ACTIVE = Lifecycle()


def all_models() -> tuple[Model, ...]:
    """Every model of the catalog, newest first within a family; embeddings and retired ones too."""
    return load().models


def price_version() -> str:
    """The date that the catalog's prices are of."""
    return load().price_version


def find(name: str, kind: str | None = None) -> Model | None:
    """The model that a name means, whoever's spelling it is, in any case; None if the catalog does not know it.

    `kind` matters for short names only: `sonnet` is an older model on Vertex AI and Bedrock than at Anthropic.
    """
    return _find(name, kind) if len(name) <= NAME_CHARACTERS_MAX else None


@lru_cache(maxsize=NAMES_REMEMBERED)
def _find(name: str, kind: str | None) -> Model | None:
    plain = first_party_name(name).lower()
    short = load().short_names.get(plain)
    if short:
        plain = short.get(kind or "", short["anthropic"])
    return _by_name().get(plain)


def upstream_name(name: str, kind: str) -> str:
    """What a provider of that kind calls the model. Names it cannot know are respelt for Claude, else left alone.

    >>> upstream_name("claude-sonnet-4-5", "vertex")
    'claude-sonnet-4-5@20250929'
    """
    model = find(name, kind)
    known = model and _id_for(model, kind)
    if known:
        return known
    plain = first_party_name(name)
    if vendor_of_name(name) != "anthropic":
        return without_long_context(name)
    dated = _DATED.fullmatch(plain)
    if kind == "vertex" and dated:
        return f"{dated[1]}@{dated[2]}"
    if kind == "bedrock":
        return f"anthropic.{plain}-v1:0" if dated else f"anthropic.{plain}"
    return plain


def bare_name(name: str) -> str:
    """The name that Vertex AI's token counting takes: its own, without `@…`."""
    return upstream_name(name, "vertex").partition("@")[0]


def vendor_of(name: str) -> str | None:
    """`anthropic`, `google`, `openai`, or None if neither catalog nor spelling tells."""
    model = find(name)
    return model.vendor if model else vendor_of_name(name)


def serves(kind: str, name: str) -> bool:
    """Whether a provider of that kind plausibly serves the model. Names unfit for a URL path are served by nobody.

    An OpenAI-compatible provider may serve anything that no vendor's name claims.
    """
    model = find(name, kind)
    if model:
        return _id_for(model, kind) is not None
    if len(name) > NAME_CHARACTERS_MAX:
        return False
    vendor = vendor_of_name(name)
    kinds = VENDOR_KINDS[vendor] if vendor else ("openai",)
    return kind in kinds and is_safe_name(upstream_name(name, kind))


def render_model(model: Model, kind: str = "vertex") -> dict[str, Any]:
    """A row of `GET /v1/models` that Anthropic and OpenAI clients both read, with the lifecycle it has at `kind`.

    An unknown release date is the epoch, as Anthropic's API has it. Of `capabilities` only what is known is said.
    Source: Anthropic SDK 2.11.0 `ModelInfo`, OpenAI API reference (model object), 2026-11-20.
    """
    lifecycle = model.lifecycle.get(kind, _ACTIVE)
    released = _midnight(model.released or date(1970, 1, 1))
    return {
        "id": model.id,
        "type": "model",
        "object": "model",
        "display_name": model.display_name,
        "created_at": _rfc3339(released),
        "created": int(released.timestamp()),
        "owned_by": model.vendor,
        "lifecycle": lifecycle.state,
        "deprecated_at": None,
        "retires_at": _rfc3339(_midnight(lifecycle.retires_on)) if lifecycle.retires_on else None,
        "line": model.family if model.vendor == "anthropic" else None,
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
        "capabilities": _render_capabilities(model.capabilities) if model.capabilities else None,
    }


def render_alias(alias: str, upstream: str) -> dict[str, Any]:
    """The row of an operator's own name for a model: the model's, as far as the catalog knows what it stands for."""
    known = find(upstream)
    if known is not None:
        return {**render_model(known), "id": alias, "display_name": f"{alias} ({known.display_name})"}
    unknown = {**dict.fromkeys(render_model(all_models()[0])), "created_at": _rfc3339(_midnight(date(1970, 1, 1))), "created": 0}
    said = {"id": alias, "display_name": alias, "owned_by": vendor_of(upstream) or "operator", "lifecycle": "active"}
    return {**unknown, "type": "model", "object": "model", **said}


def _render_capabilities(can: Capabilities) -> dict[str, Any]:
    def supported(yes: bool) -> dict[str, bool]:
        return {"supported": yes}

    levels = ("low", "medium", "high", "xhigh", "max")
    types = {
        "enabled": supported(can.thinking_budget),
        "adaptive": supported(can.adaptive_thinking),
        "disabled": supported(can.thinking_can_be_disabled),
    }
    if can.thinking_between_tools is not None:
        types["between_tools"] = supported(can.thinking_between_tools)
    return {
        "thinking": {"supported": can.thinking_budget or can.adaptive_thinking, "types": types},
        "effort": {
            "supported": bool(can.effort_levels),
            **{level: supported(level in can.effort_levels) for level in levels},
        },
    }


def _id_for(model: Model, kind: str) -> str | None:
    """Google's Anthropic-managed service takes first-party ids (Anthropic SDK README, 2026-11)."""
    return model.ids.get("anthropic" if kind == "google-claude" else kind)


@lru_cache(maxsize=1)
def _by_name() -> Mapping[str, Model]:
    return {
        first_party_name(name).lower(): model
        for model in load().models
        for name in (model.id, *model.aliases, *model.ids.values())
    }


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
