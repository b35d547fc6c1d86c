"""Where model calls come in: every dialect's paths, the model list and the probes. Reads a Call, answers with a Reply.

Paths are matched from their end, so any prefix a client has configured is tolerated. Nothing under `/admin` is ever
inference. Whatever goes wrong, the caller hears it in their own dialect.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

import msgspec

from gateway import NAME, VERSION
from gateway.canonical.call import Call, Caller, Operation, Request
from gateway.canonical.dialect import Dialect
from gateway.canonical.errors import (
    GatewayError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Unavailable,
)
from gateway.canonical.reply import Reply
from gateway.canonical.steps import Steps, Work
from gateway.canonical.store import Json, StoreUnavailable
from gateway.dialects import DIALECTS, may_be_spoken
from gateway.doors.http import HttpRequest

LABEL = re.compile(r"[\w.:@/-]{1,128}", re.ASCII)
MODELS_PATH = re.compile(r"(?:^|/)v1/models(?:/(?P<model>[^:]+))?$")
# Claude Code in Bedrock mode, at each start and without a key (2.1.329, 2026-11-20).
ASKED_IN_PASSING = re.compile(r"(?:^|/)inference-profiles(?:/|$)")
HELLO_PATH = re.compile(r"(?:^|/)api/hello$")
JSON = "application/json"
NOT_FOR_UPSTREAM = frozenset({"authorization", "cookie", "x-api-key", "x-goog-api-key", "x-portkey-api-key"})
OURS = ("x-gateway-", "x-portkey-")
PATHS_REMEMBERED = 128
METADATA_ENTRIES_MAX = 32
log = logging.getLogger(__name__)


class Callers(Protocol):
    def identify(self, headers: Mapping[str, str], query_key: str | None = None) -> Steps[Caller]: ...


@dataclass(slots=True)
class Visit:
    """One request at the door, and what has been found out about it so far."""

    http: HttpRequest
    id: str
    started: float
    path: str
    dialect: Dialect
    operation: Operation | None
    match: re.Match[str] | None
    caller: Caller | None = None


@dataclass(slots=True)
class InferenceDoor:
    """Turns one HTTP request into one Reply; never raises."""

    callers: Callers
    answer: Callable[[Call], Steps[Reply]]
    list_models: Callable[[Caller], list[Json]]
    check_ready: Callable[[], tuple[bool, Json]]
    log_refusal: Callable[[Json], None]
    max_request_bytes: int
    allow_query_key: bool
    marks: Mapping[str, str]  # headers that every reply bears
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    trace_fields: Callable[[Mapping[str, str]], Json] = lambda headers: {}  # for the log line of a refused request

    def handle(self, http: HttpRequest) -> Steps[Reply]:
        path = http.path.rstrip("/")
        visit = Visit(http, f"req_{secrets.token_hex(12)}", self.clock(), path, *find_dialect(path))
        try:
            reply = yield from self._serve(visit)
        except GatewayError as error:
            reply = self._refuse(visit, error)
        except StoreUnavailable as error:
            away = "the gateway's store does not answer; try again in a moment"
            reply = self._refuse(visit, Unavailable(away, reason=str(error), retry_after_s=2))
        except Exception as error:
            log.exception("request %s failed", visit.id)
            fault = "the gateway failed; this is its fault, not yours: tell its operator"
            reply = self._refuse(visit, InternalError(fault, reason=repr(error)))
        reply.headers.update(self.marks)
        reply.headers["x-gateway-request-id"] = reply.headers["request-id"] = visit.id
        return reply

    def _serve(self, visit: Visit) -> Steps[Reply]:
        http = visit.http
        if http.method in ("GET", "HEAD") and (reply := (yield from self._probe(visit))):
            return reply
        models = None if visit.match or is_admin(visit.path) else MODELS_PATH.search(visit.path)
        if visit.match is None and models is None:
            there_is = "POST /v1/messages, GET /v1/models and GET / exist"
            raise NotFound(f"{http.method[:40]} {visit.path[:200] or '/'}: no such path here; {there_is}")
        allow = "GET, HEAD" if models else "POST"
        if http.method not in allow.split(", "):
            told = f"{http.method[:40]} is not offered at {visit.path[:200]}; use {allow.partition(',')[0]}"
            raise MethodNotAllowed(told, allow=allow)
        query_key = http.query.get("key") if self.allow_query_key else None
        visit.caller = caller = yield from self.callers.identify(http.headers, query_key)
        if models is not None:
            return (yield from self._models(caller, models["model"], http.query))
        return (yield from self._call(visit, caller))

    def _call(self, visit: Visit, caller: Caller) -> Steps[Reply]:
        assert visit.match is not None and visit.operation is not None
        headers = visit.http.headers
        body = visit.http.read_body(self.max_request_bytes)
        request = visit.dialect.parse_request(visit.operation, visit.match, visit.http.query, headers, body)
        call = make_call(visit.id, caller, visit.dialect.NAME, request, headers, self.now(), visit.started)
        reply = yield from self.answer(call)
        if call.trace_id:
            reply.headers["x-gateway-trace-id"] = call.trace_id
        return reply

    def _probe(self, visit: Visit) -> Steps[Reply | None]:
        if visit.path == "":
            return json_reply(200, {"name": NAME, "version": VERSION})
        if visit.path == "/livez" or HELLO_PATH.search(visit.path):
            return json_reply(200, {"status": "ok"})
        if visit.path == "/readyz":
            ready, facts = yield Work(self.check_ready)
            return json_reply(200 if ready else 503, facts)
        return None

    def _models(self, caller: Caller, model: str | None, query: Mapping[str, str]) -> Steps[Reply]:
        rows: list[Json] = yield Work(lambda: self.list_models(caller))
        if model is None:
            return json_reply(200, render_models_page(rows, query))
        for row in rows:
            if row["id"] == model:
                return json_reply(200, row)
        names = ", ".join(row["id"] for row in rows[:12]) or "none"
        raise NotFound(f"model: {model[:128]!r} is not available to this key; it may use {names}")

    def _refuse(self, visit: Visit, error: GatewayError) -> Reply:
        """The error in the caller's dialect, and a log line if no record tells of it."""
        if not error.recorded:
            caller = visit.caller
            who = {"project": caller.project, "key_id": caller.key_id, "user": caller.user} if caller else {}
            self.log_refusal({
                "severity": severity_of(error, visit.path),
                "message": f"{visit.http.method[:40]} {visit.path[:200]} {error.status}",
                "request_id": visit.id,
                "status": error.status,
                "error_type": error.kind,
                "reason": error.reason,
                "latency_ms": round((self.clock() - visit.started) * 1000),
                **who,
                **self.trace_fields(visit.http.headers),
            })  # fmt: skip
        status, headers = visit.dialect.render_error_head(error)
        return Reply(status, {**headers, "content-type": JSON}, visit.dialect.render_error(error, visit.id))


