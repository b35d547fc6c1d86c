"""A routing config as operators write it: its shape, from which the JSON Schema is made, and every fault with its path.

Configs written for Portkey mean here what they mean there: `virtual_key` is `provider`, `load-balance` is `loadbalance`, and
`retry.attempts` counts the tries after the first (Portkey config reference, 2026-11-20).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.store import Json
from gateway.routing.conditions import check_query

DEPTH_MAX = 4
TARGETS_MAX = 32
BYTES_MAX = 64 * 1024
FALLBACK_STATUSES = frozenset((429, 500, 502, 503, 504, 529))
NEVER_FORWARDED = re.compile(
    r"authorization|cookie|host|x-api-key|proxy-.*|x-goog-.*|x-amzn?-.*|x-gateway-.*|x-portkey-.*|x-forwarded-.*|forwarded|via"
    r"|anthropic-workspace-id|openai-(?:organization|project)|connection|content-.*|transfer-encoding|te|trailer|upgrade|expect|accept-encoding|keep-alive",
)
NOT_OVERRIDDEN = ("stream", "messages", "contents", "input", "prompt", "system", "instructions")
_AT = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)

Status = Annotated[int, Meta(ge=400, le=599)]
Statuses = Annotated[list[Status], Meta(max_length=50, description="HTTP statuses of failures")]
Name = Annotated[str, Meta(pattern=r"^[\w.:@/-]{1,128}$", description="Letters, digits and _ . : @ / -")]
Slug = Annotated[str, Meta(pattern=r"^@?[a-z][a-z0-9-]{1,62}$", description="A provider's id, with or without @")]
Place = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["us-east5"])]
Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]
Header = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class Condition(Struct, forbid_unknown_fields=True):
    """The target named `then` takes the calls that `query` describes."""

    query: dict[str, Any]
    then: Name


class Strategy(Struct, forbid_unknown_fields=True):
    """How one of several targets is chosen, and whether others follow where it fails."""

    mode: Literal["single", "fallback", "loadbalance", "load-balance", "conditional"]
    on_status_codes: Statuses | None = None
    balance: Literal["weighted", "least-busy", "lowest-latency", "lowest-cost"] = "weighted"
    sticky: Literal["session", "user", "none"] = "session"
    conditions: Annotated[list[Condition], Meta(max_length=100)] = []
    default: Name | None = None


class Retry(Struct, forbid_unknown_fields=True):
    """Further tries of a target that failed: `attempts` of them after the first."""

    attempts: Annotated[int, Meta(ge=0, le=5)] = 0
    on_status_codes: Statuses | None = None
    use_retry_after_header: bool = True
    max_wait_ms: Annotated[int, Meta(ge=0, le=600_000)] = 60_000


class Cache(Struct, forbid_unknown_fields=True):
    """Answers that may be given again. `max_age` is in seconds."""

    mode: Literal["simple", "semantic"]
    max_age: Annotated[int, Meta(ge=1, le=31_536_000)] = 3600
    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.95
    scope: Literal["user", "project"] = "user"
    tools: bool = False


class TargetNode(Struct, forbid_unknown_fields=True, kw_only=True):
    """A target, or a group of further ones."""

    name: Name | None = None
    provider: Slug | None = None
    virtual_key: Slug | None = None
    weight: Annotated[float, Meta(ge=0, le=1_000_000)] = 1.0
    override_params: dict[str, Any] = {}
    locations: Annotated[list[Place], Meta(min_length=1, max_length=20)] | None = None
    retry: Retry | None = None
    request_timeout: Milliseconds | None = None
    forward_headers: Annotated[list[Header], Meta(max_length=50)] | None = None
    strategy: Strategy | None = None
    targets: Annotated[list["TargetNode"], Meta(max_length=TARGETS_MAX)] = []

    @property
    def slug(self) -> str | None:
        """The provider that is meant; a virtual key beats a provider."""
        return (self.virtual_key or self.provider or "").removeprefix("@") or None

    @property
    def mode(self) -> str:
        if self.strategy is None:
            return "fallback" if len(self.targets) > 1 else "single"
        return self.strategy.mode.replace("-", "")


class Config(TargetNode, kw_only=True):
    """A whole config. `max_attempts` and `deadline_ms` bound all attempts of a call together."""

    cache: Cache | None = None
    residency: Annotated[list[Place], Meta(min_length=1, max_length=20)] | None = None
    input_guardrails: list[Any] = []
    output_guardrails: list[Any] = []
    max_attempts: Annotated[int, Meta(ge=1, le=20)] = 6
    deadline_ms: Milliseconds = 600_000
    honour_client_location: bool = False
    strict: bool = False
    shadow: bool = False
    hedge_ms: Milliseconds | None = None


SHAPES: Mapping[str, type[Struct]] = {
    "": Config, "strategy": Strategy, "retry": Retry, "cache": Cache, "conditions": Condition, "targets": TargetNode,
}  # fmt: skip
"""By the field that holds them."""


class ConfigFault(ValueError):
    """A config is wrong; `faults` say where, and what would be right."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def parse_config(document: Any) -> Config:
    """The config that a JSON document holds. ConfigFault names every fault that can be told at once."""
    try:
        config = msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise ConfigFault([_in_our_words(str(error), document)]) from error
    except RecursionError as error:
        raise ConfigFault(["the config is nested too deeply"]) from error
    faults = [*_faults_of_whole(config), *_faults(config, "", 1)]
    if sum(1 for _ in leaves(config)) > TARGETS_MAX:
        faults.append(f"targets: should be at most {TARGETS_MAX} in all")
    if faults:
        raise ConfigFault(faults)
    return config


