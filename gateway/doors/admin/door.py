"""The way of one admin request: who asks, which route, what was sent, what the use case says. Blocking; never raises."""

import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from gateway.administration.changes import Who
from gateway.administration.checks import SECRET
from gateway.administration.office import Office
from gateway.administration.refusals import AdminError, invalid
from gateway.canonical.errors import GatewayError, NotFound, Unavailable
from gateway.canonical.reply import Reply
from gateway.canonical.store import Json, StoreUnavailable
from gateway.doors.admin.guard import Guard
from gateway.doors.admin.route import Asked, Route
from gateway.doors.admin.table import PREFIX, find_route
from gateway.doors.http import HttpRequest

BODY_BYTES_MAX = 1024 * 1024
STATUS_OF = {"not_found": 404, "already_exists": 409, "invalid": 400, "conflict": 409}
TYPE_OF = {
    400: "invalid",
    401: "unauthenticated",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    503: "unavailable",
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AdminDoor:
    """Turns one request under `/admin` into one Reply. `marks` are headers that every reply bears."""

    office: Office
    guard: Guard
    log_refusal: Callable[[Json], None]
    marks: Mapping[str, str] = field(default_factory=dict)

    def handle(self, http: HttpRequest) -> Reply:
        request_id = f"req_{secrets.token_hex(12)}"
        try:
            reply = self._serve(http)
        except AdminError as error:
            reply = _refusal(STATUS_OF[error.code], error.code, error.message, error.path)
        except GatewayError as error:
            reply = self._refuse(http, request_id, error)
        except StoreUnavailable as error:
            away = Unavailable("the gateway's store does not answer; try again in a moment", reason=str(error), retry_after_s=2)
            reply = self._refuse(http, request_id, away)
        except Exception:
            log.exception("admin request %s failed", request_id)
            reply = _refusal(500, "internal", f"the gateway failed; its log tells more of {request_id}", None)
        reply.headers.update(self.marks)
        reply.headers["x-gateway-request-id"] = request_id
        reply.headers["cache-control"] = "no-store"  # some answers hold a key
        return reply

    def _serve(self, http: HttpRequest) -> Reply:
        if not self.guard.stands:
            raise NotFound(f"{http.method[:40]} {http.path[:200]}: no such path here; the admin API is off (GATEWAY_ADMIN_KEY)")
        who = self.guard.identify(http.headers, sweeping=http.path == f"{PREFIX}/sweep")
        prefix, path = http.path[: len(PREFIX)], http.path[len(PREFIX) :]
        if prefix != PREFIX or not path.startswith("/"):
            raise NotFound(f"{http.path[:200]!r}: no such path here; GET {PREFIX}/openapi.json lists those there are")
        route, ids = find_route(http.method, path)
        return self._answer(route, ids, who, http)

    def _answer(self, route: Route, ids: Mapping[str, str], who: Who, http: HttpRequest) -> Reply:
        check_query(route, http.query)
        body = read_body(route, http)
        answer = route.run(self.office, Asked(who, ids, http.query, body))
        reply = _json(route.status, msgspec.json.encode(answer))
        if route.status == 201:
            reply.headers["location"] = f"{PREFIX}{route.path}/{answer['id']}"
        return reply

    def _refuse(self, http: HttpRequest, request_id: str, error: GatewayError) -> Reply:
        if error.status in (401, 503):
            self.log_refusal({
                "severity": "ERROR" if error.status >= 500 else "WARNING",
                "message": f"{http.method[:40]} {SECRET.sub('…', http.path)[:200]} {error.status}",
                "request_id": request_id,
                "status": error.status,
                "reason": error.reason,
            })  # fmt: skip
        reply = _refusal(error.status, TYPE_OF.get(error.status, "internal"), error.message, None)
        reply.headers.update(error.headers())
        if error.status == 401:
            reply.headers["www-authenticate"] = "Bearer"
        return reply


def check_query(route: Route, query: Mapping[str, str]) -> None:
    """AdminError for a parameter that means nothing here: a filter that is misspelt would let everything through."""
    known = [parameter.name for parameter in route.query]
    for name, value in query.items():
        if not value:
            raise invalid([f"{name[:64]}: is empty; leave it out"])
        if name not in known and not (route.more_query and name.startswith(route.more_query) and name != route.more_query):
            there = ", ".join([*known, *([f"{route.more_query}NAME"] if route.more_query else [])]) or "none"
            raise invalid([f"{name[:64]!r} is no parameter here; there are {there}"])


def read_body(route: Route, http: HttpRequest) -> Json:
    """The body, an object; AdminError `invalid`, RequestTooLarge."""
    if http.method not in ("POST", "PUT", "PATCH"):
        return {}
    body = http.read_body(BODY_BYTES_MAX)
    if not body.strip() and not (route.body and route.body_needed):
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise invalid([f"the body is not JSON ({str(error)[:200]}); send an object"]) from error
    if not isinstance(document, dict):
        raise invalid(["the body is no JSON object; send one such as {}"])
    return document


def _json(status: int, body: bytes) -> Reply:
    return Reply(status, {"content-type": "application/json"}, body)


def _refusal(status: int, kind: str, message: str, path: str | None) -> Reply:
    """`path` is the field at fault, if it is one."""
    return _json(status, msgspec.json.encode({"error": {"type": kind, "message": message, "path": path}}))