def severity_of(error: GatewayError, path: str) -> str:
    """What a client asks of itself, and does well without, is no cause to look into the log."""
    if error.status >= 500:
        return "ERROR"
    return "INFO" if error.status == 404 and ASKED_IN_PASSING.search(path) else "WARNING"


@lru_cache(maxsize=PATHS_REMEMBERED)
def find_dialect(path: str) -> tuple[Dialect, Operation | None, re.Match[str] | None]:
    """The dialect spoken at a path; where none is, errors are told in Anthropic's."""
    if not is_admin(path):
        for dialect in DIALECTS.values():
            for pattern, operation in dialect.PATHS if may_be_spoken(dialect, path) else ():
                if match := pattern.search(path):
                    return dialect, operation, match
    return DIALECTS["anthropic"], None, None


def is_admin(path: str) -> bool:
    """Administration's part of the house: never inference, whatever the path ends with."""
    return path.lstrip("/").partition("/")[0] == "admin"


def make_call(
    request_id: str, caller: Caller, dialect: str, request: Request, headers: Mapping[str, str], at: float, started: float
) -> Call:
    ours = {name: value for name, value in headers.items() if name.startswith(OURS)}
    return Call(
        id=request_id,
        caller=caller,
        dialect=dialect,
        request=request,
        headers={name: value for name, value in headers.items() if name not in NOT_FOR_UPSTREAM},
        at=at,
        started=started,
        session_id=loose_label(headers.get("x-claude-code-session-id")),
        agent_id=loose_label(headers.get("x-claude-code-agent-id")),
        parent_agent_id=loose_label(headers.get("x-claude-code-parent-agent-id")),
        **(wishes(ours) if ours else {}),
    )


