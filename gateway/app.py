"""Puts the house together from Settings. The only place that builds things; everything else is handed what it needs."""

import importlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.answering import Answering
from gateway.callers.identify import Callers
from gateway.canonical.call import Call, Caller
from gateway.canonical.store import Json, Store, StoreError
from gateway.canonical.usage import Tokens, Usage
from gateway.catalog.models import render_model
from gateway.credentials.api_keys import ApiKeys
from gateway.credentials.credential import ADC
from gateway.credentials.google_tokens import TokenBroker
from gateway.credentials.secrets import Secrets
from gateway.doors.inference import InferenceDoor
from gateway.doors.late import LateDoor
from gateway.probing import Prober
from gateway.providers import PROVIDERS
from gateway.providers.directory import Directory
from gateway.providers.http1 import Pool, Timeouts
from gateway.providers.lessons import Lessons
from gateway.providers.provider import Provider
from gateway.providers.send import GOOGLE, Sender
from gateway.records.document import render_log_line
from gateway.records.log import LineLog
from gateway.records.rollups import Rollups
from gateway.records.writer import RecordWriter
from gateway.routing.attempts import Attempts, hearing
from gateway.routing.balance import Balancer
from gateway.routing.health import Health
from gateway.routing.plan import models_for
from gateway.routing.planner import Planner
from gateway.routing.shelf import Shelf
from gateway.settings import Settings, SettingsFault
from gateway.spending.alerts import Alerts
from gateway.spending.estimates import LearnedEstimates
from gateway.spending.ledger import Ledger, Watch
from gateway.spending.prices import PriceBook
from gateway.store import open_store
from gateway.telemetry.hook import GoogleAccess, Readings, Telemetry, open_telemetry
from gateway.telemetry.trace_context import trace_fields

ALERT_CHANNELS = "gateway.spending.alert_channels"
ALERTING = ("alert_webhook", "alert_chat_webhook", "alert_topic", "alert_email_to")
GIVE_BACK_S = 2.0
ALERTS_S = 1.0
TELEMETRY_S = 1.0
TYPICAL = Usage(Tokens(input=1_000, output=1_000, cache_read=9_000))  # of a call, to compare prices by
ADMIN = "gateway.doors.admin"  # loaded with the first admin request
log = logging.getLogger(__name__)


@dataclass(slots=True)
class House:
    """The rooms of one process, for those who start, steer and stop it."""

    settings: Settings
    store: Store
    secrets: Secrets
    tokens: TokenBroker
    directory: Directory
    planner: Planner
    callers: Callers
    prices: PriceBook
    records: RecordWriter
    ledger: Ledger
    alerts: Alerts
    answering: Answering
    door: InferenceDoor
    admin: LateDoor
    pool: Pool
    telemetry: Telemetry | None = None

    def warm(self) -> None:
        """Does ahead what the first call would wait for: store connection, budgets, access tokens."""
        if self.telemetry is not None:
            self.telemetry.start()
        try:
            self.ledger.directory.warm()
            for provider in self.directory.all().values():
                if PROVIDERS[provider.kind].credentials == GOOGLE:
                    self.tokens.token(provider.credential)
        except Exception as error:  # the first call will meet the fault and tell it
            log.warning("warming up: %s", error)

    def close(self) -> None:
        """Ends within the drain time: streams finish or are broken honestly, records are written."""
        self.answering.drain(self.settings.drain_s)
        self.ledger.close(GIVE_BACK_S)
        self.alerts.close(ALERTS_S)
        if self.telemetry is not None:
            self.telemetry.close(TELEMETRY_S)
        self.pool.close()
        self.store.close()


