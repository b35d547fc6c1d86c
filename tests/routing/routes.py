"""Calls, providers and a planner without a network, for tests of routing."""

import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.canonical.call import AttemptRecord, Call, Caller, Operation, Plan, Request, Target
from gateway.canonical.errors import GatewayError, UpstreamFailed, UpstreamRefused
from gateway.canonical.json_object import JsonObject
from gateway.canonical.steps import Until, Wait, run_blocking
from gateway.canonical.store import Put
from gateway.providers.provider import Provider
from gateway.routing.balance import Balancer
from gateway.routing.config import Config, parse_config
from gateway.routing.health import Health
from gateway.routing.itinerary import Itinerary
from gateway.routing.limits import Limits
from gateway.routing.planner import Planner
from gateway.routing.shelf import Shelf
from gateway.store.sqlite import SqliteStore

MODEL = "claude-sonnet-4-6"
BODY = b'{"model": "claude-sonnet-4-6", "max_tokens": 5,  "messages": [{"role": "user", "content": "Hi"}]}'


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, at: float = 1_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def provider(name: str, *locations: str, kind: str = "vertex", **more: Any) -> Provider:
    return Provider(name, kind, "adc", "project-1", locations=locations or ("global",), **more)


ALL = {
    each.id: each
    for each in (
        provider("vertex-prod"),
        provider("vertex-eu", "eu", "europe-west1"),
        provider("vertex-us-central", "us-central1"),
        provider("vertex-us-east", "us-east5"),
        provider("ladder", "us-east5", "us", "global"),
        provider("anthropic-prod", kind="anthropic"),
        provider("bedrock-prod", "us-east-1", kind="bedrock"),
        provider("openai-prod", kind="openai"),
    )
}


def call(
    number: int = 0, *, model: str = MODEL, operation: Operation = "generate", body: bytes = BODY, stream: bool = False,
    caller: Mapping[str, Any] | None = None, location: str | None = None, **more: Any,
) -> Call:  # fmt: skip
    request = Request(operation, model, stream, JsonObject(body), location=location)
    who = Caller(**{"key_id": "k", "project": "p", **(caller or {})})
    return Call(**{  # type: ignore[arg-type]
        "id": f"r{number}", "caller": who, "dialect": "anthropic", "request": request, "headers": {}, "at": 0.0, "started": 0.0,
        **more,
    })  # fmt: skip


def route(config: Mapping[str, Any] | Config, asked: Call | None = None, *, health: Health | None = None,
          balancer: Balancer | None = None, limits: Limits | None = None,
          providers: Mapping[str, Provider] = ALL) -> Plan:  # fmt: skip
    """The plan that a config makes of a call."""
    config = config if isinstance(config, Config) else parse_config(dict(config))
    health = health or Health(None)
    way = Itinerary(asked or call(), config, providers, limits or Limits(), health, balancer or Balancer(health))
    return way.plan("test@1")


def where(plan: Plan) -> list[tuple[str, str]]:
    return [(target.provider.id, target.location) for target in plan.targets]


def planner(folder: Path, **configs: Any) -> Planner:
    """With these configs stored; underscores in their names are hyphens."""
    store = SqliteStore.from_url(f"/{folder}/routes.db", now=time.time)
    store.commit([
        Put(f"configs/{name.replace('_', '-')}", {"config": msgspec.json.encode(config).decode(), "version": 3})
        for name, config in configs.items()
    ])  # fmt: skip
    health = Health(None)

    def providers() -> Generator[Any, Any, Mapping[str, Provider]]:
        return ALL
        yield

    return Planner(providers, Shelf(store, 900), health, Balancer(health))


def planned(by: Planner, asked: Call) -> Plan:
    return run_blocking(by.plan(asked))


class Told(Exception):
    """An answer under way, told apart by where it comes from."""


class Silence:
    """Nothing ever comes."""

    def fileno(self) -> int:
        return -1

    def wait_ready(self, wait_s: float, *, writing: bool) -> bool:
        return False


class FakeExchange:
    def __init__(self) -> None:
        self.finished = False
        self.closed = False
        self.on_end = lambda: None

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.on_end()

    def interrupt(self) -> None:
        self.closed = True


class FakeAttempt:
    """What `Attempts` looks at of an answer."""

    def __init__(self, target: Target, call: Call) -> None:
        self.target = target
        self.call = call
        self.exchange = FakeExchange()
        self.dropped: tuple[str, ...] = ()
        self.beside: tuple[Target, ...] = ()


class Upstream:
    """Answers each request as its script says: a status, `silent` (until time is up), `mute` (200, then no first word) or 200.
    Time passes on `clock` as it says too."""

    def __init__(self, clock: Clock, script: list[Any], takes_s: float = 0.1) -> None:
        self.clock = clock
        self.script = script
        self.takes_s = takes_s
        self.asked: list[Target] = []
        self.bodies: list[bytes] = []
        self.open = 0
        self.spoke = False

    def send(self, call: Call, target: Target, tries: list[AttemptRecord]) -> Generator[Any, Any, Any]:
        assert not self.spoke, "nobody is asked after the first word"
        said = self.script.pop(0) if self.script else 200
        self.asked.append(target)
        self.bodies.append(call.request.document.source)
        record = AttemptRecord(target.provider.id, target.location, 0, 0)
        try:
            if said == "silent":
                while True:
                    yield Wait(Silence(), 10.0)
            self.clock.at += self.takes_s
            record = AttemptRecord(target.provider.id, target.location, 200 if said == "mute" else code(said), 0)
        finally:
            tries.append(record)
        if isinstance(said, GatewayError):
            raise said
        if said not in (200, "mute"):
            raise refused(said)
        attempt = FakeAttempt(target, call)
        attempt.mute = said == "mute"  # type: ignore[attr-defined]
        self.open += 1
        attempt.exchange.on_end = self._ended
        return attempt

    def hear(self, attempt: Any, *, stream: bool) -> Generator[Any, Any, None]:
        self.clock.at += self.takes_s
        if attempt.mute:
            raise UpstreamFailed("the provider ended its stream before its first word; try again", status=529)
        self.spoke = True
        return
        yield

    def _ended(self) -> None:
        self.open -= 1


def code(said: Any) -> int:
    return said.status if isinstance(said, GatewayError) else said


def refused(status: int, **headers: str) -> UpstreamRefused:
    passed = {name.replace("_", "-"): value for name, value in headers.items()}
    return UpstreamRefused(f"refused with {status}", status=status, kind="x", passed_headers=passed)


def drive(steps: Generator[Any, Any, Any], clock: Clock, slept: list[float] | None = None) -> Any:
    """To the end, on a clock of its own: every wait takes the time that it may."""
    pause = next(steps)
    try:
        while True:
            if isinstance(pause, Wait | Until):
                clock.at += pause.wait_s
                if isinstance(pause, Until) and slept is not None:
                    slept.append(pause.wait_s)
                pause = steps.send(False)
            else:
                pause = steps.send(pause.run())
    except StopIteration as end:
        return end.value


def go(steps: Generator[Any, Any, Any], clock: Clock, slept: list[float] | None = None) -> Any:
    """`drive`, for steps that may end without a pause."""

    def padded() -> Generator[Any, Any, Any]:
        yield Until(None, 0.0)  # type: ignore[arg-type]
        return (yield from steps)

    return drive(padded(), clock, slept)
