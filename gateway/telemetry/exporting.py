"""OpenTelemetry's SDK put together: what is exported, where to, and as whom. Loaded at first use.

Where to is said by the variables that every OTLP exporter reads (OTEL_EXPORTER_OTLP_ENDPOINT, …_HEADERS, …_TIMEOUT;
https://opentelemetry.io/docs/specs/otel/protocol/exporter/, 2026-11-21). Google's own endpoint takes OTLP too: Cloud Trace
and Cloud Monitoring at https://telemetry.googleapis.com, for a bearer token with roles/telemetry.writer, in the project that
the resource attribute `gcp.project_id` names (https://docs.cloud.google.com/stackdriver/docs/reference/telemetry/overview,
2026-11-21).
"""

import os
import threading
import time
import uuid
from collections.abc import Callable

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from requests.auth import AuthBase

from gateway import VERSION
from gateway.telemetry.hook import GoogleAccess, Readings
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observation import Observation
from gateway.telemetry.spans import render_spans

GOOGLE = "https://telemetry.googleapis.com"
SERVICE = "tollgate"


class Bearer(AuthBase):
    """Signs each export with a token that is valid then."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["authorization"] = f"Bearer {self._token()}"
        return request


class Exporting:
    """A Sink. Spans and metrics are sent by threads of the SDK's own; what a full queue cannot hold is dropped."""

    def __init__(
        self,
        resource: Resource,
        spans: BatchSpanProcessor | None,
        readers: list[MetricReader],
        readings: Readings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resource = resource
        self._sampler = TracerProvider(resource=resource, shutdown_on_exit=False).sampler  # OTEL_TRACES_SAMPLER
        self._spans = spans
        self._meters = MeterProvider(readers, resource, AlwaysOffExemplarFilter(), shutdown_on_exit=False)
        self._metrics = Metrics(self._meters.get_meter(SERVICE, VERSION), readings, clock)

    def call(self, observation: Observation) -> None:
        if self._spans is not None:
            for span in render_spans(observation, self._resource, self._sampler):
                self._spans.on_end(span)
        self._metrics.call(observation)

    def refusal(self, status: int, error_type: str) -> None:
        self._metrics.refusal(status, error_type)

    def budget(self, budget_id: str, period: str, used: int, limit: int, unit: str) -> None:
        self._metrics.budget(budget_id, period, used, limit, unit)

    def close(self, timeout_s: float) -> None:
        """Sends what is left, spans and metrics side by side. An endpoint that hangs is left to the process's end."""
        until = time.monotonic() + timeout_s
        works: list[Callable[[], object]] = [lambda: self._meters.shutdown(timeout_millis=timeout_s * 1000)]
        if self._spans is not None:
            works.append(self._spans.shutdown)
        threads = [threading.Thread(target=work, name="telemetry-flush", daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def open_exporting(readings: Readings, google: GoogleAccess | None, endpoint: str = GOOGLE) -> Exporting:
    """With `google`, everything goes to `endpoint` with its token, whatever the environment says; else where that says.

    Raises TokenError if the project cannot be found out, ValueError for variables that the SDK does not understand.
    """
    spans, readers = None, list[MetricReader]()
    if os.environ.get("OTEL_TRACES_EXPORTER") != "none":
        exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", session=_session(google)) if google else OTLPSpanExporter()
        spans = BatchSpanProcessor(exporter)
    if os.environ.get("OTEL_METRICS_EXPORTER") != "none":
        sending = OTLPMetricExporter(f"{endpoint}/v1/metrics", session=_session(google)) if google else OTLPMetricExporter()
        readers.append(PeriodicExportingMetricReader(sending))
    return Exporting(make_resource(google), spans, readers, readings)


def make_resource(google: GoogleAccess | None) -> Resource:
    """This process. What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes first."""
    said = OTELResourceDetector().detect()
    known = {
        "service.name": os.environ.get("K_SERVICE") or SERVICE,
        "service.version": VERSION,
        "service.instance.id": uuid.uuid4().hex,  # two writers of one time series would contradict each other
    }
    if revision := os.environ.get("K_REVISION"):
        known |= {"cloud.provider": "gcp", "cloud.platform": "gcp_cloud_run"}
        known |= {"faas.name": known["service.name"], "faas.version": revision}
    if google and "gcp.project_id" not in said.attributes and (project := google.project_id()):
        known["gcp.project_id"] = project
    return Resource.create(known).merge(said)


def _session(google: GoogleAccess) -> requests.Session:
    """Without redirects: the token is for Google alone."""
    session = requests.Session()
    session.auth = Bearer(google.token)
    session.max_redirects = 0
    return session
