"""What a config would make of a request: which targets in which order, and why. Nothing is sent."""

import time
from typing import Any

import msgspec

from gateway.administration.changes import TIMEOUT_S, not_found
from gateway.administration.refusals import AdminError, invalid
from gateway.callers.identify import parse_known_key
from gateway.canonical.call import Call, Caller, Leg
from gateway.canonical.errors import GatewayError
from gateway.canonical.store import Json, Store
from gateway.canonical.usage import Tokens, Usage
from gateway.dialects import DIALECTS
from gateway.providers.provider import Provider
from gateway.routing.balance import Balancer
from gateway.routing.config import Config
from gateway.routing.health import Health
from gateway.routing.itinerary import Itinerary
from gateway.routing.limits import Limits
from gateway.spending.prices import PriceBook

SANDBOX = Provider("vertex", "vertex", "adc")
TYPICAL = Usage(Tokens(input=1_000, output=1_000))
PATHS = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions", "openai-responses": "/v1/responses"}


def explain(store: Store, prices: PriceBook, providers: list[Provider], config: Config, asked: Any, *, project: str | None,
            key_id: str | None, now: float) -> Json:  # fmt: skip
    """`asked` is a request's body, or `{"body": …, "headers": …, "dialect": …}`. AdminError for what cannot be a request.
    Without any provider it is planned with `vertex`, which `serve` brings then: the sandbox's."""
    call = _call(asked, _caller(store, project, key_id), now)
    health = Health(None)
    balancer = Balancer(health, lambda t: prices.charge(t, TYPICAL).nanodollars)
    reasons = [] if providers else ["no provider is configured here, so it is planned with the sandbox's, vertex at global"]
    known = {each.id: each for each in providers or (SANDBOX,)}
    way = Itinerary(call, config, known, Limits(), health, balancer, reasons=reasons)
    try:
        plan = way.plan("this config")
    except GatewayError as error:
        return {"refusal": error.message, "status": error.status, "reasons": way.reasons, "data": []}
    return {
        "data": [_render(place, leg) for place, leg in enumerate(plan.legs)],
        "reasons": list(plan.reasons),
        "max_attempts": plan.attempts_max,
        "deadline_ms": config.deadline_ms,
    }


def _render(place: int, leg: Leg) -> Json:
    ways = [] if leg.ladder is None else [f"404, 429, 503, 529 → {leg.ladder + 1}"]
    if leg.retry.attempts:
        ways.append(f"{_listed(leg.retry.statuses)} → again, up to {leg.retry.attempts} times")
    ways += [f"{_listed(way.statuses)} → {way.leg + 1}" for way in leg.exits]
    target = leg.target
    return {
        "order": place + 1,
        "name": leg.name,
        "provider": target.provider.id,
        "model": target.model,
        "location": target.location,
        "if_it_fails": "; ".join(ways) or "the failure is told",
    }


def _listed(statuses: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(statuses)))


def _caller(store: Store, project: str | None, key_id: str | None) -> Caller:
    key: Json = {"id": "key_none", "project": project}
    if key_id is not None:
        found = store.query("keys", where=[("id", "==", key_id)], limit=1, timeout_s=TIMEOUT_S).documents
        if not found:
            raise not_found(f"keys/{key_id[:80]}")
        key = found[0].data
    if key["project"] is None:
        return Caller("key_none", "none")
    document = store.get(f"projects/{key['project']}", timeout_s=TIMEOUT_S)
    if document is None:
        raise not_found(f"projects/{key['project'][:80]}")
    return parse_known_key(key, document.data).caller


def _call(asked: Any, caller: Caller, now: float) -> Call:
    if not isinstance(asked, dict):
        raise invalid(['the request should be a JSON object: a body, or {"headers": {…}, "body": {…}}'])
    whole = isinstance(asked.get("body"), dict)
    body = asked["body"] if whole else asked
    headers = {str(name).lower(): str(value) for name, value in (asked.get("headers") or {}).items()} if whole else {}
    name = str(asked.get("dialect") or "anthropic") if whole else "anthropic"
    if name not in PATHS:
        raise invalid([f"dialect: {name!r} should be one of {', '.join(PATHS)}"])
    dialect = DIALECTS[name]
    for pattern, operation in dialect.PATHS:
        if match := pattern.search(PATHS[name]):
            try:
                request = dialect.parse_request(operation, match, {}, headers, msgspec.json.encode(body))
                metadata = msgspec.json.decode(headers.get("x-gateway-metadata") or headers.get("x-portkey-metadata") or "{}")
            except (GatewayError, msgspec.MsgspecError) as error:
                raise AdminError(f"the request: {error}", "invalid") from error
            session = headers.get("x-claude-code-session-id")
            return Call("req_explained", caller, name, request, headers, at=now, started=time.monotonic(), metadata=metadata,
                        session_id=session)  # fmt: skip
    raise AssertionError(name)
