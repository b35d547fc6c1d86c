"""A config and a call → the legs of its way: which targets, in which order, and what leads from one to the next.

A group's children come one after the other, each with all that lies below it. What fails below a child leads to the next
child if the group's status list has it, else it is the affair of the group around. So that nothing has to be looked up while
a call is under way, this is all worked out before: every leg knows where its failures lead.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Generic, TypeVar

import msgspec

from gateway.canonical.call import Call, Leg, Plan, RetryRule, Target
from gateway.canonical.call import Exit as ExitTo
from gateway.canonical.errors import NotFound
from gateway.providers.provider import Provider
from gateway.routing.balance import Balancer, Choice
from gateway.routing.conditions import holds
from gateway.routing.config import FALLBACK_STATUSES, Config, Retry, TargetNode
from gateway.routing.health import Health
from gateway.routing.limits import Limits
from gateway.routing.locations import Residency, ladder
from gateway.routing.plan import find_target, nowhere_allowed
from gateway.settings import LOCATION

REMEMBERED_MAX = 5_000
LOCATION_CHARACTERS_MAX = 63  # of a host name's label, in which it stands
NOT_SERVED = 404  # another target may have the model; to ask this one again is in vain, so it is no status to retry
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Inherited:
    """What a node has from those around it, unless it says otherwise."""

    retry: Retry | None = None
    timeout_ms: int | None = None
    params: Mapping[str, object] = field(default_factory=dict)
    forward_headers: tuple[str, ...] = ()

    def narrowed(self, node: TargetNode) -> "Inherited":
        named = None if node.forward_headers is None else tuple(name.lower() for name in node.forward_headers)
        return Inherited(
            node.retry or self.retry,
            node.request_timeout or self.timeout_ms,
            {**self.params, **node.override_params} if node.override_params else self.params,
            self.forward_headers if named is None else named,
        )


class Memory(Generic[T]):
    """What was worked out before for the same model, rights and, with a config, `node` of it: most calls are like another one.
    It holds as long as the providers stay the same."""

    def __init__(self) -> None:
        self._of: tuple[Mapping[str, Provider], dict[Hashable, tuple[TargetNode | None, T]]] = {}, {}

    def find(self, providers: Mapping[str, Provider], key: Hashable, node: TargetNode | None, work_out: Callable[[], T]) -> T:
        then, found = self._of
        if providers is not then or len(found) >= REMEMBERED_MAX:
            found = {}
            self._of = providers, found  # both at once: another thread may come with other providers
        known = found.get(key)
        if known is None or known[0] is not node:
            known = found[key] = (node, work_out())
        return known[1]


def likeness(call: Call) -> Hashable:
    """All of a call that its targets depend on: what it asks for, and what its caller may use."""
    caller, request = call.caller, call.request
    asked = request.model, request.operation, wished_location(call), call.provider_asked, call.dialect
    return asked, caller.providers, caller.key_models, caller.project_models


def wished_location(call: Call) -> str | None:
    """The location that the client's path names, if it is one."""
    wished = call.request.location
    return wished if wished and len(wished) <= LOCATION_CHARACTERS_MAX and LOCATION.fullmatch(wished) else None


@dataclass(slots=True, eq=False)
class Stop:
    """One target with its locations, and where its failures lead: the first of `exits` that fits."""

    name: str
    targets: list[Target]
    node: Inherited
    exits: list[tuple[frozenset[int], "Stop"]] = field(default_factory=list)


