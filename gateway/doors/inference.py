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
from typing import Protocol

import msgspec
from flask import Request as HttpRequest
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from gateway import NAME, VERSION
from gateway.canonical.call import Call, Caller, Operation, Reply, Request
from gateway.canonical.dialect import Dialect
from gateway.canonical.errors import (
    GatewayError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RequestTooLarge,
    Unavailable,
)
from gateway.canonical.store import Json, StoreUnavailable
from gateway.dialects import DIALECTS

LABEL = re.compile(r"[\w.:@/-]{1,128}", re.ASCII)
MODELS_PATH = re.compile(r"(?:^|/)v1/models(?:/(?P<model>[^:]+))?$")
HELLO_PATH = re.compile(r"(?:^|/)api/hello$")
JSON = "application/json"
NOT_FOR_UPSTREAM = ("authorization", "cookie", "x-api-key", "x-goog-api-key", "x-portkey-api-key")
METADATA_ENTRIES_MAX = 32
log = logging.getLogger(__name__)


class Callers(Protocol):
    def identify(self, headers: Mapping[str, str], query_key: str | None = None) -> Caller: ...


@dataclass(slots=True)
class InferenceDoor:
    """Turns one HTTP request into one Reply; never raises."""

    callers: Callers
    answer: Callable[[Call], Reply]
    list_models: Callable[[Caller], list[Json]]
    check_ready: Callable[[], tuple[bool, Json]]
    log_refusal: Callable[[Json], None]
    max_request_bytes: int
    allow_query_key: bool
    marks: Mapping[str, str]
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic

    def handle(self, http: HttpRequest) -> Reply:
        request_id = f"req_{secrets.token_hex(12)}"
        started = self.clock()
        path = http.path.rstrip("/")
        dialect, operation, match = find_dialect(path)
        caller: list[Caller] = []
        try:
            reply = self._probe(http, path) or self._serve(http, path, dialect, operation, match, request_id, started, caller)
        except GatewayError as error:
            self._log(http, error, request_id, started, caller)
            reply = error_reply(error, dialect, request_id)
        except StoreUnavailable as error:
            away = Unavailable("the gateway's store does not answer; try again in a moment", reason=str(error), retry_after_s=2)
            self._log(http, away, request_id, started, caller)
            reply = error_reply(away, dialect, request_id)
        except Exception as error:
            log.exception("request %s failed", request_id)
            fault = InternalError("the gateway failed; this is its fault, not yours: tell its operator", reason=repr(error))
            self._log(http, fault, request_id, started, caller)
            reply = error_reply(fault, dialect, request_id)
        reply.headers.update(self.marks)
        reply.headers["x-gateway-request-id"] = request_id
        reply.headers["request-id"] = request_id
        return reply

    def _serve(
        self,
        http: HttpRequest,
        path: str,
        dialect: Dialect,
        operation: Operation | None,
        match: re.Match[str] | None,
        request_id: str,
        started: float,
        seen: list[Caller],
    ) -> Reply:
        headers = {name.lower(): value for name, value in http.headers.items()}
        models = None if is_admin(path) else MODELS_PATH.search(path)
        if match is None and models is None:
            raise NotFound(
                f"{http.method} {path[:200] or '/'}: no such path here; POST /v1/messages, GET /v1/models and GET / exist"
            )
        allow = "GET, HEAD" if models else "POST"
        if http.method not in allow.split(", "):
            raise MethodNotAllowed(f"{http.method[:40]} is not offered at {path[:200]}; use {allow.partition(',')[0]}", allow=allow)
        caller = self.callers.identify(headers, http.args.get("key") if self.allow_query_key else None)
        seen.append(caller)
        if models is not None:
            return self._models(caller, models["model"], http.args)
        assert match is not None and operation is not None
        body = read_body(http, self.max_request_bytes)
        request = dialect.parse_request(operation, match, headers, body)
        call = make_call(request_id, caller, dialect.NAME, request, headers, self.now(), started)
        reply = self.answer(call)
        if call.trace_id:
            reply.headers["x-gateway-trace-id"] = call.trace_id
        return reply

    def _probe(self, http: HttpRequest, path: str) -> Reply | None:
        if http.method not in ("GET", "HEAD"):
            return None
        if path == "":
            return json_reply(200, {"name": NAME, "version": VERSION})
        if path == "/livez" or HELLO_PATH.search(path):
            return json_reply(200, {"status": "ok"})
        if path == "/readyz":
            ready, facts = self.check_ready()
            return json_reply(200 if ready else 503, facts)
        return None

    def _models(self, caller: Caller, model: str | None, query: Mapping[str, str]) -> Reply:
        rows = self.list_models(caller)
        if model is not None:
            found = [row for row in rows if row["id"] == model]
            if not found:
                names = ", ".join(row["id"] for row in rows[:12]) or "none"
                raise NotFound(f"model: {model[:128]!r} is not available to this key; it may use {names}")
            return json_reply(200, found[0])
        return json_reply(200, render_models_page(rows, query))

    def _log(self, http: HttpRequest, error: GatewayError, request_id: str, started: float, caller: list[Caller]) -> None:
        """A line for what left no usage document: refused at the door, or failed on the way."""
        who = {"project": caller[0].project, "key_id": caller[0].key_id, "user": caller[0].user} if caller else {}
        self.log_refusal({
            "severity": "ERROR" if error.status >= 500 else "WARNING",
            "message": f"{http.method} {http.path[:200]} {error.status}",
            "request_id": request_id,
            "status": error.status,
            "error_type": error.kind,
            "reason": error.reason,
            "latency_ms": round((self.clock() - started) * 1000),
            **who,
        })  # fmt: skip


