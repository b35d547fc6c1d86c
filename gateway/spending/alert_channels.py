"""Where alerts go: a signed webhook, a chat room, a Pub/Sub topic, e-mail. One class each; `channels_from` reads the settings.

Every channel ends within some seconds, and says in one sentence what went wrong. No sentence holds a secret.
"""

import base64
import binascii
import hashlib
import hmac
import smtplib
import ssl
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.canonical.secret_reference import is_secret_reference
from gateway.credentials.secrets import Secrets
from gateway.settings import Settings
from gateway.spending.alert import Channel, Message, PostFailed
from gateway.spending.posting import TIMEOUT_S, post

PUBSUB = "https://pubsub.googleapis.com"
CREDENTIAL = "adc"
WEBHOOK_SECRET_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Webhook:
    """JSON, signed if there is a secret: `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,base64(hmac-sha256(secret,
    "{id}.{timestamp}.{body}"))`. A message that is sent again keeps its id. Source: Standard Webhooks 1.0, read 2026-11-21."""

    url: str = field(repr=False)
    secret: str | None = field(repr=False)
    secrets: Secrets
    allowed: Collection[str]
    name: str = "webhook"

    def send(self, message: Message, now: float) -> None:
        body = msgspec.json.encode(message.render())
        headers = {"content-type": "application/json", "webhook-id": message.message_id, "webhook-timestamp": str(int(now))}
        if self.secret:
            headers["webhook-signature"] = sign(_read(self.secret, self.secrets), message.message_id, int(now), body)
        post(_read(self.url, self.secrets), body, headers, allowed=self.allowed)


@dataclass(frozen=True, slots=True)
class ChatRoom:
    """An incoming webhook of Google Chat or Slack: both take `{"text": …}` (their webhook guides, read 2026-11-21)."""

    url: str = field(repr=False)
    secrets: Secrets
    allowed: Collection[str]
    name: str = "chat"

    def send(self, message: Message, now: float) -> None:
        body = msgspec.json.encode({"text": message.sentence()})
        headers = {"content-type": "application/json; charset=utf-8"}
        post(_read(self.url, self.secrets), body, headers, allowed=self.allowed)


@dataclass(frozen=True, slots=True)
class Topic:
    """Pub/Sub, `projects.topics.publish` (Pub/Sub REST reference v1, read 2026-11-21). Over plain http, which is the emulator's,
    no token is sent. `access_token` gives the gateway's own; GatewayError."""

    topic: str
    base_url: str
    access_token: Callable[[], str]
    name: str = "topic"

    def send(self, message: Message, now: float) -> None:
        data = base64.b64encode(msgspec.json.encode(message.render())).decode()
        headers = {"content-type": "application/json"}
        if self.base_url.startswith("https://"):
            headers["authorization"] = f"Bearer {self.access_token()}"
        parts = urlsplit(self.base_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        body = msgspec.json.encode({"messages": [{"data": data, "attributes": message.attributes()}]})
        post(f"{self.base_url}/v1/{self.topic}:publish", body, headers, allowed=(f"{parts.hostname}:{port}",))


@dataclass(frozen=True, slots=True)
class Mail:
    """SMTP: `smtps://HOST[:465]` is TLS from the start, `smtp://HOST[:587]` becomes TLS where the server offers it. A password is
    never sent without."""

    server: str
    sender: str
    recipients: Sequence[str]
    user: str | None
    password: str | None = field(repr=False)
    secrets: Secrets
    name: str = "email"

    def send(self, message: Message, now: float) -> None:
        parts = urlsplit(self.server)
        host = str(parts.hostname)
        try:
            with self._connect(parts.scheme, host, parts.port) as server:
                self._log_in(server, host)
                server.send_message(self._mail(message))
        except smtplib.SMTPResponseException as error:
            raise PostFailed(f"{host} answered {error.smtp_code}; check sender, recipients and password") from None
        except (OSError, smtplib.SMTPException) as error:
            raise PostFailed(f"{host} could not be reached ({type(error).__name__}); it is tried again later") from None

    def _connect(self, scheme: str, host: str, port: int | None) -> smtplib.SMTP:
        own_name = self._domain()  # without one smtplib asks the resolver for this machine's, without a timeout
        if scheme == "smtps":
            return smtplib.SMTP_SSL(host, port or 465, own_name, timeout=TIMEOUT_S, context=ssl.create_default_context())
        server = smtplib.SMTP(host, port or 587, own_name, timeout=TIMEOUT_S)
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
        return server

    def _domain(self) -> str:
        return self.sender.rpartition("@")[2].strip("> ") or "gateway"

    def _log_in(self, server: smtplib.SMTP, host: str) -> None:
        if not (self.user and self.password):
            return
        if not isinstance(server.sock, ssl.SSLSocket):
            raise PostFailed(f"{host} offers no TLS, and the password is not sent without; use smtps:// or another server")
        server.login(self.user, _read(self.password, self.secrets))

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self.sender, ", ".join(self.recipients)
        mail["Subject"] = message.headline()
        mail["Message-ID"] = f"<{message.message_id}@{self._domain()}>"
        mail.set_content(f"{message.sentence()}\n")
        return mail


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`. A secret of the form `whsec_…` is base64, any other is its own bytes.

    >>> sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    key = secret.encode()
    if secret.startswith(WEBHOOK_SECRET_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX))
        except binascii.Error:
            raise PostFailed("the webhook secret begins with whsec_ but is no base64 behind it; store the whole secret") from None
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def channels_from(settings: Settings, secrets: Secrets, access_token: Callable[[str], Any]) -> list[Channel]:
    """The channels that the settings name. `access_token` takes a credential and gives its token (`TokenBroker.token`)."""
    allowed = settings.allow_private_upstreams
    channels: list[Channel] = []
    if settings.alert_webhook:
        channels.append(Webhook(settings.alert_webhook, settings.alert_webhook_secret, secrets, allowed))
    if settings.alert_chat_webhook:
        channels.append(ChatRoom(settings.alert_chat_webhook, secrets, allowed))
    if settings.alert_topic:
        base_url = (settings.pubsub_url or PUBSUB).rstrip("/")
        channels.append(Topic(settings.alert_topic, base_url, lambda: str(access_token(CREDENTIAL).value)))
    if settings.alert_email_to and settings.alert_email_from and settings.alert_smtp:
        recipients = [address.strip() for address in settings.alert_email_to.split(",") if address.strip()]
        user, password = settings.alert_smtp_user, settings.alert_smtp_password
        channels.append(Mail(settings.alert_smtp, settings.alert_email_from, recipients, user, password, secrets))
    return channels


def _read(text: str, secrets: Secrets) -> str:
    return secrets.read(text) if is_secret_reference(text) else text
