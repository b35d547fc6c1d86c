"""The house as a Flask application: for Cloud Run functions, and for any other WSGI server."""

import atexit
import logging
import os
import threading

import msgspec
from flask import Flask, Request, Response, request
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from gateway.app import House
from gateway.canonical.reply import Reply, drive_blocking
from gateway.canonical.steps import run_blocking
from gateway.doors.http import HttpRequest, body_ended_early, body_too_large
from gateway.doors.inference import is_admin
from gateway.start import run_house

log = logging.getLogger(__name__)


def make_flask(house: House) -> Flask:
    """No routes: the doors match paths from their end, for every method, and Flask's own router would redirect
    `//v1/messages` and refuse unknown methods in words of its own."""
    app = Flask("gateway", static_folder=None)

    @app.before_request
    def handle() -> Response:
        asked = to_http_request(request)
        return respond(house.admin.handle(asked) if is_admin(asked.path) else run_blocking(house.door.handle(asked)))

    app.register_error_handler(Exception, _fault)
    return app


def to_http_request(flask_request: Request) -> HttpRequest:
    return HttpRequest(
        method=flask_request.method,
        path=flask_request.path,
        headers={name.lower(): value for name, value in flask_request.headers.items()},
        query=flask_request.args,
        read_body=lambda limit_bytes: read_body(flask_request, limit_bytes),
    )


def read_body(flask_request: Request, limit_bytes: int) -> bytes:
    if (flask_request.content_length or 0) > limit_bytes:
        raise body_too_large(limit_bytes)
    flask_request.max_content_length = limit_bytes + 1  # at its limit Werkzeug cuts a chunked body off, and says nothing
    try:
        body = flask_request.get_data(cache=False)
    except RequestEntityTooLarge as error:
        raise body_too_large(limit_bytes) from error
    except (ClientDisconnected, OSError) as error:
        raise body_ended_early() from error
    if len(body) > limit_bytes:
        raise body_too_large(limit_bytes)
    return body


def respond(reply: Reply) -> Response:
    body = reply.body if isinstance(reply.body, bytes) else drive_blocking(reply.body)
    response = Response(body, status=reply.status, headers=reply.headers)
    response.call_on_close(reply.close)
    return response


def _fault(error: Exception) -> Response:
    """What Flask itself refuses, told as JSON."""
    status = error.code or 500 if isinstance(error, HTTPException) else 500
    if status >= 500:
        log.error("request failed outside the doors", exc_info=error)
    kind = "invalid_request_error" if status < 500 else "api_error"
    told = {"type": "error", "error": {"type": kind, "message": f"this request cannot be served ({status})"}}
    return Response(msgspec.json.encode(told), status, content_type="application/json")


class LazyApp:
    """The application of a worker process that forks at a time of its own choosing: built at the first request, with a
    house from the environment that is closed when the process ends."""

    def __init__(self) -> None:
        self._app: Flask | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def get(self) -> Flask:
        if self._app is None or self._pid != os.getpid():
            with self._lock:
                if self._app is None or self._pid != os.getpid():
                    running = run_house(os.environ)
                    atexit.register(running.close)
                    self._app, self._pid = make_flask(running.house), os.getpid()
        return self._app
