"""How signatures of thinking travel through clients that know nothing of them.

Gemini signs a function call (`thoughtSignature`) and refuses a history that lost it; Claude signs its thinking blocks. A
client of another format replays ids and parts as it got them, so the signature rides on those:

    Gemini → any client     in the tool call's id, behind a mark
    Gemini → Messages       a signed text: in an empty thinking block behind it
    Claude → Gemini client  whole thinking blocks, as the `thoughtSignature` of the part that follows them

Source: Google's page on thought signatures and Anthropic's on extended thinking, 2026-11-20.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec

SKIPPED = base64.b64encode(b"skip_thought_signature_validator").decode()
"""Google's documented stand-in for a call whose signature is not known: made by another model, or lost by a client."""

_MARK = "--thought--"
_OF_GEMINI = "gemini:"
_PACKED = b"tollgate-thinking:"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_VERSION = re.compile(r"(?:-(?:\d+|preview|latest|exp))*")
_TO_URL = str.maketrans("+/", "-_")
_FROM_URL = str.maketrans("-_", "+/")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """Gemini's, in base64, and the model that made it: other models refuse it. `model` is empty where nobody knows."""

    value: str
    model: str = ""

    def holds_for(self, model: str) -> bool:
        """Whether that model made it, be it named with its version or without."""
        shorter, longer = sorted((_plain(self.model), _plain(model)), key=len)
        return not shorter or (longer.startswith(shorter) and _VERSION.fullmatch(longer[len(shorter) :]) is not None)


def join_id(call_id: str, signature: Signature | None) -> str:
    """A tool call's id with Gemini's signature in it; letters, digits, `_` and `-` only, as Anthropic's ids are."""
    if signature is None or not _BASE64.fullmatch(signature.value):
        return call_id
    return f"{call_id}{_MARK}{_plain(signature.model)}--{signature.value.translate(_TO_URL).rstrip('=')}"


def split_id(tool_use_id: str) -> tuple[str, Signature | None]:
    """The id as Gemini knows it, and the signature if one rides along."""
    call_id, mark, carried = tool_use_id.partition(_MARK)
    if not mark:
        return tool_use_id, None
    model, _, value = carried.partition("--")
    return call_id, Signature(value.translate(_FROM_URL) + "=" * (-len(value) % 4), model)


def _plain(model: str) -> str:
    """The model's name in the letters of an id."""
    return re.sub(r"[^A-Za-z0-9]+", "-", model).strip("-").lower()


def plain_id(call_id: Any, *otherwise: object) -> str:
    """Gemini's own id if clients of other formats take it; else one made from what tells this call from all others."""
    if isinstance(call_id, str) and _ID.fullmatch(call_id) and _MARK not in call_id:
        return call_id
    seed = [call_id] if isinstance(call_id, str) and call_id else list(otherwise)
    return "toolu_" + hashlib.sha256(repr(seed).encode()).hexdigest()[:24]


def sign_thinking(signature: Signature) -> str:
    """Gemini's signature as that of a thinking block."""
    return f"{_OF_GEMINI}{_plain(signature.model)}:{signature.value}"


def gemini_signature(block: Json) -> Signature | None:
    """The signature of a thinking block if it is Gemini's; None for Claude's, which only Claude understands."""
    signature = block.get("signature")
    if not isinstance(signature, str) or not signature.startswith(_OF_GEMINI):
        return None
    model, _, value = signature.removeprefix(_OF_GEMINI).rpartition(":")
    return Signature(value, model) if value else None


def pack_thinking(blocks: list[Json]) -> str:
    """Claude's thinking blocks as one `thoughtSignature`."""
    return base64.b64encode(_PACKED + msgspec.json.encode(blocks)).decode()


def unpack_thinking(signature: Any) -> list[Json] | None:
    """The thinking blocks in a `thoughtSignature` of ours; None if it is Gemini's own or not ours to read."""
    if not isinstance(signature, str):
        return None
    try:
        data = base64.b64decode(signature.translate(_FROM_URL) + "=" * (-len(signature) % 4))
        if not data.startswith(_PACKED):
            return None
        blocks = msgspec.json.decode(data.removeprefix(_PACKED), type=list[Json])
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        return None
    return [block for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
