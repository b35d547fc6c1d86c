"""An answer that is kept: what the caller's own wire format said, who said it, and its document at `cache/{key}`.

The prompt is no part of it; the key cannot be turned back into one. The answer is: whoever reads the store reads it.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.canonical.store import Json
from gateway.canonical.usage import Usage

COLLECTION = "cache"
SCHEMA_VERSION = 1
BODY_BYTES_MAX = 700_000  # a Firestore document holds 1 MiB in all (Firestore quotas, 2026-11-20)


@dataclass(frozen=True, slots=True)
class Entry:
    """A whole, successful answer. `body` is what the caller's dialect said, without an outer form and pings of ours: a plain
    body, or with `stream` all of a stream. `at` is when it was given, in unix seconds.

    `framing` is the outer form (`Request.framing`) that the caller had asked for, where the answer was carried over from
    another wire format: then the body may have been rendered for that form.
    """

    key: str
    project: str
    user: str | None
    stream: bool
    body: bytes
    content_type: str
    framing: str
    provider: str
    location: str
    model: str
    answered_model: str | None
    dropped: tuple[str, ...]
    usage: Usage
    at: float
    max_age_s: int

    def age_s(self, now: float) -> float:
        """Clocks of instances lie apart: never less than nothing."""
        return max(0.0, now - self.at)


def entry_path(key: str) -> str:
    return f"{COLLECTION}/{key}"


def render_entry(entry: Entry) -> Json:
    """The document's fields. It may be forgotten when the rule that it was kept by lets it serve no longer."""
    at = datetime.fromtimestamp(entry.at, UTC)
    return {
        "project": entry.project,
        "user": entry.user,
        "stream": entry.stream,
        "body": entry.body,
        "content_type": entry.content_type,
        "framing": entry.framing,
        "provider": entry.provider,
        "location": entry.location,
        "model": entry.model,
        "answered_model": entry.answered_model,
        "dropped": list(entry.dropped),
        "usage": msgspec.json.encode(asdict(entry.usage)).decode(),
        "at": at,
        "max_age_s": entry.max_age_s,
        "schema_version": SCHEMA_VERSION,
        "expires_at": at + timedelta(seconds=entry.max_age_s),
    }


def parse_entry(key: str, data: Json) -> Entry | None:
    """None for a document of another version of this gateway."""
    if data.get("schema_version") != SCHEMA_VERSION:
        return None
    try:
        usage = msgspec.json.decode(data["usage"], type=Usage)
        fields = {name: data[name] for name in Entry.__slots__ if name in data}
        return Entry(**{**fields, "key": key, "dropped": tuple(data["dropped"]), "usage": usage, "at": data["at"].timestamp()})
    except (KeyError, TypeError, msgspec.MsgspecError):
        return None
