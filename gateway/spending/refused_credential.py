"""A provider refuses the gateway's credential: what is told of it, over the channels that budgets use."""

from dataclasses import dataclass

from gateway.canonical.store import Json

REFUSED_KEPT_S = 3_600.0  # then a credential that is still refused is told of again
MENDED_S = 300.0  # refused again so soon after it was accepted, it is the same trouble
MOVED_S = 60.0  # the end of what is the same trouble is not written anew for less


@dataclass(frozen=True, slots=True)
class RefusedCredential:
    """`reason` is the log's, for operators: it may name accounts and projects, never a secret. `at` in RFC 3339."""

    provider: str
    location: str
    reason: str
    at: str

    @property
    def message_id(self) -> str:
        return f"{self.provider}.credential-{self.at.replace(':', '')}"

    @property
    def path(self) -> str:
        return f"providers/{self.provider}/alerts/credential"

    def sentence(self) -> str:
        """What happened, what it means for calls, what to do."""
        why = self.reason.removesuffix(f" at {self.provider}/{self.location}").rstrip(". ") or "it does not say why"
        return (
            f"Provider {self.provider} refuses the gateway's credential at {self.location}: {why}. It rests: calls go to other "
            "targets where their config has some, and fail where not. Run `python -m gateway doctor`: it says what to mend."
        )

    def headline(self) -> str:
        return f"Provider {self.provider} refuses the gateway's credential"

    def render(self) -> Json:
        data: Json = {
            "alert_id": self.message_id, "provider": self.provider, "location": self.location, "reason": self.reason,
            "text": self.sentence(),
        }  # fmt: skip
        return {"type": "provider.credential_refused", "timestamp": self.at, "data": data}

    def attributes(self) -> dict[str, str]:
        return {"type": "provider.credential_refused", "provider": self.provider, "alert_id": self.message_id}

    def facts(self) -> Json:
        return {"provider": self.provider, "location": self.location, "reason": self.reason, "at": self.at}

    def audit(self) -> Json:
        after = {"location": self.location, "reason": self.reason}
        return {"action": "provider.credential_refused", "target": f"providers/{self.provider}", "after": after}


class Refusals:
    """What this instance remembers: when each provider's refusal was told, and until when another one is no news. For one thread
    at a time."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, float]] = {}

    def is_news(self, provider: str, now: float) -> bool:
        """If so it counts as told."""
        if now < self._told.get(provider, (0.0, 0.0))[1]:
            return False
        self._told[provider] = now, now + REFUSED_KEPT_S
        return True

    def accepted(self, provider: str, now: float) -> float | None:
        """Until when another refusal will be no news; None if that has hardly changed, or none was told."""
        if provider not in self._told:
            return None
        told_at, before = self._told[provider]
        until = min(told_at + REFUSED_KEPT_S, now + MENDED_S)
        if abs(until - before) <= MOVED_S:
            return None
        self._told[provider] = told_at, until
        return until

    def forget(self, provider: str) -> None:
        self._told.pop(provider, None)
