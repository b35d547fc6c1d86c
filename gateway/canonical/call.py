"""A call on its way: who asks, what they ask, where it goes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.canonical.json_object import JsonObject

Operation = Literal["generate", "count_tokens", "embed"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who holds the key, and what the key and its project allow. `None` for a list means: no restriction."""

    key_id: str
    project: str
    user: str | None = None
    groups: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    providers: tuple[str, ...] | None = None
    key_models: tuple[str, ...] | None = None
    project_models: tuple[str, ...] | None = None
    budget_message: str | None = None
    config: str | None = None  # the routing config of the key, or else of its project, by id


@dataclass(frozen=True, slots=True)
class Request:
    """What a dialect read from path, headers and body. `model` is as the caller wrote it.

    `document` holds the caller's bytes. It is never modified: every attempt starts from it.
    """

    operation: Operation
    model: str
    stream: bool
    document: JsonObject
    api_version: str | None = None  # the dialect's own version marker, header or body, as sent
    framing: str = ""  # an outer form of streams that the dialect's `frame_stream` knows
    location: str | None = None  # where the client guesses that its model is, if its dialect has a place for that


@dataclass(frozen=True, slots=True)
class Call:
    """One call, from its door to its record."""

    id: str
    caller: Caller
    dialect: str
    request: Request
    headers: Mapping[str, str]  # lower-case names, the caller's credential taken out
    at: float  # wall clock, unix seconds
    started: float  # monotonic seconds
    trace_id: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    parent_agent_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)  # the caller's own labels; the key's win over them
    provider_asked: str | None = None
    config_asked: str | None = None  # a routing config: an id, or inline JSON
    cache_asked: Literal["off", "refresh"] | None = None
    fallback: bool = True  # whether others may be asked where the first target fails

    @property
    def asked_model(self) -> str:
        return self.request.model

    def facts(self) -> dict[str, Any]:
        """Who called and what they asked for, as records of the call name it."""
        caller, request = self.caller, self.request
        return {
            "key_id": caller.key_id,
            "user": caller.user,
            "groups": list(caller.groups),
            "metadata": {**self.metadata, **caller.metadata},
            "trace_id": self.trace_id,
            "session_id": self.session_id,
            "agent_id": self.agent_id,
            "parent_agent_id": self.parent_agent_id,
            "dialect": self.dialect,
            "stream": request.stream,
            "asked_model": request.model,
        }


@dataclass(frozen=True, slots=True)
class Target:
    """Where an attempt goes: a provider of the operator's, its name for the model, one of its locations."""

    provider: Any  # providers.Provider; opaque on this floor
    model: str  # canonical (catalog) name, or the asked one if the catalog does not know it
    upstream_model: str
    location: str
    wire: str  # the format that this provider speaks for this model
    forward_headers: tuple[str, ...] = ()  # of the caller's, beyond those that the wire format knows
    strict: bool = False  # not asked if it cannot carry all of the request


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often a target that failed is asked again: `attempts` times beyond the first."""

    attempts: int = 0
    statuses: frozenset[int] = frozenset()
    use_retry_after: bool = True
    max_wait_s: float = 60.0  # a provider that wants longer is not asked again


@dataclass(frozen=True, slots=True)
class Exit:
    """The leg that comes next if this one failed with one of these statuses."""

    statuses: frozenset[int]
    leg: int


@dataclass(frozen=True, slots=True)
class Leg:
    """One target as a config has it. `ladder` is the leg with the same target's next location, taken at once where a
    location is full, away, or does not serve the model; the first of `exits` that fits is taken after the last retry.
    `params` are members, as JSON, that replace the caller's own."""

    target: Target
    name: str = ""
    retry: RetryRule = RetryRule()
    timeout_s: float | None = None  # until its first word
    ladder: int | None = None
    exits: tuple[Exit, ...] = ()
    params: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CacheRule:
    """Whether answers may come from a cache, as a config has it."""

    mode: Literal["simple", "semantic"]
    max_age_s: int = 3600
    threshold: float = 0.95
    scope: Literal["user", "project"] = "user"
    tools: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`targets` in the order they may be tried. Where a config or several locations steer it, `legs` say how one leads to
    the next, a leg for each target. Attempts end at the first word, after `attempts_max` requests or `deadline_s`."""

    targets: tuple[Target, ...]
    legs: tuple[Leg, ...] = ()
    attempts_max: int = 6
    deadline_s: float = math.inf
    hedge_s: float | None = None  # without a first word for so long, the next target is asked beside
    cache: CacheRule | None = None
    config: str | None = None  # `prod@3`: which config, in which version
    reasons: tuple[str, ...] = ()  # why these, in this order


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try at one target, as the usage document lists it."""

    provider: str
    location: str
    status: int
    ms: int
