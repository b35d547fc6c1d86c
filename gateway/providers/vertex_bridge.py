"""What of a Claude request Vertex AI takes: beta values and fields, by table and by what its refusals taught.

A Messages client speaks the full first-party dialect; Vertex takes less and answers 400 to what it does not know. By
default it is sent what Claude Code's own Vertex mode sends. Both halves of a feature go together: a beta without its
field, or a field without its beta, is a 400. Sources: captures of Claude Code 2.1.329 in both modes, 2026-11-20.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.canonical.errors import InvalidRequest
from gateway.canonical.json_object import JsonObject, NotAnObject, drop_from_items
from gateway.providers.provider import Lesson

RENAMED_BETAS = {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
REFUSED_BETAS = (
    "advisor-tool-",
    "code-execution-",
    "context-management-",
    "extended-cache-ttl-",
    "fast-mode-",
    "files-api-",
    "fine-grained-tool-streaming-",
    "mcp-client-",
    "mcp-servers-",
    "mid-conversation-tool-changes-",
    "oauth-",
    "output-128k-",
    "per-turn-control-",
    "prompt-caching-scope-",
    "redact-thinking-",
    "skills-",
    "structured-outputs-",
    "token-counting-",
    "token-efficient-tools-",
    "web-fetch-",
)
# What stands in `tools` → the beta without which Vertex AI refuses it, though Anthropic's own API asks for none or another:
# web search (Google's page on it; 400s reported since 2025-11), and tools that Claude Code defers under
# `mid-conversation-tool-changes` alone when it was given few tools (`--tools`; 2.1.329, 2026-11-21).
NEEDED_BETAS = (
    (b'"web_search_2', re.compile(rb'(?<!\\)"web_search_\d{8}"'), "web-search-2025-03-05"),
    (b'"defer_loading"', re.compile(rb'(?<!\\)"defer_loading"'), "tool-search-tool-2025-10-19"),
    (b'"tool_search_tool_', re.compile(rb'(?<!\\)"tool_search_tool_'), "tool-search-tool-2025-10-19"),
)
BETA = re.compile(r"[\w.-]{1,100}", re.ASCII)
BETAS_MAX = 64
COUNTING_BETAS = ("claude-code-", "interleaved-thinking-", "token-counting-")
COMPACTION_BETA = "compact-"
REFUSED_FIELDS = ("context_management", "messages.output_config", "tags")
COUNTING_REFUSED_FIELDS = frozenset({"context_management", "messages.output_config"})  # their betas cannot go along

# Field → the beta that goes with it. `messages.X` is a member of each message, `X.Y` a member of a member.
TWINS = {
    "context_management": "context-management-",
    "messages.output_config": "per-turn-control-",
    "output_config.effort": "effort-",
    "safeguards": "dangerous-tool-use-",
}
# The only fields that a refusal may teach us to drop: none of them changes what is asked. `tools`, `system`,
# `thinking`, `messages` and `safeguards` are never among them: their refusal is the caller's to see.
DROPPABLE_FIELDS = frozenset({
    "billing_policy", "cache_control", "context_management", "diagnostics", "fallback_credit_token", "fallbacks",
    "inference_geo", "messages.output_config", "metadata", "output_config", "output_config.effort", "service_tier",
    "speed", "tags", "user_profile_id",
})  # fmt: skip
HEADERS_REMEMBERED = 1_024  # a client sends the same few all day
_BETA_REFUSED = re.compile(r"Unexpected value\(s\) (.+?) for the `?anthropic-beta`? header")
_FIELD_REFUSED = re.compile(r"(?:^|[\s;])([A-Za-z_][\w.]*): Extra inputs are not permitted")


@dataclass(frozen=True, slots=True)
class Edit:
    """Members to drop from a document and to put into it, and the names of the fields that are lost by that."""

    drop: tuple[str, ...] = ()
    put: Mapping[str, bytes] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bridged:
    betas: tuple[str, ...]
    edit: Edit
    dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Betas by what becomes of them, and the fields that go with those that are dropped."""

    kept: tuple[str, ...]
    dropped: tuple[str, ...]
    fields: tuple[str, ...]


@lru_cache(maxsize=HEADERS_REMEMBERED)
def split_betas(header: str) -> tuple[str, ...]:
    """The values of an `anthropic-beta` header, in order, without repeats. InvalidRequest if one is none."""
    values = tuple(dict.fromkeys(value.strip() for value in header.split(",") if value.strip()))
    if len(values) > BETAS_MAX or not all(BETA.fullmatch(value) for value in values):
        told = f"anthropic-beta: at most {BETAS_MAX} values of letters, digits, dots and hyphens, separated by commas"
        raise InvalidRequest(told)
    return values


def bridge(betas: Iterable[str], document: JsonObject, *, by_table: bool, counting: bool, lesson: Lesson) -> Bridged:
    """Betas and body as Vertex takes them. `by_table` is for clients of the Messages format; clients that speak the
    Vertex dialect know their upstream and lose only what a refusal has taught."""
    needed = _needed(document) if by_table and not counting else ()
    taken = _sort(tuple(betas), needed, by_table, counting, lesson)
    edit = edit_fields(document, taken.fields)
    return Bridged(taken.kept, edit, (*taken.dropped, *edit.dropped))


