"""Thinking blocks: their signatures, which only this sandbox can make, and whether a signature is still right."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from gateway.sandbox.models import Model

PAD = b"sandbox: the real one keeps its encrypted thoughts here. " * 3


class Signer:
    """Signs what was thought. On models with bound thinking a signature holds for that model and project only."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def thinking(self, shown: str, model: Model, project: str) -> dict[str, Any]:
        return {"type": "thinking", "thinking": shown, "signature": self._sign(shown, model, project)}

    def redacted(self, model: Model, project: str) -> dict[str, Any]:
        return {"type": "redacted_thinking", "data": self._sign("redacted", model, project)}

    def is_right(self, block: Mapping[str, Any], model: Model, project: str) -> bool:
        """Whether a block that came back is the one that was given, to the byte."""
        redacted = block["type"] == "redacted_thinking"
        shown, signature = ("redacted", block["data"]) if redacted else (block["thinking"], block["signature"])
        return isinstance(signature, str) and hmac.compare_digest(signature.encode(), self._sign(shown, model, project).encode())

    def _sign(self, shown: Any, model: Model, project: str) -> str:
        bound = [model.id, project] if model.bound_thinking else ["unbound"]
        seal = hmac.digest(self._secret, json.dumps([shown, *bound]).encode(), "sha256")
        pad = bytes(a ^ b for a, b in zip(PAD, hashlib.shake_256(seal).digest(len(PAD)), strict=True))
        return base64.b64encode(b"\x12\x0c" + seal + pad).decode()


def display(body: Mapping[str, Any], model: Model) -> str:
    """How thinking is to be shown: "summarized", "omitted", or with its beta "updates"."""
    return (body.get("thinking") or {}).get("display") or ("summarized" if model.thinking_shown else "omitted")


def thinks(body: Mapping[str, Any], model: Model, *, prompt: str, after_tools: bool) -> bool:
    """Whether this answer begins with thought. Unasked, an adaptive model only thinks about longer prompts."""
    asked = body.get("thinking") or {}
    effort = (body.get("output_config") or {}).get("effort")
    match asked.get("type"):
        case "enabled":
            return True
        case "disabled":
            return False
        case "between_tools":
            return after_tools
        case "adaptive":
            return effort != "low"
    return model.thinks in ("default", "always") and effort != "low" and (len(prompt) > 200 or "think" in prompt.lower())
