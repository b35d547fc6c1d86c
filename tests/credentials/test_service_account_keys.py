"""Service-account key files: what is accepted, and what is said about the rest."""

import base64
import json
import traceback
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from token_doubles import EMAIL, START, TokenGoogle, key_fields, key_file, pem_of, private_key

from gateway.credentials.service_account import KeyFault, parse_service_account


def test_a_key_file_of_google_is_read() -> None:
    """Account, key id and project come from the file."""
    key = parse_service_account(key_file())
    assert (key.client_email, key.private_key_id, key.project_id) == (EMAIL, "kid-0", "demo-project")


@pytest.mark.parametrize(
    "mangle",
    [
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", "\\r\\n"),
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: pem.replace("\n", " "),
        lambda pem: "".join(pem.splitlines()),
        lambda pem: f"\n  {pem}\n\n",
    ],
    ids=["escaped twice", "escaped twice with returns", "windows", "blanks for line breaks", "no line breaks", "padded"],
)
def test_line_breaks_lost_on_the_way_are_mended(mangle: Any) -> None:
    """A private key whose line breaks a shell or console has changed still signs as the same key."""
    pem = mangle(pem_of(private_key()))
    assert parse_service_account(key_file(private_key=pem)).pkcs8() == parse_service_account(key_file()).pkcs8()


def test_the_older_pem_form_is_the_same_key() -> None:
    """PKCS#1 and PKCS#8 files of one key have one fingerprint's material."""
    old = key_file(private_key=pem_of(private_key(), PrivateFormat.TraditionalOpenSSL))
    assert parse_service_account(old).pkcs8() == parse_service_account(key_file()).pkcs8()


def test_key_id_and_project_may_be_missing() -> None:
    """Google verifies without a key id, and the project may come from the settings."""
    key = parse_service_account(key_file(private_key_id=None, project_id=None))
    assert (key.private_key_id, key.project_id) == (None, None)
    assert "kid" not in json.loads(_part(key.sign_assertion("scope", START), 0))


def test_the_assertion_is_what_the_token_endpoint_takes() -> None:
    """Signed RS256, audience the constant of Google's, an hour long."""
    google = TokenGoogle(now=lambda: START)
    assertion = parse_service_account(key_file()).sign_assertion("https://www.googleapis.com/auth/cloud-platform", START)
    status, _ = google.answer(f"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}")
    assert status == 200
    assert google.claims == [
        {
            "iss": EMAIL,
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "aud": "https://oauth2.googleapis.com/token",
            "iat": int(START),
            "exp": int(START) + 3600,
        }
    ]


LINES = pem_of(private_key()).splitlines(keepends=True)
FAULTY = {
    "empty": (" ", "it is empty"),
    "not JSON": ("-----BEGIN PRIVATE KEY-----", "not JSON (line 1, column 1)"),
    "cut off": (key_file()[:200], "not JSON"),
    "a JSON string": (json.dumps(key_file()), "encoded twice"),
    "a JSON list": (json.dumps([key_fields()]), "a JSON list, not an object"),
    "a JSON number": ("7", "a JSON int, not an object"),
    "a user's login": (json.dumps({"type": "authorized_user", "refresh_token": "R"}), "type authorized_user"),
    "workload identity": (json.dumps({"type": "external_account", "token_url": "http://x"}), "type external_account"),
    "impersonation": (json.dumps({"type": "impersonated_service_account"}), "type impersonated_service_account"),
    "workforce identity": (json.dumps({"type": "external_account_authorized_user"}), "type external_account_authorized_user"),
    "distributed cloud": (json.dumps({"type": "gdch_service_account"}), "type gdch_service_account"),
    "no type": (key_file(type=None), '"type" is missing'),
    "another type": (key_file(type="sekrit"), '"type" is another'),
    "an OAuth client": (json.dumps({"installed": {"client_secret": "S"}}), "OAuth client file"),
    "no address": (key_file(client_email=None), "lacks client_email"),
    "neither address nor key": (key_file(client_email=3, private_key=""), "lacks client_email and private_key"),
    "no PEM": (key_file(private_key="MIIEvQIBADANBgkq"), "no PEM block"),
    "no end line": (key_file(private_key=pem_of(private_key())[:300]), "no PEM block"),
    "short of a line": (key_file(private_key="".join(LINES[:5] + LINES[6:])), "damaged"),
    "with a wrong letter": (key_file(private_key="".join([*LINES[:9], LINES[9].swapcase(), *LINES[10:]])), "damaged"),
    "a certificate": (key_file(private_key="-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"), "no PEM block"),
    "encrypted": (
        key_file(
            private_key=private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode()
        ),
        "encrypted with a passphrase",
    ),
    "not RSA": (key_file(private_key=pem_of(ec.generate_private_key(ec.SECP256R1()))), "not RSA"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_is_named_with_its_mend_and_without_the_key(name: str) -> None:
    """Every fault says what is wrong and what to do; no line of the key and no secret field is in it or its context."""
    text, words = FAULTY[name]
    with pytest.raises(KeyFault) as caught:
        parse_service_account(text)
    assert words in str(caught.value)
    assert "; " in str(caught.value), "what is wrong; what to do"
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__context__)
    for line in [*pem_of(private_key()).splitlines()[1:-1], "sekrit", '"R"', '"S"']:
        assert line not in told.replace(repr(text), "")
    assert caught.value.__context__ is None


def test_a_key_does_not_show_itself() -> None:
    """repr and str of a key hold no key material."""
    key = parse_service_account(key_file())
    assert "private_key=" not in repr(key) and "BEGIN" not in repr(key)


def test_deep_nesting_is_a_fault_and_no_crash() -> None:
    """A text made to exhaust the parser is refused like any other."""
    with pytest.raises(KeyFault):
        parse_service_account("[" * 200_000)


def _part(assertion: str, index: int) -> str:
    part = assertion.split(".")[index]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
