"""What a config may not go beyond: the residency that holds, and for configs that callers write, what operators allowed."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.catalog.names import kind_of
from gateway.providers.provider import Provider
from gateway.routing.config import Config, TargetNode, leaves
from gateway.routing.locations import Residency


@dataclass(frozen=True, slots=True)
class Limits:
    """What a config may not go beyond, whoever wrote it; its own residency holds besides. `slugs` are the providers that may
    be used; None: the project's. `places` are the locations of each; None: those that the config names."""

    residency: Residency = ()
    slugs: frozenset[str] | None = None
    places: Mapping[str, frozenset[str]] | None = None


def narrowing(attached: Config | None, providers: Mapping[str, Provider], residency: Residency) -> Limits:
    """What an inline config, which callers write, may not go beyond: the attached config's providers, if it names any, and
    the locations that operators gave them."""
    if attached is None:
        return Limits(residency, None, {})
    nodes = [(node, node.slug or _slug_of_model(node)) for node in leaves(attached)]
    named = [slug for _, slug in nodes if slug]
    kinds = {kind_of(slug) for slug in named if slug not in providers}
    slugs = frozenset(slug for slug, provider in providers.items() if slug in named or provider.kind in kinds)
    places: dict[str, frozenset[str]] = {}
    for node, slug in nodes:
        if slug and node.locations:
            places[slug] = places.get(slug, frozenset()) | frozenset(node.locations)
    return Limits(residency, slugs if slugs and all(slug for _, slug in nodes) else None, places)


def _slug_of_model(node: TargetNode) -> str | None:
    model = str(node.override_params.get("model", ""))
    return model[1:].partition("/")[0] if model.startswith("@") and "/" in model else None
