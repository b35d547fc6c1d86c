"""The Cloud Run function: `functions-framework --target=gateway`. A doormat.

The framework loads this file before it forks its worker, so nothing is opened here; the house is built at the worker's
first request. The framework handles SIGTERM itself: streams get 30 s, which Cloud Run cuts at 10. Whoever needs open
streams ended honestly runs `python -m gateway serve`.
"""

import flask

from gateway.wsgi import LazyApp

lazy = LazyApp()


def gateway(request: flask.Request) -> flask.Response:
    app = lazy.get()
    with app.request_context(request.environ):
        return app.full_dispatch_request()
