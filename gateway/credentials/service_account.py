"""A service-account key file: parsed with every fault named, and the assertion it signs.

Key material is never echoed: not in a fault, not in a repr, not in the context of an exception.
Key file and assertion: https://developers.google.com/identity/protocols/oauth2/service-account (read 2026-11-20).
"""

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

AUDIENCE = "https://oauth2.googleapis.com/token"
ASSERTION_S = 3_600
NEW_KEY = "store the file that `gcloud iam service-accounts keys create key.json --iam-account=ACCOUNT` writes"
OWN_TEXT = "store the key file's own text, which begins with {"
KEYLESS = "use the credential `adc` for this account, or " + NEW_KEY
OTHER_TYPES = {
    "authorized_user": "a user's own login",
    "external_account": "a workload identity configuration, which may name any URL or program",
    "external_account_authorized_user": "a workforce identity login",
    "impersonated_service_account": "an impersonation configuration",
    "gdch_service_account": "a key of Google Distributed Cloud",
}
PEM = re.compile(r"-----BEGIN ((?:[A-Z]+ )?PRIVATE KEY)-----(.*?)-----END \1-----", re.DOTALL)


class KeyFault(ValueError):
    """The text is not a usable service-account key. Says which part is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class ServiceAccountKey:
    """What a key file says. Its `token_uri` is left out on purpose: the operator's setting decides."""

    client_email: str
    private_key_id: str | None
    project_id: str | None
    private_key: RSAPrivateKey = field(repr=False)

    def pkcs8(self) -> bytes:
        """The private key in its one DER form, from which fingerprint and sealing key are derived."""
        return self.private_key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign_assertion(self, scope: str, at: float) -> str:
        """The RS256 JWT that the token endpoint takes; issued `at` unix seconds, good for an hour."""
        header = {"alg": "RS256", "typ": "JWT"} | ({"kid": self.private_key_id} if self.private_key_id else {})
        claims = {"iss": self.client_email, "scope": scope, "aud": AUDIENCE, "iat": int(at), "exp": int(at) + ASSERTION_S}
        signed = f"{_segment(header)}.{_segment(claims)}"
        signature = self.private_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_unpadded(signature)}"


def parse_service_account(text: str) -> ServiceAccountKey:
    """A key file's text to a key; KeyFault."""
    fields = _json_object(text)
    _check_type(fields)
    missing = [name for name in ("client_email", "private_key") if not _text(fields, name)]
    if missing:
        raise KeyFault(f"the service-account key lacks {' and '.join(missing)}; {NEW_KEY}, unedited")
    return ServiceAccountKey(
        client_email=fields["client_email"].strip(),
        private_key_id=_text(fields, "private_key_id"),
        project_id=_text(fields, "project_id"),
        private_key=_private_key(fields["private_key"]),
    )


def _json_object(text: str) -> dict[str, Any]:
    value, where = _decoded(text)
    if where:
        raise KeyFault(f"the service-account key is not JSON ({where}); {NEW_KEY}, unedited")
    if isinstance(value, str):
        raise KeyFault(f"the service-account key is a JSON string, encoded twice; {OWN_TEXT}")
    if not isinstance(value, dict):
        raise KeyFault(f"the service-account key is a JSON {type(value).__name__}, not an object; {OWN_TEXT}")
    return value


def _decoded(text: str) -> tuple[Any, str]:
    """The JSON value, or where it breaks off. The decoder's exception holds the whole text, so it goes no further."""
    if not text.strip():
        return None, "it is empty"
    try:
        return json.loads(text.lstrip("\ufeff")), ""
    except json.JSONDecodeError as error:
        return None, f"line {error.lineno}, column {error.colno}"
    except RecursionError:
        return None, "nested too deeply"


def _check_type(fields: dict[str, Any]) -> None:
    kind = fields.get("type")
    if kind == "service_account":
        return
    if isinstance(kind, str) and kind in OTHER_TYPES:
        raise KeyFault(f"the credential has type {kind}, {OTHER_TYPES[kind]}, not service_account; {KEYLESS}")
    if "installed" in fields or "web" in fields:
        raise KeyFault(f"the credential is an OAuth client file, not a service-account key; {NEW_KEY}")
    raise KeyFault(f'the credential\'s "type" is {"missing" if kind is None else "another"}, not service_account; {NEW_KEY}')


def _text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value.strip() if isinstance(value, str) and value.strip() else None


def _private_key(pem: str) -> RSAPrivateKey:
    found = PEM.search(pem.replace("\\r", "").replace("\\n", "\n"))
    if not found:
        raise KeyFault(f"the service-account key's private_key is no PEM block with its BEGIN and END lines; {NEW_KEY}, unedited")
    label, body = found.groups()
    if label.startswith("ENCRYPTED"):
        raise KeyFault(f"the service-account key's private_key is encrypted with a passphrase; {NEW_KEY}")
    # Line breaks are often lost or turned into blanks on the way through shells and consoles; base64 needs none.
    lines = re.findall(r".{1,64}", re.sub(r"\s", "", body))
    key = _loaded("\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "")))
    if key is None:
        raise KeyFault(f"the service-account key's private_key is damaged; {NEW_KEY}, unedited")
    if not isinstance(key, RSAPrivateKey):
        raise KeyFault(f"the service-account key's private_key is not RSA; {NEW_KEY}")
    return key


def _loaded(pem: str) -> object | None:
    try:
        return serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _segment(part: dict[str, Any]) -> str:
    return _unpadded(json.dumps(part, separators=(",", ":")).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
