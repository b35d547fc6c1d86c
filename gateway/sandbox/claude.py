"""The pretend Claude itself, wherever it is served: checks a Messages body, and says its answer.

Each service brings the body as Vertex AI would have it, and the beta values as if they stood in the header.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.sandbox import answers, conversation, fields, messages, rules, toolbox, usage
from gateway.sandbox.answers import Answer
from gateway.sandbox.faults import Fault
from gateway.sandbox.models import Model
from gateway.sandbox.prompt_cache import CacheUse, PromptCache
from gateway.sandbox.thinking import Signer


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, whole and as events."""

    message: dict[str, Any]
    cache: CacheUse
    fault: Fault

    def events(self) -> list[dict[str, Any]]:
        return list(messages.events(self.message, self.cache, self.fault))


class Claude:
    """One Claude for all services: what it thought and cached for one account is known to that account alone."""

    def __init__(self, signer: Signer, now: Callable[[], float]) -> None:
        self._signer = signer
        self._cache = PromptCache(now)

    def check(
        self, body: Mapping[str, Any], model: Model, betas: frozenset[str], account: str, *, counting: bool = False
    ) -> None:
        """Refusal in Anthropic's words. Fields that need a beta look at `betas` alone (LiteLLM pull request 22321, measured
        against Vertex AI)."""
        fields.check(body, model, betas, counting=counting)
        toolbox.check(body.get("tools"), model, betas)
        conversation.check(body, model, betas, lambda block: self._signer.is_right(block, model, account))
        rules.check(body, model, betas)

    def say(self, body: Mapping[str, Any], model: Model, account: str, place: str, fault: Fault, infix: str = "vrtx_") -> Said:
        """The answer to a checked body. `place` is where prompts are cached, `infix` marks the service's ids."""
        parts = usage.parts(body)
        rules.check_size(body, model, usage.total_tokens(parts))
        cache = self._cache.use(f"{account} {place} {model.id}", parts, model.cache_tokens_min)
        answer = answers.plan(body, model, account, self._signer, fault)
        message = messages.document(answer, model, cache, body)
        return Said(message if infix == "vrtx_" else _with_infix(message, infix), cache, fault)

    def plan(self, body: Mapping[str, Any], model: Model, account: str, fault: Fault) -> tuple[Answer, CacheUse]:
        """The answer to a prompt in another format, told as a Messages body; its prefix is cached unasked."""
        parts = usage.parts(body)
        rules.check_size(body, model, usage.total_tokens(parts))
        marked = [*parts[:-1], replace(parts[-1], ttl="5m")] if parts else []
        cache = self._cache.use(f"{account} {model.id}", marked, model.cache_tokens_min)
        return answers.plan(body, model, account, self._signer, fault), cache

    @staticmethod
    def count(body: Mapping[str, Any]) -> int:
        """Tokens of a checked body."""
        return usage.total_tokens(usage.parts(body))


def _with_infix(message: Mapping[str, Any], infix: str) -> dict[str, Any]:
    """The message with ids as the service makes them: `msg_01…`, `toolu_bdrk_01…`."""
    content = [
        {name: _renamed(value, infix) if name in ("id", "tool_use_id") else value for name, value in block.items()}
        for block in message["content"]
    ]
    return {**message, "id": _renamed(message["id"], infix), "content": content}


def _renamed(name: str, infix: str) -> str:
    return name.replace("_vrtx_", f"_{infix}")