def build_house(
    settings: Settings,
    *,
    store: Store | None = None,
    lines: LineLog | None = None,
    marks: dict[str, str] | None = None,
    now: Callable[[], float] = time.time,
    pool: Pool | None = None,
) -> House:
    """Opens nothing yet: connections are made at first use, so that a process may fork after this."""
    store = store or open_store(settings.store, now=now)
    lines = lines or LineLog()
    marks = marks or {}
    pool = pool or Pool(allowed=tuple(settings.allow_private_upstreams.split(",")))
    secrets = Secrets(now=now, secret_manager_url=settings.secret_manager_url)
    tokens = TokenBroker(store, secrets, settings.google_token_uri, now=now)
    directory = Directory(store, providers_from_environment(settings), settings.key_outage_s)
    callers = Callers(store, refresh_s=settings.key_refresh_s, outage_s=settings.key_outage_s, now=now)
    prices = PriceBook(settings.prices, settings.price_multiplier)
    rollups = Rollups(retention_days=settings.usage_retention_days)
    records = RecordWriter(
        store, buffer_max=settings.write_buffer, beside=lambda last: rollups.take_writes(now(), last=last)
    )
    alerts = Alerts(store, _alert_channels(settings, secrets, tokens), now)
    telemetry = open_telemetry(
        settings.telemetry,
        Readings(
            open_calls=lambda: answering.open_calls,
            records_waiting=lambda: records.waiting,
            records_lost=lambda: records.lost,
            tokens_minted=lambda: tokens.health().minted,
        ),
        GoogleAccess(lambda: tokens.token(ADC).value, lambda: settings.google_project or tokens.project_id(ADC)),
    )
    ledger = Ledger(
        store,
        LearnedEstimates(prices),
        now=now,
        watch=_watchers(alerts.watch, telemetry),
        retention_days=settings.usage_retention_days,
    )
    timeouts = Timeouts(settings.connect_timeout_s, settings.first_byte_timeout_s, settings.idle_timeout_s)
    sender = Sender(
        pool,
        {"google": tokens, "secret": ApiKeys(secrets)},
        Lessons(store, now),
        timeouts,
        total_s=settings.total_timeout_s,
        wait_s=settings.ping_interval_s,
        open_max=settings.max_provider_calls or settings.max_open_calls,
        now=now,
    )
    counting_locations = tuple(name for name in settings.count_tokens_locations.split(",") if name)
    shelf, health = Shelf(store, settings.key_outage_s), Health(store, now)
    balancer = Balancer(
        health, lambda target: prices.cost(target.model, target.provider.kind, target.location, TYPICAL).nanodollars
    )
    planner = Planner(directory.recall, shelf, health, balancer, counting_locations, lines.write)
    answering = Answering(
        plan=planner.plan,
        reserve=ledger.reserve,
        attempts=Attempts(sender.send, hearing(sender), health, wait_s=sender.wait_s),
        sender=sender,
        prices=prices,
        records=records,
        count=rollups.add,
        observe=telemetry.observe if telemetry else None,
        log_line=_call_logger(lines, settings),
        retention_days=settings.usage_retention_days,
        open_max=settings.max_open_calls,
    )
    door = InferenceDoor(
        callers=callers,
        answer=answering.answer,
        list_models=_model_lister(directory),
        check_ready=_readiness(store, records),
        log_refusal=_refusal_logger(lines, telemetry),
        trace_fields=lambda headers: trace_fields(headers, "", settings.google_project, traced=False),
        max_request_bytes=settings.max_request_bytes,
        allow_query_key=settings.allow_query_key,
        marks=marks,
        now=now,
    )
    admin = LateDoor(lambda: _open_admin(settings, secrets, lines, marks, {
        "store": store, "tokens": tokens, "prices": prices, "from_environment": providers_from_environment(settings),
        "private_allowed": settings.allow_private_upstreams.split(","), "probe": Prober(sender).probe, "now": now,
        "heard": _listener(callers, directory, ledger, shelf), "test_alert": alerts.test, "sweep": _sweeper(ledger, alerts),
    }))  # fmt: skip
    return House(
        settings, store, secrets, tokens, directory, planner, callers, prices, records, ledger, alerts, answering, door, admin,
        pool, telemetry,
    )  # fmt: skip


def _open_admin(settings: Settings, secrets: Secrets, lines: LineLog, marks: dict[str, str], rooms: Json) -> Any:
    """`rooms` are the fields of its Office."""
    admin: Any = importlib.import_module(ADMIN)
    return admin.open_door(settings, admin.Office(**rooms), secrets, lines.write, marks)


def _listener(callers: Callers, directory: Directory, ledger: Ledger, shelf: Shelf) -> Callable[[str], None]:
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


def _alert_channels(settings: Settings, secrets: Secrets, tokens: TokenBroker) -> Sequence[Any]:
    """Mail and webhooks are loaded only where they are configured."""
    if not any(getattr(settings, name) for name in ALERTING):
        return ()
    room: Any = importlib.import_module(ALERT_CHANNELS)
    channels: Sequence[Any] = room.channels_from(settings, secrets, tokens.token)
    return channels


def _sweeper(ledger: Ledger, alerts: Alerts) -> Callable[[], Json]:
    def sweep() -> Json:
        report = ledger.sweep()
        return {"reconciled": report.reconciled, "late": report.late, "alerts_sent": alerts.resend_failed()}

    return sweep


def providers_from_environment(settings: Settings) -> list[Provider]:
    """Provider `vertex`, if the environment names a key, a project or a base URL for it."""
    if not (settings.vertex_service_account_json or settings.vertex_project_id or settings.vertex_base_url):
        return []
    provider = Provider(
        id="vertex",
        kind="vertex",
        credential=settings.vertex_service_account_json or "adc",
        project_id=settings.vertex_project_id,
        locations=(settings.vertex_region,),
        base_url=settings.vertex_base_url.rstrip("/") if settings.vertex_base_url else None,
    )
    if faults := PROVIDERS[provider.kind].check_provider(provider):
        raise SettingsFault(faults)
    return [provider]


def _call_logger(lines: LineLog, settings: Settings) -> Callable[[Call, Json], None]:
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


def _refusal_logger(lines: LineLog, telemetry: Telemetry | None) -> Callable[[Json], None]:
    if telemetry is None:
        return lines.write

    def write(line: Json) -> None:
        lines.write(line)
        telemetry.refused(line)

    return write


def _watchers(alert: Watch, telemetry: Telemetry | None) -> Watch:
    """Who looks on when a budget's counters are written."""
    if telemetry is None:
        return alert

    def watch(budget: str, period: str, thresholds: tuple[float, ...], used: int, limit: int, facts: Json) -> None:
        alert(budget, period, thresholds, used, limit, facts)
        telemetry.watch(budget, period, thresholds, used, limit, facts)

    return watch


def _model_lister(directory: Directory) -> Callable[[Caller], list[Json]]:
    return lambda caller: [render_model(model) for model in models_for(caller, directory.all())]


def _readiness(store: Store, records: RecordWriter) -> Callable[[], tuple[bool, Json]]:
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
