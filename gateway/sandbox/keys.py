"""The keys of the simulated services that are not Google's: one API key for all, and one AWS key pair."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Keys:
    """Drawn from a secret, so that sandboxes with the same key file take the same keys."""

    api_key: str = field(repr=False)
    access_key_id: str
    secret_access_key: str = field(repr=False)

    @classmethod
    def drawn_from(cls, secret: bytes) -> "Keys":
        def draw(what: str) -> str:
            return hashlib.sha256(what.encode() + secret).hexdigest()

        return cls(f"sk-sandbox-{draw('api key')[:40]}", f"AKIASANDBOX{draw('access key')[:9].upper()}", draw("secret key")[:40])

    @property
    def aws_json(self) -> str:
        """The pair as a secret holds it."""
        return json.dumps({"access_key_id": self.access_key_id, "secret_access_key": self.secret_access_key})

    def is_right(self, said: str | None) -> bool:
        return said is not None and hmac.compare_digest(said.encode(), self.api_key.encode())


def bearer(headers: Mapping[str, str]) -> str | None:
    """What `Authorization: Bearer` brings."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None
