"""What is told over the alert channels, in which words, and what a channel must be to carry it."""

from dataclasses import dataclass
from typing import Protocol

from gateway.canonical.money import NANO_PER_DOLLAR, format_dollars
from gateway.canonical.store import Json


class PostFailed(Exception):
    """It was not accepted. Says what happened and what to do; names the host, never the path: webhook URLs are secrets."""


class Message(Protocol):
    """Something that somebody should know of."""

    @property
    def message_id(self) -> str:
        """One for all its deliveries, so that a receiver knows a message that comes again."""

    @property
    def path(self) -> str:
        """Its document: whoever creates it, tells."""

    @property
    def at(self) -> str:
        """RFC 3339."""

    def sentence(self) -> str:
        """For people: what happened, and what to do next."""

    def headline(self) -> str:
        """A mail's subject."""

    def render(self) -> Json:
        """The webhook's body."""

    def attributes(self) -> dict[str, str]:
        """What a subscriber of the topic may filter by."""

    def facts(self) -> Json:
        """Its document, but for what became of it."""

    def audit(self) -> Json:
        """Action, target and what happened, as the audit has it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A budget has passed a threshold. `id` is unique within its budget; `used` and `limit` in nano-dollars for unit `usd`, else
    in the unit; `at` in RFC 3339."""

    id: str
    budget: str
    period: str
    subject: str | None
    threshold: float
    used: int
    limit: int
    unit: str
    at: str
    test: bool = False

    @property
    def message_id(self) -> str:
        return f"{self.budget}.{self.id}"

    @property
    def path(self) -> str:
        return f"budgets/{self.budget}/alerts/{self.id}"

    def sentence(self) -> str:
        """What happened, to what, how much."""
        whose = f" for {self.subject}" if self.subject else ""
        share = f"{self.threshold * 100:g} %"
        amounts = f"{self._amount(self.used)} of {self._amount(self.limit)}"
        start = "This is a test: budget" if self.test else "Budget"
        return f"{start} {self.budget}{whose} has used {share} of its limit in {self.period}: {amounts}."

    def headline(self) -> str:
        return f"{'Test: ' if self.test else ''}Budget {self.budget}: {self.threshold * 100:g} % used"

    def render(self) -> Json:
        data: Json = {
            "alert_id": self.message_id, "budget": self.budget, "period": self.period, "subject": self.subject, "unit": self.unit,
            "threshold": self.threshold, "used": self._number(self.used), "limit": self._number(self.limit),
            "test": self.test, "text": self.sentence(),
        }  # fmt: skip
        return {"type": "budget.threshold", "timestamp": self.at, "data": data}

    def attributes(self) -> dict[str, str]:
        return {"type": "budget.threshold", "budget": self.budget, "alert_id": self.message_id}

    def facts(self) -> Json:
        return {
            "budget": self.budget, "period": self.period, "subject": self.subject, "threshold": self.threshold,
            "used": self.used, "limit": self.limit, "unit": self.unit, "at": self.at,
        }  # fmt: skip

    def audit(self) -> Json:
        after = {name: getattr(self, name) for name in ("period", "subject", "threshold", "used", "limit", "unit")}
        return {"action": "budget.alert", "target": f"budgets/{self.budget}", "after": after}

    def _amount(self, value: int) -> str:
        return f"${format_dollars(value, digits=2)}" if self.unit == "usd" else f"{value:,} {self.unit.replace('_', ' ')}"

    def _number(self, value: int) -> str:
        """As budgets write amounts: a decimal string of dollars, or of the unit."""
        return format_dollars(value) if self.unit == "usd" else str(value)


class Channel(Protocol):
    @property
    def name(self) -> str: ...

    def send(self, message: Message, now: float) -> None:
        """Returns when it was accepted; PostFailed, SecretError, GatewayError. `now` is unix seconds."""


EXAMPLE = Alert("alert_test", "", "now", None, 0.8, 8 * NANO_PER_DOLLAR, 10 * NANO_PER_DOLLAR, "usd", "", test=True)
