"""What a gateway key looks like, where it is found in a request, and what is kept of it: a SHA-256, nothing else."""

import hashlib
import re
import secrets
from collections.abc import Mapping

PREFIX = "gw-"
PATTERN = re.compile(r"^gw-[A-Za-z0-9_-]{43}$")
HEADERS = ("authorization", "x-portkey-api-key", "x-api-key", "x-goog-api-key")


def new_key() -> str:
    """A fresh key: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """The document id under `keys/`. A key has 256 bits of its own, so a plain hash cannot be guessed back."""
    return hashlib.sha256(key.encode()).hexdigest()


def find_key(headers: Mapping[str, str], query_key: str | None = None) -> str | None:
    """The first value that looks like one of ours. Other credentials in those headers are ignored: Google's SDK in
    Vertex mode always sends a Google bearer beside the key (google-genai 3.4.0, 2026-11-20)."""
    for name in HEADERS:
        value = headers.get(name, "").strip()
        if name == "authorization" and value[:7].lower() == "bearer ":
            value = value[7:].strip()
        if PATTERN.match(value):
            return value
    return query_key if query_key and PATTERN.match(query_key) else None
