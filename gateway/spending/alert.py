"""An alert, what it says, and what a channel must be to carry it."""

from dataclasses import dataclass
from typing import Protocol

from gateway.canonical.money import NANO_PER_DOLLAR, format_dollars
from gateway.canonical.store import Json


class PostFailed(Exception):
    """It was not accepted. Says what happened and what to do; names the host, never the path: webhook URLs are secrets."""


@dataclass(frozen=True, slots=True)
class Alert:
    """What a message says. `id` is unique within its budget; `used` and `limit` in nano-dollars for unit `usd`, else in the
    unit; `at` in RFC 3339."""

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
        """One for all its deliveries, so that a receiver knows a message that comes again."""
        return f"{self.budget}.{self.id}"

    def sentence(self) -> str:
        """For people: what happened, to what, how much."""
        whose = f" for {self.subject}" if self.subject else ""
        share = f"{self.threshold * 100:g} %"
        amounts = f"{self._amount(self.used)} of {self._amount(self.limit)}"
        start = "This is a test: budget" if self.test else "Budget"
        return f"{start} {self.budget}{whose} has used {share} of its limit in {self.period}: {amounts}."

    def render(self) -> Json:
        """The webhook's body."""
        data: Json = {
            "alert_id": self.message_id, "budget": self.budget, "period": self.period, "subject": self.subject, "unit": self.unit,
            "threshold": self.threshold, "used": self._number(self.used), "limit": self._number(self.limit),
            "test": self.test, "text": self.sentence(),
        }  # fmt: skip
        return {"type": "budget.threshold", "timestamp": self.at, "data": data}

    def _amount(self, value: int) -> str:
        return f"${format_dollars(value, digits=2)}" if self.unit == "usd" else f"{value:,} {self.unit.replace('_', ' ')}"

    def _number(self, value: int) -> str:
        """As budgets write amounts: a decimal string of dollars, or of the unit."""
        return format_dollars(value) if self.unit == "usd" else str(value)


class Channel(Protocol):
    @property
    def name(self) -> str: ...

    def send(self, alert: Alert, now: float) -> None:
        """Returns when it was accepted; PostFailed, SecretError, GatewayError. `now` is unix seconds."""


EXAMPLE = Alert("alert_test", "", "now", None, 0.8, 8 * NANO_PER_DOLLAR, 10 * NANO_PER_DOLLAR, "usd", "", test=True)
