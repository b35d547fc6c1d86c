"""The doors of the sandbox: which path leads where, what is written down of each request, and how others steer it."""

import json
import logging
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.sandbox import delivery
from gateway.sandbox.errors import Refusal, google, invalid
from gateway.sandbox.faults import FaultQueue, parse
from gateway.sandbox.recording import Recorded, Recorder
from gateway.sandbox.refusing import html, refusal
from gateway.sandbox.secret_manager import Secrets
from gateway.sandbox.service import Service
from gateway.sandbox.tokens import TokenOffice
from gateway.sandbox.vertex import Vertex, parse_path
from gateway.sandbox.wire import BadRequest, ClientGone, Connection, ConnectionCut, Request

log = logging.getLogger(__name__)
GREETING = b"This is the sandbox: a simulated Google, and other vendors, for laptops and tests. Nothing here is real.\n"


class Serving:
    """Every request's way through the sandbox."""

    def __init__(self, tokens: TokenOffice, vertex: Vertex, services: Sequence[Service] = ()) -> None:
        self.tokens = tokens
        self.vertex = vertex
        self.services = services
        self.secrets = Secrets()
        self.recorder = Recorder()
        self.queues = {
            "inference": vertex.faults,
            "count_tokens": vertex.count_faults,
            "token": FaultQueue(),
            "secrets": FaultQueue(),
            **{service.name: service.faults for service in services},
        }

    def state(self) -> dict[str, Any]:
        """What `GET /_sandbox/state` answers: mints, and requests by path and status."""
        return {"mints": self.tokens.mints, "requests": self.recorder.counts()}

    def clear(self) -> None:
        """Forgets all faults that were queued."""
        for queue in self.queues.values():
            queue.clear()

    def serve(self, sock: socket.socket) -> None:
        """One connection's life."""
        try:
            connection = Connection(sock)
            try:
                self._converse(connection)
            finally:
                connection.close()
        except (ClientGone, ConnectionCut, OSError):
            log.debug("a connection ended early")

    def _converse(self, connection: Connection) -> None:
        try:
            while (request := connection.read_request()) is not None:
                self._answer(request, connection)
                if not request.keep_alive:
                    break
        except BadRequest as error:
            connection.reply(400, {"content-type": "text/plain", "connection": "close"}, str(error).encode())

    def _answer(self, request: Request, connection: Connection) -> None:
        """Answers, and writes down how it went."""
        recorded = Recorded(request.method, request.path, request.query, request.headers, request.body)
        self.recorder.begin(recorded)
        connection.on_head = lambda status: self.recorder.answer(recorded, status)
        ended = "failed"
        try:
            self._answer_or_refuse(request, connection)
            ended = "answered"
        except ClientGone:
            ended = "client gone"
            raise
        except ConnectionCut:
            ended = "cut"
            raise
        except Exception:
            log.exception("the sandbox stumbled over %s %s", request.method, request.path)
            if recorded.status is not None:
                connection.cut(reset=True)
            fault = google(500, "The sandbox stumbled over this request: a fault of the sandbox; its log says where.")
            connection.reply(500, fault.headers, fault.body(streaming=False))
        finally:
            self.recorder.end(recorded, ended)

    def _answer_or_refuse(self, request: Request, connection: Connection) -> None:
        try:
            self._route(request, connection)
        except Refusal as no:
            connection.reply(no.status, no.headers, no.body(streaming=_answers_in_arrays(request)))

    def _route(self, request: Request, connection: Connection) -> None:
        place = parse_path(request.path)
        if place is None and any(service.answer(request, connection) for service in self.services):
            return
        match request.method, request.path:
            case "POST", _ if place:
                self.vertex.answer(place, request, connection)
            case "POST", "/token":
                self._misbehave("token", connection)
                _reply(connection, self.tokens.exchange(request.body))
            case "GET", path if "/secrets/" in path:
                self._misbehave("secrets", connection)
                _reply(connection, self.secrets.access(path))
            case "GET", "/_sandbox/state":
                _reply(connection, self.state())
            case "POST", "/_sandbox/script":
                self._steer(request)
                _reply(connection, {})
            case (("GET" | "HEAD"), "/"):
                connection.reply(200, {"content-type": "text/plain"}, GREETING, without_body=request.method == "HEAD")
            case _:
                head = request.method == "HEAD"
                connection.reply(404, {"content-type": delivery.HTML}, html(404), without_body=head)

    def _misbehave(self, on: str, connection: Connection) -> None:
        """Faults of the token endpoint and Secret Manager: a wait, then nothing at all, or a status."""
        fault = self.queues[on].take()
        connection.wait(fault.wait_s)
        if fault.drop:
            connection.cut(reset=True)
        if fault.status and on == "token":
            name = fault.kind or ("internal_failure" if fault.status >= 500 else "invalid_grant")
            raise Refusal(fault.status, {"error": name, "error_description": fault.message or "Scripted by the sandbox."})
        if fault.status:
            raise refusal(fault, "this secret")

    def _steer(self, request: Request) -> None:
        """`{"faults": [{…}], "on": "inference", "clear": true, "revoke_tokens": true, "secrets": {name: text}}`"""
        try:
            wishes = json.loads(request.body)
            wishes = {"faults": wishes} if isinstance(wishes, list) else wishes
            faults = [parse(members) for members in wishes.get("faults", [])]
            queue = self.queues[wishes.get("on", "inference")]
            secrets = dict(wishes.get("secrets", {}))
        except (ValueError, AttributeError, TypeError, KeyError) as error:
            raise invalid(f"not a script: {error}") from error
        if wishes.get("clear"):
            self.clear()
        if wishes.get("revoke_tokens"):
            self.tokens.revoke_all()
        self.secrets.update(secrets)
        queue.add(*faults)


def _answers_in_arrays(request: Request) -> bool:
    """Google's streaming methods, unless they were asked for server-sent events."""
    if request.path.endswith(":streamGenerateContent"):
        return "alt=sse" not in request.query
    return request.path.endswith(":streamRawPredict")


def _reply(connection: Connection, document: Mapping[str, Any]) -> None:
    connection.reply(200, {"content-type": "application/json; charset=UTF-8"}, json.dumps(document).encode())
