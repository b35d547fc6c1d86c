"""Where alerts go: each channel says what happened, proves who says it, and tells no secret when it fails."""

import base64
import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hooks import mail_server, self_signed, serving

from gateway.credentials.access_token import TokenError
from gateway.credentials.secrets import Secrets
from gateway.settings import SettingsFault, read
from gateway.spending.alert import Alert, PostFailed
from gateway.spending.alert_channels import ChatRoom, Mail, Topic, Webhook, channels_from
from gateway.spending.posting import post

ALERT = Alert("2026-11-0.8", "bud_1", "2026-11", None, 0.8, 402_130_000_000, 500_000_000_000, "usd", "2026-11-20T12:00:00Z")
NOW = 1_795_000_000.5
SECRETS = Secrets(now=time.time, environment={"SIGNING": "correct-horse", "MAIL": "battery-staple"})


def public(host: str, port: int, **more: Any) -> list[Any]:
    """Every name is loopback's."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


def test_a_webhook_says_everything_and_signs_it() -> None:
    """Amounts as exact decimals; the signature covers id, time and body."""
    with serving() as hook:
        Webhook(f"{hook.url}/in?x=1", "env:SIGNING", SECRETS, [hook.address]).send(ALERT, NOW)
    path, headers, body = hook.received[0]
    assert path == "/in?x=1" and headers["content-type"] == "application/json" and headers["host"] == hook.address
    assert json.loads(body) == {
        "type": "budget.threshold",
        "timestamp": "2026-11-20T12:00:00Z",
        "data": {
            "alert_id": "bud_1.2026-11-0.8", "budget": "bud_1", "period": "2026-11", "subject": None, "unit": "usd",
            "threshold": 0.8, "used": "402.13", "limit": "500.00", "test": False,
            "text": "Budget bud_1 has used 80 % of its limit in 2026-11: $402.13 of $500.00.",
        },
    }  # fmt: skip
    signed = b"bud_1.2026-11-0.8.1795000000." + body
    expected = base64.b64encode(hmac.new(b"correct-horse", signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("bud_1.2026-11-0.8", "1795000000")


def test_without_a_secret_nothing_is_signed() -> None:
    """Rather than with an empty one."""
    with serving() as hook:
        Webhook(hook.url, None, SECRETS, [hook.address]).send(ALERT, NOW)
    assert "webhook-signature" not in hook.received[0][1]


def test_a_chat_room_gets_a_sentence() -> None:
    """In the form that Google Chat and Slack take; the room's URL may be a secret."""
    with serving() as hook:
        secrets = Secrets(now=time.time, environment={"ROOM": f"{hook.url}/v1/spaces/x?key=k&token=t"})
        ChatRoom("env:ROOM", secrets, [hook.address]).send(
            replace(ALERT, unit="input_tokens", subject="ana", used=8_000, limit=10_000), NOW
        )
    assert hook.received[0][0] == "/v1/spaces/x?key=k&token=t"
    assert hook.bodies == [
        {"text": "Budget bud_1 for ana has used 80 % of its limit in 2026-11: 8,000 input tokens of 10,000 input tokens."}
    ]


def test_a_topic_gets_the_webhook_s_message() -> None:
    """Base64 in JSON, as Pub/Sub's REST has it; over plain http no token leaves."""

    def never() -> str:
        raise AssertionError("no token is needed")

    with serving() as hook:
        Topic("projects/p/topics/t", hook.url, never).send(ALERT, NOW)
    assert hook.received[0][0] == "/v1/projects/p/topics/t:publish" and "authorization" not in hook.received[0][1]
    message = hook.bodies[0]["messages"][0]
    assert json.loads(base64.b64decode(message["data"])) == ALERT.render()
    assert message["attributes"] == {"type": "budget.threshold", "budget": "bud_1", "alert_id": "bud_1.2026-11-0.8"}


