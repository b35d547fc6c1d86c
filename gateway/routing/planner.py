"""From a call to its plan: the config that applies to it, or none, what a caller may narrow, what is tried on paper only."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from gateway.canonical.call import CacheRule, Call, Plan, Target
from gateway.canonical.errors import GatewayError, InternalError, InvalidRequest
from gateway.canonical.steps import Steps
from gateway.canonical.store import Json
from gateway.providers.provider import Provider
from gateway.routing.balance import Balancer
from gateway.routing.config import Config, ConfigFault, parse_config_text
from gateway.routing.embedding import DEADLINE_S, embedding_plan
from gateway.routing.health import Health
from gateway.routing.itinerary import Itinerary, Memory, likeness
from gateway.routing.limits import Limits, narrowing
from gateway.routing.plan import counting_plan, plan
from gateway.routing.shelf import Shelf, Shelved

INLINE_BYTES_MAX = 16 * 1024
INLINE_FORBIDDEN = ("cache", "residency", "input_guardrails", "output_guardrails", "honour_client_location", "hedge_ms", "shadow")
Providers = Mapping[str, Provider]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The config that steers a call, and its limits."""

    label: str
    config: Config
    limits: Limits


def _unheard(line: Json) -> None:
    """Nobody keeps what was planned on paper."""


@dataclass(slots=True)
class Planner:
    """`providers` and `shelf` are asked for every call, and remember."""

    providers: Callable[[], Steps[Providers]]
    shelf: Shelf
    health: Health
    balancer: Balancer
    counting_locations: Iterable[str] = ()
    embedding_locations: Sequence[str] = ()
    log_line: Callable[[Json], None] = field(default=_unheard)
    embedding_deadline_s: float = DEADLINE_S
    _memory: Memory[list[Target]] = field(default_factory=Memory)
    _plans: Memory[Plan] = field(default_factory=Memory)

    def plan(self, call: Call) -> Steps[Plan]:
        """NotFound for a model or provider that is not this key's, InvalidRequest for a config of the caller's that is wrong."""
        providers = yield from self.providers()
        attached = yield from self._attached(call)
        residency = [] if attached is None else _residency(attached.config)
        chosen = yield from self._chosen(call, providers, attached, residency)
        if chosen is None:
            return self._plain(call, providers)
        if not chosen.config.shadow:
            return self.follow(call, providers, chosen)
        self._on_paper(call, providers, chosen)
        return self._plain(call, providers)

    def _plain(self, call: Call, providers: Providers) -> Plan:
        return self._plans.find(providers, likeness(call), None, lambda: plan(call, providers, self.counting_locations))

    def plan_embedding(self, call: Call, plan: Plan, model: str) -> Steps[Plan]:
        """Where the gateway itself may have something of a call embedded that was planned before; `call` is the embedding's.
        What the config says of residency holds. NotFound."""
        providers = yield from self.providers()
        attached = yield from self._attached(call)
        residency = [] if attached is None else _residency(attached.config)
        chosen = yield from self._chosen(call, providers, attached, residency)
        bounds = [*chosen.limits.residency, *_residency(chosen.config)] if chosen else residency
        places, resting = self.embedding_locations, self.health.resting
        return embedding_plan(call, plan, model, providers, places, bounds, resting, self.embedding_deadline_s)

    def _attached(self, call: Call) -> Steps[Shelved | None]:
        """The key's, or else its project's. One that is gone stops the call: what it forbade is not known any more."""
        if call.caller.config is None:
            return None
        shelved = yield from self._find(call.caller.config, "attached")
        if shelved is None:
            told = "the routing config of this key does not exist any more; tell the operator of this gateway"
            raise InternalError(told, reason=f"no config {call.caller.config}")
        return shelved

    def _find(self, config_id: str, how: str) -> Steps[Shelved | None]:
        try:
            return (yield from self.shelf.find(config_id))
        except ConfigFault as error:
            told = "a routing config of this gateway cannot be read by this version; tell its operator"
            raise InternalError(told, reason=f"{how} config {config_id}: {error}") from error

    def _chosen(
        self, call: Call, providers: Providers, attached: Shelved | None, residency: list[tuple[str, ...]]
    ) -> Steps[Chosen | None]:
        asked = call.config_asked
        if asked is None:
            return Chosen(attached.label, attached.config, Limits(residency)) if attached else None
        if asked.lstrip().startswith("{"):
            config = _inherit(parse_inline(asked), attached.config if attached else None)
            return Chosen("inline", config, narrowing(attached.config if attached else None, providers, residency))
        shelved = yield from self._find(asked.removeprefix("@"), "asked for")
        if shelved is None:
            raise InvalidRequest(f"x-gateway-config: there is no config {asked[:80]!r}; ask the operator which there are",
                                 reason="no_such_config")  # fmt: skip
        return Chosen(shelved.label, shelved.config, Limits(residency))

    def follow(self, call: Call, providers: Providers, chosen: Chosen) -> Plan:
        way = Itinerary(call, chosen.config, providers, chosen.limits, self.health, self.balancer, self._memory)
        planned = way.plan(chosen.label)
        if call.request.operation == "count_tokens":
            return counting_plan(planned.targets, self.counting_locations, way.residency)
        return replace(planned, cache=_cache_rule(chosen.config))

    def _on_paper(self, call: Call, providers: Providers, chosen: Chosen) -> None:
        """What the config would have done, as a log line."""
        try:
            planned = self.follow(call, providers, chosen)
            would: Json = {"targets": [f"@{t.provider.id}/{t.model}/{t.location}" for t in planned.targets]}
            would |= {"reasons": list(planned.reasons)}
        except GatewayError as error:
            would = {"refusal": error.message, "status": error.status}
        line = {"severity": "INFO", "message": f"config {chosen.label} in shadow", "request_id": call.id, "config": chosen.label}
        self.log_line({**line, "project": call.caller.project, **would})


