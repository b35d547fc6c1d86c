"""Which target a call goes to where no config says more: the first of the project's providers that serves the model this
key may use, at its locations in order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.callers.access import matches, may_use
from gateway.canonical.call import Call, Caller, Leg, Plan, Target
from gateway.canonical.errors import NotFound
from gateway.catalog.models import Model, all_models, find, serves, split_name, upstream_name, vendor_of
from gateway.catalog.names import first_party_name, kind_of
from gateway.dialects import DIALECTS
from gateway.providers import PROVIDERS
from gateway.providers.provider import Provider
from gateway.routing.locations import Residency, same_jurisdiction, within

__all__ = ["aliases_for", "find_target", "models_for", "names_of", "plan", "providers_of", "same_jurisdiction", "target_at"]

NAMED_MODELS_MAX = 12


def plan(
    call: Call, providers: Mapping[str, Provider], counting_locations: Iterable[str] = (), residency: Residency = ()
) -> Plan:
    """Targets in the order they are tried. NotFound is one answer for a model that does not exist and one that this
    key may not use, and names those it may."""
    target = find_target(call, providers)
    targets = [replace(target, location=place) for place in target.provider.locations if within(place, residency)]
    if not targets:
        raise nowhere_allowed(call.asked_model, residency)
    if call.request.operation == "count_tokens":
        return counting_plan(targets, counting_locations, residency)
    if len(targets) == 1:
        return Plan((targets[0],))
    last = len(targets) - 1
    legs = [Leg(each, ladder=place + 1 if place < last else None) for place, each in enumerate(targets)]
    return Plan(tuple(targets), tuple(legs))


def find_target(call: Call, providers: Mapping[str, Provider], slug: str | None = None, model: str | None = None) -> Target:
    """The target of a model, at its provider's first location. `slug` and `model` are a config's, and go before what the
    caller says. NotFound."""
    asked = split_name(model or call.asked_model, tuple(providers))
    configured = slug or (asked.provider_slug if model else None)
    slug = configured or (call.provider_asked or "").removeprefix("@") or asked.provider_slug
    kind = asked.provider_kind
    if slug and slug not in providers and (meant := kind_of(slug)) and kind in (None, meant):
        slug, kind = None, meant
    candidates = [
        provider
        for provider in providers_of(call.caller, providers)
        if slug in (None, provider.id) and kind in (None, provider.kind)
    ]
    if slug and not candidates:
        told = f"provider: @{slug} is none of this project's; leave it out, or ask the operator which there are"
        raise NotFound(told, reason="provider_not_found_or_not_allowed")
    for provider in candidates:
        target = target_at(provider, asked.name, provider.locations[0], DIALECTS[call.dialect].WIRE)
        if target and may_use(call.caller, names_of(asked.name, target)):
            return target
    raise NotFound(_not_found(model or call.asked_model, call.caller, providers), reason="model_not_found_or_not_allowed")


def counting_plan(targets: Sequence[Target], locations: Iterable[str], residency: Residency) -> Plan:
    """Where tokens are counted: at the targets, and where the first one's jurisdiction offers it."""
    others = [each for each in counting_targets(targets[0], locations) if within(each.location, residency)]
    known = [(each.provider.id, each.location) for each in targets]
    return Plan((*targets, *(each for each in others if (each.provider.id, each.location) not in known)))


def nowhere_allowed(model: str, residency: Residency) -> NotFound:
    places = " and ".join(" or ".join(each) for each in residency)
    told = f"model: {model[:128]!r} is offered at no location in {places}, which is where data of this key must stay"
    return NotFound(f"{told}; ask the operator of this gateway", reason="residency")


def providers_of(caller: Caller, providers: Mapping[str, Provider]) -> list[Provider]:
    """The project's providers in its own order; all of them if it names none."""
    if caller.providers is None:
        return list(providers.values())
    return [providers[slug] for slug in (name.removeprefix("@") for name in caller.providers) if slug in providers]


def target_at(provider: Provider, name: str, location: str, spoken: str = "") -> Target | None:
    """The provider's target for a model, or None if it does not serve it. `spoken` is the caller's wire format."""
    upstream = provider.models.get(name)
    if upstream is None:
        if not serves(provider.kind, name):
            return None
        upstream = upstream_name(name, provider.kind)
    known = find(upstream) or find(name, provider.kind)
    model = known.id if known else name
    wire = PROVIDERS[provider.kind].wire_for(vendor_of(upstream), spoken)
    if wire is None or not matches(provider.allowed_models, [model.lower(), upstream.lower()]):
        return None
    return Target(provider, model, upstream, location, wire)


def names_of(asked_name: str, target: Target) -> tuple[str, ...]:
    """Every name by which a glob may mean this model: its own, never a caller's spelling, which could be made to match
    (`haiku.anthropic.claude-opus-4-6` is Opus), but for an alias of the operator's."""
    known = find(target.upstream_model)
    names = [known.id] if known else []
    if asked_name in target.provider.models:
        names.append(asked_name)
    return (*names, target.upstream_model, first_party_name(target.upstream_model))


def counting_targets(target: Target, locations: Iterable[str]) -> list[Target]:
    """Where tokens are counted if the model's own location does not offer it, never outside its jurisdiction
    (Vertex AI counts on regional endpoints; reports of 2026 say not on `global`)."""
    return [
        replace(target, location=location)
        for location in locations
        if location != target.location and same_jurisdiction(target.location, location)
    ]


def models_for(caller: Caller, providers: Mapping[str, Provider]) -> list[Model]:
    """The catalog's models that this caller may use now, newest first as the catalog has them."""
    usable = providers_of(caller, providers)
    return [m for m in all_models() if any(_usable(caller, p, m.id) for p in usable)]


def aliases_for(caller: Caller, providers: Mapping[str, Provider]) -> dict[str, str]:
    """The operator's own names that this caller may ask for, and what each stands for where such a call goes."""
    usable = providers_of(caller, providers)
    names = dict.fromkeys(name for provider in usable for name in provider.models)
    found = {}
    for alias in names:
        if split_name(alias, tuple(providers)).name != alias:
            continue  # who asks for it asks a provider of that name
        targets = (target_at(provider, alias, provider.locations[0]) for provider in usable)
        if target := next((each for each in targets if each and may_use(caller, names_of(alias, each))), None):
            found[alias] = target.upstream_model
    return found


def _usable(caller: Caller, provider: Provider, name: str) -> bool:
    target = target_at(provider, name, provider.locations[0])
    return target is not None and may_use(caller, names_of(name, target))


def _not_found(asked: str, caller: Caller, providers: Mapping[str, Provider]) -> str:
    names = list(dict.fromkeys((*aliases_for(caller, providers), *(model.id for model in models_for(caller, providers)))))
    if not names:
        return f"model: {asked[:128]!r} is not available, and this key may use no model at all; ask the operator of this gateway"
    shown = ", ".join(names[:NAMED_MODELS_MAX]) + (" …" if len(names) > NAMED_MODELS_MAX else "")
    return f"model: {asked[:128]!r} is not available to this key; it may use {shown} (GET /v1/models lists all)"
