"""Puts the house together from Settings. The only place that builds things; everything else is handed what it needs."""

import functools
import importlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.answering import Answering
from gateway.answering.embedder import Embedder
from gateway.cache.cache import Cache
from gateway.cache.memory import Memory
from gateway.cache.semantic import SemanticCache
from gateway.callers.identify import Callers
from gateway.canonical.store import Store
from gateway.canonical.usage import Tokens, Usage
from gateway.credentials.api_keys import ApiKeys
from gateway.credentials.credential import ADC
from gateway.credentials.google_tokens import TokenBroker
from gateway.credentials.secrets import Secrets
from gateway.doors.inference import InferenceDoor
from gateway.doors.late import Door, LateDoor
from gateway.probing import Prober
from gateway.providers import PROVIDERS
from gateway.providers.directory import Directory
from gateway.providers.from_environment import providers_from_environment
from gateway.providers.http1 import Pool, Timeouts
from gateway.providers.lessons import Lessons
from gateway.providers.provider import Provider
from gateway.providers.send import GOOGLE, Sender
from gateway.records.log import LineLog
from gateway.records.rollups import Rollups
from gateway.records.writer import RecordWriter
from gateway.routing.attempts import Attempts, hearing
from gateway.routing.balance import Balancer
from gateway.routing.health import Health
from gateway.routing.planner import Planner
from gateway.routing.shelf import Shelf
from gateway.settings import Settings
from gateway.spending.alerts import Alerts
from gateway.spending.estimates import LearnedEstimates
from gateway.spending.ledger import Ledger, Watch
from gateway.spending.prices import PriceBook
from gateway.store import open_store
from gateway.telemetry.hook import GoogleAccess, Readings, Telemetry, open_telemetry
from gateway.telemetry.trace_context import trace_fields
from gateway.wires import call_logger, listener, model_lister, readiness, refusal_logger, sweeper, watcher

if TYPE_CHECKING:
    from gateway.administration.office import Office

LOADED_LATE = {  # a start that serves calls only does not pay for them
    "alert channels": "gateway.spending.alert_channels",
    "office": "gateway.administration.office",
    "admin": "gateway.doors.admin",
}
ALERTING = ("alert_webhook", "alert_chat_webhook", "alert_topic", "alert_email_to")
AFTER_DRAIN_S = 1.5
CLOSING_S_MIN, CLOSING_S_MAX = 0.1, 2.0  # for each room that has something to give back or to send
TYPICAL = Usage(Tokens(input=1_000, output=1_000, cache_read=9_000))  # of a call, to compare prices by
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ground:
    """What every room stands on. `now` is unix seconds."""

    settings: Settings
    store: Store
    secrets: Secrets
    tokens: TokenBroker
    lines: LineLog
    now: Callable[[], float]


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
    office: Callable[[], "Office"]
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
        """Streams finish within the drain time or are broken honestly, records are written. What comes after that shares
        AFTER_DRAIN_S, whatever hangs: Cloud Run kills after ten seconds."""
        self.answering.drain(self.settings.drain_s)  # begun with the signal, where there was one
        until = self.answering.drained_by + AFTER_DRAIN_S
        for close in (self.ledger.close, self.alerts.close, self.telemetry.close if self.telemetry else None):
            if close is not None:
                close(max(CLOSING_S_MIN, min(CLOSING_S_MAX, until - time.monotonic())))
        self.pool.close()
        self.store.close()


def build_house(
    settings: Settings,
    *,
    store: Store | None = None,
    lines: LineLog | None = None,
    marks: dict[str, str] | None = None,
    now: Callable[[], float] = time.time,
) -> House:
    """Opens nothing yet: connections are made at first use, so that a process may fork after this."""
    ground = lay_ground(settings, store, lines, now)
    store, secrets, tokens, lines = ground.store, ground.secrets, ground.tokens, ground.lines
    marks = marks or {}
    pool = Pool(allowed=settings.allow_private_upstreams)
    providers = providers_from_environment(settings)
    directory = Directory(store, providers, settings.key_outage_s)
    callers = Callers(store, refresh_s=settings.key_refresh_s, outage_s=settings.key_outage_s, now=now)
    prices = PriceBook(settings.prices, settings.price_multiplier)
    rollups = Rollups(retention_days=settings.usage_retention_days)
    records = RecordWriter(store, buffer_max=settings.write_buffer, beside=lambda last: rollups.take_writes(now(), last=last))
    telemetry = build_telemetry(ground, records, open_calls=lambda: answering.open_calls)
    alerts = Alerts(store, open_alert_channels(ground), now)
    ledger = build_ledger(ground, prices, watcher(alerts.watch, telemetry))
    sender = build_sender(ground, pool)
    shelf, health = Shelf(store, settings.key_outage_s), Health(store, now, alerts.credential)
    planner = build_planner(ground, directory, shelf, health, prices)
    attempts, cache = Attempts(sender.send, hearing(sender), health, wait_s=sender.wait_s), Cache(store, Memory(), now)
    embedder = Embedder(planner.plan_embedding, attempts, sender, prices, settings.embedding_model)
    answering = Answering(
        plan=planner.plan,
        reserve=ledger.reserve,
        attempts=attempts,
        sender=sender,
        prices=prices,
        records=records,
        cache=cache,
        semantic=SemanticCache(store, cache, embedder.embed, embedder.model, now),
        count=rollups.add,
        observe=telemetry.observe if telemetry else None,
        log_line=call_logger(lines, settings),
        retention_days=settings.usage_retention_days,
        open_max=settings.max_open_calls,
    )
    door = build_door(ground, callers, answering, directory, records, telemetry, marks)
    heard = listener(callers, directory, ledger, shelf)
    office = functools.partial(open_office, ground, providers, prices, sender, alerts, ledger, heard)
    admin = LateDoor(lambda: open_admin(ground, office(), marks))
    return House(
        settings, store, secrets, tokens, directory, planner, callers, prices, records, ledger, alerts, answering, door, office,
        admin, pool, telemetry,
    )  # fmt: skip