@lru_cache(maxsize=256)
def parse_inline(text: str) -> Config:
    """A config out of a header. InvalidRequest for faults, and for what only stored configs may say."""
    if len(text) > INLINE_BYTES_MAX:
        raise InvalidRequest(f"x-gateway-config: is larger than {INLINE_BYTES_MAX} bytes; store the config and send its id")
    try:
        config = parse_config_text(text)
    except ConfigFault as error:
        raise InvalidRequest(f"x-gateway-config: {error}", reason="inline_config") from error
    plain = Config()
    for name in INLINE_FORBIDDEN:
        if getattr(config, name) != getattr(plain, name):
            told = f"x-gateway-config: {name} is taken from stored configs only; leave it out, or send a config's id"
            raise InvalidRequest(told, reason="inline_config")
    return config


def _inherit(config: Config, attached: Config | None) -> Config:
    """An inline config under the one that is attached to the key: it may lower what that allows."""
    if attached is None:
        return config
    return Config(
        **{name: getattr(config, name) for name in config.__struct_fields__ if name not in _ATTACHED},
        cache=attached.cache,
        residency=attached.residency,
        honour_client_location=attached.honour_client_location,
        hedge_ms=attached.hedge_ms,
        max_attempts=min(config.max_attempts, attached.max_attempts),
        deadline_ms=min(config.deadline_ms, attached.deadline_ms),
        strict=config.strict or attached.strict,
    )


_ATTACHED = ("cache", "residency", "honour_client_location", "max_attempts", "deadline_ms", "strict", "hedge_ms")


def _residency(config: Config) -> list[tuple[str, ...]]:
    return [tuple(config.residency)] if config.residency and not config.shadow else []


def _cache_rule(config: Config) -> CacheRule | None:
    cache = config.cache
    return None if cache is None else CacheRule(cache.mode, cache.max_age, cache.threshold, cache.scope, cache.tools)
