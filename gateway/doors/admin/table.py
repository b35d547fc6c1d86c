"""Every route of the admin API, and the one that a request means."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gateway.administration.office import Office
from gateway.canonical.errors import MethodNotAllowed, NotFound
from gateway.canonical.store import Json
from gateway.doors.admin import budgets, configs, keys, listings, projects, providers, usage
from gateway.doors.admin.openapi import render_openapi
from gateway.doors.admin.route import Asked, Route

PREFIX = "/admin/v1"


def describe(office: Office, asked: Asked) -> Json:
    return _description()


@lru_cache(maxsize=1)
def _description() -> Json:
    return render_openapi(ROUTES, PREFIX)


ROUTES: tuple[Route, ...] = (
    *projects.ROUTES,
    *keys.ROUTES,
    *providers.ROUTES,
    *budgets.ROUTES,
    *configs.ROUTES,
    *usage.ROUTES,
    *listings.ROUTES,
    Route("GET", "/openapi.json", "This description", describe, dict[str, Any], refusals=(400, 401)),
)


def find_route(method: str, path: str) -> tuple[Route, Mapping[str, str]]:
    """The route at a path below PREFIX, and the ids in it. NotFound, or MethodNotAllowed with those that are."""
    segments = path.split("/")
    here = [(route, ids) for route in ROUTES if (ids := _match(route.segments, segments)) is not None]
    if not here:
        raise NotFound(f"{path[:200]!r}: no such path here; GET {PREFIX}/openapi.json lists those there are")
    fewest = min(len(ids) for _, ids in here)  # `/configs/schema.json` is no config of that name
    here = [(route, ids) for route, ids in here if len(ids) == fewest]
    for route, ids in here:
        if route.method == method or (route.method == "GET" and method == "HEAD"):
            return route, ids
    methods = [route.method for route, _ in here]
    allow = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
    raise MethodNotAllowed(f"{method[:40]} is not offered at {path[:200]}; use {allow}", allow=allow)


def _match(wanted: list[str], found: list[str]) -> dict[str, str] | None:
    if len(wanted) != len(found):
        return None
    ids = {}
    for want, have in zip(wanted, found, strict=True):
        if want.startswith("{"):
            if not have:
                return None
            ids[want[1:-1]] = have
        elif want != have:
            return None
    return ids
