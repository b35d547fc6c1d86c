"""Secret Manager's REST method `versions.access` (v1, as of 2026-11-20)."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from gateway.sandbox.errors import google

PATH = re.compile(r"/v1/(projects/([^/]+)/secrets/([^/]+))/versions/([^/:]+):access")
PROJECT_NUMBER = "100200300400"


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """One version's payload and state: ENABLED, DISABLED or DESTROYED."""

    data: bytes
    state: str = "ENABLED"


Secret = bytes | str | Sequence[bytes | str | SecretVersion]


class Secrets(dict[str, Secret]):
    """Secrets by `projects/P/secrets/S`: one value, or its versions from number 1 on. `denied` names answer 403."""

    def __init__(self) -> None:
        super().__init__()
        self.denied: set[str] = set()

    def access(self, path: str) -> dict[str, Any]:
        """What `GET path` answers; Refusal as the real one: 403, 404, or 400 FAILED_PRECONDITION when disabled."""
        match = PATH.fullmatch(unquote(path))
        if not match:
            raise google(404, "The requested URL was not found on this server.")
        name, _, secret, asked = match.groups()
        if name in self.denied:
            resource = f"{name}/versions/{asked}"
            message = f"Permission 'secretmanager.versions.access' denied for resource '{resource}' (or it may not exist)."
            raise google(403, message, reason="IAM_PERMISSION_DENIED", metadata={"resource": resource})
        numbered = f"projects/{PROJECT_NUMBER}/secrets/{secret}"
        versions = _versions(self.get(name, ()))
        if not versions:
            raise google(404, f"Secret [{numbered}] not found or has no versions.")
        number = len(versions) if asked == "latest" else int(asked) if asked.isdecimal() else 0
        if not 1 <= number <= len(versions):
            raise google(404, f"Secret Version [{numbered}/versions/{asked}] not found.")
        version = versions[number - 1]
        if version.state != "ENABLED":
            message = f"Secret Version [{numbered}/versions/{number}] is in {version.state} state."
            raise google(400, message, name="FAILED_PRECONDITION")
        payload = {"data": base64.b64encode(version.data).decode(), "dataCrc32c": str(crc32c(version.data))}
        return {"name": f"{numbered}/versions/{number}", "payload": payload}


def _versions(secret: Secret) -> list[SecretVersion]:
    parts = [secret] if isinstance(secret, bytes | str) else list(secret)
    return [part if isinstance(part, SecretVersion) else SecretVersion(_bytes(part)) for part in parts]


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli).

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
