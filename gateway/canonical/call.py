"""A call on its way: who asks, what they ask, where it goes."""

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

    @property
    def asked_model(self) -> str:
        return self.request.model


@dataclass(frozen=True, slots=True)
class Target:
    """Where an attempt goes: a provider of the operator's, its name for the model, one of its locations."""

    provider: Any  # providers.Provider; opaque on this floor
    model: str  # canonical (catalog) name, or the asked one if the catalog does not know it
    upstream_model: str
    location: str
    wire: str  # the format that this provider speaks for this model


@dataclass(frozen=True, slots=True)
class Plan:
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try at one target, as the usage document lists it."""

    provider: str
    location: str
    status: int
    ms: int