@dataclass(slots=True)
class Itinerary:
    """Works out one call's way. `reasons` are told in words, for those who ask why."""

    call: Call
    config: Config
    providers: Mapping[str, Provider]
    limits: Limits
    health: Health
    balancer: Balancer
    memory: Memory[list[Target]] = field(default_factory=Memory)
    reasons: list[str] = field(default_factory=list)
    _refusal: NotFound | None = None

    @property
    def residency(self) -> Residency:
        own = self.config.residency
        return [*self.limits.residency, tuple(own)] if own else self.limits.residency

    def plan(self, label: str) -> Plan:
        """NotFound if no target is left: the last reason why."""
        stops = self._visit(self.config, Inherited(), "", label)
        if not stops:
            refusal, self._refusal = self._refusal, None
            try:
                raise refusal or NotFound("the routing config has no target for this call; tell the operator of this gateway")
            finally:
                del refusal  # its traceback knows this frame
        legs = _number(stops[: self._reachable(stops)])
        return Plan(
            tuple(leg.target for leg in legs),
            tuple(legs),
            attempts_max=self.config.max_attempts,
            deadline_s=self.config.deadline_ms / 1000,
            hedge_s=self.config.hedge_ms / 1000 if self.config.hedge_ms else None,
            config=label,
            reasons=tuple(self.reasons),
        )

    def _reachable(self, stops: Sequence[Stop]) -> int:
        """Without fallback only the first target may be asked, at all its locations."""
        if self.call.fallback:
            return len(stops)
        for stop in stops:
            stop.exits.clear()
        return 1

    def _visit(self, node: TargetNode, above: Inherited, path: str, group: str) -> list[Stop]:
        inherited = above.narrowed(node)
        if not node.targets:
            stop = self._stop(node, inherited, path or node.name or "target")
            return [stop] if stop else []
        children = self._chosen(node, path)
        found = [
            (child, stops)
            for place, child in children
            if (stops := self._visit(child, inherited, child.name or f"{path}.targets[{place}]".lstrip("."), f"{group}/{place}"))
        ]
        if node.mode in ("single", "conditional") or not found:
            return found[0][1] if found else []
        ordered = self._ordered(node, found, group)
        statuses = _statuses(node)
        for (_, stops), (_, following) in pairwise(ordered):
            for stop in stops:
                stop.exits.append((statuses, following[0]))
        return [stop for _, stops in ordered for stop in stops]

    def _chosen(self, node: TargetNode, path: str) -> list[tuple[int, TargetNode]]:
        """The children that this call may go to, with their places."""
        numbered = list(enumerate(node.targets))
        if node.mode != "conditional":
            return numbered
        assert node.strategy is not None
        for place, condition in enumerate(node.strategy.conditions):
            if holds(condition.query, self.call):
                self.reasons.append(f"{path or 'strategy'}: condition {place} holds, so {condition.then}")
                return [each for each in numbered if each[1].name == condition.then]
        if node.strategy.default is not None:
            self.reasons.append(f"{path or 'strategy'}: no condition holds, so the default, {node.strategy.default}")
            return [each for each in numbered if each[1].name == node.strategy.default]
        told = "no condition of the routing config describes this call, and it has no default; tell the operator of this gateway"
        self._refusal = NotFound(told, reason="no_condition")
        return []

    def _ordered(
        self, node: TargetNode, found: list[tuple[TargetNode, list[Stop]]], group: str
    ) -> list[tuple[TargetNode, list[Stop]]]:
        resting = [self.health.resting(stops[0].targets[0]) if len(found) > 1 else False for _, stops in found]
        if any(resting):
            names = [stops[0].name for rests, (_, stops) in zip(resting, found, strict=True) if rests]
            self.reasons.append(f"{', '.join(names)}: resting after failures, so last")
        if node.mode == "fallback":
            return [found[place] for place in sorted(range(len(found)), key=lambda place: resting[place])]
        strategy = node.strategy
        assert strategy is not None
        choices = [
            Choice(_identity(child, stops), child.weight, stops[0].targets[0], resting[place])
            for place, (child, stops) in enumerate(found)
        ]
        order = self.balancer.order(self.call, group, choices, strategy.balance, strategy.sticky)
        if order:
            first = found[order[0]][1][0].name
            self.reasons.append(f"{first}: chosen by {strategy.balance} balance, sticky by {strategy.sticky}")
        return [found[place] for place in order]

    def _stop(self, node: TargetNode, inherited: Inherited, name: str) -> Stop | None:
        """None if the project, the key or the residency has no place for this target: the others go on."""
        try:
            targets = self.memory.find(self.providers, self._key(node), node, lambda: self._targets(node, inherited))
        except NotFound as error:
            self._refusal = error.with_traceback(None)  # which knows this itinerary: a circle for the garbage collector
            self.reasons.append(f"{name}: left out: {error.message}")
            return None
        if len(targets) > 1:
            targets = sorted(targets, key=self.health.resting)
        places = ", ".join([target.location for target in targets])
        self.reasons.append(f"{name}: {targets[0].model} at @{targets[0].provider.id}: {places}")
        return Stop(name, targets, inherited)

    def _key(self, node: TargetNode) -> Hashable:
        """All that a node's targets depend on, beside the node itself. An inline config's nodes are the same for all who send it,
        what it inherits is not."""
        limits, config = self.limits, self.config
        places = tuple(limits.places.items()) if limits.places is not None else None
        rules = tuple(self.residency), limits.slugs, places, config.strict, config.honour_client_location
        return id(node), likeness(self.call), rules

    def _allowed(self) -> Mapping[str, Provider]:
        slugs = self.limits.slugs
        return self.providers if slugs is None else {name: p for name, p in self.providers.items() if name in slugs}

    def _targets(self, node: TargetNode, inherited: Inherited) -> list[Target]:
        """One for each location of the ladder. NotFound if there is none that may be used."""
        model = inherited.params.get("model")
        target = find_target(self.call, self._allowed(), node.slug, model if isinstance(model, str) else None)
        provider: Provider = target.provider
        own: Sequence[str] = node.locations or provider.locations
        if self.limits.places is not None:
            allowed = self.limits.places.get(provider.id, frozenset(provider.locations))
            own = [place for place in own if place in allowed]
        first = self._wished() if provider.kind == "vertex" else None
        places = ladder(own, self.residency, first)
        if not places:
            raise nowhere_allowed(target.model, self.residency or [sorted(provider.locations)])
        extra = replace(target, forward_headers=inherited.forward_headers, strict=self.config.strict)
        return [replace(extra, location=place) for place in places]

    def _wished(self) -> str | None:
        """The location that the client's path names, where the config lets it choose."""
        return wished_location(self.call) if self.config.honour_client_location else None


