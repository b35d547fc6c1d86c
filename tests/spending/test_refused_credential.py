"""A provider that refuses the gateway's credential: an operator is told, once, over every channel, and no call waits for it."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hooks import mail_server, serving
from house import Served, message, served
from wire import eventually

from gateway.administration.changes import list_audit
from gateway.canonical.store import Put, Store
from gateway.credentials.secrets import Secrets
from gateway.sandbox import Sandbox
from gateway.sandbox.faults import Fault
from gateway.spending.alert import Channel, Message, PostFailed
from gateway.spending.alert_channels import ChatRoom, Mail, Topic, Webhook
from gateway.spending.alerts import Alerts
from gateway.spending.refused_credential import MENDED_S, REFUSED_KEPT_S, RefusedCredential
from gateway.store import open_store

START = 1_795_000_000.0
KIND = "provider.credential_refused"
REASON = "upstream_403_PERMISSION_DENIED at vertex-prod/us-east5"
REFUSED = RefusedCredential("vertex-prod", "us-east5", REASON, "2026-11-18T11:06:40Z")
SENTENCE = (
    "Provider vertex-prod refuses the gateway's credential at us-east5: upstream_403_PERMISSION_DENIED. It rests: calls go to "
    "other targets where their config has some, and fail where not. Run `python -m gateway doctor`: it says what to mend."
)
SECRETS = Secrets(now=time.time, environment={})


class Clock:
    seconds = START

    def __call__(self) -> float:
        return self.seconds


class Ear:
    """A channel that hears, or fails."""

    name = "webhook"

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.heard: list[Message] = []

    def send(self, message: Message, now: float) -> None:
        if self.fails:
            raise PostFailed("x.test answered 500 (no); check the URL")
        self.heard.append(message)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with contextlib.closing(open_store(f"sqlite:///{tmp_path}/gateway.db", now=clock)) as opened:
        yield opened


def refuse(*alerts: Alerts, provider: str = "vertex-prod", location: str = "us-east5") -> None:
    for each in alerts:
        each.credential(provider, location, REASON)
    for each in alerts:
        assert each.close(20)


def test_every_channel_says_who_refuses_where_why_and_what_to_do() -> None:
    """Webhook, chat room, topic and mail."""
    with serving() as hook, mail_server() as box:
        channels: list[Channel] = [
            Webhook(f"{hook.url}/in", None, SECRETS, [hook.address]),
            ChatRoom(f"{hook.url}/room", SECRETS, [hook.address]),
            Topic("projects/p/topics/t", hook.url, lambda: ""),
            Mail(box.server, "g@x.test", ["a@x.test"], None, None, SECRETS),
        ]
        for channel in channels:
            channel.send(REFUSED, START)
    webhook, chat, topic = hook.bodies
    assert webhook == {
        "type": KIND,
        "timestamp": "2026-11-18T11:06:40Z",
        "data": {
            "alert_id": "vertex-prod.credential-2026-11-18T110640Z", "provider": "vertex-prod", "location": "us-east5",
            "reason": REASON, "text": SENTENCE,
        },
    }  # fmt: skip
    assert chat == {"text": SENTENCE}
    assert json.loads(base64.b64decode(topic["messages"][0]["data"])) == webhook
    assert topic["messages"][0]["attributes"]["type"] == KIND
    assert "Subject: Provider vertex-prod refuses the gateway's credential" in box.lines
    assert "Run `python -m gateway doctor`" in " ".join(box.lines)


def test_over_all_instances_and_locations_one_tells(store: Store, clock: Clock) -> None:
    """Whoever is refused first; other providers are told of apart."""
    ears = [Ear() for _ in range(6)]
    instances = [Alerts(store, [ear], clock) for ear in ears]
    refuse(*instances)
    refuse(*instances, location="global")
    assert sum(len(ear.heard) for ear in ears) == 1
    refuse(*instances, provider="vertex-eu")
    assert sum(len(ear.heard) for ear in ears) == 2
    assert sorted(entry["target"] for entry in list_audit(store)["data"]) == ["providers/vertex-eu", "providers/vertex-prod"]


def test_what_is_not_mended_is_told_again_after_an_hour(store: Store, clock: Clock) -> None:
    """Not with every rest."""
    ear = Ear()
    alerts = Alerts(store, [ear], clock)
    for _ in range(13):
        refuse(alerts)
        clock.seconds += REFUSED_KEPT_S / 12
    assert len(ear.heard) == 2 and ear.heard[0].message_id != ear.heard[1].message_id


def test_a_refusal_some_time_after_a_recovery_is_another_one(store: Store, clock: Clock) -> None:
    """Told at once, by whatever instance meets it."""
    here, there = Ear(), Ear()
    one, other = Alerts(store, [here], clock), Alerts(store, [there], clock)
    refuse(one)
    one.credential("vertex-prod", "us-east5", None)
    assert one.close(20)
    clock.seconds += MENDED_S
    refuse(other)
    assert len(here.heard) == len(there.heard) == 1


def test_a_credential_that_is_refused_now_and_then_is_one_trouble(store: Store, clock: Clock) -> None:
    """Told about once an hour, however often calls fail between calls that do not."""
    ears = [Ear(), Ear()]
    instances = [Alerts(store, [ear], clock) for ear in ears]
    for _ in range(110):
        refuse(*instances)
        for each in instances:
            each.credential("vertex-prod", "us-east5", None)
            assert each.close(20)
        clock.seconds += 30
    assert sum(len(ear.heard) for ear in ears) == 1


def test_what_a_channel_did_not_take_is_sent_by_the_sweep(store: Store, clock: Clock) -> None:
    """With the same id; not long after it is mended."""
    ear = Ear(fails=True)
    alerts = Alerts(store, [ear], clock)
    refuse(alerts)
    ear.fails = False
    sweep = Alerts(store, [ear], clock)
    assert sweep.resend_failed() == 1 and ear.heard[0].sentence() == SENTENCE and sweep.resend_failed() == 0
    ear.fails = True
    refuse(alerts, provider="vertex-eu")
    alerts.credential("vertex-eu", "us-east5", None)
    assert alerts.close(20)
    ear.fails = False
    clock.seconds += MENDED_S
    assert sweep.resend_failed() == 0 and len(ear.heard) == 1


@pytest.mark.parametrize("routed", [True, False], ids=["with a fallback", "alone"])
def test_an_operator_is_told_while_calls_go_on(tmp_path: Path, routed: bool) -> None:
    """One message for all calls of both instances; no call waits for whoever receives it."""
    with contextlib.ExitStack() as stack:
        hook = stack.enter_context(serving())
        hook.held = threading.Event()
        sandbox = stack.enter_context(Sandbox(key_path=tmp_path / "key.json"))
        allowed = f"{hook.address},{urlsplit(sandbox.url).netloc}"
        settings = {"GATEWAY_ALERT_WEBHOOK": hook.url, "GATEWAY_ALLOW_PRIVATE_UPSTREAMS": allowed}
        instances = [stack.enter_context(served(tmp_path, sandbox=sandbox, **settings)) for _ in range(2)]
        key = key_with_fallback(instances[0], tmp_path) if routed else instances[0].key
        sandbox.script(Fault(status=403, times=0))
        answers = [gateway.post("/v1/messages", message(), key=key) for gateway in instances * 2]
        assert {answer.status_code for answer in answers} == {200 if routed else 502}
        assert eventually(lambda: hook.received) and not hook.held.is_set()
        hook.held.set()
        assert all(gateway.house.alerts.close(20) for gateway in instances)
        (told,) = hook.bodies
        assert (told["type"], told["data"]["provider"], told["data"]["location"]) == (KIND, "vertex", "global")


def key_with_fallback(gateway: Served, folder: Path) -> str:
    """A key whose calls go to Vertex AI, and if that fails to Anthropic."""
    api_key = folder / "api-key"
    api_key.write_text(gateway.sandbox.api_key)
    config = {"targets": [{"provider": "@vertex"}, {"provider": "@anthropic-prod"}]}
    row = {"kind": "anthropic", "credential": f"file:{api_key}", "base_url": gateway.sandbox.url}
    gateway.store.commit([Put("providers/anthropic-prod", row), Put("configs/two", {"config": json.dumps(config), "version": 1})])
    gateway.house.directory.forget()
    return gateway.add_key(config="two")