def parse_config_text(text: str | bytes) -> Config:
    """The same of JSON text."""
    try:
        return parse_config(msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ConfigFault([f"the config is no JSON ({error}); send one JSON object"]) from error


def render_schema() -> Json:
    """JSON Schema, draft 2020-12, of what `parse_config` takes."""
    (reference,), definitions = msgspec.json.schema_components([Config], ref_template="#/$defs/{name}")
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Routing config"}
    return {**about, **reference, "$defs": definitions}


def leaves(node: TargetNode) -> Iterator[TargetNode]:
    """The targets themselves, in order."""
    if not node.targets:
        yield node
    for child in node.targets:
        yield from leaves(child)


def _in_our_words(told: str, document: Any) -> str:
    """`retry.attempts: expected int <= 5`: path first, as all of our faults have it."""
    match = _AT.fullmatch(told)
    words, path = (match[1], match[2]) if match else (told, "")
    words = words[:1].lower() + words[1:]
    if "unknown field" in words:
        words += f"; there are {', '.join(get_type_hints(_shape_at(path)))}"
    if "enum value" in words:
        parent, _, name = path.rpartition(".")
        words += f"; there are {', '.join(get_args(get_type_hints(_shape_at(parent))[name]))}"
    return f"{path or 'the config'}: {words}"


def _shape_at(path: str) -> type[Struct]:
    """Of the object that a path leads to."""
    last = re.sub(r"\[[^\]]*\]", "", path).rpartition(".")[2]
    return SHAPES.get(last, TargetNode)


def _faults_of_whole(config: Config) -> Iterator[str]:
    for name in ("input_guardrails", "output_guardrails"):
        if getattr(config, name):
            yield f"{name}: this version has no guardrails, and a config must not promise them; leave it empty"
    if config.residency is not None and "global" in config.residency:
        yield "residency: `global` is everywhere; name us, eu or regions, or leave residency out"


def _faults(node: TargetNode, path: str, depth: int) -> Iterator[str]:
    at = f"{path}." if path else ""
    if depth > DEPTH_MAX:
        yield f"{path}: targets should be nested at most {DEPTH_MAX} deep"
        return
    yield from _faults_of_leaf(node, at)
    if node.strategy is not None:
        yield from _faults_of_strategy(node, node.strategy, at)
    names = [child.name for child in node.targets if child.name]
    if len(names) != len(set(names)):
        yield f"{at}targets: two have the same name; names tell targets of one group apart"
    for place, child in enumerate(node.targets):
        yield from _faults(child, f"{at}targets[{place}]", depth + 1)


def _faults_of_leaf(node: TargetNode, at: str) -> Iterator[str]:
    if node.targets and (node.slug or node.locations):
        yield f"{at}targets: stand beside provider or locations of their own; a group has none, put them into its targets"
    for name in node.override_params:
        if name in NOT_OVERRIDDEN:
            yield f"{at}override_params.{name}: a config sets parameters, not what is asked; leave it to the caller"
    model = node.override_params.get("model", "x")
    if not isinstance(model, str) or not 0 < len(model) <= 256:
        yield f"{at}override_params.model: should be a model's name, such as claude-sonnet-4-6 or @vertex-prod/claude-sonnet-4-6"
    for place, header in enumerate(node.forward_headers or ()):
        if NEVER_FORWARDED.fullmatch(header.lower()):
            yield f"{at}forward_headers[{place}]: {header} is never forwarded; leave it out"


def _faults_of_strategy(node: TargetNode, strategy: Strategy, at: str) -> Iterator[str]:
    names = [child.name for child in node.targets if child.name]
    if node.mode != "single" and not node.targets:
        yield f"{at}targets: {strategy.mode} needs at least one"
    if node.mode == "single" and len(node.targets) > 1:
        yield f"{at}targets: single takes one; use fallback or loadbalance for several"
    if node.mode == "loadbalance" and node.targets and not any(child.weight for child in node.targets):
        yield f"{at}targets: every weight is 0; at least one should be above"
    if node.mode != "conditional":
        return
    if not strategy.conditions and strategy.default is None:
        yield f"{at}strategy.conditions: conditional needs conditions, or a default"
    for place, condition in enumerate(strategy.conditions):
        here = f"{at}strategy.conditions[{place}]"
        yield from (f"{here}.query{fault}" for fault in check_query(condition.query))
        if condition.then not in names:
            yield f"{here}.then: {condition.then!r} is the name of none of the targets beside; there are {_named(names)}"
    if strategy.default is not None and strategy.default not in names:
        yield f"{at}strategy.default: {strategy.default!r} is the name of none of the targets beside; there are {_named(names)}"


def _named(names: list[str]) -> str:
    return ", ".join(names) or "none with a name"