def test_a_topic_is_told_with_the_gateway_s_own_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS."""
    context, certificate = self_signed(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(context) as hook:
        Topic("projects/p/topics/t", hook.url, lambda: "ya29.token").send(ALERT, NOW)
    assert hook.received[0][1]["authorization"] == "Bearer ya29.token"


def test_mail_is_sent_with_subject_and_sentence() -> None:
    """To every recipient."""
    with mail_server() as box:
        Mail(box.server, "gateway@x.test", ["ana@x.test", "bo@x.test"], None, None, SECRETS).send(ALERT, NOW)
    assert "rcpt TO:<ana@x.test>" in box.lines and "rcpt TO:<bo@x.test>" in box.lines
    assert "Subject: Budget bud_1: 80 % used" in box.lines and ALERT.sentence() in box.lines
    assert "Message-ID: <bud_1.2026-11-0.8@x.test>" in box.lines


def test_a_password_is_never_sent_without_tls() -> None:
    """Refused before it is even read."""
    with mail_server() as box, pytest.raises(PostFailed, match="offers no TLS"):
        Mail(box.server, "g@x.test", ["a@x.test"], "ana", "env:MISSING", SECRETS).send(ALERT, NOW)
    assert not any(line.upper().startswith(("AUTH", "MAIL")) for line in box.lines)


def test_a_mail_server_s_refusal_is_told() -> None:
    """With its code; an unreachable one, too."""
    with mail_server() as box:
        box.answer = b"554 no"
        with pytest.raises(PostFailed, match="answered 554; check sender"):
            Mail(box.server, "g@x.test", ["a@x.test"], None, None, SECRETS).send(ALERT, NOW)
    with pytest.raises(PostFailed, match="could not be reached"):
        Mail(box.server, "g@x.test", ["a@x.test"], None, None, SECRETS).send(ALERT, NOW)


def test_private_addresses_and_plain_http_are_refused() -> None:
    """Unless the operator named host and port."""
    with serving() as hook:
        with pytest.raises(PostFailed, match="only https is allowed"):
            post(f"{hook.url}/secret-path", b"{}", {})
        with pytest.raises(PostFailed, match="not public") as refused:
            post(f"https://hooks.example.com:{hook.port}/secret-path", b"{}", {}, resolve=public)
    assert "secret-path" not in str(refused.value) and hook.received == []


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://x.test/a", "https://u:p@x.test/", "https://", "https://x.test:99999/", "https://ü.test/"])
def test_what_is_no_url_is_refused(url: str) -> None:
    """Without repeating it: it may be a secret in the wrong place."""
    with pytest.raises(PostFailed, match="is no URL such as") as refused:
        post(url, b"{}", {})
    assert "u:p" not in str(refused.value)


def test_the_connection_goes_to_the_address_that_was_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is asked for once, and still stands in Host, SNI and the certificate's check."""
    asked = []

    def resolve(host: str, port: int, **more: Any) -> list[Any]:
        asked.append(host)
        return public(host, port)

    context, certificate = self_signed(tmp_path, "hooks.example.com")
    names = []
    context.sni_callback = lambda sock, name, _: names.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with serving(context) as hook:
        allowed = [f"hooks.example.com:{hook.port}", f"other.example.com:{hook.port}"]
        post(f"https://hooks.example.com:{hook.port}/in", b"{}", {}, allowed=allowed, resolve=resolve)
        with pytest.raises(PostFailed, match=r"could not be reached \(SSLCertVerificationError\)"):
            post(f"https://other.example.com:{hook.port}/in", b"{}", {}, allowed=allowed, resolve=resolve)
    assert asked == ["hooks.example.com", "other.example.com"] and names[0] == "hooks.example.com"
    assert [headers["host"] for _, headers, _ in hook.received] == [f"hooks.example.com:{hook.port}"]


def test_redirects_are_not_followed_and_refusals_are_told() -> None:
    """An answer that leads elsewhere could lead anywhere."""
    with serving() as target, serving() as hook:
        hook.status, hook.location = 302, target.url
        with pytest.raises(PostFailed, match="answered 302: redirects are not followed"):
            post(hook.url, b"{}", {}, allowed=[hook.address, target.address])
        hook.status, hook.location = 403, ""
        with pytest.raises(PostFailed, match=r"answered 403 \(ok\)"):
            post(hook.url, b"{}", {}, allowed=[hook.address])
    assert target.received == []


