"""Wires between rooms that do not know each other: each function here makes one callable, which `app.py` hands on."""

from collections.abc import Callable

from gateway.callers.identify import Callers
from gateway.canonical.call import Call, Caller
from gateway.canonical.store import Json, Store, StoreError
from gateway.catalog.models import render_alias, render_model
from gateway.providers.directory import Directory
from gateway.records.document import render_log_line
from gateway.records.log import LineLog
from gateway.records.writer import RecordWriter
from gateway.routing.plan import aliases_for, models_for
from gateway.routing.shelf import Shelf
from gateway.settings import Settings
from gateway.spending.alerts import Alerts
from gateway.spending.ledger import Ledger, Watch
from gateway.telemetry.hook import Telemetry
from gateway.telemetry.trace_context import trace_fields


def listener(callers: Callers, directory: Directory, ledger: Ledger, shelf: Shelf) -> Callable[[str], None]:
    """What this process remembers of a document ends with its change; others notice within a minute."""

    def hear(path: str) -> None:
        collection, _, name = path.partition("/")
        if collection == "keys":
            callers.forget(name)
        elif collection == "providers":
            directory.forget()
        elif collection == "budgets":
            ledger.directory.forget()
        elif collection == "configs":
            shelf.forget(name.partition("/")[0])

    return hear


def sweeper(ledger: Ledger, alerts: Alerts) -> Callable[[], Json]:
    """What `POST /admin/v1/sweep` does, and answers."""

    def sweep() -> Json:
        report = ledger.sweep()
        return {"reconciled": report.reconciled, "late": report.late, "alerts_sent": alerts.resend_failed()}

    return sweep


def watcher(alert: Watch, telemetry: Telemetry | None) -> Watch:
    """Who looks on when a budget's counters are written."""
    if telemetry is None:
        return alert

    def watch(budget: str, period: str, thresholds: tuple[float, ...], used: int, limit: int, facts: Json) -> None:
        alert(budget, period, thresholds, used, limit, facts)
        telemetry.watch(budget, period, thresholds, used, limit, facts)

    return watch


def call_logger(lines: LineLog, settings: Settings) -> Callable[[Call, Json], None]:
    """Takes a call and its usage document."""

    def write(call: Call, document: Json) -> None:
        http = {
            "requestMethod": "POST",
            "status": document["status"],
            "userAgent": call.headers.get("user-agent", "")[:200],
            "latency": f"{document['latency_ms'] / 1000:.3f}s",
        }
        trace = trace_fields(call.headers, call.id, settings.google_project, traced=settings.telemetry != "off")
        lines.write(render_log_line(document, http, trace))

    return write


def refusal_logger(lines: LineLog, telemetry: Telemetry | None) -> Callable[[Json], None]:
    """Takes the log line of a request that became no call."""
    if telemetry is None:
        return lines.write

    def write(line: Json) -> None:
        lines.write(line)
        telemetry.refused(line)

    return write


def model_lister(directory: Directory) -> Callable[[Caller], list[Json]]:
    """The models that a key may use, and the operator's own names for them."""

    def list_models(caller: Caller) -> list[Json]:
        providers = directory.all()
        rows = {model.id: render_model(model) for model in models_for(caller, providers)}
        for alias, upstream in aliases_for(caller, providers).items():
            rows.setdefault(alias, render_alias(alias, upstream))
        return list(rows.values())

    return list_models


def readiness(store: Store, records: RecordWriter) -> Callable[[], tuple[bool, Json]]:
    """Whether the store answers, and what waits for it."""

    def check() -> tuple[bool, Json]:
        facts: Json = {
            "status": "ready",
            "store": "ok",
            "records_waiting": records.waiting,
            "records_lost": records.lost,
            "records_written": records.records_written,
            "commits": records.commits,
        }
        try:
            store.ping(timeout_s=1.0)
        except StoreError as error:
            facts |= {"status": "store unavailable", "store": str(error)[:200]}
            return False, facts
        return True, facts

    return check