def wishes(headers: Mapping[str, str]) -> dict[str, Any]:
    """What is asked of the gateway itself, in headers of ours or as another gateway calls them: fields of a Call."""
    return {
        "trace_id": label(headers, "trace-id"),
        "metadata": parse_metadata(of_ours(headers, "metadata")),
        "provider_asked": label(headers, "virtual-key") or label(headers, "provider"),
        "config_asked": config_asked(of_ours(headers, "config")),
        "cache_asked": cache_asked(headers),
        "fallback": headers.get("x-gateway-fallback", "on").strip().lower() != "off",
    }


def config_asked(text: str | None) -> str | None:
    """A config's id, or inline JSON, which is read by whoever plans the call."""
    if text is None or text.lstrip().startswith("{"):
        return text
    if not LABEL.fullmatch(text):
        raise InvalidRequest('x-gateway-config: should be the id of a config, or the config itself as JSON: {"retry": …}')
    return text


def cache_asked(headers: Mapping[str, str]) -> Literal["off", "refresh"] | None:
    wish = headers.get("x-gateway-cache", "").strip().lower()
    if wish not in ("", "off", "refresh", "on"):
        raise InvalidRequest("x-gateway-cache: should be off or refresh")
    if headers.get("x-portkey-cache-force-refresh", "").strip().lower() == "true" and wish != "off":
        return "refresh"
    return "off" if wish == "off" else "refresh" if wish == "refresh" else None


def of_ours(headers: Mapping[str, str], name: str) -> str | None:
    """`x-gateway-NAME`, or its alias from settings written for another gateway."""
    return headers.get(f"x-gateway-{name}") or headers.get(f"x-portkey-{name}")


def label(headers: Mapping[str, str], name: str) -> str | None:
    value = of_ours(headers, name)
    if value is not None and not LABEL.fullmatch(value):
        raise InvalidRequest(f"x-gateway-{name}: at most 128 characters out of letters, digits and _ . : @ / - are allowed")
    return value


def loose_label(value: str | None) -> str | None:
    """A client's own identifier: recorded if it looks like one, ignored if not."""
    return value if value and LABEL.fullmatch(value) else None


def parse_metadata(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        metadata = msgspec.json.decode(text.encode(), type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InvalidRequest('x-gateway-metadata: must be a JSON object of strings, such as {"team":"core"}') from error
    if len(metadata) > METADATA_ENTRIES_MAX or not all(LABEL.fullmatch(n) and LABEL.fullmatch(v) for n, v in metadata.items()):
        raise InvalidRequest(
            f"x-gateway-metadata: at most {METADATA_ENTRIES_MAX} entries, names and values of at most 128 characters out of "
            "letters, digits and _ . : @ / -"
        )
    return metadata


def render_models_page(rows: list[Json], query: Mapping[str, str]) -> Json:
    """A page of models as Anthropic and OpenAI clients both read it."""
    text = query.get("limit", "1000")
    limit = min(1000, max(1, int(text))) if text.isascii() and text.isdigit() else 1000
    after = query.get("after_id")
    start = next((place + 1 for place, row in enumerate(rows) if row["id"] == after), 0)
    page = rows[start : start + limit]
    return {
        "object": "list",
        "data": page,
        "has_more": start + limit < len(rows),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def json_reply(status: int, document: Json) -> Reply:
    return Reply(status, {"content-type": JSON}, msgspec.json.encode(document))