def lay_ground(settings: Settings, store: Store | None, lines: LineLog | None, now: Callable[[], float]) -> Ground:
    store = store or open_store(settings.store, now=now)
    secrets = Secrets(now=now, secret_manager_url=settings.secret_manager_url)
    tokens = TokenBroker(store, secrets, settings.google_token_uri, now=now)
    return Ground(settings, store, secrets, tokens, lines or LineLog(), now)


def build_telemetry(ground: Ground, records: RecordWriter, open_calls: Callable[[], int]) -> Telemetry | None:
    tokens, settings = ground.tokens, ground.settings
    readings = Readings(
        open_calls=open_calls,
        records_waiting=lambda: records.waiting,
        records_lost=lambda: records.lost,
        tokens_minted=lambda: tokens.health().minted,
    )
    google = GoogleAccess(lambda: tokens.token(ADC).value, lambda: settings.google_project or tokens.project_id(ADC))
    return open_telemetry(settings.telemetry, readings, google)


def build_ledger(ground: Ground, prices: PriceBook, watch: Watch) -> Ledger:
    retention_days = ground.settings.usage_retention_days
    return Ledger(ground.store, LearnedEstimates(prices), now=ground.now, watch=watch, retention_days=retention_days)


def build_sender(ground: Ground, pool: Pool) -> Sender:
    settings = ground.settings
    return Sender(
        pool,
        {"google": ground.tokens, "secret": ApiKeys(ground.secrets)},
        Lessons(ground.store, ground.now),
        Timeouts(settings.connect_timeout_s, settings.first_byte_timeout_s, settings.idle_timeout_s),
        total_s=settings.total_timeout_s,
        wait_s=settings.ping_interval_s,
        open_max=settings.max_provider_calls or settings.max_open_calls,
        now=ground.now,
    )


def build_planner(ground: Ground, directory: Directory, shelf: Shelf, health: Health, prices: PriceBook) -> Planner:
    counting_locations = tuple(name for name in ground.settings.count_tokens_locations.split(",") if name)
    balancer = Balancer(health, lambda target: prices.charge(target, TYPICAL).nanodollars)
    embedding_locations = tuple(name for name in ground.settings.embedding_locations.split(",") if name)
    return Planner(directory.recall, shelf, health, balancer, counting_locations, embedding_locations, ground.lines.write)


def build_door(
    ground: Ground,
    callers: Callers,
    answering: Answering,
    directory: Directory,
    records: RecordWriter,
    telemetry: Telemetry | None,
    marks: dict[str, str],
) -> InferenceDoor:
    settings = ground.settings
    return InferenceDoor(
        callers=callers,
        answer=answering.answer,
        list_models=model_lister(directory),
        check_ready=readiness(ground.store, records),
        log_refusal=refusal_logger(ground.lines, telemetry),
        trace_fields=lambda headers: trace_fields(headers, "", settings.google_project, traced=False),
        max_request_bytes=settings.max_request_bytes,
        allow_query_key=settings.allow_query_key,
        marks=marks,
        now=ground.now,
    )


def open_alert_channels(ground: Ground) -> Sequence[Any]:
    """Mail and webhooks are loaded only where they are configured."""
    if not any(getattr(ground.settings, name) for name in ALERTING):
        return ()
    room: Any = importlib.import_module(LOADED_LATE["alert channels"])
    channels: Sequence[Any] = room.channels_from(ground.settings, ground.secrets, ground.tokens.token)
    return channels


def open_office(
    ground: Ground,
    providers: Sequence[Provider],
    prices: PriceBook,
    sender: Sender,
    alerts: Alerts,
    ledger: Ledger,
    heard: Callable[[str], None],
) -> "Office":
    """The use cases. Whoever serves calls only never loads them."""
    room: Any = importlib.import_module(LOADED_LATE["office"])
    office: Office = room.Office(
        store=ground.store,
        tokens=ground.tokens,
        prices=prices,
        from_environment=providers,
        private_allowed=ground.settings.allow_private_upstreams,
        probe=Prober(sender).probe,
        now=ground.now,
        heard=heard,
        test_alert=alerts.test,
        sweep=sweeper(ledger, alerts),
    )
    return office


def open_admin(ground: Ground, office: "Office", marks: dict[str, str]) -> Door:
    room: Any = importlib.import_module(LOADED_LATE["admin"])
    door: Door = room.open_door(ground.settings, office, ground.secrets, ground.lines.write, marks)
    return door
