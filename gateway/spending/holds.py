"""What a call holds of its budgets between being admitted and being settled."""

from collections.abc import Callable
from typing import Protocol

from gateway.canonical.call import Call, Plan, Target
from gateway.canonical.steps import Steps
from gateway.canonical.store import Json, Write
from gateway.canonical.usage import Usage


class Hold(Protocol):
    """Money set aside for one call. Ends once: settled with what it cost, or released unused. All that follows is ignored."""

    def settle(self, usage: Usage, cost_nanodollars: int, target: Target | None = None) -> list[Write]:
        """The writes to commit in one batch with the usage document, which must be a Create: that makes them count once.
        `target` is the one that answered, where that may be another than the plan's first."""

    def release(self) -> None:
        """For a call that never went out. Nothing is counted."""

    def render(self) -> list[Json]:
        """The usage document's `holds`, after `settle`: `{budget, period, allowance, held, settled}`."""

    def headers(self) -> dict[str, str]:
        """How full the fullest budget is, for clients that show it; empty without one."""


Reserve = Callable[[Call, Plan], Steps[Hold]]
"""Raises BudgetExceeded, RateExceeded (429) or Unavailable (503)."""


class Unlimited:
    """The hold of a call that no budget counts."""

    def settle(self, usage: Usage, cost_nanodollars: int, target: Target | None = None) -> list[Write]:
        return []

    def release(self) -> None:
        return None

    def render(self) -> list[Json]:
        return []

    def headers(self) -> dict[str, str]:
        return {}


UNLIMITED = Unlimited()