def find_dialect(path: str) -> tuple[Dialect, Operation | None, re.Match[str] | None]:
    """The dialect spoken at a path; where none is, errors are told in Anthropic's."""
    if not is_admin(path):
        for dialect in DIALECTS.values():
            for pattern, operation in dialect.PATHS:
                if match := pattern.search(path):
                    return dialect, operation, match
    return DIALECTS["anthropic"], None, None


def is_admin(path: str) -> bool:
    """Administration's part of the house: never inference, whatever the path ends with."""
    return path.lstrip("/").partition("/")[0] == "admin"


def read_body(http: HttpRequest, limit_bytes: int) -> bytes:
    too_large = RequestTooLarge(f"Request exceeds the maximum size of {limit_bytes} bytes that this gateway accepts")
    if (http.content_length or 0) > limit_bytes:
        raise too_large
    http.max_content_length = limit_bytes + 1  # at its limit Werkzeug cuts a chunked body off, and says nothing
    try:
        body = http.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise too_large from error
    except (ClientDisconnected, OSError) as error:
        raise InvalidRequest("the request body ended early; send as many bytes as content-length says") from error
    if len(body) > limit_bytes:
        raise too_large
    return body


def make_call(
    request_id: str, caller: Caller, dialect: str, request: Request, headers: Mapping[str, str], at: float, started: float
) -> Call:
    return Call(
        id=request_id,
        caller=caller,
        dialect=dialect,
        request=request,
        headers={name: value for name, value in headers.items() if name not in NOT_FOR_UPSTREAM},
        at=at,
        started=started,
        trace_id=label(headers, "trace-id"),
        session_id=loose_label(headers.get("x-claude-code-session-id")),
        agent_id=loose_label(headers.get("x-claude-code-agent-id")),
        parent_agent_id=loose_label(headers.get("x-claude-code-parent-agent-id")),
        metadata=parse_metadata(of_ours(headers, "metadata")),
        provider_asked=label(headers, "provider"),
    )


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


def error_reply(error: GatewayError, dialect: Dialect, request_id: str) -> Reply:
    body = dialect.render_error(error, request_id)
    return Reply(error.status, {**error.headers(), "content-type": JSON, "content-length": str(len(body))}, [body])


def json_reply(status: int, document: Json) -> Reply:
    body = msgspec.json.encode(document)
    return Reply(status, {"content-type": JSON, "content-length": str(len(body))}, [body])
