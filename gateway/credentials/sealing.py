"""Tokens at rest: a fingerprint and a sealing key, both derived from the private key that the token was minted with.

Whoever cannot sign for the account can neither find its document nor open it: an e-mail address is not enough to be
served someone's token, and reading the database does not yield a usable one.
"""

import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class KeySealing:
    """`context` binds a sealed text to the place it stands at (document path and fence), so that it cannot be moved."""

    fingerprint: str
    _cipher: AESGCM = field(repr=False)

    def seal(self, text: str, context: str) -> bytes:
        """Nonce and AES-256-GCM ciphertext."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), context.encode())

    def open(self, sealed: bytes, context: str) -> str | None:
        """The text; None if another key sealed it, for another context, or if it was changed."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError):
            return None


def sealing_of(private_key: bytes, scope: str, token_uri: str) -> KeySealing:
    """From a private key in DER. Scope and token endpoint are mixed in: tokens that differ in them are never confused."""
    return KeySealing(
        fingerprint=_derived(private_key, "tollgate/v1/fingerprint", scope, token_uri, length=16).hex(),
        _cipher=AESGCM(_derived(private_key, "tollgate/v1/seal", scope, token_uri, length=32)),
    )


def _derived(private_key: bytes, *purpose: str, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt=None, info="\0".join(purpose).encode()).derive(private_key)