def test_a_place_that_answers_byte_by_byte_is_left() -> None:
    """The time is for all of it."""
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        sock, _ = listener.accept()
        with sock, contextlib.suppress(OSError):
            while not stop.wait(0.05):
                sock.sendall(b"H")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(PostFailed, match="did not answer within"):
            post(f"http://{address}/", b"{}", {}, allowed=[address], timeout_s=0.3)
        assert time.monotonic() - started < 2
        stop.set()
        thread.join()


def test_a_place_that_never_answers_is_left() -> None:
    """After the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(PostFailed, match="did not answer within"):
            post(f"http://{address}/", b"{}", {}, allowed=[address], timeout_s=0.2)
        assert time.monotonic() - started < 2


@dataclass
class Token:
    value: str


def test_the_settings_say_which_channels_there_are() -> None:
    """None by default."""
    assert channels_from(read({}), SECRETS, lambda credential: Token("t")) == []
    settings = read(
        {
            "GATEWAY_ALERT_WEBHOOK": "https://x.test/in",
            "GATEWAY_ALERT_WEBHOOK_SECRET": "env:SIGNING",
            "GATEWAY_ALERT_CHAT_WEBHOOK": "projects/p/secrets/room/versions/latest",
            "GATEWAY_ALERT_TOPIC": "projects/p/topics/t",
            "GATEWAY_ALERT_EMAIL_TO": "a@x.test, b@x.test",
            "GATEWAY_ALERT_EMAIL_FROM": "g@x.test",
            "GATEWAY_ALERT_SMTP": "smtps://mail.x.test",
        }
    )
    channels = channels_from(settings, SECRETS, lambda credential: Token(credential))
    assert [channel.name for channel in channels] == ["webhook", "chat", "topic", "email"]
    topic, mail = channels[2:]
    assert isinstance(topic, Topic) and (topic.base_url, topic.access_token()) == ("https://pubsub.googleapis.com", "adc")
    assert isinstance(mail, Mail) and mail.recipients == ["a@x.test", "b@x.test"]
    assert "https://x.test/in" not in repr(settings) + repr(channels)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"GATEWAY_ALERT_WEBHOOK": "x.test/hush"}, "GATEWAY_ALERT_WEBHOOK should be a URL"),
        ({"GATEWAY_ALERT_CHAT_WEBHOOK": "hush"}, "GATEWAY_ALERT_CHAT_WEBHOOK should be a URL"),
        ({"GATEWAY_ALERT_WEBHOOK_SECRET": "hush"}, "GATEWAY_ALERT_WEBHOOK_SECRET should be a secret reference"),
        ({"GATEWAY_ALERT_TOPIC": "t"}, "should be projects/PROJECT/topics/TOPIC"),
        ({"GATEWAY_ALERT_EMAIL_TO": "a@x.test"}, "GATEWAY_ALERT_EMAIL_FROM, GATEWAY_ALERT_SMTP: missing"),
        (
            {"GATEWAY_ALERT_EMAIL_TO": "a@x", "GATEWAY_ALERT_EMAIL_FROM": "b@x", "GATEWAY_ALERT_SMTP": "mail.x.test:25"},
            "should be smtps://HOST",
        ),
    ],
)
def test_settings_that_cannot_be_meant_stop_the_start(environment: dict[str, str], told: str) -> None:
    """With the mend, and without repeating what may be a secret."""
    with pytest.raises(SettingsFault) as refused:
        read(environment)
    assert told in str(refused.value) and "hush" not in str(refused.value)


def test_a_token_that_cannot_be_had_is_a_failure_of_the_channel() -> None:
    """Not of the gateway; nothing is sent."""

    def broken() -> str:
        raise TokenError("no_default_credentials", "there are none", "log in")

    with pytest.raises(TokenError):
        Topic("projects/p/topics/t", "https://127.0.0.1:1", broken).send(ALERT, NOW)
