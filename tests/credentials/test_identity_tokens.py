"""Identity tokens: signed by Google, made for us, and not a second longer than they hold."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import crypt, jwt

from gateway.credentials.identity_tokens import GoogleIdentity, IdentityRefused

AUDIENCE = "https://gateway.example.com"
EMAIL = "scheduler@claude-prod.iam.gserviceaccount.com"


@dataclass
class Google:
    """Its signing key and the certificates that it publishes."""

    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65_537, 2_048))
    published: list[str] = field(default_factory=lambda: ["k1"])
    asked: int = 0
    away: bool = False

    def certificates(self) -> bytes:
        self.asked += 1
        if self.away:
            raise requests.ConnectionError("no route")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "google")])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(self.key.public_key())
        builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
        certificate = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
        return json.dumps(dict.fromkeys(self.published, certificate)).encode()

    def token(self, key_id: str = "k1", **claims: Any) -> str:
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        now = int(time.time())
        said = {
            "iss": "https://accounts.google.com", "aud": AUDIENCE, "email": EMAIL, "email_verified": True, "iat": now - 5,
            "exp": now + 3_600, "sub": "1", **claims,
        }  # fmt: skip
        signer: Any = crypt.RSASigner
        encode: Any = jwt.encode
        return str(encode(signer.from_string(pem, key_id), said).decode())


@pytest.fixture(scope="module")
def keyring() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


@pytest.fixture
def google(keyring: rsa.RSAPrivateKey) -> Google:
    return Google(keyring)


@dataclass
class Clock:
    seconds: float = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_a_token_of_google_for_us_names_whom_it_was_made_for(google: Google) -> None:
    """And Google is asked for its certificates once, not each time."""
    identity = GoogleIdentity(Clock(), google.certificates)
    assert [identity.email(google.token(), AUDIENCE) for _ in range(3)] == [EMAIL] * 3
    assert google.asked == 1


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://other.example.com"},
        {"iss": "https://evil.example.com"},
        {"exp": int(time.time()) - 60},
        {"iat": int(time.time()) + 600, "exp": int(time.time()) + 3_600},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": None},
    ],
)
def test_a_token_for_others_or_out_of_time_is_refused(google: Google, claims: dict[str, Any]) -> None:
    """Though Google signed it."""
    with pytest.raises(IdentityRefused):
        GoogleIdentity(Clock(), google.certificates).email(google.token(**claims), AUDIENCE)


def test_a_token_that_somebody_else_signed_is_refused(google: Google) -> None:
    """Under the name of Google's own key."""
    with pytest.raises(IdentityRefused):
        GoogleIdentity(Clock(), google.certificates).email(Google().token(), AUDIENCE)


@pytest.mark.parametrize(
    "token", ["", "..", "a.b.c", "a.b", "é.é.é", "e30.e30.e30", "bnVsbA.bnVsbA.x", "x" * 9_000 + "..", "W10.e30.e30"]
)
def test_nonsense_is_refused(google: Google, token: str) -> None:
    """With nothing but a refusal."""
    with pytest.raises(IdentityRefused):
        GoogleIdentity(Clock(), google.certificates).email(token, AUDIENCE)


def test_an_unsigned_token_is_refused(google: Google) -> None:
    """`alg: none` is the oldest trick."""
    _, claims, _ = google.token().split(".")
    with pytest.raises(IdentityRefused):
        GoogleIdentity(Clock(), google.certificates).email(f"eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{claims}.", AUDIENCE)


def test_new_certificates_are_looked_for_once_a_minute_at_most(google: Google) -> None:
    """Nobody can make us ask Google as often as they send us a token."""
    clock = Clock()
    identity = GoogleIdentity(clock, google.certificates)
    identity.email(google.token(), AUDIENCE)
    google.published = ["k2"]
    for _ in range(5):
        with pytest.raises(IdentityRefused):
            identity.email(google.token("k2"), AUDIENCE)
    assert google.asked == 1
    clock.seconds += 61
    assert identity.email(google.token("k2"), AUDIENCE) == EMAIL
    assert google.asked == 2


def test_google_away_refuses_and_is_asked_again_later(google: Google) -> None:
    """No certificate, no entry."""
    clock = Clock()
    identity = GoogleIdentity(clock, google.certificates)
    google.away = True
    with pytest.raises(IdentityRefused):
        identity.email(google.token(), AUDIENCE)
    google.away = False
    clock.seconds += 61
    assert identity.email(google.token(), AUDIENCE) == EMAIL
