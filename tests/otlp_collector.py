"""A stand-in for an OpenTelemetry collector: takes OTLP over HTTP on loopback and keeps what it was sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Collector:
    """`status` is what it answers; `hold` keeps every answer back until it is set."""

    url: str = ""
    status: int = 200
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    def spans(self) -> list[Any]:
        """Every span that has come in, oldest first."""
        requests = [ExportTraceServiceRequest.FromString(body) for path, body in self.bodies if path == "/v1/traces"]
        scopes = [scope for request in requests for group in request.resource_spans for scope in group.scope_spans]
        return [span for scope in scopes for span in scope.spans]

    def resource(self) -> dict[str, Any]:
        """Who sent the last metrics."""
        return attributes(self._last_metrics().resource_metrics[0].resource)

    def metrics(self) -> dict[str, Any]:
        """The last state of every metric, by name."""
        scopes = self._last_metrics().resource_metrics[0].scope_metrics
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The last data points of a metric with their attributes."""
        metric = self.metrics()[name]
        points = getattr(metric, metric.WhichOneof("data")).data_points
        return [(attributes(point), point) for point in points]

    def _last_metrics(self) -> Any:
        return ExportMetricsServiceRequest.FromString([body for path, body in self.bodies if path == "/v1/metrics"][-1])


def attributes(holder: Any) -> dict[str, Any]:
    """OTLP's key-value pairs as a dict."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()
    collector.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.hold.wait(20)
            collector.headers.append({name.lower(): value for name, value in self.headers.items()})
            collector.bodies.append((self.path, body))
            self.send_response(collector.status)
            if collector.status == 302:
                self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        collector.hold.set()
        server.shutdown()
        server.server_close()
