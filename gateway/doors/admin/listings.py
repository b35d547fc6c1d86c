"""`/audit`, `/models`, `/prices` and `/sweep`"""

import re
from typing import Any

import msgspec

from gateway.administration import checks
from gateway.administration.budget_fields import one_of
from gateway.administration.changes import list_audit as page_audit
from gateway.administration.listings import list_models as catalog_models
from gateway.administration.listings import list_prices as catalog_prices
from gateway.administration.office import Office
from gateway.administration.refusals import AdminError
from gateway.canonical.store import Json
from gateway.doors.admin.fields import Moment, whole
from gateway.doors.admin.route import EXCLUSIVE, PAGE, WRITE, Asked, Page, Query, Route, only
from gateway.providers import PROVIDERS

PLACE = re.compile("[a-z][a-z0-9-]{0,63}")


class AuditEntry(msgspec.Struct):
    """Who changed what, from what, to what."""

    id: str
    at: Moment
    who: str
    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    created_at: Moment
    updated_at: Moment


class Model(msgspec.Struct):
    """A model of the catalog, and what a kind of provider calls it."""

    id: str
    display_name: str
    upstream_model: str
    created_at: Moment
    lifecycle: str
    retires_at: Moment | None
    max_input_tokens: int | None
    max_tokens: int | None


class Price(msgspec.Struct):
    """US dollars per million tokens, and per thousand searches."""

    id: str
    input_usd: str
    output_usd: str
    cache_read_usd: str
    cache_write_5m_usd: str
    cache_write_1h_usd: str
    web_search_per_1000_usd: str
    long_context_above_tokens: int | None


class Prices(msgspec.Struct):
    """Prices as this deployment pays them."""

    price_version: str
    kind: str
    location: str
    data: list[Price]
    next_cursor: str | None


class Swept(msgspec.Struct):
    """What the sweep found to do. Safe to ask for at any time, and by several at once."""


def list_audit(office: Office, asked: Asked) -> Json:
    target, page = asked.query.get("target") or None, asked.page
    if target and page["cursor"]:
        raise AdminError("cursor: does not go together with target; raise limit", "conflict")
    return page_audit(office.store, target=target, **page)


def list_models(office: Office, asked: Asked) -> Json:
    query = checks.check_fields(asked.query, {"kind": one_of(*PROVIDERS), "retired": one_of("true", "false")})
    return catalog_models(query.get("kind", "vertex"), retired=query.get("retired") == "true")


def list_prices(office: Office, asked: Asked) -> Json:
    query = checks.check_fields(asked.query, {"kind": one_of(*PROVIDERS), "location": _location})
    return catalog_prices(office.prices, query.get("kind", "vertex"), query.get("location", "global"))


def _location(value: str) -> str:
    if not PLACE.fullmatch(value):
        raise ValueError("should be a location such as global, eu or us-east5")
    return value


def sweep(office: Office, asked: Asked) -> Json:
    only(asked.body)
    return office.sweep()


KIND = Query("kind", "Of provider", {"type": "string", "enum": list(PROVIDERS), "default": "vertex"})
RETIRED = Query("retired", "Retired models too", {"type": "string", "enum": ["true", "false"], "default": "false"})
TARGET = Query(
    "target", "Changes of this object, such as projects/acme; not together with cursor", {"type": "string", "minLength": 1}
)
LOCATION = Query(
    "location", "Prices differ by location", {"type": "string", "pattern": whole(PLACE.pattern), "default": "global"}
)
SWEEP = Route(
    "POST", "/sweep", "For the scheduler: reconcile what expired, send alerts that failed", sweep, Swept, refusals=WRITE
)
ROUTES = (
    Route("GET", "/audit", "List changes, newest first", list_audit, Page[AuditEntry], query=(TARGET, *PAGE), refusals=EXCLUSIVE),
    Route("GET", "/models", "List the catalog's models", list_models, Page[Model], query=(KIND, RETIRED)),
    Route("GET", "/prices", "List prices", list_prices, Prices, query=(KIND, LOCATION)),
    SWEEP,
)
