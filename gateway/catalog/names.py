"""How callers write models, provider kinds and locations, and what they mean by it. Knows spellings, not models."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

KINDS = {
    "vertex": "vertex",
    "vertex-ai": "vertex",
    "vertex-anthropic": "vertex",
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "openai": "openai",
    "gemini": "gemini",
    "google-claude": "google-claude",
}
VENDOR_KINDS = {
    "anthropic": ("vertex", "anthropic", "bedrock", "google-claude"),
    "google": ("vertex", "gemini"),
    "openai": ("openai",),
}
_VENDORS = (
    (re.compile(r"claude-", re.IGNORECASE), "anthropic"),
    (re.compile(r"gemini-|text-embedding-\d{3}|text-multilingual-embedding-", re.IGNORECASE), "google"),
    (re.compile(r"gpt-|chatgpt-|o\d|text-embedding-", re.IGNORECASE), "openai"),
)
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]{0,127}")
_LONG_CONTEXT = re.compile(r"\[1m\]$", re.IGNORECASE)
_ARN = re.compile(r"arn:aws[a-z-]*:bedrock:[^/]*:[a-z-]+/([^/]+)", re.IGNORECASE)
_BEDROCK = re.compile(r"(?:[a-z]{2,6}(?:-[a-z]+)?\.)?anthropic\.(.+?)(?:-v\d+(?::\d+)?)?", re.IGNORECASE)
_FLOATING = re.compile(r"@(?:default|latest)$", re.IGNORECASE)

LocationClass = Literal["global", "multiregion", "regional"]


@dataclass(frozen=True, slots=True)
class AskedModel:
    """A model name taken apart: at most one of `provider_slug` and `provider_kind` is set."""

    provider_slug: str | None
    provider_kind: str | None
    name: str


def kind_of(word: str) -> str | None:
    """The provider kind that a word means, aliases included, or None."""
    return KINDS.get(word.lower().replace("_", "-"))


def split_name(asked: str, slugs: Collection[str] = ()) -> AskedModel:
    """`@slug/model`, `provider-kind/model` or a plain name. A slug in `slugs` is understood without its `@` too.

    A first segment that is none of these belongs to the name: `meta-llama/Llama-3`.
    """
    first, slash, rest = asked.partition("/")
    if slash and first.startswith("@") and first != "@":
        return AskedModel(first[1:], None, rest)
    kind = kind_of(first) if slash else None
    if kind:
        return AskedModel(None, kind, rest)
    if slash and first in slugs:
        return AskedModel(first, None, rest)
    return AskedModel(None, None, asked)


def without_long_context(name: str) -> str:
    """The name without Claude Code's `[1m]`, which never goes upstream."""
    return _LONG_CONTEXT.sub("", name)


def first_party_name(name: str) -> str:
    """Any spelling of a Claude model as Anthropic's own API has it: no profile, no `@`, no `-v1:0`.

    >>> first_party_name("us.anthropic.claude-sonnet-4-5-20250929-v1:0[1m]")
    'claude-sonnet-4-5-20250929'

    Source: id conversions of the Anthropic SDKs for Vertex AI and Bedrock, 2026-11-20.
    """
    name = without_long_context(name)
    if arn := _ARN.fullmatch(name):
        name = arn[1]
    if bedrock := _BEDROCK.fullmatch(name):
        name = bedrock[1]
    return _FLOATING.sub("", name).replace("@", "-")


def is_safe_name(name: str) -> bool:
    """May stand in a URL path as it is: 128 characters of letters, digits and `._@:-`, the first a letter or digit."""
    return _SAFE_NAME.fullmatch(name) is not None


def vendor_of_name(name: str) -> str | None:
    """Who makes a model of such a name, as far as the spelling shows."""
    plain = first_party_name(name)
    return next((vendor for pattern, vendor in _VENDORS if pattern.match(plain)), None)


def location_class(location: str) -> LocationClass:
    """How a location is priced. Bedrock's geographic profiles (`apac`, `jp`, …) are priced as regions are."""
    location = location.lower()
    if location == "global":
        return "global"
    return "multiregion" if location in ("us", "eu") else "regional"