def _identity(child: TargetNode, stops: Sequence[Stop]) -> str:
    """Of a child, whatever its place and weight."""
    target = stops[0].targets[0]
    return child.name or f"{target.provider.id}/{target.upstream_model}/{','.join(child.locations or ())}"


def _statuses(node: TargetNode) -> frozenset[int]:
    listed = node.strategy.on_status_codes if node.strategy else None
    return FALLBACK_STATUSES | {NOT_SERVED} if listed is None else frozenset(listed)


def _number(stops: Sequence[Stop]) -> list[Leg]:
    """Stops as legs, one for each location, which know each other by number."""
    first: dict[int, int] = {}
    count = 0
    for stop in stops:
        first[id(stop)] = count
        count += len(stop.targets)
    return [leg for stop in stops for leg in _legs(stop, lambda other: first[id(other)])]


def _legs(stop: Stop, number: Callable[[Stop], int]) -> Iterator[Leg]:
    start, last = number(stop), len(stop.targets) - 1
    exits = tuple(ExitTo(statuses, number(other)) for statuses, other in stop.exits)
    params = {name: msgspec.json.encode(value) for name, value in stop.node.params.items() if name != "model"}
    timeout_s = stop.node.timeout_ms / 1000 if stop.node.timeout_ms else None
    for place, target in enumerate(stop.targets):
        ahead = start + place + 1 if place < last else None
        yield Leg(target, stop.name, retry_rule(stop.node.retry), timeout_s, ahead, exits, params)


def retry_rule(retry: Retry | None) -> RetryRule:
    if retry is None:
        return RetryRule()
    listed = FALLBACK_STATUSES if retry.on_status_codes is None else frozenset(retry.on_status_codes)
    return RetryRule(retry.attempts, listed, retry.use_retry_after_header, retry.max_wait_ms / 1000)