@lru_cache(maxsize=HEADERS_REMEMBERED)
def _sort(asked: tuple[str, ...], needed: tuple[str, ...], by_table: bool, counting: bool, lesson: Lesson) -> _Sorted:
    renamed = asked
    if by_table:
        renamed = tuple(dict.fromkeys((*(RENAMED_BETAS.get(beta, beta) for beta in asked), *needed)))
    kept = tuple(beta for beta in renamed if _takes(beta, renamed, by_table, counting) and beta not in lesson.betas)
    fields = lesson.fields
    if by_table:
        fields |= _fields_by_table(asked)
    if counting:
        fields |= COUNTING_REFUSED_FIELDS
    dropped = tuple(f"anthropic-beta:{beta}" for beta in renamed if beta not in kept)
    return _Sorted(kept, dropped, tuple(sorted(fields)))


def _needed(document: JsonObject) -> tuple[str, ...]:
    if "tools" not in document:
        return ()
    tools = document.raw("tools")
    # A plain search first: it rules most bodies out a hundred times faster than the expression, which leaves out quotations.
    return tuple(beta for plain, sign, beta in NEEDED_BETAS if plain in tools and sign.search(tools))


def _takes(beta: str, all_betas: tuple[str, ...], by_table: bool, counting: bool) -> bool:
    if counting:
        return beta.startswith(COUNTING_BETAS)
    if beta.startswith("context-management-") and _compacts(all_betas):
        return True
    return not (by_table and beta.startswith(REFUSED_BETAS))


def _compacts(betas: Iterable[str]) -> bool:
    """Compaction works on Vertex and is asked for by `context_management`: then both halves stay."""
    return any(beta.startswith(COMPACTION_BETA) for beta in betas)


def _fields_by_table(betas: tuple[str, ...]) -> frozenset[str]:
    return frozenset(f for f in REFUSED_FIELDS if not (f == "context_management" and _compacts(betas)))


def drop_fields(document: JsonObject, fields: Iterable[str]) -> tuple[JsonObject, list[str]]:
    """The document without those of `fields` that it has, and their names."""
    edit = edit_fields(document, fields)
    if not edit.dropped:
        return document, []
    return JsonObject(document.edited(drop=edit.drop, put=edit.put)), list(edit.dropped)


def edit_fields(document: JsonObject, fields: Iterable[str]) -> Edit:
    """What takes those of `fields` out of a document that it has."""
    put: dict[str, bytes] = {}
    drop: list[str] = []
    dropped: list[str] = []
    for name in fields:
        outer, _, inner = name.partition(".")
        if outer not in document or outer in drop:
            continue
        if not inner:
            if outer == "output_config" and _has_format(document):
                continue
            drop.append(outer)
            dropped.append(name)
        elif (shorter := _without_inner(put.get(outer) or document.raw(outer), inner)) is not None:
            dropped.append(name)
            if shorter == b"{}" and outer != "messages":
                drop.append(outer)
            else:
                put[outer] = shorter
    return Edit(tuple(drop), {n: v for n, v in put.items() if n not in drop}, tuple(dropped))


def _has_format(document: JsonObject) -> bool:
    """Structured output is asked for: dropping `output_config` whole would change the answer's kind."""
    try:
        value = document.value("output_config")
    except NotAnObject:
        return True  # unreadable: the provider's to refuse, not ours to drop
    return isinstance(value, dict) and "format" in value


def _without_inner(raw: bytes, name: str) -> bytes | None:
    """An object, or each object of an array, without the member; None if there is none."""
    try:
        if raw.startswith(b"["):
            shorter, changed = drop_from_items(raw, name)
            return shorter if changed else None
        inner = JsonObject(raw)
    except NotAnObject:
        return None
    if name not in inner:
        return None
    return inner.edited(drop=(name,)) if len(inner.names()) > 1 else b"{}"


def parse_lesson(message: str, sent_betas: tuple[str, ...], sent_body: bytes) -> Lesson | None:
    """What a 400 teaches: exactly the betas and the fields it names, each with its twin.

    None if it names nothing that was sent, or something that must not be dropped, be it a twin.
    """
    betas = {beta for found in _BETA_REFUSED.findall(message) for beta in re.findall(r"`([^`]+)`", found)} & set(sent_betas)
    fields = {re.sub(r"\.\d+", "", path) for path in _FIELD_REFUSED.findall(message)}
    try:
        document = JsonObject(sent_body)
    except NotAnObject:  # nested so deeply that it could just be read where the stack was lower
        return None
    fields = {field for field in fields if field not in DROPPABLE_FIELDS or drop_fields(document, (field,))[1]}
    fields |= {field for field, prefix in TWINS.items() if any(beta.startswith(prefix) for beta in betas)}
    betas |= {beta for beta in sent_betas for field in fields & TWINS.keys() if beta.startswith(TWINS[field])}
    if "safeguards" in fields and "safeguards" not in document:
        fields.discard("safeguards")
    if not betas and not fields:
        return None
    if not fields <= DROPPABLE_FIELDS or ("output_config" in fields and _has_format(document)):
        return None
    return Lesson(frozenset(betas), frozenset(fields))
