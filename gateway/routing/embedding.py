"""Where the gateway has a text embedded for a call of its own accord: with the caller's providers, where their data may be."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.canonical.call import Call, Exit, Leg, Plan, Target
from gateway.canonical.errors import NotFound
from gateway.dialects import DIALECTS
from gateway.providers.provider import Provider
from gateway.routing.locations import Residency, same_jurisdiction, within
from gateway.routing.plan import providers_of, target_at

DEADLINE_S = 2.0  # all attempts together: somebody waits for an answer
ATTEMPTS_MAX = 3
ELSEWHERE_STATUSES = frozenset((400, 403, 500, 502, 504))  # beyond those of every ladder: locations say "not here" in many ways


def embedding_plan(
    call: Call,
    plan: Plan,
    model: str,
    providers: Mapping[str, Provider],
    locations: Sequence[str],
    residency: Residency,
    resting: Callable[[Target], bool],
    deadline_s: float = DEADLINE_S,
) -> Plan:
    """The first provider that has the model, those that `plan` asks before the project's others; each location is tried once.
    `plan` is the call's that this is done for: where it goes to a provider, the embedding goes to the same locations of it.
    What a key may use does not matter: the gateway asks, not its caller. NotFound if there is no place for it."""
    asked = {target.provider.id: target.provider for target in plan.targets}
    allowed = {provider.id: provider for provider in providers_of(call.caller, providers)}
    for provider in {**{name: each for name, each in asked.items() if name in allowed}, **allowed}.values():
        target = target_at(provider, model, provider.locations[0], DIALECTS[call.dialect].WIRE)
        if target is None or target.wire != DIALECTS[call.dialect].WIRE:
            continue
        own = [each.location for each in plan.targets if each.provider.id == provider.id] or provider.locations
        places = [place for place in _ladder(own, locations, provider) if within(place, residency)]
        if places:
            targets = sorted((replace(target, location=place) for place in places), key=resting)
            return _plan(targets[:ATTEMPTS_MAX], deadline_s)
    raise NotFound(
        f"no provider of this project has {model} where its data may be handled; add a provider of kind vertex, or a location",
        reason="no_embedding",
    )


def _ladder(own: Iterable[str], others: Iterable[str], provider: Provider) -> list[str]:
    """The call's locations, and those of Google's that embed if they do not, within the first one's jurisdiction."""
    places = list(dict.fromkeys(own))
    if provider.kind == "vertex":
        places += [place for place in others if place not in places and same_jurisdiction(places[0], place)]
    return places


def _plan(targets: Sequence[Target], deadline_s: float) -> Plan:
    before = [
        Leg(each, ladder=place, exits=(Exit(ELSEWHERE_STATUSES, place),)) for place, each in enumerate(targets[:-1], start=1)
    ]
    legs = (*before, Leg(targets[-1]))
    return Plan(tuple(targets), legs, attempts_max=len(targets), deadline_s=deadline_s)
