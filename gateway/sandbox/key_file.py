"""The throwaway service-account key of a sandbox: made once, kept in a file that only its owner reads."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class Account:
    """A pretend service account and its key."""

    project: str
    email: str
    key: RSAPrivateKey
    pem: str

    def document(self, token_uri: str) -> str:
        """The key file's JSON, as Google's console hands it out."""
        fields = {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": "5a" * 20,
            "private_key": self.pem,
            "client_email": self.email,
            "client_id": "100000000000000000001",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }
        return json.dumps(fields, indent=2)


def account(project: str, path: Path | None) -> Account:
    """An account of that project, with the key in the file if there is one."""
    if path and path.exists():
        pem = json.loads(path.read_text())["private_key"]
        # Its primes need no second proof: the key is our own, and worth nothing.
        key = serialization.load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, RSAPrivateKey):
            raise ValueError(f"{path} holds no RSA key; delete it and a new one is made")
    else:
        key = generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        unsealed = serialization.NoEncryption()
        encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unsealed)
        pem = encoded.decode()
    return Account(project, f"sandbox@{project}.iam.gserviceaccount.com", key, pem)


def write(path: Path, document: str) -> None:
    """Replaces the file, mode 0600 from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(document)
    fresh.replace(path)
